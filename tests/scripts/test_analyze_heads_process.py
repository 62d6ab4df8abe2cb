"""analyze_heads as other programs meet it: its streams, signals, what it imports, the hub."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.analyze_heads import main
from tests.fixtures.analyze_command import QUICK, ROOT, start_analysis
from utils.catalog.catalog import load_catalog


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


def test_an_interrupt_ends_with_130_and_leaves_the_old_catalog(models: Path, tmp_path: Path) -> None:
    old = tmp_path / "tiny-gpt2.json"
    old.write_text("old")
    process = start_analysis(
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
    process = start_analysis([*argv, "--progress-json"])
    out, err = process.communicate()
    assert process.returncode == 0
    message = [json.loads(line) for line in out.splitlines()]
    assert message[-1] == {"catalog": str(tmp_path / "org--tiny.json")}
    assert load_catalog(tmp_path / "org--tiny.json").model_name == "org/tiny"
    assert message[0] == {"what": "starting", "done": 0, "total": 0}
    progress = message[1:-1]
    assert {"what": "reading the weights", "done": 0, "total": progress[0]["total"]} in progress
    done = [line["done"] for line in progress]
    assert done == sorted(done) and len(done) > 20
    # One count over the whole analysis, which ends when it ends.
    assert {line["total"] for line in progress} == {done[-1]}
    assert "%" not in err and "heads listed" in err


def test_an_error_for_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "gpt 99", "--output", str(tmp_path), "--progress-json", *QUICK]) == 1
    out, err = capsys.readouterr()
    message = [json.loads(line) for line in out.splitlines()]
    assert message[0]["what"] == "starting" and len(message) == 2
    assert set(message[1]) == {"error", "remedy"} and "gpt 99" in message[1]["error"]
    assert err.count("\n") == 1


def test_a_program_that_ends_it_or_goes_away_leaves_nothing_behind(models: Path, tmp_path: Path) -> None:
    argv = ["--sequences", "20000", "--model", str(models / "tiny-gpt2"), "--output", str(tmp_path)]
    for end in ("terminate", "close"):
        process = start_analysis([*argv, "--progress-json"])
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


def test_the_bundled_catalogs_are_checked_without_torch() -> None:
    code = (
        "import sys; sys.argv = ['analyze_heads.py', '--check']; import runpy\n"
        "try: runpy.run_path('scripts/analyze_heads.py', run_name='__main__')\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False", done.stderr
    assert f"{ROOT / 'head_categories' / 'demo-gpt2.json'}: OK" in done.stdout
