"""The catalogs that analyze_heads writes, checks and compares."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from scripts.analyze_heads import main
from tests.fixtures.analyze_command import QUICK, ROOT
from tests.fixtures.hub.fake_hub import FakeHub, Repository
from tests.fixtures.makers.tiny_models import build_tokenizer
from utils.catalog.catalog import catalog_path, load_catalog
from utils.roles.registry import ROLES, measured_roles


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
    assert set(catalog.all_scores) == set(measured_roles())
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


def test_the_same_seed_gives_the_same_file(
    models: Path, catalogs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["--model", str(models / "tiny-gpt2"), *QUICK]
    first = catalogs / "tiny-gpt2.json"
    before = first.read_bytes()
    # Into the same folder, whatever the date: nothing has changed, so the file stays as it is.
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert main([*argv, "--output", str(catalogs)]) == 0
    assert first.read_bytes() == before
    # Into two others, with the date given.
    for folder in ("one", "two"):
        assert main([*argv, "--output", str(tmp_path / folder)]) == 0
    one, two = tmp_path / "one" / "tiny-gpt2.json", tmp_path / "two" / "tiny-gpt2.json"
    assert one.read_bytes() == two.read_bytes()
    assert load_catalog(one).analysis_date == "1970-01-02"
    dated = {"analysis_date": load_catalog(first).analysis_date}
    assert load_catalog(one).model_copy(update=dated) == load_catalog(first)


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch computes without MKL")
def test_the_number_of_threads_changes_no_digit(tmp_path: Path) -> None:
    # As wide as a real model, since narrow products are the same anyway, and with weights so large that what
    # is added up in another order shows in the sixth place.
    folder = tmp_path / "wide"
    tokenizer = build_tokenizer()
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=128, n_embd=768, n_layer=3, n_head=12, initializer_range=0.1
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # The command twice in a process of its own: what makes the sums alike is set before torch is imported.
    code = """
import runpy, sys
script, model, *folders = sys.argv[1:]
for threads, folder in enumerate(folders, start=1):
    sys.argv = [script, "--model", model, "--output", folder, "--sequences", "3"]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        assert end.code == 0
    import torch
    assert torch.get_num_threads() == threads
    torch.set_num_threads(2)
"""
    folders = [tmp_path / "one", tmp_path / "two"]
    script = ROOT / "scripts" / "analyze_heads.py"
    subprocess.run(
        [sys.executable, "-c", code, script, folder, *folders],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "SOURCE_DATE_EPOCH": "0"},
        capture_output=True,
        check=True,
    )
    one, two = ((output / "wide.json").read_bytes() for output in folders)
    assert one == two


def test_a_model_of_the_hub_is_fetched_and_analyzed(
    models: Path, tmp_path: Path, use_hub: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeHub(**{"org/tiny": Repository(models / "tiny-gpt2")}) as hub:
        use_hub(hub.endpoint)
        assert main(["--model", "org/tiny", "--output", str(tmp_path / "out"), *QUICK]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out' / 'org--tiny.json'}\n"
    assert load_catalog(tmp_path / "out" / "org--tiny.json").model_name == "org/tiny"


def test_another_seed_gives_other_random_inputs(models: Path, catalogs: Path, tmp_path: Path) -> None:
    argv = ["--model", str(models / "tiny-gpt2"), *QUICK, "--output", str(tmp_path), "--seed", "1"]
    assert main(argv) == 0
    first, other = load_catalog(catalogs / "tiny-gpt2.json"), load_catalog(tmp_path / "tiny-gpt2.json")
    assert other.settings.seed == 1
    assert other.all_scores["induction"] != first.all_scores["induction"]
    # The natural sentences are the same for every seed.
    assert other.all_scores["previous_token"] == first.all_scores["previous_token"]


def test_catalogs_are_checked(catalogs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(catalogs)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{catalogs / 'tiny-gpt2.json'}: OK\n{catalogs / 'tiny-llama.json'}: OK\n"
    assert err == ""
    renamed = shutil.copy(catalogs / "tiny-gpt2.json", tmp_path / "renamed.json")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    argv = ["--check", str(tmp_path), str(catalogs / "tiny-llama.json"), str(tmp_path / "gone")]
    assert main(argv) == 1
    out, err = capsys.readouterr()
    assert out == f"{catalogs / 'tiny-llama.json'}: OK\n"
    message = err.splitlines()
    assert len(message) == 3
    assert message[0].startswith(f"analyze_heads: {tmp_path / 'gone'} does not exist.")
    assert message[1].startswith(f"{broken}: The catalog broken.json is damaged")
    assert message[2] == f"{renamed}: it is the catalog of tiny-gpt2 and should be named tiny-gpt2.json"


def test_scores_are_compared_with_detect_head(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--model", str(models / "tiny-gpt2"), "--output", str(tmp_path), "--compare-detect-head", *QUICK]
    assert main(argv) == 0
    out, _ = capsys.readouterr()
    head, *rows = out.splitlines()
    assert head == "tiny-gpt2: 3 sequences of 51 tokens"
    message = {row.split()[0]: float(row.split()[-1]) for row in rows}
    assert set(message) == {"previous_token", "duplicate_token", "induction"}
    assert max(message.values()) <= 1e-6
    # No catalog is written.
    assert list(tmp_path.iterdir()) == []
