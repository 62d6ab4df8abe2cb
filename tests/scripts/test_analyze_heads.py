import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.analyze_heads import main
from tests.tiny_models import save_tiny_model
from utils.catalog import Catalog, catalog_path, load_catalog
from utils.head_roles import ROLES
from utils.role_scores import MEASURED_ROLES

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--sequences", "3"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for model_type in ("gpt2", "llama"):
        save_tiny_model(model_type, folder / f"tiny-{model_type}")
    return folder


@pytest.fixture(scope="module")
def catalogs(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both tiny models by one command, into a folder that has to be made."""
    output = tmp_path_factory.mktemp("out") / "new"
    argv = [
        "--model",
        str(models / "tiny-gpt2"),
        "--model",
        str(models / "tiny-llama"),
        "--output",
        str(output),
    ]
    assert main([*argv, *QUICK]) == 0
    return output


@pytest.mark.parametrize(("name", "n_layers", "n_heads"), [("tiny-gpt2", 3, 4), ("tiny-llama", 4, 6)])
def test_a_catalog_a_model(catalogs: Path, name: str, n_layers: int, n_heads: int) -> None:
    catalog = load_catalog(catalog_path(name, catalogs))
    assert (catalog.model_name, catalog.num_layers, catalog.num_heads) == (name, n_layers, n_heads)
    assert set(catalog.categories) == set(ROLES)
    assert set(catalog.all_scores) == set(MEASURED_ROLES)
    assert set(catalog.probe_scores["duplicate_token"]) == {"repeated", "word_lists"}
    assert catalog.settings.inputs["repeated"].model_dump() == {"sequences": 3, "shortest": 51, "longest": 51}
    assert catalog.settings.inputs["natural"].sequences >= 20
    assert catalog.settings.versions["transformer-lens"]


def test_the_file_has_the_fields_of_the_specification(catalogs: Path) -> None:
    data = json.loads((catalogs / "tiny-gpt2.json").read_text(encoding="utf-8"))
    named = (
        "schema_version model_name num_layers num_heads analysis_date settings categories all_scores rankings"
    )
    assert set(named.split()) <= set(data)
    fields = "display_name description explanation icon requires_repetition suggested_prompts top_heads"
    for category in data["categories"].values():
        assert set(category) == set(fields.split())
        for entry in category["top_heads"]:
            assert set(entry) == {"layer", "head", "score"}
    assert set(data["rankings"]) == {"summed_attention", "wu24", "qrhead", "reasoning"}


def _every_number(data: object) -> list[float]:
    if isinstance(data, dict):
        return [number for value in data.values() for number in _every_number(value)]
    if isinstance(data, list):
        return [number for value in data for number in _every_number(value)]
    return [data] if isinstance(data, float) else []


def test_numbers_have_at_most_six_places(catalogs: Path) -> None:
    numbers = _every_number(json.loads((catalogs / "tiny-llama.json").read_text(encoding="utf-8")))
    assert len(numbers) > 100
    assert all(number == round(number, 6) for number in numbers)


def test_lists_and_score_tables_agree(catalogs: Path) -> None:
    catalog = load_catalog(catalogs / "tiny-gpt2.json")
    other = {(entry.layer, entry.head) for entry in catalog.categories["other"].top_heads}
    for layer in range(catalog.num_layers):
        for head in range(catalog.num_heads):
            below = all(
                table[layer][head] < catalog.settings.thresholds[role].threshold
                for role, table in catalog.all_scores.items()
            )
            assert ((layer, head) in other) == below
    for role, table in catalog.all_scores.items():
        for entry in catalog.categories[role].top_heads:
            assert entry.score == table[entry.layer][entry.head]
    by_probe = catalog.probe_scores["duplicate_token"]
    for layer, row in enumerate(catalog.all_scores["duplicate_token"]):
        for head, score in enumerate(row):
            assert score == max(table[layer][head] for table in by_probe.values())


def _without_date(catalog: Catalog) -> dict:
    return {key: value for key, value in catalog.model_dump().items() if key != "analysis_date"}


def test_the_same_seed_gives_the_same_catalog(models: Path, catalogs: Path, tmp_path: Path) -> None:
    argv = ["--model", str(models / "tiny-gpt2"), *QUICK]
    assert main([*argv, "--output", str(tmp_path / "same")]) == 0
    assert main([*argv, "--output", str(tmp_path / "other"), "--seed", "1"]) == 0
    first = load_catalog(catalogs / "tiny-gpt2.json")
    assert _without_date(load_catalog(tmp_path / "same" / "tiny-gpt2.json")) == _without_date(first)
    other = load_catalog(tmp_path / "other" / "tiny-gpt2.json")
    assert other.settings.seed == 1
    assert other.all_scores["induction"] != first.all_scores["induction"]
    # The natural sentences are the same for every seed.
    assert other.all_scores["previous_token"] == first.all_scores["previous_token"]


def test_progress_and_notes_go_to_stderr_and_paths_to_stdout(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--model", str(models / "tiny-llama"), "--output", str(tmp_path), *QUICK]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'tiny-llama.json'}\n"
    assert "tiny-llama: repeated 3/3" in err
    assert "no head of tiny-llama reaches 0.4 for induction" in err


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        ([], "--model"),
        (["--model", "x", "--sequences", "0"], "--sequences"),
        (["--model", "x", "--sequences", "-3"], "--sequences"),
        (["--model", "x", "--sequences", "many"], "--sequences"),
        (["--model", "x", "--seed", "1.5"], "--seed"),
        (["--model", "x", "--device", "tpu"], "--device"),
        (["--model", "x", "--device", "cuda:999"], "cuda:999"),
        (["--model", "x", "--colour", "red"], "--colour"),
    ],
)
def test_bad_usage_ends_with_2(argv: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert named in capsys.readouterr().err.splitlines()[-1]


def _refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr of a command that ends with 1."""
    assert main([*argv, *QUICK]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_an_unknown_model_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "'gpt-99' is neither" in _refused(["--model", "gpt-99", "--output", str(tmp_path)], capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_model_is_one_line(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = shutil.copytree(models / "tiny-gpt2", tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    assert "damaged" in _refused(["--model", str(broken), "--output", str(tmp_path / "out")], capsys)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_output_that_is_a_file_is_one_line(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("kept")
    _refused(["--model", str(models / "tiny-gpt2"), "--output", str(tmp_path / "file")], capsys)
    assert (tmp_path / "file").read_text() == "kept"


def test_two_models_of_one_name_do_not_overwrite_each_other(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = shutil.copytree(models / "tiny-gpt2", tmp_path / "elsewhere" / "tiny-gpt2")
    argv = ["--model", str(models / "tiny-gpt2"), "--model", str(twin), "--output", str(tmp_path / "out")]
    assert main([*argv, *QUICK]) == 1
    assert "both named 'tiny-gpt2'" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tiny-gpt2.json"]


def test_one_bad_model_does_not_keep_the_others_from_their_catalogs(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--model", "gpt-99", "--model", str(models / "tiny-gpt2"), "--output", str(tmp_path)]
    assert main([*argv, *QUICK]) == 1
    assert "gpt-99" in capsys.readouterr().err
    assert load_catalog(tmp_path / "tiny-gpt2.json").model_name == "tiny-gpt2"


def test_an_interrupt_ends_with_130_and_leaves_the_old_catalog(models: Path, tmp_path: Path) -> None:
    old = tmp_path / "tiny-gpt2.json"
    old.write_text("old")
    process = subprocess.Popen(
        # So many sequences that it is still at them when the signal comes.
        [
            *(sys.executable, str(ROOT / "scripts" / "analyze_heads.py"), "--sequences", "20000"),
            *("--model", str(models / "tiny-gpt2"), "--output", str(tmp_path)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # A suite that runs in the background of a shell ignores the signal, and its children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert "natural 24/24" in first
    assert process.returncode == 130
    assert out == ""
    assert err.strip() == "analyze_heads: stopped; the catalog in the making was not written."
    assert [path.name for path in tmp_path.iterdir()] == ["tiny-gpt2.json"]
    assert old.read_text() == "old"


def test_the_app_does_not_import_transformer_lens() -> None:
    modules = "sys, utils.head_detection, utils.catalog, utils.attention_capture"
    code = f"import {modules}; print('transformer_lens' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
