"""A class of students at one server: answers right, lost or slow, and what joining their forwards gains.

python benchmarks/classroom.py
python benchmarks/classroom.py --students 30 --seconds 120 --json

Each student is a page without its browser (`page_client.py`): six keep-alive connections over which it asks
all that a page asks when its student runs a sentence, switches a head off or looks at a head, with pauses
between. The app runs in a process of its own, three times: as it is (`joined`), with every forward alone
(`queue`) and with one thread that answers one request after the other (`one`); the latter two for a third of
the time.

Every prediction that a student of the first class saw is compared with the one computed alone afterwards,
without server: the text on the page, and from the page's JSON export of every tenth the numbers. `wrong`
counts those that differ (numbers by more than 1e-5), `lost` requests that were never answered, `errors`
answers that are none, `rss_growth` is the server's memory in the last quarter of the time beside that in the
second quarter (of 120 s: 30 s each).
"""

import argparse
import json
import logging
import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from benchmarks.measure import positive, report
from benchmarks.page_client import Answer, PageClient
from utils.models.sources import BUNDLED, REAL_MODEL
from utils.runtime.process_tuning import tune_process

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
START_SECONDS = 300
MODES = ("joined", "queue", "one")
TOLERANCE = 1e-5
REQUEST, ABLATED, SELECTED, EXPORT = (
    "store-request",
    "store-ablated",
    "store-selected",
    "export-request",
)
WATCH, AGAINST = "watched-token", "against-token"
HEADLINE = "headline"
_PEOPLE = "boy girl man woman king queen doctor teacher farmer sailor child aunt uncle baker judge".split()
_THINGS = (
    "dog cat bird cow tree ship star moon horse bear lamp bell rose coat book ball fish drum ring".split()
)
_PLACES = "garden park house town school river hill street kitchen field forest market".split()
_FORMS = (
    "The {a} saw a {x} and a {y} in the {p}. The {b} saw a {x} and a",
    "When the {a} and the {b} went to the {p}, the {a} gave the {x} to the",
    "One day the {a} lost the {x} near the {p}, so the {b} looked for the",
    "{x} {y} {x} {y} {x}",
)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--students", type=positive, default=30, metavar="N", help="(default: %(default)s)")
    parser.add_argument(
        "--seconds",
        type=positive,
        default=120,
        metavar="N",
        help="how long a class lasts (default: %(default)s)",
    )
    parser.add_argument(
        "--pause",
        type=float,
        default=1.0,
        metavar="S",
        help="mean pause between clicks, s (default: %(default)s)",
    )
    parser.add_argument("--model", default=REAL_MODEL, help="the model (default: %(default)s)")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES), help="(default: all)")
    parser.add_argument("--serve", choices=MODES, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=positive, help=argparse.SUPPRESS)
    return parser


def serve(mode: str, port: int, model: str) -> None:
    """The app, as `mode` says, until it is ended; its process is set up as `python app.py` does."""
    tune_process()
    from waitress.server import create_server

    import app
    from callbacks.serving.settings import Settings
    from utils.forward import joined_forwards
    from utils.runtime import serving

    if mode != "joined":
        joined_forwards.MAX_ROWS = 1
    application = app.create_app(Settings(models=(model,), prepare=False)).server
    if mode == "one":
        # It says at each request how many wait.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        server = create_server(application, host=HOST, port=port, threads=1, connection_limit=1000)
    else:
        server = serving.make_server(application, host=HOST, port=port)
    server.run()


@dataclass
class Seen:
    """What students saw.

    Attributes:
        predictions: texts on the page by prompt and head that was off.
        numbers: of the exports, likewise.
        seconds: of each click, until its last answer.
        requests: how many were answered.
        lost: how many never were.
        errors: what was answered instead.
    """

    predictions: list[tuple[tuple[str, str], str]] = field(default_factory=list)
    numbers: list[tuple[tuple[str, str], Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    requests: int = 0
    asked_again: int = 0
    lost: int = 0
    errors: list[str] = field(default_factory=list)

    def note(self, output: str, answer: Answer) -> None:
        """Count an answer."""
        self.asked_again += answer.asked_again
        if answer.status == 0:
            self.lost += 1
        elif answer.status in (200, 204):
            self.requests += 1
        else:
            self.errors.append(f"{answer.status} {output[:60]}")


def _sentence(choice: random.Random) -> str:
    a, b = choice.sample(_PEOPLE, 2)
    x, y = choice.sample(_THINGS, 2)
    return choice.choice(_FORMS).format(a=a, b=b, x=x, y=y, p=choice.choice(_PLACES))


def _student(port: int, number: int, arguments: argparse.Namespace, until: float, seen: Seen) -> None:
    choice = random.Random(number)
    page = PageClient(HOST, port, f"student{number}", arguments.model)
    layers, heads = _shape(arguments.model)
    sentence, off = "", ""

    def click(component: str, value: Any) -> None:
        start = time.perf_counter()
        for callback, answer in page.change(component, value):
            seen.note(callback.output, answer)
            if callback.output.startswith(f"..{HEADLINE}.") and answer.status == 200:
                shown = answer.data["response"]
                text = shown[HEADLINE]["data-html"] + shown["prediction"]["data-html"]
                seen.predictions.append(((sentence, off), text))
        seen.seconds.append(time.perf_counter() - start)
        time.sleep(choice.uniform(0, 2 * arguments.pause))

    try:
        while time.monotonic() < until:
            sentence, off = _sentence(choice), ""
            # As the page does: what an opened preset watches goes with its sentence.
            page.values |= {(ABLATED, "data"): [], (WATCH, "value"): "", (AGAINST, "value"): ""}
            click(REQUEST, {"model": arguments.model, "prompt": sentence})
            for _ in range(2):
                off = f"L{choice.randrange(layers)}H{choice.randrange(heads)}"
                click(ABLATED, [off])
                if choice.random() < 0.1:
                    asked = {"what": "analysis", "link": "", "answers": {}}
                    for callback, answer in page.change(EXPORT, asked):
                        seen.note(callback.output, answer)
                        if answer.status == 200:
                            content = json.loads(answer.data["response"]["export-file"]["data"]["content"])
                            seen.numbers.append(((sentence, off), content["comparison"]))
            click(SELECTED, f"L{choice.randrange(layers)}H{choice.randrange(heads)}")
    finally:
        page.close()


def _shape(model: str) -> tuple[int, int]:
    config = json.loads((BUNDLED / model / "config.json").read_text())
    return (
        config.get("num_hidden_layers") or config["n_layer"],
        config.get("num_attention_heads") or config["n_head"],
    )


def hold_class(mode: str, arguments: argparse.Namespace, seconds: float) -> tuple[Seen, list[int]]:
    """One class: what its students saw, and the server's memory second by second."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, __file__, "--serve", mode, "--port", str(port), "--model", arguments.model]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    # What the C libraries read when they are loaded, which this script's own imports already do.
    tune_process(environment, library=object())
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        _wait_for(process, port)
        # The model is loaded by the first.
        first = PageClient(HOST, port, "teacher", arguments.model)
        first.change(REQUEST, {"model": arguments.model, "prompt": "The class begins in the"})
        first.close()
        seen = [Seen() for _ in range(arguments.students)]
        until = time.monotonic() + seconds
        students = [
            threading.Thread(target=_student, args=(port, number, arguments, until, seen[number]))
            for number in range(arguments.students)
        ]
        for student in students:
            student.start()
        memory = []
        server = psutil.Process(process.pid)
        while time.monotonic() < until:
            memory.append(server.memory_info().rss)
            time.sleep(1)
        for student in students:
            student.join()
        return _together(seen), memory
    finally:
        process.terminate()
        process.wait()


def _wait_for(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/healthz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise SystemExit("benchmarks/classroom.py: the app did not start.")


def _together(parts: Sequence[Seen]) -> Seen:
    return Seen(
        [one for part in parts for one in part.predictions],
        [one for part in parts for one in part.numbers],
        [one for part in parts for one in part.seconds],
        sum(part.requests for part in parts),
        sum(part.asked_again for part in parts),
        sum(part.lost for part in parts),
        [one for part in parts for one in part.errors],
    )


class Alone:
    """The same answers computed one after the other, without server and without company."""

    def __init__(self, model: str) -> None:
        from callbacks.answer.next_token_view import NextTokenView
        from utils.live.service import LiveService
        from utils.models.store import ModelStore

        self._service = LiveService(ModelStore([BUNDLED / model]))
        self._view = NextTokenView(self._service)
        self._model = model

    def prediction(self, sentence: str, off: str) -> str:
        """The text of headline and table."""
        from components.plain_html import to_html

        request: Any = {"model": self._model, "prompt": sentence}
        shown = self._view.show(request, [off] if off else [], "zero", "last", None, None)
        return to_html(shown[0]) + to_html(shown[1])

    def comparison(self, sentence: str, off: str) -> Any:
        """The export's numbers."""
        from utils.export.analysis_json import Chosen, export_analysis
        from utils.heads import parse_head

        analysis = self._service.analyze(self._model, sentence)
        chosen = Chosen(frozenset([parse_head(off)]))
        return export_analysis(self._service, analysis, chosen)["comparison"]


def differs(one: Any, other: Any) -> bool:
    """Whether two pieces of JSON differ, numbers by more than the tolerance."""
    if isinstance(one, float) or isinstance(other, float):
        return abs(one - other) > TOLERANCE
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() != other.keys() or any(differs(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) != len(other) or any(map(differs, one, other))
    return one != other


def count_wrong(seen: Seen, alone: Alone) -> int:
    """How many of the answers are not those that are computed alone."""
    texts = {key: alone.prediction(*key) for key in sorted({key for key, _ in seen.predictions})}
    wrong = sum(text != texts[key] for key, text in seen.predictions)
    return wrong + sum(differs(found, alone.comparison(*key)) for key, found in seen.numbers)


def _growth(memory: Sequence[int]) -> float:
    quarter = max(1, len(memory) // 4)
    return statistics.median(memory[-quarter:]) / statistics.median(memory[quarter : 2 * quarter] or memory)


def _summary(
    seen: Seen, memory: Sequence[int], seconds: float, compared: Seen, alone: Alone
) -> dict[str, Any]:
    times = sorted(seen.seconds)
    return {
        "wrong": count_wrong(compared, alone),
        "compared": len(compared.predictions) + len(compared.numbers),
        "lost": seen.lost,
        "errors": len(seen.errors),
        "requests_per_s": seen.requests / seconds,
        "clicks_per_s": len(times) / seconds,
        "median_s": statistics.median(times),
        "p95_s": times[int(0.95 * (len(times) - 1))],
        "asked_again": seen.asked_again,
        "rss_growth": _growth(memory),
        "rss_mib": max(memory) / 2**20,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Hold the classes, compare, print; 1 where an answer was wrong, lost or none."""
    arguments = build_parser().parse_args(argv)
    if arguments.serve:
        serve(arguments.serve, arguments.port, arguments.model)
        return 0
    alone = Alone(arguments.model)
    found: dict[str, dict[str, Any]] = {}
    for mode in arguments.modes:
        seconds = arguments.seconds if mode == arguments.modes[0] else max(10, arguments.seconds // 3)
        seen, memory = hold_class(mode, arguments, seconds)
        for problem in sorted(set(seen.errors))[:5]:
            sys.stderr.write(f"benchmarks/classroom.py: {mode}: {problem}\n")
        compared = seen if mode == arguments.modes[0] else Seen()
        found[mode] = _summary(seen, memory, seconds, compared, alone)
    first = found[arguments.modes[0]]
    results = {
        **first,
        "students": arguments.students,
        "seconds": arguments.seconds,
        "model": arguments.model,
        "cores": os.cpu_count(),
        "modes": found,
        "clicks_against": {
            mode: first["clicks_per_s"] / each["clicks_per_s"]
            for mode, each in found.items()
            if each is not first
        },
    }
    rows = [
        (f"{mode}: {what}", f"{each[what]:.3g}", _promise(what) if each is first else "")
        for mode, each in found.items()
        for what in each
    ]
    rows += [
        (f"clicks a second, beside {mode}", f"{ratio:.2f}", "")
        for mode, ratio in results["clicks_against"].items()
    ]
    title = f"{arguments.students} students, {arguments.seconds} s, {arguments.model}"
    report(title, ("what", "measured", "promised"), rows, results, arguments.json)
    return 1 if first["wrong"] or first["lost"] or first["errors"] else 0


def _promise(what: str) -> str:
    return {"wrong": "0", "lost": "0", "errors": "0", "rss_growth": "at most 1.05"}.get(what, "")


if __name__ == "__main__":
    sys.exit(main())
