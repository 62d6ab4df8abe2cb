"""`kill -9` at any moment damages no file, and the next start works: server, analyzer, study."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from study.data.cell_records import load_cells, load_rankings
from tests.fixtures.analyze_command import QUICK, start_analysis
from tests.fixtures.makers.tiny_models import save_tiny_model
from utils.catalog.catalog import load_catalog

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
PATIENCE = 180
# About how long each runs when nothing else does, in seconds.
SERVER, ANALYSIS, STUDY = 12, 8, 20
PROTOCOL = """
methods = ["summed_attention", "wu24"]
questions = ["inc_state"]
ranking_questions = ["inc_state"]
resamples = 100
stem = false
[[models]]
name = "demo-llama"
lengths = [80]
[data]
samples = 4
[ablation]
k_levels = [0, 2]
shared_min_tasks = 1
[claim]
model = "demo-llama"
method = "wu24"
length = 80
questions = 1
"""


def kill_after(process: "subprocess.Popen[str]", seconds: float) -> None:
    """Kill it and all that it started, then or when it has ended by itself."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob("*.part"))


def start_server(port: int, catalogs: Path) -> "subprocess.Popen[str]":
    options = ["--port", str(port), "--models", "demo-gpt2", "--catalogs", str(catalogs)]
    return subprocess.Popen(
        [sys.executable, "app.py", *options],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def answered(port: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


def test_the_server_starts_again(tmp_path: Path, amount: Callable[[int, int], int]) -> None:
    rng = random.Random(8)
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    catalogs = tmp_path / "catalogs"
    catalogs.mkdir()
    for _ in range(amount(1, 20)):
        kill_after(start_server(port, catalogs), rng.uniform(0.1, SERVER))
    process = start_server(port, catalogs)
    try:
        assert answered(port)
    finally:
        process.terminate()
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and "Traceback" not in stderr


def test_the_analyzer_writes_a_whole_catalog_or_none(
    tmp_path: Path, amount: Callable[[int, int], int]
) -> None:
    rng = random.Random(9)
    model, output = save_tiny_model("gpt2", tmp_path / "own"), tmp_path / "catalogs"
    argv = ["--model", str(model), "--output", str(output), *QUICK]
    for _ in range(amount(1, 20)):
        kill_after(start_analysis(argv, start_new_session=True), rng.uniform(0.1, ANALYSIS))
        if (output / "own.json").exists():
            load_catalog(output / "own.json")
    process = start_analysis(argv)
    assert process.communicate(timeout=PATIENCE) and process.returncode == 0
    assert load_catalog(output / "own.json").model_name == "own"
    assert not leftovers(output)


def test_the_study_goes_on(tmp_path: Path, amount: Callable[[int, int], int]) -> None:
    rng = random.Random(10)
    protocol, results = tmp_path / "small.toml", tmp_path / "results"
    protocol.write_text(PROTOCOL, encoding="utf-8")
    command = [sys.executable, str(ROOT / "scripts" / "run_study.py"), "all"]
    kills = amount(0, 20)
    if not kills:
        pytest.skip("The suite kills a study in tests/scripts/test_run_study.py.")

    def start() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*command, "--jobs", "1", "--protocol", str(protocol), "--results", str(results)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    for _ in range(kills):
        kill_after(start(), rng.uniform(0.1, STUDY))
    process = start()
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stderr
    assert load_rankings(results) and load_cells(results)
    assert not leftovers(results)
