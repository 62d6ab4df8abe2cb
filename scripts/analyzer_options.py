"""The options of `analyze_heads.py`; `analyze_prompt.py` has those of the model and its device too.

Nothing here needs torch, but for a device other than the CPU.
"""

import argparse
import re
from pathlib import Path

from utils.runtime.command_line import DTYPES, device, positive

MODEL_HELP = (
    "a bundled model, the folder of a model in Hugging Face layout, or a model's name on the hub "
    "(gpt2, EleutherAI/pythia-70m)"
)
OUTPUT = Path(__file__).resolve().parents[1] / "head_categories"


def _name(text: str) -> str:
    # It names a file; "/" becomes "--" there. The name of a model's folder may have any other character.
    if not re.fullmatch(r"[^\x00-\x1f\\]{1,150}", text) or not text.strip(" ./"):
        raise argparse.ArgumentTypeError(f"is no name for a catalog: '{text[:150]}'.")
    return text


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Add where the model runs, and in which numbers."""
    parser.add_argument(
        "--device",
        type=device,
        default="cpu",
        help="where the model runs: cpu, cuda, cuda:1, mps (default: cpu)",
    )
    parser.add_argument(
        "--dtype", choices=DTYPES, default="float32", help="numbers that the model computes in, on a GPU"
    )


def check_device_options(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End with usage and status 2 where the machine lacks the device, or it cannot do the numbers."""
    if (arguments.device, arguments.dtype) == ("cpu", "float32"):
        return
    # That much needs torch to be known.
    from utils.errors import UserFacingError
    from utils.models.devices import check_device

    try:
        check_device(arguments.device, arguments.dtype)
    except UserFacingError as error:
        parser.error(f"argument --device: {error}")


def build_parser(description: str) -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--model",
        action="append",
        metavar="NAME_OR_DIR",
        help=f"{MODEL_HELP}; repeat it for several",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=OUTPUT,
        metavar="DIR",
        help="folder for the catalogs (default: head_categories/)",
    )
    parser.add_argument(
        "--name", type=_name, help="the model's name in its catalog (default: its folder's); for one --model"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random test inputs (default: 0)")
    parser.add_argument(
        "--sequences",
        type=positive,
        default=50,
        metavar="N",
        help="sequences in each random set of test inputs (default: 50)",
    )
    parser.add_argument(
        "--rankings",
        action="store_true",
        help="also rank the heads by every retrieval method, on generated filings with four questions",
    )
    parser.add_argument(
        "--rankings-from",
        type=Path,
        metavar="DIR",
        help="take the study's finished rankings of generated filings in this folder into the catalog, "
        "which else stays as it is; nothing is computed",
    )
    parser.add_argument(
        "--ranking-samples",
        type=positive,
        default=20,
        metavar="N",
        help="filings for each question in the rankings (default: 20)",
    )
    parser.add_argument(
        "--ranking-length",
        type=positive,
        metavar="N",
        help="tokens of a filing with its question in the rankings (default: 128, or what the model reads)",
    )
    add_device_options(parser)
    parser.add_argument(
        "--progress-json",
        action="store_true",
        help="for one --model: tell the progress on stdout, one JSON object a line: what, done, total; at "
        "the end catalog (its path), or error and remedy",
    )
    other = parser.add_argument_group("instead of writing catalogs").add_mutually_exclusive_group()
    other.add_argument(
        "--compare-detect-head",
        action="store_true",
        help="print for each role the largest difference between our scores and those of TransformerLens's "
        "detect_head (mul, rescaled to our query positions) on repeated sequences that come back from their "
        "text; status 1 where one is above 1e-6",
    )
    other.add_argument(
        "--check",
        nargs="*",
        type=Path,
        metavar="FILE_OR_DIR",
        help="check catalogs (default: head_categories/): a line for each that is right, and one on stderr "
        "for each thing that is wrong, with status 1",
    )
    return parser


def check_arguments(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End with usage and status 2 where options do not go together or the machine lacks the device."""
    models = arguments.model or []
    ranked = arguments.rankings or arguments.rankings_from is not None
    if arguments.check is not None:
        if models or arguments.progress_json or ranked:
            parser.error("argument --check: goes with no model")
        return
    if arguments.compare_detect_head and (arguments.progress_json or arguments.name or ranked):
        parser.error("argument --compare-detect-head: goes with none of --progress-json, --name, --rankings")
    if not models:
        parser.error("the following arguments are required: --model")
    for option, given in (("--name", arguments.name), ("--progress-json", arguments.progress_json)):
        if given and len(models) != 1:
            parser.error(f"argument {option}: goes with one --model")
    check_device_options(arguments, parser)
