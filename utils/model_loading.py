"""From a model's folder to a model that is ready to run; from the operator's folders to the menu of models.

Only safetensors are read, no code in a model's folder is run, nothing is fetched from a network, and a model
is found by its name in a fixed list: no path ever comes from a user.
"""

import contextlib
import copy
import json
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from utils.errors import UserFacingError
from utils.model_families import HeadGeometry, ModelFamily, family_of, head_geometry

logger = logging.getLogger(__name__)

BUNDLED = Path(__file__).resolve().parent.parent / "models"
FIRST_MODEL = "demo-gpt2"

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")
_SAVE_AGAIN = "Save the model again with save_pretrained()."
_COPY_AGAIN = "Copy the folder again, or save the model again with save_pretrained()."
# transformers' verbosity and progress bar are settings of the whole process, so one load at a time.
_LOADING = threading.RLock()


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model ready to run, with what the project needs to know about it.

    Attributes:
        name: its name in the menu and in the catalog.
        path: its folder.
        model: float32, eager attention, eval mode, no gradients. Run it under `lock` only.
        tokenizer: the Hugging Face tokenizer.
        text_tokenizer: a copy of its backend that takes special tokens' text as plain text; nothing changes
            it after loading, so threads may share it.
        family: its row.
        geometry: its heads.
        bos_id: the token that every prompt starts with; None where the family or the tokenizer has none.
        special_ids: ids of all special tokens.
        context_length: most tokens in one forward.
        lock: held during each forward, since PyVene is not thread-safe.
    """

    name: str
    path: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    text_tokenizer: Tokenizer
    family: ModelFamily
    geometry: HeadGeometry
    bos_id: int | None
    special_ids: frozenset[int]
    context_length: int
    lock: Any = field(default_factory=threading.RLock, repr=False)


def load_model(name: str, folder: Path) -> LoadedModel:
    """Load the model in `folder` (Hugging Face layout) under the name `name`.

    Raises:
        UserFacingError: the folder is missing or broken, or the family is not supported.
    """
    _check_folder(name, folder)
    with _LOADING, _quiet_transformers():
        model = _load_weights(name, folder)
        tokenizer = _load_tokenizer(name, folder)
    largest_id = max(tokenizer.get_vocab().values(), default=-1)
    rows: int = model.config.vocab_size
    if not 0 <= largest_id < rows:
        raise UserFacingError(
            f"The tokenizer of the model '{name}' numbers its tokens up to {largest_id}, but the model knows "
            f"{rows} tokens.",
            "Put the tokenizer that belongs to this model into its folder.",
        )
    text_tokenizer = copy.deepcopy(tokenizer.backend_tokenizer)
    text_tokenizer.encode_special_tokens = True
    text_tokenizer.no_truncation()
    text_tokenizer.no_padding()
    family = family_of(model.config)
    # The type allows for tokenizers of other kinds: this one's is a number or None.
    bos_id: Any = tokenizer.bos_token_id
    added = tokenizer.added_tokens_decoder.items()
    return LoadedModel(
        name=name,
        path=folder,
        model=model,
        tokenizer=tokenizer,
        text_tokenizer=text_tokenizer,
        family=family,
        geometry=head_geometry(model.config),
        bos_id=bos_id if family.prepend_bos else None,
        special_ids=frozenset(tokenizer.all_special_ids) | {i for i, token in added if token.special},
        context_length=model.config.max_position_embeddings,
    )


def _check_folder(name: str, folder: Path) -> None:
    """Refuse a folder that cannot be loaded before transformers sees it, with a sentence that says why."""
    if not folder.is_dir():
        raise UserFacingError(
            f"The folder of the model '{name}' is missing.", "Put it back, or choose another model."
        )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserFacingError(f"The model '{name}' has no config.json.", _SAVE_AGAIN) from None
    except (OSError, ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise UserFacingError(f"The config.json of the model '{name}' cannot be read.", _SAVE_AGAIN)
    family_of(config)
    if not any((folder / file).is_file() for file in _WEIGHTS):
        if any(path for pattern in _PICKLES for path in folder.glob(pattern)):
            raise UserFacingError(
                f"The weights of the model '{name}' are in PyTorch's own format, which can carry code.",
                "Save the model again with save_pretrained(), which writes model.safetensors.",
            )
        raise UserFacingError(f"The model '{name}' has no weights (model.safetensors).", _SAVE_AGAIN)
    if not any((folder / file).is_file() for file in ("tokenizer.json", "vocab.json", "tokenizer.model")):
        raise UserFacingError(
            f"The model '{name}' has no tokenizer (tokenizer.json).",
            "Save its tokenizer into the folder with save_pretrained().",
        )


def _load_weights(name: str, folder: Path) -> PreTrainedModel:
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            # With sdpa there are no patterns to show: `attentions` comes back empty without a word.
            attn_implementation="eager",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        model, report = loaded
    except Exception as error:
        logger.warning("loading the weights of %s failed", name, exc_info=True)
        raise UserFacingError(
            f"The weights of the model '{name}' are damaged or do not fit its config.json.",
            _COPY_AGAIN,
        ) from error
    # transformers fills a missing weight with random numbers and only warns.
    if missing := sorted(report["missing_keys"]):
        raise UserFacingError(
            f"The model '{name}' lacks {len(missing)} of its weights, for example {missing[0]}.",
            _COPY_AGAIN,
        )
    model.eval().requires_grad_(False)
    if not all(bool(weight.isfinite().all()) for weight in model.parameters()):
        raise UserFacingError(
            f"Some weights of the model '{name}' are not numbers.", "Use an earlier state of the model."
        )
    return model


def _load_tokenizer(name: str, folder: Path) -> PreTrainedTokenizerFast:
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except BaseException as error:  # a panic in the Rust tokenizer does not derive from Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        logger.warning("loading the tokenizer of %s failed", name, exc_info=True)
        tokenizer = None
    if tokenizer is None or not tokenizer.is_fast:
        raise UserFacingError(
            f"The tokenizer of the model '{name}' cannot be read.",
            "Save it into the folder again with save_pretrained(), so that there is a whole tokenizer.json.",
        )
    return tokenizer


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bar and no load report on the console: what matters in them becomes an error of ours."""
    verbosity = transformers_logging.get_verbosity()
    bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bar:
            transformers_logging.enable_progress_bar()


class ModelStore:
    """The models that may be used, by name; each is loaded once, when first asked for.

    Args:
        folders: each one model's folder (it has a config.json) or a folder of such folders. Of two models of
            one name the first stands.
        allowed: the names that may be used; None for all.

    Attributes:
        problems: what was wrong with `folders` and `allowed`, for the operator (folders are named in full).
            The store goes on with the models that it has.
    """

    def __init__(self, folders: Sequence[Path] = (BUNDLED,), allowed: Sequence[str] | None = None) -> None:
        problems: list[UserFacingError] = []
        found: dict[str, Path] = {}
        for folder in folders:
            models = _models_in(folder)
            if not models:
                what = "has no model in it" if folder.is_dir() else "does not exist"
                problems.append(
                    UserFacingError(
                        f"The model folder {folder} {what}.",
                        "Give a model's folder (with a config.json) or a folder of such folders.",
                    )
                )
            for path in models:
                name = path.resolve().name
                if found.setdefault(name, path).resolve() != path.resolve():
                    problems.append(
                        UserFacingError(
                            f"There are two models named '{name}'; {found[name]} is used.",
                            f"Rename {path} to use both.",
                        )
                    )
        if allowed is not None:
            problems += [_unknown(name, list(found)) for name in allowed if name not in found]
            found = {name: path for name, path in found.items() if name in allowed}
        self.problems: tuple[UserFacingError, ...] = tuple(problems)
        # Sorting is stable: the rest stays in the order it was found in.
        self._paths = dict(sorted(found.items(), key=lambda item: item[0] != FIRST_MODEL))
        self._loaded: dict[str, LoadedModel] = {}

    def names(self) -> list[str]:
        """The names of all models, `demo-gpt2` first; a broken one is among them until it is asked for."""
        return list(self._paths)

    def get(self, name: str) -> LoadedModel:
        """The model of this name, loaded on the first call; safe to call from several threads.

        Raises:
            UserFacingError: the name is unknown (the real ones are listed), or the folder is broken. A later
                call tries again, since the folder may have been mended.
        """
        if name in self._loaded:
            return self._loaded[name]
        if name not in self._paths:
            raise _unknown(name, self.names())
        with _LOADING:
            if name not in self._loaded:
                self._loaded[name] = load_model(name, self._paths[name])
            return self._loaded[name]


def _models_in(folder: Path) -> list[Path]:
    """The folder itself if it is a model's, else those of its subfolders that are (sorted by name)."""
    if _looks_like_model(folder):
        return [folder]
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and _looks_like_model(path))
    except OSError:
        return []


def _looks_like_model(folder: Path) -> bool:
    # Weights without a config.json are a broken model: it is listed, and says what it lacks when chosen.
    return (folder / "config.json").is_file() or any((folder / file).is_file() for file in _WEIGHTS)


def _unknown(name: str, known: list[str]) -> UserFacingError:
    options = f"Choose one of: {', '.join(known)}." if known else "There is no model to choose from."
    return UserFacingError(f"There is no model named '{name[:80]}'.", options)
