"""How soon the app answers, beside what importing torch and transformers alone takes.

python benchmarks/startup.py
python benchmarks/startup.py --json --repeats 9

In turn: `python -c "import torch, transformers"`, from the start of the process to its end; and `python
app.py`, to the first byte of an answer, to the first page of the app itself, and to the first analysis: the
request of the page that is shown first (the first model of the menu) answered. Times are those of the clock,
so other work on the machine counts: run it alone.
"""

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measure import machine, positive, report
from components import ids

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
IMPORTS = "import torch, transformers"
START_SECONDS = 300
# How often a server that does not answer yet is asked; and one that does, which an answer holds up.
EVERY = 0.01
EVERY_ANSWERED = 0.1
# What is promised, as shares of the imports alone.
PROMISED = {"first_byte": 0.6, "first_analysis": 1.8}


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--repeats", type=positive, default=5, metavar="N", help="starts (default: 5)")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="the models of the menu (default: all)")
    return parser


@contextmanager
def _started(port: int, models: Sequence[str] | None) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "app.py", "--host", HOST, "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--models", *models] if models else command,
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _asked(port: int, body: Any = None) -> tuple[int, str] | None:
    """Status and text of the answer to a GET of the page, or to a callback's body; None for no answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=START_SECONDS)
    try:
        if body is None:
            connection.request("GET", "/")
        else:
            connection.request(
                "POST", "/_dash-update-component", json.dumps(body), {"Content-Type": "application/json"}
            )
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _until(process: subprocess.Popen[bytes], port: int, every: float, *statuses: int) -> str:
    """The text of the first answer with one of these statuses, asked for so often."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        answer = _asked(port)
        if answer is not None and answer[0] in statuses:
            return answer[1]
        time.sleep(every)
    raise RuntimeError(f"python app.py did not answer within {START_SECONDS} s, or ended.")


def _called_back(port: int, output: str, inputs: Sequence[tuple[str, str, Any]], **more: Any) -> str:
    body = {
        "output": output,
        "inputs": [{"id": name, "property": of, "value": value} for name, of, value in inputs],
        "changedPropIds": [f"{inputs[0][0]}.{inputs[0][1]}"],
        **more,
    }
    answer = _asked(port, body)
    if answer is None or answer[0] != 200:
        raise RuntimeError(f"a callback was answered {answer}.")
    return answer[1]


def _values(tree: Any, name: str) -> Iterator[dict[str, Any]]:
    """The properties of each component of this id in a layout."""
    if isinstance(tree, dict):
        if tree.get("id") == name:
            yield tree
        for value in tree.values():
            yield from _values(value, name)
    elif isinstance(tree, list):
        for value in tree:
            yield from _values(value, name)


def _analyze(port: int) -> None:
    """Open the first page and ask for the tokens of what it shows, which needs the whole analysis."""
    page = _called_back(
        port,
        f"..{ids.PAGE}.children...{ids.PAGE}.data-here..",
        [(ids.LOCATION, "pathname", "/"), (ids.LOCATION, "search", "")],
        outputs=[{"id": ids.PAGE, "property": name} for name in ("children", "data-here")],
    )
    layout = json.loads(page)
    shown = {
        "model": next(_values(layout, ids.MODEL))["value"],
        "prompt": next(_values(layout, ids.PROMPT))["value"],
    }
    outputs = {"id": ids.TOKENS, "property": "data-html"}
    found = _called_back(port, f"{ids.TOKENS}.data-html", [(ids.REQUEST, "data", shown)], outputs=outputs)
    if "hs-token" not in found:
        raise RuntimeError("the first page's prompt could not be analyzed.")


def measure(models: Sequence[str] | None = None) -> dict[str, float]:
    """Seconds of one round: the imports, then the app to its first byte, page and analysis."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True)
    seconds = {"imports": time.perf_counter() - begun}
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    begun = time.perf_counter()
    with _started(port, models) as process:
        _until(process, port, EVERY, 200, 503)
        seconds["first_byte"] = time.perf_counter() - begun
        _until(process, port, EVERY_ANSWERED, 200)
        seconds["first_page"] = time.perf_counter() - begun
        _analyze(port)
        seconds["first_analysis"] = time.perf_counter() - begun
    return seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    arguments = build_parser().parse_args(argv)
    rounds = [measure(arguments.models) for _ in range(arguments.repeats)]
    medians = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    ratios = {name: value / medians["imports"] for name, value in medians.items() if name != "imports"}
    found = {**ratios, "medians": medians, "repeats": arguments.repeats, **machine(threads=2)}
    rows = [(IMPORTS, f"{medians['imports']:.2f} s", "")]
    rows += [
        (
            f"to the {name.replace('_', ' ')} / imports ({medians[name]:.2f} s)",
            f"{ratio:.2f}",
            f"at most {PROMISED[name]}" if name in PROMISED else "",
        )
        for name, ratio in ratios.items()
    ]
    report(
        "From the start of the process; medians",
        ("what", "measured", "promised"),
        rows,
        found,
        arguments.json,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
