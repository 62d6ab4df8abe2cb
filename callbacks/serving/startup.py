"""How the app starts: it answers at once with a page that waits, and is built meanwhile in a thread.

Nothing here imports Dash or torch, which take seconds; what does is imported by that thread.
"""

from __future__ import annotations

import _thread
import gc
import importlib
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from waitress import wasyncore

from callbacks.serving.settings import Settings, build_parser, parse_settings
from callbacks.serving.starting import StartingApp, Wsgi
from utils.errors import UserFacingError
from utils.runtime.jobs import Jobs, Progress
from utils.runtime.process_tuning import tune_process
from utils.runtime.serving import (
    address,
    end_at_once,
    end_process,
    make_server,
    open_sockets,
    until_interrupted,
)

if TYPE_CHECKING:
    from utils.models.store import ModelStore
    from utils.runtime.shared_cache import SharedCache

logger = logging.getLogger(__name__)

# What a builder tells of itself: "Loading PyTorch".
Tell = Callable[[str], None]
Builder = Callable[[Settings, Tell], Wsgi]
# Where `create_app` is. The script `app.py` is another module, `__main__`, which has nothing of it.
APP = "app"
# One forward runs at a time for each model; a few threads within it are enough and leave the machine alone.
MAX_THREADS = 4
# How long the first model is loaded before the pages are made, in seconds: a small one is then there.
HEAD_START = 2.0


@dataclass
class _Building:
    """The thread that builds the app, and how it ended where it failed."""

    build: Builder
    settings: Settings
    starting: StartingApp
    problem: str | None = None

    def run(self) -> None:
        begun = time.monotonic()
        try:
            self.starting.hand_over(self.build(self.settings, self._tell))
        except UserFacingError as error:
            self._fail(str(error))
        except BaseException:
            logger.exception("the app cannot be built")
            self._fail("It cannot start; what is above says why.")
        else:
            gc.freeze()
            gc.enable()
            logger.info("ready after %.1f s", time.monotonic() - begun)

    def _tell(self, what: str) -> None:
        self.starting.stage = f"{what} …"

    def _fail(self, problem: str) -> None:
        self.problem = problem
        # Ends the server, which the main thread is in.
        _thread.interrupt_main(signal.SIGTERM)


def model_store(settings: Settings) -> ModelStore:
    """The models that the operator chose, none of them loaded."""
    from utils.models.sources import BUNDLED
    from utils.models.store import ModelStore

    store = ModelStore(
        (BUNDLED, *settings.model_dirs),
        settings.models,
        device=settings.device,
        dtype=settings.dtype,
        memory_budget=settings.memory,
    )
    # One may name the token that a model's prompts start with.
    store.catalogs = settings.catalogs
    return store


def shared_cache(settings: Settings) -> SharedCache | None:
    """The cache that is shared with other servers, None where there is none.

    Raises:
        UserFacingError: its secret cannot be read, or its address is none.
    """
    if not settings.cache:
        return None
    from utils.runtime.shared_cache import SharedCache, read_secret

    return SharedCache(settings.cache, read_secret(settings.cache_secret))


def build_app(settings: Settings, tell: Tell) -> Wsgi:
    """The whole application, with the first model of the menu being loaded in the background."""
    tell("Loading PyTorch")
    import torch

    torch.set_num_threads(min(MAX_THREADS, torch.get_num_threads()))
    tell("Loading the model library")
    from utils.forward.lean_imports import lean_imports

    with lean_imports():
        importlib.import_module("utils.forward.pyvene_adapter")
        importlib.import_module("dash")
    tell("Making the pages and loading the first model")
    store = model_store(settings)
    first = next(iter(store.names()), None)
    # A model of the hub is fetched when it is first chosen, not unasked.
    if first is not None and store.is_here(first):
        _begin_to_load(store, first)
    return importlib.import_module(APP).create_app(settings, store).server


def _begin_to_load(store: ModelStore, name: str) -> None:
    """Load a model in a thread, and give it a start.

    Two threads that import and compute at the same time take Python's lock from each other so often that they
    need longer than one after the other.
    """
    ended = threading.Event()

    def load(progress: Progress) -> None:
        try:
            store.get(name, progress)
        finally:
            ended.set()

    Jobs().start(name, load)
    ended.wait(HEAD_START)


def _check_machine(settings: Settings) -> None:
    """Refuse what this machine does not have; only torch knows of devices, and is imported for them alone."""
    shared_cache(settings)
    if (settings.device, settings.dtype) != (Settings.device, Settings.dtype):
        from utils.models.devices import check_device

        check_device(settings.device, settings.dtype)


def run(description: str | None = None) -> NoReturn:
    """`main` for this process, from its first moment to its end."""
    # There is nothing to be ended properly yet.
    end_at_once()
    tune_process()
    # What is imported stays: looking through it again and again for garbage takes a tenth of the start.
    gc.disable()
    end_process(main(description=description))


def main(
    argv: Sequence[str] | None = None, build: Builder = build_app, description: str | None = None
) -> int:
    """Parse and serve until Ctrl+C or SIGTERM.

    Args:
        argv: the arguments; None for the process's.
        build: makes the application; called in a thread while the server answers already.
        description: of the command line.

    Returns:
        0 when it was ended so, 1 where it cannot serve at that host and port, or cannot be built. Bad usage
        exits with 2.
    """
    parser = build_parser(description)
    settings = parse_settings(parser, argv)
    try:
        _check_machine(settings)
    except UserFacingError as error:
        parser.error(str(error))
    # Before anything is loaded or said, and before any thread is at work.
    try:
        sockets = open_sockets(settings.host, settings.port)
    except UserFacingError as error:
        sys.stderr.write(f"app: {error}\n")
        return 1
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    starting = StartingApp(settings.embed_in)
    building = _Building(build, settings, starting)
    connections: dict[int, Any] = {}
    try:
        with until_interrupted(sockets):
            server = make_server(starting, sockets=sockets, map=connections)
            threading.Thread(target=building.run, name="building the app", daemon=True).start()
            sys.stdout.write(f"HeadScope is on {address(settings.host, settings.port)} (Ctrl+C ends it)\n")
            sys.stdout.flush()
            server.run()
    finally:
        wasyncore.close_all(connections, ignore_all=True)
    if building.problem is not None:
        sys.stderr.write(f"app: {building.problem}\n")
        return 1
    return 0
