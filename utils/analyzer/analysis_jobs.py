"""Analyzing a model from the app: `scripts/analyze_heads.py` in a process of its own, watched from a job.

A new process and no fork: TransformerLens stays out of the app, a cancelled analysis is really gone, and its
memory with it. The script writes the catalog whole or not at all; the page finds it there.
"""

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from utils.catalog.catalog import catalog_path, check_fit, load_catalog
from utils.errors import UserFacingError
from utils.models.files import weights_digest
from utils.models.loading import LoadedModel
from utils.models.store import ModelStore
from utils.runtime.files import alone_in, check_writable
from utils.runtime.jobs import Jobs, JobView, Progress

logger = logging.getLogger(__name__)

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "analyze_heads.py"
# How often a silent analysis is asked whether anybody still waits, in seconds.
POLL = 0.25
# How long a process that was asked to end may take before it is killed, in seconds.
GRACE = 5


class AnalysisJobs:
    """Makes catalogs, one model at a time.

    Args:
        store: the models that may be analyzed.
        catalog_folder: where the catalogs go.
        device: where the models run.
    """

    def __init__(self, store: ModelStore, catalog_folder: Path, device: str = "cpu") -> None:
        self._store = store
        self._catalog_folder = catalog_folder
        self._device = device
        # A large model takes hours; several may be asked for, one after the other.
        self._jobs = Jobs(workers=1, for_each=8, time_limit=None)

    def start(self, model: str, session_id: str = "") -> JobView:
        """Analyze a model, or join the analysis that is under way.

        Args:
            model: its name in the menu, and in the catalog.
            session_id: as in `Jobs.start`.
        """
        return self._jobs.start(model, lambda progress: self._analyze(model, progress), session_id)

    def view(self, model: str) -> JobView | None:
        """How far the analysis of a model is; None where there was none."""
        return self._jobs.view(model)

    def leave(self, model: str, session_id: str = "") -> None:
        """As `Jobs.leave`."""
        self._jobs.leave(model, session_id)

    def _check_folder(self) -> None:
        try:
            check_writable(self._catalog_folder)
        except OSError as error:
            logger.warning("no catalog can go to %s: %s", self._catalog_folder, error)
            raise _not_writable(error) from error

    def _analyze(self, model: str, progress: Progress) -> None:
        # Its folder is known once it is loaded: a hub model may have to be fetched first.
        loaded = self._store.get(model, progress)
        # One analysis at a time on this machine, however many servers it has.
        with alone_in(self._catalog_folder, lambda: progress("waiting for another server", 0, 0)):
            if not self._is_analyzed(loaded):
                self._run(model, loaded.path, progress)

    def _is_analyzed(self, loaded: LoadedModel) -> bool:
        """Whether the catalog is there: another server may have made it meanwhile."""
        geometry = loaded.geometry
        try:
            catalog = load_catalog(catalog_path(loaded.name, self._catalog_folder))
            check_fit(
                catalog, geometry.n_layers, geometry.n_heads, lambda: weights_digest(loaded.weight_files)
            )
        except UserFacingError:
            return False
        return True

    def _run(self, model: str, folder: Path, progress: Progress) -> None:
        progress("starting", 0, 0)
        self._check_folder()
        output = str(self._catalog_folder)
        # With "=": a name may begin like an option.
        command = [sys.executable, str(SCRIPT), f"--model={folder}", f"--name={model}", f"--output={output}"]
        process = subprocess.Popen(
            [*command, "--device", self._device, "--progress-json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            # Ctrl+C in the terminal is for the app, which then ends this process (`_end`).
            start_new_session=True,
            # Half of the processor stays with those who use the page meanwhile.
            env={**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // 2))},
        )
        lines: queue.Queue[str | None] = queue.Queue()
        last_words: list[str] = []
        assert process.stdout is not None and process.stderr is not None
        readers = [
            threading.Thread(target=_read, args=(process.stdout, lines), daemon=True),
            threading.Thread(target=last_words.extend, args=(process.stderr,), daemon=True),
        ]
        for reader in readers:
            reader.start()
        try:
            _follow(lines, progress, output)
            status = process.wait()
        finally:
            _end(process)
            # Both have come to the end of their stream now.
            for reader in readers:
                reader.join(GRACE)
            process.stdout.close()
            process.stderr.close()
        if status != 0:
            logger.warning("the analysis ended with status %d: %s", status, "".join(last_words[-20:]))
            raise _ended_early(status)
        if not catalog_path(model, self._catalog_folder).is_file():
            raise UserFacingError(f"The analysis of {model} wrote no catalog.", "Try again.")


def _not_writable(error: OSError) -> UserFacingError:
    # Where the folder is, is the operator's business.
    return UserFacingError(
        f"The server cannot write catalogs ({error.strerror or type(error).__name__}).",
        "Ask its operator for a folder that it may write to (--catalogs).",
    )


def _ended_early(status: int) -> UserFacingError:
    """What is said of an analysis that gave no reason; the system kills a process when memory runs out."""
    if status == -signal.SIGKILL:
        return UserFacingError(
            "The analysis was ended by the system before it was done.",
            "There may be too little memory for a second copy of the model; the server's log says more.",
        )
    return UserFacingError(
        f"The analysis ended before it was done, with status {status}.",
        "The server's log says why; please report it.",
    )


def _follow(lines: "queue.Queue[str | None]", progress: Progress, output: str) -> None:
    """Hand on what the process tells, a JSON object a line, until it has nothing more to say.

    Args:
        lines: what it tells; None at its end.
        progress: hears of it.
        output: the folder of the catalogs, which is not named to the page.

    Raises:
        UserFacingError: the analysis failed.
        CancelledError: nobody waits for it any more.
    """
    latest = ("starting", 0, 0)
    problem: UserFacingError | None = None
    while True:
        try:
            line = lines.get(timeout=POLL)
        except queue.Empty:
            progress(*latest)
            continue
        if line is None:
            break
        message = _parse(line)
        if "error" in message:
            said = (str(message.get(part, "")) for part in ("error", "remedy"))
            problem = UserFacingError(*(text.replace(output, "the folder of the catalogs") for text in said))
        elif "done" in message:
            latest = (str(message["what"]), int(message["done"]), int(message["total"]))
            progress(*latest)
    if problem is not None:
        raise problem


def _read(stream: IO[str], lines: "queue.Queue[str | None]") -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _parse(line: str) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
