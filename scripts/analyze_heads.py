"""Measure every head of a model for every role, and write its catalog.

python scripts/analyze_heads.py --model demo-gpt2 --model demo-llama
python scripts/analyze_heads.py --model path/to/a/model/folder --output catalogs/
"""

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# The modules of the project are imported where they are used: they bring torch and TransformerLens along, and
# a wrong option or --help should not wait for those.

OUTPUT = Path(__file__).resolve().parents[1] / "head_categories"
_DEVICE = re.compile(r"(cpu|cuda(:\d{1,3})?|mps)")
INTERRUPTED = 130


def _positive(text: str) -> int:
    number = int(text) if re.fullmatch(r"\d{1,6}", text) else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1. Got '{text}'.")
    return number


def _device(text: str) -> str:
    if not _DEVICE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be cpu, cuda, cuda:1 (and so on) or mps. Got '{text}'.")
    return text


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--model",
        action="append",
        required=True,
        metavar="NAME_OR_DIR",
        help="a bundled model, or the folder of a model in Hugging Face layout; repeat it for several",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=OUTPUT,
        metavar="DIR",
        help="folder for the catalogs (default: head_categories/)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random test inputs (default: 0)")
    parser.add_argument(
        "--sequences",
        type=_positive,
        default=50,
        metavar="N",
        help="sequences in each random set of test inputs (default: 50)",
    )
    parser.add_argument(
        "--device",
        type=_device,
        default="cpu",
        help="where the model runs: cpu, cuda, cuda:1, mps (default: cpu)",
    )
    return parser


def _device_problem(device: str) -> str:
    """Why this machine cannot run on `device`, "" where it can."""
    import torch

    kind, _, index = device.partition(":")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        return f"there is no {device} on this machine ({torch.cuda.device_count()} CUDA devices)"
    if kind == "mps" and not torch.backends.mps.is_available():
        return "there is no mps on this machine"
    return ""


class _ProgressLine:
    """One line on stderr that is written over on a terminal; a line a set of inputs in a log."""

    def __init__(self, model_name: str) -> None:
        self._model_name = model_name
        self._open = False

    def __call__(self, what: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{self._model_name}: {what} {done}/{total}")
            self._open = True
        elif done == total:
            sys.stderr.write(f"{self._model_name}: {what} {done}/{total}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """End the line that is being written over."""
        if self._open:
            sys.stderr.write("\n")
            self._open = False


def _find(name_or_dir: str) -> tuple[str, Path]:
    """A model's name and folder: a bundled model first, else a folder.

    Raises:
        UserFacingError: neither.
    """
    from utils.errors import UserFacingError
    from utils.model_loading import BUNDLED, ModelStore

    folder = BUNDLED / name_or_dir
    bundled = ModelStore().names()
    if name_or_dir not in bundled:
        folder = Path(name_or_dir)
        if not folder.is_dir():
            options = f"Bundled are: {', '.join(bundled)}." if bundled else "No model is bundled."
            raise UserFacingError(
                f"'{name_or_dir}' is neither a bundled model nor a folder.",
                f"{options} Or give a model's folder.",
            )
    return folder.resolve().name, folder


def _analyze(name: str, folder: Path, arguments: argparse.Namespace) -> None:
    """Make and write the catalog of one model."""
    from utils.bridge_patterns import BridgePatterns
    from utils.catalog import save_catalog
    from utils.catalog_building import AnalysisOptions, analyze
    from utils.model_loading import load_model

    line = _ProgressLine(name)
    try:
        # A model object of its own, since the bridge changes it.
        loaded = load_model(name, folder)
        source = BridgePatterns(loaded, arguments.device)
        options = AnalysisOptions(arguments.seed, arguments.sequences, arguments.device)
        analysis = analyze(loaded, source.patterns, options, line)
    finally:
        line.close()
    path = save_catalog(analysis.catalog, arguments.output)
    for note in analysis.notes:
        sys.stderr.write(f"{name}: {note}\n")
    listed = ", ".join(
        f"{role} {len(category.top_heads)}" for role, category in analysis.catalog.categories.items()
    )
    sys.stderr.write(f"{name}: heads listed: {listed}\n")
    sys.stdout.write(f"{path}\n")


def _run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    problem = _device_problem(arguments.device)
    if problem:
        parser.error(f"argument --device: {problem}")
    from utils.errors import UserFacingError

    _quiet()
    try:
        # Before the work, not after it.
        arguments.output.mkdir(parents=True, exist_ok=True)
        if not os.access(arguments.output, os.W_OK):
            raise PermissionError(None, "not allowed to write there")
    except OSError as error:
        return _fail(f"The catalogs cannot go to {arguments.output}: {error.strerror}.")
    import torch

    code = 0
    written: dict[str, str] = {}
    for name_or_dir in arguments.model:
        try:
            name, folder = _find(name_or_dir)
            if name in written:
                raise UserFacingError(
                    f"{written[name]} and {name_or_dir} are both named '{name}', and so is the catalog.",
                    "Rename one of the folders.",
                )
            written[name] = name_or_dir
            _analyze(name, folder, arguments)
        except UserFacingError as error:
            # One bad model does not keep the others from their catalogs.
            code = _fail(str(error))
        except torch.OutOfMemoryError:
            code = _fail(
                f"{name_or_dir} does not fit into the memory of {arguments.device}. Use --device cpu."
            )
        except OSError as error:
            code = _fail(f"The catalog of {name_or_dir} was not written: {error.strerror or error}.")
    return code


def _quiet() -> None:
    """Errors are told in one line each; what libraries log beside that is for developers."""
    logging.basicConfig(level=logging.CRITICAL, format="%(message)s")


def _fail(message: str) -> int:
    sys.stderr.write(f"analyze_heads: {message}\n")
    return 1


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, analyze, write; 0 when every catalog was written."""
    parser = build_parser()
    arguments: Any = parser.parse_args(argv)
    try:
        return _run(arguments, parser)
    except KeyboardInterrupt:
        sys.stderr.write("\nanalyze_heads: stopped; the catalog in the making was not written.\n")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
