"""A model's folder as it lies on disk (Hugging Face layout), looked at before anything in it is loaded.

Only headers are read here. A folder comes from outside: any file may be missing, cut short, huge, or name
files that are not its own.
"""

import contextlib
import hashlib
import json
import math
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from utils.errors import UserFacingError
from utils.models.families import family_of

CONFIG = "config.json"
ONE_FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"
# Any of these sets makes a tokenizer.
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("tokenizer.model",))
# Real ones have some kB; the index of a model of 405 billion weights has 0.1 MB.
LARGEST_CONFIG = 2**20
LARGEST_INDEX = 32 * 2**20

# What is no part of a whole model of its own: changes to another one's weights.
_ADAPTERS = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
_GGUF = "*.gguf"
# "LlamaForSequenceClassification", not "LlamaForCausalLM" and not "GPT2LMHeadModel".
_OTHER_HEAD = re.compile(r"For(?!CausalLM)[A-Z]")
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")
_SAVE_AGAIN = "Save the model again with save_pretrained()."
_COPY_AGAIN = "Copy the folder again, or save the model again with save_pretrained()."


class DamagedFileError(UserFacingError):
    """One file of a model is missing or damaged; a fresh copy of it would mend the model.

    Args:
        file: its name in the model's folder.
        message: as in UserFacingError.
        remedy: as in UserFacingError.
    """

    def __init__(self, file: str, message: str, remedy: str = _COPY_AGAIN) -> None:
        super().__init__(message, remedy)
        self.file = file


@dataclass(frozen=True)
class WeightFile:
    """A weight file as it was when its header was read.

    Attributes:
        path: where it is.
        size: its bytes.
        changed: when it was last changed, in nanoseconds.
    """

    path: Path
    size: int
    changed: int

    @classmethod
    def at(cls, path: Path) -> "WeightFile":
        """The file as it is now.

        Raises:
            OSError: it is not there.
        """
        now = path.stat()
        return cls(path, now.st_size, now.st_mtime_ns)


@dataclass(frozen=True)
class WeightFiles:
    """What the headers of a model's weight files say.

    Attributes:
        files: the safetensors files, whole as far as their headers tell.
        tensors: how many tensors are in them.
        parameters: how many numbers are in them.
        largest: numbers in the largest tensor.
    """

    files: tuple[WeightFile, ...]
    tensors: int
    parameters: int
    largest: int


def looks_like_model(folder: Path) -> bool:
    """Whether a folder is a model's.

    Weights without a config.json are a broken model: it is listed, and says what it lacks when chosen. So is
    one in a form that cannot be loaded: it says what to do.
    """
    named = any((folder / file).is_file() for file in (CONFIG, ONE_FILE, INDEX, *_ADAPTERS))
    return named or any(folder.glob(_GGUF))


def check_folder(name: str, folder: Path) -> WeightFiles:
    """Refuse a folder that cannot be loaded, with a sentence that says why.

    Raises:
        UserFacingError: the folder or a file is missing or broken, or the family is not supported.
    """
    if not folder.is_dir():
        raise UserFacingError(
            f"The folder of the model '{name}' is missing.", "Put it back, or choose another model."
        )
    _check_form(name, folder)
    check_config(read_config(name, folder), name)
    weights = read_weight_files(name, folder)
    if not any(all((folder / file).is_file() for file in files) for files in TOKENIZERS):
        raise DamagedFileError(
            TOKENIZERS[0][0],
            f"The model '{name}' has no tokenizer (tokenizer.json).",
            "Save its tokenizer into the folder with save_pretrained().",
        )
    return weights


def _check_form(name: str, folder: Path) -> None:
    """Refuse a folder without a model's own weights that holds an adapter, or weights in a GGUF file."""
    if any((folder / file).is_file() for file in (ONE_FILE, INDEX)):
        return
    if any((folder / file).is_file() for file in _ADAPTERS):
        raise UserFacingError(
            f"The folder of the model '{name}' holds an adapter alone, which changes the weights of another.",
            "Merge it into that model with merge_and_unload() of peft, and save the result with "
            "save_pretrained().",
        )
    pickles = any(path for pattern in _PICKLES for path in folder.glob(pattern))
    if not pickles and (files := sorted(folder.glob(_GGUF))):
        raise gguf_alone(name, files[0])


def gguf_alone(name: str, file: Path) -> UserFacingError:
    """What is said about a model that is there as a GGUF file alone."""
    return UserFacingError(
        f"The model '{name}' is a GGUF file ({file.name[:40]}), which this app cannot read as it is.",
        "Unpack it with scripts/unpack_gguf.py FILE --output DIR, and use that folder.",
    )


def read_config(name: str, folder: Path) -> dict[str, Any]:
    """The config.json of a model.

    Raises:
        DamagedFileError: it is missing, too large, or no JSON object.
    """
    if not (folder / CONFIG).exists():
        raise DamagedFileError(CONFIG, f"The model '{name}' has no config.json.", _SAVE_AGAIN)
    config = _read_json(folder / CONFIG, LARGEST_CONFIG)
    if config is None:
        raise DamagedFileError(CONFIG, f"The config.json of the model '{name}' cannot be read.", _SAVE_AGAIN)
    return config


def check_config(config: Mapping[str, Any], name: str) -> None:
    """Refuse what the config alone shows cannot be loaded.

    Raises:
        UserFacingError: a family without a row, a model that does not predict the next token, or quantized
            weights.
    """
    family_of(config)
    named = config.get("architectures")
    heads = [head for head in named if isinstance(head, str)] if isinstance(named, list) else []
    if heads and all(_OTHER_HEAD.search(head) for head in heads):
        raise UserFacingError(
            f"The model '{name}' is a {heads[0][:60]}, which does not predict the next token.",
            "Choose a causal language model (…ForCausalLM).",
        )
    if config.get("is_causal") is False:
        raise UserFacingError(
            f"The model '{name}' is not causal (is_causal is false in its config.json): its tokens attend to "
            "those after them too.",
            "Choose a causal language model, which predicts the next token.",
        )
    if config.get("quantization_config"):
        raise UserFacingError(
            f"The weights of the model '{name}' are quantized, which this app cannot read.",
            "Use the model in float32, bfloat16 or float16.",
        )


def shard_names(name: str, folder: Path) -> tuple[str, ...]:
    """The weight files that the index names, sorted.

    Raises:
        DamagedFileError: the index cannot be read, or names no files or something other than plain
            safetensors files of this folder: a path in it could lead anywhere.
    """
    weight_map = (_read_json(folder / INDEX, LARGEST_INDEX) or {}).get("weight_map")
    files = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not files or not all(_is_plain(file) for file in files):
        raise DamagedFileError(INDEX, f"The list of weights of the model '{name}' ({INDEX}) is damaged.")
    return tuple(sorted(set(files)))


def _is_plain(file: object) -> bool:
    """Whether this is the name of a safetensors file, without any folder in it."""
    return (
        isinstance(file, str)
        and file.endswith(".safetensors")
        and file == Path(file).name
        and not set(file) & set("\\/:\0")
    )


def read_weight_files(name: str, folder: Path) -> WeightFiles:
    """What the headers of a model's weight files say.

    Raises:
        UserFacingError: there are no safetensors, or one of the files is missing or cut short
            (DamagedFileError).
    """
    if (folder / ONE_FILE).is_file():
        files = (ONE_FILE,)
    elif (folder / INDEX).is_file():
        files = shard_names(name, folder)
    elif any(path for pattern in _PICKLES for path in folder.glob(pattern)):
        raise UserFacingError(
            f"The weights of the model '{name}' are in PyTorch's own format, which can carry code.",
            "Save the model again with save_pretrained(), which writes model.safetensors.",
        )
    else:
        raise DamagedFileError(
            ONE_FILE, f"The model '{name}' has no weights (model.safetensors).", _SAVE_AGAIN
        )
    weight_files: list[WeightFile] = []
    for file in files:
        try:
            weight_files.append(WeightFile.at(folder / file))
        except OSError:
            raise DamagedFileError(
                file, f"The weights of the model '{name}' are damaged: the file {file} is missing."
            ) from None
    sizes = [size for file in files for size in _tensor_sizes(name, folder / file)]
    return WeightFiles(
        files=tuple(weight_files),
        tensors=len(sizes),
        parameters=sum(sizes),
        largest=max(sizes, default=0),
    )


def weights_digest(files: Sequence[WeightFile]) -> str:
    """One SHA-256 over those of the weight files, in their order: another digest, other weights.

    The same weights in other shards have another digest. A file is read once for all calls, which takes about
    as long as reading it from the disk does.

    Raises:
        UserFacingError: a file cannot be read, or it is not the one any more that was loaded.
    """
    whole = hashlib.sha256()
    for file in files:
        try:
            whole.update(_file_digest(file).get())
            same = WeightFile.at(file.path) == file
        except OSError as error:
            raise UserFacingError(
                f"The weight file {file.path.name} cannot be read again ({error.strerror}).",
                "Put it back, or check its permissions.",
            ) from error
        if not same:
            raise UserFacingError(
                f"The weight file {file.path.name} was changed after the model was loaded, so no catalog can "
                "be checked against what is loaded.",
                "Start HeadScope again.",
            )
    return whole.hexdigest()


def begin_digest(files: Sequence[WeightFile]) -> None:
    """Start to read the files for `weights_digest` in a thread, so that it waits less when it is asked."""

    def read() -> None:
        # Whoever asks for the digest hears why there is none.
        with contextlib.suppress(UserFacingError):
            weights_digest(files)

    threading.Thread(target=read, name="digest of the weights", daemon=True).start()


class _FileDigest:
    """The digest of one file, read once however many ask at the same time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._digest: bytes | None = None

    def get(self) -> bytes:
        with self._guard:
            if self._digest is None:
                with self._path.open("rb") as opened:
                    self._digest = hashlib.file_digest(opened, "sha256").digest()
            return self._digest


@lru_cache(maxsize=256)
def _file_digest(file: WeightFile) -> _FileDigest:
    return _FileDigest(file.path)


def _tensor_sizes(name: str, path: Path) -> list[int]:
    """How many numbers each tensor of a safetensors file has.

    Opening one checks its header against its length, so that a file cut short is found here.
    """
    try:
        with safe_open(path, framework="numpy") as opened:
            return [math.prod(opened.get_slice(key).get_shape()) for key in opened.keys()]
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedFileError(
            path.name,
            f"The weights of the model '{name}' are damaged: {path.name} is cut short, or no safetensors.",
        ) from error


def _read_json(path: Path, limit: int) -> dict[str, Any] | None:
    """A JSON object of at most `limit` bytes; None where there is anything else."""
    try:
        with path.open("rb") as opened:
            content = opened.read(limit + 1)
        data: Any = json.loads(content.decode("utf-8")) if len(content) <= limit else None
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
