"""The study from one command line: a small one on demo-llama, stopped, gone on, in processes, on Ray."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from scripts.run_study import main
from study.data.cell_records import load_cell, load_cells, load_rankings, merged
from study.data.results_folder import ResultPaths
from study.tables.columns import load_table, load_tables

ROOT = Path(__file__).resolve().parents[2]
# Three questions: claim, own and other heads of two methods, and single heads.
CELLS = 3 * 7
PROTOCOL = """
methods = ["summed_attention", "wu24"]
questions = ["inc_state", "inc_year", "hq_state"]
ranking_questions = ["inc_state", "inc_year", "hq_state"]
resamples = 200
stem = false
[[models]]
name = "demo-llama"
lengths = [80]
[data]
samples = 5
[ablation]
k_levels = [0, 2]
shared_min_tasks = 2
[claim]
model = "demo-llama"
method = "wu24"
length = 80
questions = 1
"""


@pytest.fixture(scope="module")
def protocol(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("protocol") / "small.toml"
    path.write_text(PROTOCOL, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(protocol: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study up to its tables, in one go in this process."""
    folder = tmp_path_factory.mktemp("whole")
    for stage in ("prepare", "rank", "ablate"):
        assert run(stage, protocol, folder, "--jobs", "1") == 0
    return folder


def run(stage: str, protocol: Path, folder: Path, *more: str) -> int:
    return main([stage, "--protocol", str(protocol), "--results", str(folder), *more])


def start(stage: str, protocol: Path, folder: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(ROOT / "scripts" / "run_study.py"), stage]
    return subprocess.Popen(
        [*command, "--protocol", str(protocol), "--results", str(folder), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A suite that runs in the background of a shell is deaf to SIGINT, and so would its processes be.
        preexec_fn=None if os.name == "nt" else lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def prepared(whole: Path, folder: Path) -> Path:
    """A results folder in which only the ablation is to be done."""
    folder.mkdir(exist_ok=True)
    for name in ("splits.json", "rankings"):
        source = whole / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def changed(protocol: Path, tmp_path: Path, old: str, new: str) -> Path:
    text = protocol.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "changed.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def one_line(capsys: pytest.CaptureFixture[str], said: str) -> None:
    """The last line of stderr is an error that says so, and nowhere stands a traceback."""
    err = capsys.readouterr().err
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert last.startswith("run_study: "), err
    assert said in last, last


def test_every_part_is_there(whole: Path) -> None:
    assert len(load_rankings(whole)) == 2 * 3
    assert len(load_cells(whole)) == CELLS
    cells = merged(load_cells(whole))
    assert [cell.question for cell in cells] == ["hq_state", "inc_state", "inc_year"]
    for cell in cells:
        assert len(cell.samples) == 1
        count = {name: 0 for name in ("single", "within", "across", "shared", "global", "random_uniform")}
        for one in cell.sets:
            if one.condition in count:
                count[one.condition] += 1
        # Two methods, k = 2 and 16; five draws for the question's own heads.
        assert count.items() >= {"single": 64, "within": 4, "across": 8, "random_uniform": 20}.items()
    tables = load_tables(whole)
    assert len(tables["clean"]) == 3
    assert {row["k"] for row in tables["accuracy"]} == {0, 2, 16}
    assert len(tables["claim"]) == 3
    assert len(tables["single_heads"]) == 3 * 64


def test_heads_are_ranked_and_tried_on_different_samples(whole: Path) -> None:
    splits = json.loads((whole / "splits.json").read_bytes())
    for part in splits["parts"]:
        assert (len(part["train"]), len(part["test"])) == (4, 1)
        assert not set(part["train"]) & set(part["test"])
        if part["task"] == "inc_year":
            cell = load_cell(ResultPaths(whole).cell("demo-llama", "inc_year", 80, "wu24-own"))
            assert [sample.key for sample in cell.samples] == part["test"]
    assert {record.samples_processed for record in load_rankings(whole)} == {4}
    assert "Data report" in (whole / "data_report.md").read_text(encoding="utf-8")


def test_what_is_there_is_not_done_again(
    whole: Path, protocol: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.glob("[ar]*/*.json")}
    assert len(before) == 6 + CELLS
    assert run("rank", protocol, whole) == 0
    assert run("ablate", protocol, whole) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    err = capsys.readouterr().err
    assert "rank: 6 rankings are there and stand." in err
    assert f"ablate: {CELLS} cells are there and stand." in err


def test_another_protocol_does_again_what_it_touches(
    whole: Path, protocol: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = prepared(whole, tmp_path)
    shutil.copytree(whole / "ablations", folder / "ablations")
    damaged = ResultPaths(folder).cell("demo-llama", "inc_year", 80, "wu24-own")
    damaged.write_text("{", encoding="utf-8")
    other = changed(protocol, tmp_path, "k_levels = [0, 2]", "k_levels = [0, 1]")
    assert run("rank", other, folder) == 0
    assert run("ablate", other, folder, "--jobs", "1") == 0
    err = capsys.readouterr().err
    assert "rank: 6 rankings are there and stand." in err
    changed_cell = "demo-llama__inc_state__80__wu24-own.json"
    assert f"ablate: {changed_cell} was made with other settings, data or model: it is" in err
    assert "demo-llama__inc_year__80__wu24-own.json is damaged" in err
    # The claim's own heads and the single ones are as they were.
    assert "__wu24-claim.json" not in err and "__single.json" not in err
    assert "ablate: 9 cells are there and stand." in err
    assert {row["k"] for row in load_table(folder, "accuracy")} == {0, 1, 16}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_study_goes_on_to_the_same_tables(
    whole: Path, protocol: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    folder = cells = tmp_path
    for attempt in range(5):
        folder = prepared(whole, tmp_path / str(attempt))
        process = start("ablate", protocol, folder, "--jobs", "2")
        cells = folder / "ablations"
        while not any(cells.rglob("*.json")):  # a cell, or a part of one
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        workers = psutil.Process(process.pid).children(recursive=True)
        if stop == signal.SIGINT:
            os.killpg(process.pid, stop)  # as a terminal does: the workers hear of it too
        else:
            process.send_signal(stop)
        _, err = process.communicate()
        assert "Traceback" not in err
        # On a busy machine the cells may be done before the signal comes.
        if process.returncode:
            break
    assert len(workers) >= 2
    if stop == signal.SIGINT:
        assert process.returncode == 130
        assert err.strip().splitlines()[-1].startswith("run_study: stopped; what is done is kept")
    # Nothing is left running, not even when nobody could tell the workers.
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    assert not (folder / "tables").exists()
    done = {name: data for name, data in contents(cells).items() if not name.startswith(".")}
    # As a process leaves it that is killed while it writes.
    (cells / ".cell.json.abc.part").write_text("{", encoding="utf-8")
    assert run("ablate", protocol, folder, "--jobs", "1") == 0
    assert not list(cells.rglob(".*"))
    assert contents(folder / "tables") == contents(whole / "tables")
    assert contents(cells) == contents(whole / "ablations")
    assert done.items() <= contents(cells).items()


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (requirements-ray.txt)")
def test_ray_gives_the_same_tables(whole: Path, protocol: Path, tmp_path: Path) -> None:
    shutil.copy(whole / "splits.json", tmp_path)
    for stage in ("rank", "ablate"):
        process = start(stage, protocol, tmp_path, "--ray", "auto")
        _, err = process.communicate()
        assert process.returncode == 0, err
    assert contents(tmp_path / "tables") == contents(whole / "tables")


def test_without_ray_the_study_says_so(
    protocol: Path,
    tmp_path: Path,
    whole: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    shutil.copy(whole / "splits.json", tmp_path)
    assert run("rank", protocol, tmp_path, "--ray", "auto") == 1
    one_line(capsys, "Ray is not installed. Install it with: pip install -r requirements-ray.txt")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("samples = 5", "sampels = 5", "unknown key 'data.sampels'"),
        ('name = "demo-llama"\nlengths', 'name = "demo llama"\nlengths', "claim.model names 'demo-llama'"),
        ('"demo-llama"', '"../x"', "'../x' is neither a bundled model"),
        (
            "lengths = [80]",
            "lengths = [80, 513]",
            "asks for prompts of 513 tokens, and demo-llama reads at most",
        ),
        ("k_levels = [0, 2]", "k_levels = [0, 33]", "k level 33 is more than half of the heads of any model"),
        ("lengths = [80]", "lengths = [80, 20]", "20 are too few"),
        ("samples = 5", "samples = 1", "has one sample, and a split needs two"),
        ("lengths = [80]", 'lengths = [80]\ndevice = "gpu"', "no device named 'gpu'"),
    ],
)
def test_a_protocol_that_cannot_be_run_is_one_line(
    protocol: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    assert run("prepare", changed(protocol, tmp_path, old, new), tmp_path / "results") == 1
    one_line(capsys, said)


def test_a_piece_of_the_study_at_a_time(whole: Path, protocol: Path, tmp_path: Path) -> None:
    for stage in ("prepare", "rank", "ablate", "report"):
        assert run(stage, protocol, tmp_path, "--claim-only", "--jobs", "1") == 0
    done = contents(tmp_path / "ablations")
    assert set(done) == {
        f"demo-llama__{task}__80__wu24-claim.json" for task in ("inc_state", "inc_year", "hq_state")
    }
    assert load_table(tmp_path, "claim") == load_table(whole, "claim")
    assert "wu24-others, summed_attention-own" in (tmp_path / "FINDINGS.md").read_text(encoding="utf-8")
    # The rest goes on from there, to the same tables.
    for stage in ("prepare", "rank", "ablate"):
        assert run(stage, protocol, tmp_path, "--jobs", "1") == 0
    assert contents(tmp_path / "tables") == contents(whole / "tables")
    assert done.items() <= contents(tmp_path / "ablations").items()


REAL = 'source = "real"\ntruth = "{folder}/truth.csv"\ntexts = "{folder}/texts.jsonl"\nsamples = 5'
COLUMNS = (
    "filename,original_Inc_state_truth,original_Inc_year_truth,employee_count_truth,headquarters_state_truth"
)


def real_data(folder: Path, states: list[str]) -> None:
    lines = [f"{number}.txt,{state},19{number}0,{number}5,Ohio" for number, state in enumerate(states)]
    (folder / "truth.csv").write_text("\n".join([COLUMNS, *lines]), encoding="utf-8")
    texts = [
        {
            "filename": f"{number}.txt",
            "section_1": f"It was incorporated in {state} in 19{number}0. Its headquarters are in Ohio.",
        }
        for number, state in enumerate(states)
    ]
    (folder / "texts.jsonl").write_text("\n".join(map(json.dumps, texts)), encoding="utf-8")


def test_real_filings_go_the_same_way(protocol: Path, tmp_path: Path) -> None:
    real_data(tmp_path, ["Texas", "Ohio", "Nevada", "Utah", "NULL", "Maine"])
    other = changed(protocol, tmp_path, "samples = 5", REAL.format(folder=tmp_path))
    assert run("prepare", other, tmp_path) == 0
    parts = {part["task"]: part for part in json.loads((tmp_path / "splits.json").read_bytes())["parts"]}
    assert len(parts["inc_state"]["train"]) + len(parts["inc_state"]["test"]) == 5
    (report,) = json.loads((tmp_path / "data_report.json").read_bytes())["reports"]
    assert report["models"] == ["demo-llama"]
    assert report["rows"]["inc_state"]["null"] == 1


def test_a_task_without_truths_is_one_line(
    protocol: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real_data(tmp_path, ["NULL", "", "NULL"])
    other = changed(protocol, tmp_path, "samples = 5", REAL.format(folder=tmp_path))
    assert run("prepare", other, tmp_path) == 1
    one_line(capsys, "No filing is left for the question inc_state")


def test_stages_out_of_order_say_what_to_call(
    whole: Path, protocol: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("rank", protocol, tmp_path) == 1
    one_line(capsys, "The data is not prepared")
    shutil.copy(whole / "splits.json", tmp_path)
    assert run("ablate", protocol, tmp_path) == 1
    one_line(capsys, "is missing. Rank the heads first with: python scripts/run_study.py rank")
    assert run("report", protocol, tmp_path) == 1
    one_line(capsys, "There is no table")
    assert run("rank", changed(protocol, tmp_path, "samples = 5", "samples = 6"), tmp_path) == 1
    one_line(capsys, "are not those that were prepared. Prepare them again with")


def test_a_results_folder_that_cannot_be_written(
    protocol: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert run("prepare", protocol, tmp_path / "file" / "results") == 1
    one_line(
        capsys, "cannot be written (Not a directory). Choose a folder that can be written to with --results."
    )


def test_options_that_make_no_sense(protocol: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "usage:" in capsys.readouterr().out
    wrong = (
        "fly",
        "compare",
        "rank file",
        "rank --jobs 0",
        "rank --jobs 2 --ray auto",
        "rank --gpus-per-task 1",
        "all --max-samples -3",
    )
    for command in wrong:
        with pytest.raises(SystemExit) as caught:
            main(command.split())
        assert caught.value.code == 2
    assert main(["all", "--protocol", str(protocol), "--models", "demo-gpt3"]) == 1
    capsys.readouterr()
    assert main(["all", "--protocol", str(protocol), "--max-samples", "1"]) == 1
    one_line(capsys, "1 samples a question cannot be split")


def test_compare_reads_the_studys_own_rankings(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = ResultPaths(whole)
    files = [
        str(paths.ranking("demo-llama", method, "inc_state", 80)) for method in ("wu24", "summed_attention")
    ]
    assert main(["compare", *files]) == 0
    assert "Heads by layer" in capsys.readouterr().out
    assert main(["compare", str(whole / "splits.json")]) == 1
    one_line(capsys, "splits.json")
