"""The one live entry point: model name and prompt in, everything that the page shows out.

Results are kept in bounded caches and depend on nothing but the arguments, so that one process serves a
class, and any other process could answer in its place. Nothing here knows who asked.
"""

import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

from cachetools import LRUCache
from torch import Tensor

from utils.catalog.catalog import CATALOG_FOLDER, Catalog, catalog_path, check_fit, load_catalog
from utils.errors import UserFacingError
from utils.forward.ablation import AblationMethod, check_mode
from utils.forward.attention_capture import Capture, capture
from utils.forward.joined_forwards import choose_rows
from utils.heads import Head
from utils.live.analysis import LiveAnalysis, PromptRun, analysis_of, analyze_prompt
from utils.live.joined_requests import Toggle, choose_toggles, run_prompts, run_toggles
from utils.live.pinnable_cache import PinnableCache
from utils.live.written_facts import WrittenFacts
from utils.models.files import weights_digest
from utils.models.limits import DEFAULT_MAX_TOKENS
from utils.models.loading import LoadedModel
from utils.models.prompts import (
    TokenizedPrompt,
    check_characters,
    max_characters,
    token_of_text,
    tokenize_prompt,
)
from utils.models.start_tokens import chosen_start
from utils.models.store import ModelStore
from utils.runtime.file_cache import FileCache
from utils.runtime.joined import JoinedWork
from utils.runtime.shared_cache import SharedCache, SharedResults

Result = TypeVar("Result")

# What is kept of each kind, in bytes: some thirty short prompts on the real model.
CACHE_BYTES = 144 * 2**20
# For each of three caches: what the presets may keep besides.
PINNED_BYTES = 64 * 2**20
# Prompts, and watched tokens, whose tokens are cached.
CACHED_PROMPTS = 1024

# Model, token ids, heads ablated, what is put in their place.
_PredictionKey = tuple[str, tuple[int, ...], frozenset[Head], AblationMethod]
# Model, text, when its catalog changed.
_AnalysisKey = tuple[str, str, int | None]


class LiveService:
    """Analyzes prompts for many users at once.

    Args:
        store: the models that may be used.
        catalog_folder: where the catalogs are.
        max_tokens: most tokens a prompt may have, BOS included.
        shared_cache: where results are shared with other servers; None where there are none.
    """

    def __init__(
        self,
        store: ModelStore,
        catalog_folder: Path = CATALOG_FOLDER,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        shared_cache: SharedCache | None = None,
    ) -> None:
        self.shared_cache = shared_cache
        self._shared_logits = self.shared(Tensor)
        self.store = store
        self.catalog_folder = catalog_folder
        # A model and its catalog must agree on the token that goes first.
        store.catalogs = catalog_folder
        self.max_tokens = max_tokens
        self._analyses: PinnableCache[_AnalysisKey, LiveAnalysis] = PinnableCache(
            CACHE_BYTES, lambda analysis: analysis.nbytes, PINNED_BYTES
        )
        # Logits of the last position, and of all: 256 positions of a large vocabulary take 50 to 150 MB.
        self._predictions: PinnableCache[_PredictionKey, Tensor] = PinnableCache(
            CACHE_BYTES // 8, lambda t: t.nbytes, PINNED_BYTES
        )
        self._positions: PinnableCache[_PredictionKey, Tensor] = PinnableCache(
            CACHE_BYTES, lambda t: t.nbytes, PINNED_BYTES
        )
        # Asked for by the parts of one page after a toggle, and hardly ever again. One that is larger than
        # the share is kept alone.
        share = CACHE_BYTES // 8
        self._ablated: LRUCache[tuple[Any, ...], LiveAnalysis] = LRUCache(
            share, lambda analysis: min(analysis.nbytes, share)
        )
        # Forwards of several people that wait for the same model are done as one.
        self._runs = JoinedWork[tuple[_AnalysisKey, PromptRun], Capture, LiveAnalysis](
            lambda asked: run_prompts([run for _, run in asked]),
            lambda asked: choose_rows([run.size for _, run in asked]),
            self._analysis_of,
        )
        self._toggles = JoinedWork[tuple[_PredictionKey, Toggle], Tensor, Tensor](
            lambda asked: run_toggles([toggle for _, toggle in asked]),
            lambda asked: choose_toggles([toggle for _, toggle in asked]),
            self._prediction_of,
        )
        self.writing = WrittenFacts(self)
        self._prompts: LRUCache[tuple[str, str], TokenizedPrompt] = LRUCache(CACHED_PROMPTS)
        self._watched: LRUCache[tuple[str, str], int | None] = LRUCache(CACHED_PROMPTS)
        self._catalogs = FileCache[tuple[Catalog | None, str]]()
        self._guard = threading.Lock()
        store.when_dropped(self._let_go)

    def shared(self, kind: type[Result]) -> SharedResults[Result]:
        """Results of one type that are shared with other servers, by keys that begin with a model's name."""
        return SharedResults(self.shared_cache, kind, self._depends_on)

    def _depends_on(self, model: str) -> tuple[str, ...]:
        """What a model's results depend on besides its name.

        Raises:
            UserFacingError: unknown or broken model, or its files were changed since it was loaded.
        """
        loaded = self._get(model)
        return weights_digest(loaded.weight_files), self.store.device, self.store.dtype

    def check_characters(self, text: str) -> None:
        """Refuse a prompt that is too long for any model, before one is loaded for it.

        Raises:
            UserFacingError: it has too many characters.
        """
        check_characters(text, max_characters(self.max_tokens))

    def tokenize(self, model: str, text: str) -> TokenizedPrompt:
        """Tokens of a prompt on a model, checked.

        Raises:
            UserFacingError: unknown or broken model, or a prompt that cannot be analyzed.
        """
        return self._tokenize(self._get(model), text)

    def _get(self, model: str) -> LoadedModel:
        """The model, read anew where its catalog has chosen another start token since."""
        loaded = self.store.get(model)
        if loaded.start_open:
            catalog = self._catalog(loaded)[1]
            chosen = chosen_start(catalog) if catalog is not None else None
            if chosen is not None and chosen[0] != loaded.bos_id:
                self.store.drop(loaded)
                loaded = self.store.get(model)
        return loaded

    def _tokenize(self, loaded: LoadedModel, text: str) -> TokenizedPrompt:
        key = (loaded.name, text)
        with self._guard:
            prompt = self._prompts.get(key)
        if prompt is None:
            prompt = tokenize_prompt(loaded, text, self.max_tokens)
            with self._guard:
                self._prompts[key] = prompt
        return prompt

    def token(self, loaded: LoadedModel, text: str | None) -> int | None:
        """The token that a watched text stands for (`prompts.token_of_text`); None for none."""
        key = (loaded.name, text or "")
        with self._guard:
            if key in self._watched:
                return self._watched[key]
        token = token_of_text(loaded, text)
        with self._guard:
            self._watched[key] = token
        return token

    def analyze(self, model: str, text: str) -> LiveAnalysis:
        """Everything about a prompt with all heads on.

        Raises:
            UserFacingError: as `tokenize`.
        """
        loaded = self._get(model)
        changed, catalog, problem = self._catalog(loaded)
        key = (loaded.name, text, changed)
        cached = self._cached(key)
        if cached is not None:
            return cached
        # The parts of one page ask at once, and a class does: one forward for all of them where it can be.
        run = PromptRun(loaded, self._tokenize(loaded, text), catalog, problem)
        return self._runs.get(loaded.lock, key, (key, run))

    def _analysis_of(self, asked: tuple[_AnalysisKey, PromptRun], captured: Capture) -> LiveAnalysis:
        key, run = asked
        analysis = analysis_of(run, captured)
        # The cache refuses what is larger than all of it; nor is a model kept that the store has dropped.
        if analysis.nbytes <= CACHE_BYTES and self.store.is_loaded(run.loaded.name):
            with self._guard:
                self._analyses[key] = analysis
        return analysis

    def _let_go(self, model: str) -> None:
        """Forget what is known by a model that the store has dropped: each analysis holds the model itself.

        What comes under its name next may have another tokenizer.
        """
        with self._guard:
            for key in [key for key in self._analyses if key[0] == model]:
                del self._analyses[key]
            for cache in (self._prompts, self._watched, self._ablated):
                for key in [key for key in cache if key[0] == model]:
                    del cache[key]
        self.writing.forget(model)

    def _cached(self, key: _AnalysisKey) -> LiveAnalysis | None:
        with self._guard:
            return self._analyses.get(key)

    def next_token_logits(
        self, model: str, text: str, ablated: Collection[Head], mode: AblationMethod = "zero"
    ) -> Tensor:
        """Logits [vocab] of the last position with the heads `ablated`, as `mode` says.

        Raises:
            UserFacingError: as `tokenize`, a head that the model does not have, or no such mode.
        """
        check_mode(mode)
        loaded = self._get(model)
        prompt = self._tokenize(loaded, text)
        off = frozenset(ablated)
        if not off:
            return self.analyze(model, text).logits
        key = (model, prompt.ids, off, mode)
        with self._guard:
            if key in self._predictions:
                return self._predictions[key]
        analysis = self.analyze(model, text)
        shared = self._shared_logits.get(key)
        if shared is not None and shared.shape == analysis.logits.shape:
            self._cache(self._predictions, key, shared)
            return shared
        assert analysis.clean_run is not None
        return self._toggles.get(loaded.lock, key, (key, Toggle(loaded, analysis.clean_run, off, mode)))

    def _prediction_of(self, asked: tuple[_PredictionKey, Toggle], logits: Tensor) -> Tensor:
        self._cache(self._predictions, asked[0], logits)
        self._shared_logits.put(asked[0], logits)
        return logits

    def position_logits(
        self, model: str, text: str, ablated: Collection[Head] = (), mode: AblationMethod = "zero"
    ) -> Tensor:
        """Logits [position, vocab] of all positions with the heads `ablated`, as `mode` says.

        Shared with whoever asks for the same: do not change them in place.

        Raises:
            UserFacingError: as `next_token_logits`.
        """
        check_mode(mode)
        loaded = self._get(model)
        prompt = self._tokenize(loaded, text)
        off = frozenset(ablated)
        key = (model, prompt.ids, off, mode if off else "zero")
        with self._guard:
            if key in self._positions:
                return self._positions[key]
        # As in `analyze`: of those who ask at once the first computes.
        with loaded.lock:
            with self._guard:
                if key in self._positions:
                    return self._positions[key]
            logits = capture(loaded, prompt.ids, off, mode).logits
            self._cache(self._positions, key, logits)
        return logits

    def logits_at(
        self,
        model: str,
        text: str,
        position: int,
        ablated: Collection[Head] = (),
        mode: AblationMethod = "zero",
    ) -> Tensor:
        """Logits [vocab] after the token at `position` with the heads `ablated`, as `mode` says.

        Raises:
            UserFacingError: as `next_token_logits`.
        """
        # The last position is what the page shows first, and its own cache is the smaller one.
        if position == len(self.tokenize(model, text).ids) - 1:
            return self.next_token_logits(model, text, ablated, mode)
        return self.position_logits(model, text, ablated, mode)[position]

    def analyze_ablated(
        self, model: str, text: str, ablated: Collection[Head], mode: AblationMethod = "zero"
    ) -> LiveAnalysis:
        """Everything about a prompt with the heads `ablated`, as `mode` says.

        Raises:
            UserFacingError: as `next_token_logits`.
        """
        check_mode(mode)
        loaded = self._get(model)
        changed, catalog, problem = self._catalog(loaded)
        prompt = self._tokenize(loaded, text)
        key = (model, text, prompt.ids, frozenset(ablated), mode, changed)
        with self._guard:
            if key in self._ablated:
                return self._ablated[key]
        # As in `analyze`: of those who ask at once the first computes.
        with loaded.lock:
            with self._guard:
                if key in self._ablated:
                    return self._ablated[key]
            analysis = analyze_prompt(PromptRun(loaded, prompt, catalog, problem), ablated, mode)
            if analysis.nbytes <= CACHE_BYTES and self.store.is_loaded(model):
                with self._guard:
                    self._ablated[key] = analysis
        return analysis

    def pin(
        self,
        model: str,
        text: str,
        ablated: Collection[Head] = (),
        mode: AblationMethod = "zero",
        positions: bool = False,
    ) -> bool:
        """Compute what the page shows for this and keep it for good, so that showing it costs no forward.

        Args:
            model: the model's name.
            text: the prompt.
            ablated: the heads that are off.
            mode: what is put in their place.
            positions: also keep the predictions at all positions, clean and ablated.

        Returns:
            Whether there was room for all of it; what there was no room for may be pushed out by later use.

        Raises:
            UserFacingError: as `next_token_logits`.
        """
        analysis = self.analyze(model, text)
        off, ids = frozenset(ablated), analysis.prompt.ids
        changed = self._catalog(analysis.loaded)[0]
        with self._guard:
            fits = self._analyses.pin((analysis.loaded.name, text, changed), analysis)
        for heads in {frozenset[Head](), off}:
            if heads:
                logits = self.next_token_logits(model, text, heads, mode)
                with self._guard:
                    fits &= self._predictions.pin((model, ids, heads, mode), logits)
            if positions:
                logits = self.position_logits(model, text, heads, mode)
                with self._guard:
                    fits &= self._positions.pin((model, ids, heads, mode if heads else "zero"), logits)
        return fits

    def _cache(
        self, cache: PinnableCache[_PredictionKey, Tensor], key: _PredictionKey, logits: Tensor
    ) -> None:
        # A cache refuses what is larger than all of it.
        if logits.nbytes <= cache.recent.maxsize:
            with self._guard:
                cache[key] = logits

    def catalog(self, model: str) -> Catalog | None:
        """The catalog of a model, None where there is none that can be used.

        Raises:
            UserFacingError: unknown or broken model.
        """
        return self._catalog(self._get(model))[1]

    def catalog_by_name(self, model: str) -> Catalog | None:
        """The catalog of a model that may not be loaded, and is not loaded for it; None where there is none.

        Only that of a loaded model is known to fit the model's layers and heads.
        """
        if self.store.is_loaded(model):
            return self.catalog(model)
        try:
            return load_catalog(catalog_path(model, self.catalog_folder))
        except UserFacingError:
            return None

    def _catalog(self, loaded: LoadedModel) -> tuple[int | None, Catalog | None, str]:
        """When the file changed; the catalog and "", or None and why there is none. Read anew on a change."""
        path = catalog_path(loaded.name, self.catalog_folder)
        # By the weights too: a model that is loaded again may have others.
        weights = loaded.weight_files
        changed, (catalog, problem) = self._catalogs.get(
            lambda: _read_catalog(loaded, path), path, of=(loaded.name, weights)
        )
        return changed[0], catalog, problem


def _read_catalog(loaded: LoadedModel, path: Path) -> tuple[Catalog | None, str]:
    """The catalog and "", or None and why there is none that fits the model."""
    geometry = loaded.geometry
    try:
        catalog = load_catalog(path)
        check_fit(catalog, geometry.n_layers, geometry.n_heads, lambda: weights_digest(loaded.weight_files))
    except OSError as error:
        return None, f"The weights of {loaded.name} cannot be read again ({error.strerror})."
    except UserFacingError as error:
        return None, str(error)
    return catalog, ""
