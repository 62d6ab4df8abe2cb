"""The app as a whole, without a browser: its command line, its layout, what it imports."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dash import Dash

from app import create_app
from callbacks.serving.settings import Settings, build_parser
from callbacks.serving.startup import main
from components import ids
from utils.runtime.serving import MAX_BODY_BYTES


def opened(app: Dash, path: str = "/", query: str = "") -> Any:
    """What the browser gets for the page at an address, as JSON."""
    answer = app.server.test_client().post(
        "/_dash-update-component",
        json={
            "output": f"..{ids.PAGE}.children...{ids.PAGE}.data-here..",
            "outputs": [{"id": ids.PAGE, "property": name} for name in ("children", "data-here")],
            "inputs": [
                {"id": ids.LOCATION, "property": "pathname", "value": path},
                {"id": ids.LOCATION, "property": "search", "value": query},
            ],
            "changedPropIds": [f"{ids.LOCATION}.pathname"],
        },
    )
    return answer.get_json()["response"][ids.PAGE]["children"]


def parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Every component's properties in a tree of JSON."""
    if isinstance(tree, dict):
        if isinstance(tree.get("props"), dict):
            yield tree["props"]
        for value in tree.values():
            yield from parts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from parts(value)


@pytest.mark.parametrize("path", ["/", "/catalog", "/formation", "/compare", "/lab", "/glossary"])
def test_every_id_of_a_page_and_its_frame_is_there_once(path: str):
    app = create_app()
    frame = [str(part.id) for part in app.layout._traverse() if getattr(part, "id", None) is not None]
    found = [str(props["id"]) for props in parts(opened(app, path)) if "id" in props] + frame
    assert len(found) == len(set(found))
    assert len(found) > len(frame) + 5


def test_it_starts_quietly_and_does_not_import_what_is_slow_and_rarely_needed():
    code = (
        "import sys, app; app.create_app(); print(bool({'transformer_lens', 'scipy.stats'} & {*sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("False\n", "")


def test_nothing_is_asked_of_another_host():
    page = create_app().server.test_client().get("/").text
    assert "https://" not in page
    assert "http://" not in page


def test_the_operators_limits_hold():
    app = create_app(Settings(models=("demo-llama",)))
    menus = {
        str(props.get("id")): props.get("options")
        for path in ("/", "/catalog")
        for props in parts(opened(app, path))
    }
    for menu in (ids.MODEL, ids.CATALOG_MODEL):
        assert [option["value"] for option in menus[menu] or ()] == ["demo-llama"]


def test_a_class_may_be_locked_to_some_pages_and_the_glossary():
    app = create_app(Settings(pages=("live",)))
    for path in ("/catalog", "/compare", "/formation"):
        assert "There is no such page" in str(opened(app, path))
    # The marks beside headings lead there.
    for path in ("/", "/glossary", "/words"):
        assert "There is no such page" not in str(opened(app, path))


def test_no_model_at_all_is_told(tmp_path: Path):
    assert "There is no model to use" in str(opened(create_app(Settings(models=("no such model",)))))


def test_a_bad_example_is_named_and_skipped(tmp_path: Path):
    (tmp_path / "bad.yaml").write_text("title: [", encoding="utf-8")
    layout = str(opened(create_app(Settings(examples=tmp_path))))
    assert "bad.yaml" in layout
    assert str(tmp_path) not in layout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "0"],
        ["--port", "x"],
        ["--max-tokens", "999"],
        ["--nonsense"],
        ["--device", "cuda:999"],
        ["--device", "tpu"],
        ["--dtype", "float64"],
        ["--dtype", "bfloat16"],
        ["--memory", "-1"],
        ["--memory", "nan"],
    ],
)
def test_bad_usage_ends_with_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_request_that_is_too_large_is_answered_413():
    client = create_app().server.test_client()
    answer = client.post("/_dash-update-component", json={"text": "a" * MAX_BODY_BYTES})
    assert answer.status_code == 413


ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
# How long the app may take to start or to end on a busy machine, in seconds.
PATIENCE = 180


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that starts the app as a user does, with these arguments."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "app.py", *arguments],
            cwd=ROOT,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_a_port_in_use_is_one_sentence_and_status_1(start: Callable[..., subprocess.Popen[str]]):
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        process = start("--port", str(port))
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert stdout == ""
    assert stderr == (
        f"app: Port {port} on {HOST} is in use. End what uses it, or choose another with --port.\n"
    )
    assert process.returncode == 1


def test_a_host_that_does_not_exist_is_one_sentence_and_status_1(capsys: pytest.CaptureFixture[str]):
    assert main(["--host", "999.1.1.1"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("app: There is no host '999.1.1.1'. ") and said.err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly_while_presets_are_prepared(
    start: Callable[..., subprocess.Popen[str]], number: signal.Signals
):
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    process = start("--port", str(port))
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == f"HeadScope is on http://{HOST}:{port} (Ctrl+C ends it)\n"
    # From here on a job is in one forward after the other, for some seconds.
    while "loaded" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(number)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert [line for line in stderr.splitlines() if not line.startswith("INFO ")] == []


def test_the_options_that_the_readme_names_are_there():
    message = build_parser().format_help()
    for option in ("--host", "--port", "--model-dir", "--models", "--examples", "--max-tokens"):
        assert option in message
