"""How long a click takes until the page shows its effect, in a real browser on the real model.

python benchmarks/browser.py
python benchmarks/browser.py --json --repeats 20

The app is started as a user starts it, a browser opens it, and three things are clicked in turn: a head of
the map, its switch, and Run with a sentence of 15 tokens that has not been shown before. A time runs from
the click to the frame in which the last part that it changes has changed: the title and the figure for a
head, headline and map for the switch, tokens, map, figure and headline for Run. The share of the server is
the part of that time in which a request was under way. Other work on the machine counts: run it alone.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from playwright.sync_api import Page, sync_playwright

from benchmarks.measure import positive
from scripts.ensure_browser import find_chromium, what_is_missing
from utils.models.sources import REAL_MODEL

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
START_SECONDS = 180
# What is promised, in milliseconds, on two cores with nothing else to do.
PROMISED = {"head": 250, "toggle": 350, "run": 600}
PROMPT = "The password is lemon purple seven. Please type the password: lemon purple"
# With the start token each has 15 tokens on the real model.
_RUN = "The boy saw {} in the garden. The girl saw {} in the"
_WORDS = (
    "dog", "cat", "bird", "cow", "tree", "king", "ship", "star", "moon", "horse", "bear", "fox",
    "lamp", "bell", "rose", "coat", "book", "ball", "fish", "duck", "goat", "drum", "ring", "door",
)  # fmt: skip

# Clicks, and waits for the frame in which every part has changed. Each part is [selector, what of it].
MEASURE = """async ([selector, parts, text]) => {
    const read = ([where, what]) => {
        const element = document.querySelector(where);
        return what === "plot" ? String(window.plots || 0) : element ? element[what] : "";
    };
    const plot = document.querySelector("#heatmap .js-plotly-plot");
    if (plot && !plot.counted) {
        plot.counted = true;
        plot.on("plotly_afterplot", () => { window.plots = (window.plots || 0) + 1; });
    }
    if (text) {
        const box = document.getElementById("prompt");
        Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(box, text);
        box.dispatchEvent(new Event("input", { bubbles: true }));
        await new Promise((resolve) => setTimeout(resolve, 700));
    }
    const before = parts.map(read);
    performance.clearResourceTimings();
    const start = performance.now();
    document.querySelector(selector).click();
    while (!parts.every((part, index) => read(part) !== before[index])) {
        if (performance.now() - start > 60000) return null;
        await new Promise((resolve) => setTimeout(resolve, 2));
    }
    // The frame with the change has been drawn when the next one begins.
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    const end = performance.now();
    const asked = performance.getEntriesByType("resource")
        .filter((entry) => entry.name.includes("_dash-update-component") && entry.startTime < end)
        .map((entry) => [Math.max(entry.startTime, start), Math.min(entry.responseEnd || end, end)])
        .sort((one, other) => one[0] - other[0]);
    let server = 0, until = start;
    for (const [from, to] of asked) {
        server += Math.max(0, to - Math.max(from, until));
        until = Math.max(until, to);
    }
    return [end - start, server];
}"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument(
        "--repeats", type=positive, default=20, metavar="N", help="clicks of each kind (default: 20)"
    )
    parser.add_argument("--model", default=REAL_MODEL, help="the model (default: %(default)s)")
    return parser


def _start(model: str) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    # Presets that are prepared meanwhile would be measured too.
    process = subprocess.Popen(
        [sys.executable, "app.py", "--host", HOST, "--port", str(port), "--models", model, "--no-prepare"],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/healthz", timeout=5):
                return process, f"http://{HOST}:{port}"
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    process.kill()
    raise SystemExit("benchmarks/browser.py: the app did not start.")


def _settle(page: Page) -> None:
    page.wait_for_function("() => !document.documentElement.dataset.heard")
    page.wait_for_timeout(300)


def measure(page: Page, url: str, model: str, repeats: int) -> dict[str, list[tuple[float, float]]]:
    """(milliseconds from click to changed pixels, of these with a request under way) of each click."""
    page.goto(f"{url}/?{urlencode({'v': 1, 'model': model, 'prompt': PROMPT})}")
    page.locator("#heatmap .plot-container").wait_for(timeout=60_000)
    page.locator("#headline .hs-sentence").wait_for(timeout=60_000)
    cells = page.locator("#head-grid .hs-cell").count()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in PROMISED}
    shown = "textContent"
    for number in range(repeats + 1):
        _settle(page)
        at = (7 + 37 * number) % cells
        chosen = page.locator("#head-grid .hs-cell").nth(at).get_attribute("data-head")
        clicks: dict[str, tuple[str, list[list[str]], str]] = {
            "head": (f'.hs-cell[data-head="{chosen}"]', [["#head-title", shown], ["#heatmap", "plot"]], ""),
            "toggle": ("#toggle-head", [["#headline", shown], ["#head-grid", "innerHTML"]], ""),
            "run": (
                "#run",
                [
                    ["#token-strip", shown],
                    ["#head-grid", "innerHTML"],
                    ["#heatmap", "plot"],
                    ["#headline", shown],
                ],
                _RUN.format(*(_WORDS[(number + step) % len(_WORDS)] for step in (0, 1))),
            ),
        }
        for name, (selector, parts, text) in clicks.items():
            if name == "run":
                # A Run is measured with all heads on.
                page.locator("#clear-ablation").click()
                _settle(page)
            times = page.evaluate(MEASURE, [selector, parts, text])
            if times is None:
                raise SystemExit(f"benchmarks/browser.py: a click ({name}) changed nothing within a minute.")
            if number:  # the first of each warms up
                found[name].append((times[0], times[1]))
            _settle(page)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0 also where a promise is not met, 1 where there is no browser."""
    arguments = build_parser().parse_args(argv)
    missing = what_is_missing()
    if missing:
        sys.stderr.write(f"benchmarks/browser.py: {missing}\n")
        return 1
    process, url = _start(arguments.model)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=find_chromium(), headless=True, args=["--no-sandbox", "--no-first-run"]
            )
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            found = measure(page, url, arguments.model, arguments.repeats)
            browser.close()
    finally:
        process.terminate()
        process.wait()
    results: dict[str, Any] = {
        "model": arguments.model,
        "repeats": arguments.repeats,
        "cores": os.cpu_count(),
    }
    for name, times in found.items():
        median = statistics.median(total for total, _ in times)
        results[name] = {
            "median_ms": round(median, 1),
            "server_share": round(statistics.median(server / total for total, server in times), 3),
            "promised_ms": PROMISED[name],
        }
    if arguments.json:
        sys.stdout.write(json.dumps(results) + "\n")
        return 0
    sys.stdout.write(f"{'click':8} {'median':>9} {'server':>7} {'promised':>9}\n")
    for name in PROMISED:
        row = results[name]
        sys.stdout.write(
            f"{name:8} {row['median_ms']:6.0f} ms {row['server_share']:7.0%} {row['promised_ms']:6} ms\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
