"""The study's README tells of every stage and condition."""

from pathlib import Path

from study.ablation.planning import set_options
from study.data.cell_records import CONTROLS, TESTED
from study.data.protocol import load_protocol
from study.stages import STAGES

FOLDER = Path(__file__).resolve().parents[2] / "study"
README = (FOLDER / "README.md").read_text(encoding="utf-8")


def test_it_names_every_stage_and_condition() -> None:
    for name in (*STAGES, *TESTED, *CONTROLS, "single"):
        assert f"| `{name}` |" in README


def test_the_protocol_of_the_real_model_is_what_it_tells() -> None:
    protocol = load_protocol()
    options = set_options(protocol, 270, 256, "generated", "wu24")
    assert options.levels == (1, 2, 5, 10, 14, 20, 30, 50) and options.control_levels == (5, 14, 30)
    assert (options.claim_k, options.shared_top, options.shared_min_tasks) == (14, 27, 7)
    other = set_options(protocol, 270, 256, "generated", "qrhead")
    assert (other.control_levels, other.controls_at_claim) == ((5, 14, 30), ())
    # Whether what other methods found transfers is judged by random sets too.
    for kind in ("generated", "real"):
        assert set_options(protocol, 270, 512, kind, "qrhead").controls_at_claim == ("across_data",)
