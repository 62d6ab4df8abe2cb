"""What analyze_heads says and leaves behind where it cannot go on."""

import json
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.analyze_heads import main
from tests.fixtures.analyze_command import QUICK, start_analysis
from utils.catalog.catalog import load_catalog


def test_a_date_that_is_none_is_told_before_the_work(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert main(["--model", str(models / "tiny-gpt2"), "--output", str(tmp_path), *QUICK]) == 1
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith("analyze_heads: SOURCE_DATE_EPOCH is no time: 'yesterday'.")
    assert not any("reading test sentences" in line for line in err)


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


def test_a_model_that_is_nowhere_is_one_line(
    use_hub: Callable[[str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name it could be one of the hub, and the hub cannot be reached."""
    use_hub("http://127.0.0.1:9")
    argv = ["--model", "no-such-model", "--output", str(tmp_path / "out")]
    error = _refused(argv, capsys)
    assert "no-such-model" in error and "the model hub cannot be reached" in error
    assert list((tmp_path / "out").iterdir()) == []


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
    process = start_analysis(
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
