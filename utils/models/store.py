"""The models of the menu, each loaded when it is first asked for; the last few are kept."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from utils.catalog.catalog import CATALOG_FOLDER
from utils.errors import UserFacingError
from utils.models.devices import check_device
from utils.models.files import check_folder
from utils.models.hub_cache import Hub, cached
from utils.models.loading import LoadedModel, load_model, loaded_bytes
from utils.models.memory import check_memory, free_memory, need_of_folder
from utils.models.sources import BUNDLED, ModelSource, find_sources, folder_of, unknown
from utils.runtime.jobs import Progress

logger = logging.getLogger(__name__)

# How often one who waits for another's load hears how far it is, in seconds.
_EVERY = 0.25


class _Load:
    """A load under way: one thread does it, the others that want the same model follow it."""

    def __init__(self) -> None:
        self.latest = ("waiting", 0, 0)
        self.error: UserFacingError | None = None
        self._ended = threading.Event()

    def tell(self, progress: Progress) -> Progress:
        """The progress of the one who loads, noted for the others too."""

        def report(what: str, done: int, total: int) -> None:
            self.latest = (what, done, total)
            progress(what, done, total)

        return report

    def follow(self, progress: Progress) -> None:
        """Wait for the end; what `progress` raises ends the waiting."""
        while not self._ended.wait(_EVERY):
            progress(*self.latest)

    def end(self) -> None:
        self._ended.set()


class ModelStore:
    """The models that may be used, by name; safe to use from several threads.

    A model is loaded once, however many ask for it at once; a load does not keep the others from being used.
    The models used last are kept as far as the memory budget goes. One that is dropped stays alive until the
    last who holds it lets go.

    Args:
        folders: each one model's folder (it has a config.json) or a folder of such folders. Of two models of
            one name the first stands.
        allowed: the names that may be used; None for all in the folders. A name that no folder has is a model
            of the hub.
        device: where the models run: "cpu", "cuda", "cuda:1" or "mps".
        dtype: "float32"; on a GPU also "bfloat16" or "float16".
        memory_budget: bytes that all kept models may take together; a larger one is kept alone. None for half
            of what is free now.
        hub: where models of the hub come from, and where they are kept.

    Attributes:
        catalogs: where the catalogs are: one may name the token that a model's prompts start with.
        problems: what was wrong with `folders` and `allowed`, for the operator (folders are named in full).
            The store goes on with the models that it has.

    Raises:
        UserFacingError: `device` or `dtype` cannot be had on this machine.
    """

    def __init__(
        self,
        folders: Sequence[Path] = (BUNDLED,),
        allowed: Sequence[str] | None = None,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        memory_budget: int | None = None,
        hub: Hub | None = None,
    ) -> None:
        check_device(device, dtype)
        self._sources, problems = find_sources(folders, allowed)
        self.problems: tuple[UserFacingError, ...] = tuple(problems)
        self.device = device
        self.dtype = dtype
        self.memory_budget = free_memory(device) // 2 if memory_budget is None else memory_budget
        self._hub = hub or Hub()
        self.catalogs = CATALOG_FOLDER
        # Least recently used first, with the bytes that each takes.
        self._kept: OrderedDict[str, tuple[LoadedModel, int]] = OrderedDict()
        self._loads: dict[str, _Load] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._guard = threading.Lock()
        # One model is read after the other, so that each is measured against what the last one left.
        self._reading = threading.Lock()

    @classmethod
    def of(
        cls, source: ModelSource, *, device: str = "cpu", dtype: str = "float32", hub: Hub | None = None
    ) -> Self:
        """A store of one model, which a script's user named (`sources.find_model`).

        Raises:
            UserFacingError: `device` or `dtype` cannot be had on this machine.
        """
        store = cls((), device=device, dtype=dtype, hub=hub)
        store._sources[source.name] = source
        return store

    def names(self) -> list[str]:
        """The names of all models, the real one first; a broken one is among them until it is asked for."""
        return list(self._sources)

    def source(self, name: str) -> ModelSource:
        """Where a model is.

        Raises:
            UserFacingError: the name is unknown; the real ones are listed.
        """
        if name not in self._sources:
            raise unknown(name, self.names())
        return self._sources[name]

    def is_loaded(self, name: str) -> bool:
        """Whether `get` answers at once."""
        with self._guard:
            return name in self._kept

    def is_here(self, name: str) -> bool:
        """Whether a model can be loaded without a network.

        Raises:
            UserFacingError: the name is unknown.
        """
        return self._folder(self.source(name)) is not None

    def when_dropped(self, listener: Callable[[str], None]) -> None:
        """Have `listener(name)` called when a model is no longer kept, so that caches let go of it too."""
        self._listeners.append(listener)

    def get(self, name: str, progress: Progress = lambda what, done, total: None) -> LoadedModel:
        """The model of this name, loaded (and fetched) where it is not kept.

        Args:
            name: one of `names()`.
            progress: hears how far it is, in this thread; what it raises ends the load and passes through.
                It must not ask this store for a model.

        Raises:
            UserFacingError: the name is unknown (the real ones are listed), the folder is broken, the hub
                does not give it, or it does not fit into the memory. A later call tries again.
        """
        source = self.source(name)
        while True:
            with self._guard:
                if name in self._kept:
                    self._kept.move_to_end(name)
                    return self._kept[name][0]
                load = self._loads.get(name)
                mine = load is None
                if load is None:
                    load = self._loads[name] = _Load()
            if not mine:
                load.follow(progress)
                if load.error is not None:
                    raise UserFacingError(load.error.message, load.error.remedy)
                # Loaded; or given up by the one who loaded, whose place is free now.
                continue
            try:
                return self._load(source, load.tell(progress))
            except UserFacingError as error:
                load.error = error
                raise
            finally:
                with self._guard:
                    del self._loads[name]
                load.end()

    def drop(self, loaded: LoadedModel) -> None:
        """Let go of a model, if it is the one still kept under its name: the next `get` reads it anew."""
        with self._guard:
            if self._kept.get(loaded.name, (None, 0))[0] is not loaded:
                return
            del self._kept[loaded.name]
        for listener in self._listeners:
            listener(loaded.name)

    def _load(self, source: ModelSource, progress: Progress) -> LoadedModel:
        remaining = self._kept_bytes()
        folder = folder_of(source, self._hub, progress, self.device, self.dtype, evictable=remaining)
        while not self._reading.acquire(timeout=_EVERY):
            progress("waiting for another model", 0, 0)
        try:
            need = self._need(source.name, folder)
            # Nothing is dropped for a model that does not fit even alone.
            check_memory(source.name, need, self.device, evictable=self._kept_bytes())
            self._make_room(need)
            loaded = load_model(source.name, folder, self.device, self.dtype, progress, self.catalogs)
            size = loaded_bytes(loaded)
            with self._guard:
                self._kept[source.name] = (loaded, size)
            logger.info("loaded %s", source.name)
        finally:
            self._reading.release()
        return loaded

    def _folder(self, source: ModelSource) -> Path | None:
        return source.folder or cached(source.name, self._hub)

    def _need(self, name: str, folder: Path) -> int:
        weights = check_folder(name, folder)
        return need_of_folder(name, folder, weights.parameters, self.dtype, weights.largest)

    def _make_room(self, need: int) -> None:
        """Drop what was used longest ago until a model fits into the budget and into the memory."""
        while self.memory_budget < need + self._kept_bytes() or free_memory(self.device) < need:
            with self._guard:
                if not self._kept:
                    return
                name, _ = self._kept.popitem(last=False)
            logger.info("dropped %s to make room", name)
            for listener in self._listeners:
                listener(name)

    def _kept_bytes(self) -> int:
        with self._guard:
            return sum(size for _, size in self._kept.values())
