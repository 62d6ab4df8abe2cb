"""From a model's folder to a model that is ready to run.

Only safetensors are read, no code in a model's folder is run, and nothing is fetched from a network here
(`model_hub` does that).
"""

import contextlib
import copy
import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from utils.catalog.catalog import CATALOG_FOLDER, catalog_path
from utils.errors import UserFacingError
from utils.models.devices import DTYPES, check_device
from utils.models.families import HeadGeometry, ModelFamily, family_of, head_geometry
from utils.models.files import WeightFile, WeightFiles, begin_digest, check_folder
from utils.models.memory import check_memory, misfit, need_of_folder, read_model_config
from utils.models.start_tokens import start_of_catalog, start_token
from utils.runtime.jobs import Progress
from utils.runtime.turns import Turns

logger = logging.getLogger(__name__)

# transformers' verbosity and progress bar are settings of the whole process, so one load at a time.
_LOADING = threading.RLock()
# Tables that a model makes for itself (masks, rotary angles) are small; a config that asks for more is wrong.
_LARGEST_TABLES = 2**30
_LONGEST_ARANGE = 2**16


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model ready to run, with what the project needs to know about it.

    Attributes:
        name: its name in the menu and in the catalog.
        path: its folder.
        weight_files: its safetensors as they were when it was loaded, sorted by name.
        model: eager attention, eval mode, no gradients; float32 on the CPU, on a GPU what was asked for. Run
            it under `lock` only.
        tokenizer: the Hugging Face tokenizer.
        text_tokenizer: a copy of its backend that takes special tokens' text as plain text; nothing changes
            it after loading, so threads may share it.
        family: its row.
        geometry: its heads.
        bos_id: the token that every prompt starts with; None where none does.
        bos_added: whether it is put there although the tokenizer by itself would not.
        start_open: whether neither the family's convention nor the tokenizer says what goes first, so that
            an analysis compares the candidates.
        special_ids: ids of all special tokens.
        context_length: most tokens in one forward.
        lock: held during each forward, since PyVene is not thread-safe; taken in fair turns.
    """

    name: str
    path: Path
    weight_files: tuple[WeightFile, ...]
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    text_tokenizer: Tokenizer
    family: ModelFamily
    geometry: HeadGeometry
    bos_id: int | None
    special_ids: frozenset[int]
    context_length: int
    bos_added: bool = False
    start_open: bool = False
    lock: Turns = field(default_factory=Turns, repr=False)
    _modules: dict[str, torch.nn.Module] = field(default_factory=dict, init=False, repr=False)

    def module(self, path: str) -> torch.nn.Module:
        """A part of the model by its path; each is looked up once, for a request asks for hundreds."""
        if path not in self._modules:
            self._modules[path] = self.model.get_submodule(path)
        return self._modules[path]

    def output_projection(self, layer: int) -> torch.nn.Module:
        """A layer's output projection; its input is [batch, position, n_heads * head_dim]."""
        return self.module(self.family.output_projection.format(layer=layer))


def load_model(
    name: str,
    folder: Path,
    device: str = "cpu",
    dtype: str = "float32",
    progress: Progress = lambda what, done, total: None,
    catalogs: Path = CATALOG_FOLDER,
) -> LoadedModel:
    """Load the model in `folder` (Hugging Face layout) under the name `name`.

    Args:
        name: its name in the menu and in the catalog.
        folder: where it is.
        device: "cpu", "cuda", "cuda:1" or "mps".
        dtype: "float32"; on a GPU also "bfloat16" or "float16".
        progress: called in this thread, some times a weight; what it raises ends the load and passes through.
        catalogs: where the model's catalog may be, which may name the token that goes first.

    Raises:
        UserFacingError: the folder is missing or broken, the family is not supported, or the model does not
            fit into what is free of the memory.
    """
    check_device(device, dtype)
    progress("checking the files", 0, 0)
    weights = check_folder(name, folder)
    need = need_of_folder(name, folder, weights.parameters, dtype, weights.largest)
    check_memory(name, need, device)
    if device != "cpu":
        # The weights go through the machine's own memory on their way.
        check_memory(name, weights.parameters * DTYPES[dtype].itemsize, "cpu")
    if catalog_path(name, catalogs).is_file():
        # By it the catalog is checked.
        begin_digest(weights.files)
    with _LOADING, quiet_transformers(), _without_compiler():
        _check_fit(name, folder, weights)
        model = _load_weights(name, folder, DTYPES[dtype], progress)
        _check_weights(name, model, dtype, progress)
        progress("reading the tokenizer", 0, 1)
        tokenizer = _load_tokenizer(name, folder)
    _check_vocabulary(name, model, tokenizer)
    try:
        model.to(device)  # pyright: ignore[reportArgumentType]
    except torch.OutOfMemoryError as error:
        raise _too_large(name, device) from error
    progress("reading the tokenizer", 1, 1)
    text_tokenizer = copy.deepcopy(tokenizer.backend_tokenizer)
    text_tokenizer.encode_special_tokens = True
    family = family_of(model.config)
    geometry = head_geometry(model.config)
    start = start_token(family, tokenizer)
    chosen = start_of_catalog(name, catalogs, geometry, weights.files) if start.open_question else None
    bos_id = start.id if chosen is None else chosen[0]
    added = tokenizer.added_tokens_decoder.items()
    return LoadedModel(
        name=name,
        path=folder,
        weight_files=weights.files,
        model=model,
        tokenizer=tokenizer,
        text_tokenizer=text_tokenizer,
        family=family,
        geometry=geometry,
        bos_id=bos_id,
        bos_added=bos_id is not None and not start.by_tokenizer,
        start_open=start.open_question,
        special_ids=frozenset(tokenizer.all_special_ids) | {i for i, token in added if token.special},
        context_length=model.config.max_position_embeddings,
    )


def unknown_tokens(loaded: LoadedModel) -> frozenset[int]:
    """The ids of the tokenizer that the model has no row for: tokens that were added to it alone."""
    return frozenset(range(loaded.model.config.vocab_size, len(loaded.tokenizer)))


def loaded_bytes(loaded: LoadedModel) -> int:
    """Bytes that a loaded model's weights take; weights that two layers share count once."""
    return sum(tensor.nbytes for tensor in _tensors(loaded.model))


def _tensors(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    return itertools.chain(model.parameters(), model.buffers())


def _check_fit(name: str, folder: Path, weights: WeightFiles) -> None:
    """Refuse a config that asks for far more than the weight files hold.

    transformers makes room for all that the config asks for, and fills what the files lack with random
    numbers, before it says what is missing: a wrong number in a config could take all memory.
    """
    config = read_model_config(name, folder)
    try:
        # Every layer has a tensor of its own. Without this a million layers would be built below.
        fits = config.num_hidden_layers <= weights.tensors
        if fits:
            with torch.device("meta"):  # shapes alone
                model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
            # The files may lack a matrix that two layers share, and nothing else.
            fits = sum(weight.numel() for weight in model.parameters()) <= 2 * weights.parameters
            fits = fits and sum(table.nbytes for table in model.buffers()) <= _LARGEST_TABLES
    except Exception as error:
        logger.warning("the config of %s cannot be used", name, exc_info=True)
        raise misfit(name) from error
    if not fits:
        raise misfit(name)


def _load_weights(name: str, folder: Path, dtype: torch.dtype, progress: Progress) -> PreTrainedModel:
    stopped: list[BaseException] = []

    def tell(done: int, total: int) -> None:
        try:
            progress("reading the weights", done, total)
        except BaseException as error:
            stopped.append(error)
            raise

    try:
        with _telling(tell):
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                # With sdpa there are no patterns to show: `attentions` comes back empty without a word.
                attn_implementation="eager",
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        model, report = loaded
    except Exception as error:
        if stopped:
            raise stopped[0] from None
        if is_out_of_memory(error):
            raise _too_large(name, "cpu") from error
        logger.warning("loading the weights of %s failed", name, exc_info=True)
        raise misfit(name) from error
    # transformers fills a missing weight with random numbers and only warns.
    if missing := sorted(report["missing_keys"]):
        raise UserFacingError(
            f"The model '{name}' lacks {len(missing)} of its weights, for example {missing[0]}.",
            "Copy the folder again, or save the model again with save_pretrained().",
        )
    return model.eval().requires_grad_(False)


def _check_weights(name: str, model: PreTrainedModel, dtype: str, progress: Progress) -> None:
    """Refuse weights that are not numbers, and give each tensor memory of its own.

    What needed no conversion still lies in the mapped file: there a file that is overwritten would end the
    process, and the memory would not count as used.
    """
    tensors = list(_tensors(model))
    for done, tensor in enumerate(tensors):
        progress("checking the weights", done, len(tensors))
        try:
            tensor.data = tensor.data.clone()
        except RuntimeError as error:
            raise _too_large(name, "cpu") from error
        if isinstance(tensor, torch.nn.Parameter) and not _all_finite(tensor):
            remedy = "Use an earlier state of the model."
            if dtype == "float16":
                remedy = "They may be too large for float16: use --dtype bfloat16 or float32."
            raise UserFacingError(f"Some weights of the model '{name}' are not numbers.", remedy)
    progress("checking the weights", len(tensors), len(tensors))


def _all_finite(tensor: torch.Tensor) -> bool:
    # NaN passes through both. isfinite() on the whole would make copies as large as the tensor.
    return tensor.numel() == 0 or all(bool(bound.isfinite()) for bound in tensor.aminmax())


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
    read_whole_texts(tokenizer)
    return tokenizer


def read_whole_texts(tokenizer: PreTrainedTokenizerFast) -> None:
    """Switch off a tokenizer's truncation and padding, which its tokenizer.json may bring along.

    One call with truncation=True before save_pretrained() writes them there; then every text that goes
    through the backend would be cut, without a word, or filled up with padding.
    """
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()


def _check_vocabulary(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Refuse the tokenizer of another model.

    Tokens that were added to the vocabulary ("<pad>") may lack a row in the embedding: only a prompt that has
    one of them cannot be run (`prompts.check_rows`). The vocabulary itself may not, nor the start token.
    """
    rows: int = model.config.vocab_size
    bos: Any = tokenizer.bos_token_id
    added = tokenizer.added_tokens_decoder.keys() - {bos}
    ids = tokenizer.get_vocab().values()
    largest_id = max((token for token in ids if token < rows or token not in added), default=-1)
    if not 0 <= largest_id < rows:
        raise UserFacingError(
            f"The tokenizer of the model '{name}' numbers its tokens up to {largest_id}, but the model knows "
            f"{rows} tokens.",
            "Put the tokenizer that belongs to this model into its folder.",
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was too little memory, of the machine or of a GPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)


def _too_large(name: str, device: str) -> UserFacingError:
    where = "this machine" if device == "cpu" else device
    return UserFacingError(
        f"The model '{name}' does not fit into the memory of {where}.", "Choose a smaller model."
    )


@contextlib.contextmanager
def _telling(tell: Callable[[int, int], None]) -> Iterator[None]:
    """Have transformers' progress bar over the weights call `tell(done, total)` in this thread."""
    here = threading.get_ident()

    def hook(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if threading.get_ident() != here or not args:
            return factory(*args, **kwargs)
        return counted(list(args[0]))

    def counted(items: list[Any]) -> Iterator[Any]:
        for done, item in enumerate(items):
            tell(done, len(items))
            yield item
        tell(len(items), len(items))

    before = transformers_logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        transformers_logging.set_tqdm_hook(before)


@contextlib.contextmanager
def _without_compiler() -> Iterator[None]:
    """Keep torch from importing its compiler, for seconds, where a model is built on the device "meta".

    There torch writes what these two functions do in Python, with the compiler's help. Random numbers are not
    needed, and the few that angles are made of can be had on the CPU.
    """
    normal, arange = torch.nn.init.normal_, torch.arange

    def no_normal(tensor: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        return tensor if tensor.is_meta else normal(tensor, *args, **options)

    def cpu_arange(*bounds: Any, **options: Any) -> torch.Tensor:
        small = all(isinstance(bound, int) and abs(bound) <= _LONGEST_ARANGE for bound in bounds)
        if small and torch.get_default_device().type == "meta" and options.get("device") is None:
            options["device"] = "cpu"
        return arange(*bounds, **options)

    torch.nn.init.normal_, torch.arange = no_normal, cpu_arange
    try:
        yield
    finally:
        torch.nn.init.normal_, torch.arange = normal, arange


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
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
