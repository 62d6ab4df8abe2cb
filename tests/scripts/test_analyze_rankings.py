"""analyze_heads --rankings."""

import json
from pathlib import Path

import pytest

from retrieval.rankings.methods import METHODS
from scripts.analyze_heads import main
from tests.fixtures.makers.tiny_models import save_gpt2_with_context
from tests.fixtures.model_folders import edit_config
from utils.catalog.catalog import CATALOG_FOLDER, load_catalog, save_catalog
from utils.catalog.ranking_record import RankingRecord
from utils.catalog.rankings import catalog_rankings, retrieval_facts
from utils.heads import Head
from utils.models.sources import REAL_MODEL

STUDY = Path(__file__).resolve().parents[2] / "study" / "results" / "rankings"
QUICK = ["--model", "demo-gpt2", "--sequences", "2"]
RANKED = [*QUICK, "--rankings", "--ranking-samples", "1", "--ranking-length", "100"]


def test_rankings_go_into_the_catalog_and_stay_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RANKED, "--progress-json", "--output", str(tmp_path)]) == 0
    message = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert any("ranking heads" in line.get("what", "") for line in message)
    # One count over all of the work.
    counts = [(line["done"], line["total"]) for line in message if line.get("total")]
    assert [done for done, _ in counts] == sorted(done for done, _ in counts)
    assert counts[-1][0] == counts[-1][1] and len({total for _, total in counts}) == 1
    path = tmp_path / "demo-gpt2.json"
    catalog = load_catalog(path)
    for method in METHODS:
        records = [RankingRecord.model_validate(record) for record in catalog.rankings[method]]
        assert [record.length for record in records] == [100] * 4
    assert main(["--check", str(path)]) == 0
    # Analyzed again without rankings: the file stays as it is.
    before = path.read_bytes()
    assert main([*QUICK, "--output", str(tmp_path)]) == 0
    assert path.read_bytes() == before


def test_the_studys_rankings_go_into_a_catalog_of_which_the_rest_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--model", REAL_MODEL, "--rankings-from", str(STUDY), "--output", str(tmp_path)]
    assert main(argv) == 1
    assert f"There is no catalog of the heads of {REAL_MODEL}" in capsys.readouterr().err
    bundled = CATALOG_FOLDER / f"{REAL_MODEL}.json"
    before = load_catalog(bundled)
    save_catalog(before.model_copy(update={"rankings": {}}), tmp_path)
    assert main(argv) == 0
    # The bundled catalog was made so.
    assert (tmp_path / bundled.name).read_bytes() == bundled.read_bytes()
    assert before.rankings["wu24"] and not before.rankings["reasoning"]
    assert main([*argv[:3], str(tmp_path / "none"), *argv[4:]]) == 1
    assert "does not have the rankings" in capsys.readouterr().err


def test_a_length_that_cannot_be_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [*QUICK, "--rankings", "--ranking-length", "5000", "--output", str(tmp_path)]
    assert main(argv) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("analyze_heads:")]
    assert "Choose a --ranking-length of at most 232" in line
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    "argv",
    [
        ["--check", "--rankings"],
        ["--check", "--rankings-from", "."],
        ["--model", "demo-gpt2", "--compare-detect-head", "--rankings"],
        ["--model", "demo-gpt2", "--rankings", "--ranking-samples", "0"],
    ],
)
def test_options_that_do_not_go_together(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2


def test_rankings_without_a_usable_sample_are_told_and_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A random model answers nothing, so for two of the methods no sample counts."""
    folder = save_gpt2_with_context(700, tmp_path / "mute")
    argv = ["--model", str(folder), "--sequences", "2", "--rankings", "--ranking-samples", "1"]
    assert main([*argv, "--ranking-length", "500", "--output", str(tmp_path)]) == 0
    message = capsys.readouterr().err
    for method in ("wu24", "reasoning"):
        assert f"mute: no sample counts in the ranking by {method} of inc_state" in message
    assert "in the ranking by qrhead" not in message
    catalog = load_catalog(tmp_path / "mute.json")
    assert all(record["successful_samples"] == 0 for record in catalog.rankings["wu24"])
    assert set(catalog_rankings(catalog)) == {"summed_attention", "qrhead"}
    assert {fact.method for fact in retrieval_facts(catalog, Head(0, 0))} == {"summed_attention", "qrhead"}


def test_a_model_that_cannot_be_analyzed_is_refused_before_its_heads_are_ranked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_gpt2_with_context(700, tmp_path / "unusual")
    edit_config(folder, scale_attn_weights=False)
    argv = ["--model", str(folder), "--rankings", "--ranking-length", "500", "--output", str(tmp_path)]
    assert main(argv) == 1
    message = capsys.readouterr().err
    (line,) = [line for line in message.splitlines() if line.startswith("analyze_heads:")]
    assert "reads the config.json of unusual otherwise than transformers does" in line
    assert "ranking heads" not in message and not list(tmp_path.glob("*.json"))
