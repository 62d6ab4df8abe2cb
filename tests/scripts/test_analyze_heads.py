import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from scripts.analyze_heads import main
from tests.fake_hub import FakeHub, Repository
from tests.tiny_models import build_tokenizer, save_tiny_model
from utils.catalog import catalog_path, load_catalog
from utils.head_roles import ROLES
from utils.role_scores import MEASURED_ROLES

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--sequences", "3"]


Popen = subprocess.Popen[str]


def _start(argv: list[str], *, environment: dict[str, str] | None = None, **options: Any) -> Popen:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "analyze_heads.py"), *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        **options,
    )


def _run(argv: list[str], **environment: str) -> tuple[str, str, int]:
    """Stdout, stderr and exit status of a run with these variables set."""
    process = _start(argv, environment=environment)
    out, err = process.communicate()
    return out, err, process.returncode


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
    files = []
    for threads in ("1", "2"):
        argv = ["--model", str(folder), "--output", str(tmp_path / threads), *QUICK]
        _, err, status = _run(argv, OMP_NUM_THREADS=threads, SOURCE_DATE_EPOCH="0")
        assert status == 0, err
        files.append((tmp_path / threads / "wide.json").read_bytes())
    assert files[0] == files[1]


def test_another_seed_gives_other_random_inputs(models: Path, catalogs: Path, tmp_path: Path) -> None:
    argv = ["--model", str(models / "tiny-gpt2"), *QUICK, "--output", str(tmp_path), "--seed", "1"]
    assert main(argv) == 0
    first, other = load_catalog(catalogs / "tiny-gpt2.json"), load_catalog(tmp_path / "tiny-gpt2.json")
    assert other.settings.seed == 1
    assert other.all_scores["induction"] != first.all_scores["induction"]
    # The natural sentences are the same for every seed.
    assert other.all_scores["previous_token"] == first.all_scores["previous_token"]


def test_a_date_that_is_none_is_told_before_the_work(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert main(["--model", str(models / "tiny-gpt2"), "--output", str(tmp_path), *QUICK]) == 1
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith("analyze_heads: SOURCE_DATE_EPOCH is no time: 'yesterday'.")
    assert not any("reading test sentences" in line for line in err)


def test_progress_and_notes_go_to_stderr_and_paths_to_stdout(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--model", str(models / "tiny-llama"), "--output", str(tmp_path), *QUICK]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'tiny-llama.json'}\n"
    # A line a stage, with the share of the whole.
    assert "tiny-llama: reading the weights" in err
    assert "tiny-llama: reading repeated sequences (" in err
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
        (["--model", "x", "--name", ".."], "--name"),
        (["--model", "x", "--name", "a\\b"], "--name"),
        (["--model", "x", "--model", "y", "--name", "z"], "--name"),
        (["--model", "x", "--model", "y", "--progress-json"], "--progress-json"),
        (["--model", "x", "--check"], "--check"),
        (["--compare-detect-head"], "--model"),
        (["--compare-detect-head", "--check"], "--check"),
        (["--model", "x", "--compare-detect-head", "--name", "y"], "--compare-detect-head"),
    ],
)
def test_bad_usage_ends_with_2(argv: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert named in capsys.readouterr().err.splitlines()[-1]


def _refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr, progress aside, of a command that ends with 1."""
    assert main([*argv, *QUICK]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    *progress, error = err.splitlines()
    assert error.startswith("analyze_heads: ")
    assert not any(line.startswith(("analyze_heads", "Traceback", " ")) for line in progress)
    return error


def test_a_name_that_none_could_have_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "'gpt 99' is neither" in _refused(["--model", "gpt 99", "--output", str(tmp_path)], capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_nowhere_is_one_line(tmp_path: Path) -> None:
    """By its name it could be one of the hub, and the hub cannot be reached."""
    argv = ["--model", "no-such-model", "--output", str(tmp_path / "out")]
    out, err, status = _run(argv, HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path / "hub"))
    assert (out, status) == ("", 1)
    errors = [line for line in err.splitlines() if line.startswith("analyze_heads: ")]
    assert len(errors) == 1 and "no-such-model" in errors[0]
    assert "Traceback" not in err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_model_of_the_hub_is_fetched_and_analyzed(models: Path, tmp_path: Path) -> None:
    with FakeHub(**{"org/tiny": Repository(models / "tiny-gpt2")}) as hub:
        argv = ["--model", "org/tiny", "--output", str(tmp_path / "out"), *QUICK]
        out, err, status = _run(argv, HF_ENDPOINT=hub.endpoint, HF_HOME=str(tmp_path / "hub"))
    assert status == 0, err
    assert out == f"{tmp_path / 'out' / 'org--tiny.json'}\n"
    assert load_catalog(tmp_path / "out" / "org--tiny.json").model_name == "org/tiny"


def test_a_broken_model_is_one_line(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = shutil.copytree(models / "tiny-gpt2", tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    assert "damaged" in _refused(["--model", str(broken), "--output", str(tmp_path / "out")], capsys)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("damage", ["no weights", "unknown family", "no config"])
def test_a_folder_that_is_no_model_is_one_line(
    models: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(models / "tiny-gpt2", tmp_path / "broken")
    if damage == "no weights":
        (folder / "model.safetensors").unlink()
    elif damage == "no config":
        (folder / "config.json").unlink()
    else:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps({**config, "model_type": "mamba"}), encoding="utf-8")
    named = {"no weights": "has no weights", "no config": "config.json", "unknown family": "'mamba'"}[damage]
    assert named in _refused(["--model", str(folder), "--output", str(tmp_path / "out")], capsys)
    assert list((tmp_path / "out").iterdir()) == []


def _unwritable(kind: str, tmp_path: Path) -> Path:
    if kind == "a file":
        (tmp_path / "file").write_text("kept")
        return tmp_path / "file"
    if kind == "below a file":
        (tmp_path / "file").write_text("kept")
        return tmp_path / "file" / "new"
    if kind == "read-only":
        # To root a folder without the write bit is writable; nobody makes files here.
        folder = tmp_path / "read-only" if os.getuid() else Path("/proc/self/fdinfo")
        folder.mkdir(mode=0o500, exist_ok=True)
        return folder
    raise ValueError(kind)


@pytest.mark.parametrize("kind", ["a file", "below a file", "read-only"])
def test_an_output_that_cannot_be_written_is_one_line_before_the_work(
    models: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = _unwritable(kind, tmp_path)
    error = _refused(["--model", str(models / "tiny-gpt2"), "--output", str(output)], capsys)
    assert f"cannot go to {output}: " in error and "--output" in error
    if "file" in kind:
        assert (tmp_path / "file").read_text() == "kept"


def test_a_disk_that_fills_up_in_the_end_is_one_line_and_leaves_the_old_catalog(
    models: Path, tmp_path: Path
) -> None:
    old = tmp_path / "tiny-gpt2.json"
    old.write_text("old")
    process = _start(
        ["--model", str(models / "tiny-gpt2"), "--output", str(tmp_path), *QUICK],
        # No file may grow beyond 2000 bytes: the catalog is larger.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    out, err = process.communicate()
    assert process.returncode == 1
    assert out == ""
    assert err.splitlines()[-1].startswith(
        f"analyze_heads: The catalog of {models / 'tiny-gpt2'} cannot go to"
    )
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["tiny-gpt2.json"]
    assert old.read_text() == "old"


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
    argv = ["--model", "gpt 99", "--model", str(models / "tiny-gpt2"), "--output", str(tmp_path)]
    assert main([*argv, *QUICK]) == 1
    assert "gpt 99" in capsys.readouterr().err
    assert load_catalog(tmp_path / "tiny-gpt2.json").model_name == "tiny-gpt2"


def test_an_interrupt_ends_with_130_and_leaves_the_old_catalog(models: Path, tmp_path: Path) -> None:
    old = tmp_path / "tiny-gpt2.json"
    old.write_text("old")
    process = _start(
        # So many sequences that it is still at them when the signal comes.
        ["--sequences", "20000", "--model", str(models / "tiny-gpt2"), "--output", str(tmp_path)],
        # A suite that runs in the background of a shell ignores the signal, and its children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "reading repeated sequences" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert out == ""
    assert err.strip() == "analyze_heads: stopped; the catalog in the making was not written."
    assert [path.name for path in tmp_path.iterdir()] == ["tiny-gpt2.json"]
    assert old.read_text() == "old"


def test_progress_for_a_program(models: Path, tmp_path: Path) -> None:
    """As the app calls it."""
    argv = ["--model", str(models / "tiny-gpt2"), "--name", "org/tiny", "--output", str(tmp_path), *QUICK]
    process = _start([*argv, "--progress-json"])
    out, err = process.communicate()
    assert process.returncode == 0
    told = [json.loads(line) for line in out.splitlines()]
    assert told[-1] == {"catalog": str(tmp_path / "org--tiny.json")}
    assert load_catalog(tmp_path / "org--tiny.json").model_name == "org/tiny"
    assert told[0] == {"what": "starting", "done": 0, "total": 0}
    progress = told[1:-1]
    assert {"what": "reading the weights", "done": 0, "total": progress[0]["total"]} in progress
    done = [line["done"] for line in progress]
    assert done == sorted(done) and len(done) > 20
    # One count over the whole analysis, which ends when it ends.
    assert {line["total"] for line in progress} == {done[-1]}
    assert "%" not in err and "heads listed" in err


def test_an_error_for_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "gpt 99", "--output", str(tmp_path), "--progress-json", *QUICK]) == 1
    out, err = capsys.readouterr()
    told = [json.loads(line) for line in out.splitlines()]
    assert told[0]["what"] == "starting" and len(told) == 2
    assert set(told[1]) == {"error", "remedy"} and "gpt 99" in told[1]["error"]
    assert err.count("\n") == 1


def test_a_program_that_ends_it_or_goes_away_leaves_nothing_behind(models: Path, tmp_path: Path) -> None:
    argv = ["--sequences", "20000", "--model", str(models / "tiny-gpt2"), "--output", str(tmp_path)]
    for end in ("terminate", "close"):
        process = _start([*argv, "--progress-json"])
        assert process.stdout is not None and process.stderr is not None
        while json.loads(process.stdout.readline())["done"] < 30:
            pass
        if end == "terminate":
            process.terminate()
            process.communicate()
        else:
            process.stdout.close()
            assert process.stderr.read() == ""
            process.stderr.close()
        assert process.wait() != 0
        assert list(tmp_path.iterdir()) == []


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
    told = err.splitlines()
    assert len(told) == 3
    assert told[0].startswith(f"analyze_heads: {tmp_path / 'gone'} does not exist.")
    assert told[1].startswith(f"{broken}: The catalog broken.json is damaged")
    assert told[2] == f"{renamed}: it is the catalog of tiny-gpt2 and should be named tiny-gpt2.json"


def test_the_bundled_catalogs_are_checked_without_torch() -> None:
    code = (
        "import sys; sys.argv = ['analyze_heads.py', '--check']; import runpy\n"
        "try: runpy.run_path('scripts/analyze_heads.py', run_name='__main__')\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False", done.stderr
    assert f"{ROOT / 'head_categories' / 'demo-gpt2.json'}: OK" in done.stdout


def test_scores_are_compared_with_detect_head(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--model", str(models / "tiny-gpt2"), "--output", str(tmp_path), "--compare-detect-head", *QUICK]
    assert main(argv) == 0
    out, _ = capsys.readouterr()
    head, *rows = out.splitlines()
    assert head == "tiny-gpt2: 3 sequences of 51 tokens"
    told = {row.split()[0]: float(row.split()[-1]) for row in rows}
    assert set(told) == {"previous_token", "duplicate_token", "induction"}
    assert max(told.values()) <= 1e-6
    # No catalog is written.
    assert list(tmp_path.iterdir()) == []


def test_the_app_does_not_import_transformer_lens() -> None:
    modules = "sys, utils.head_detection, utils.catalog, utils.attention_capture"
    code = f"import {modules}; print('transformer_lens' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
