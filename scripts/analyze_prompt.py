"""Analyze one prompt on one model as the live page does, and print the JSON of the page's export.

python scripts/analyze_prompt.py --model demo-gpt2 --prompt "The cat sat. The cat"
python scripts/analyze_prompt.py --model demo-gpt2 --prompt "The cat sat. The cat" --ablate L1H14 --mode mean
python scripts/analyze_prompt.py --model demo-gpt2 --prompt "A cat sat" --ablate L1H14 --second "A dog sat"
python scripts/analyze_prompt.py --model gpt2 --prompt "John met Mary. John gave a drink to" --target " Mary"
python scripts/analyze_prompt.py --model path/to/a/model/folder --prompt "One day" --output one-day.json

Under "direct_effect" is what each head adds to the logit difference by itself, under "promotes" which tokens
the strongest of them promote. With --second the heads get their values on a second prompt of as many tokens.

The JSON goes to stdout, or to --output; progress, notes and errors (a line each) go to stderr. Exit status: 0
when all was done, 1 when something could not be, 2 for a wrong option, 130 when stopped with Ctrl+C.
"""

import argparse
import contextlib
import errno
import io
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if TYPE_CHECKING:
    from utils.live.service import LiveService
    from utils.models.loading import LoadedModel
    from utils.runtime.json_output import Json

from scripts.analyzer_options import MODEL_HELP, OUTPUT, add_device_options, check_device_options
from utils.errors import UserFacingError
from utils.heads import Head, parse_head
from utils.runtime.command_line import INTERRUPTED, explained_memory, positive, whole

# The other modules of the project are imported where they are used: they bring torch along, and a wrong
# option or --help should not wait for it. So the ways to ablate are named here once more.
MODES = ("zero", "mean")
FITS = ("as_is", "pad", "align")


def _heads(text: str) -> frozenset[Head]:
    try:
        return frozenset(parse_head(name) for name in text.split(","))
    except UserFacingError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--model", required=True, metavar="NAME_OR_DIR", help=MODEL_HELP)
    parser.add_argument("--prompt", required=True, metavar="TEXT", help="what the model reads")
    parser.add_argument(
        "--ablate",
        type=_heads,
        default=frozenset(),
        metavar="HEADS",
        help="heads to ablate, with commas between them: L5H5,L6H9 (layer and head from 0)",
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="zero",
        help="what is put in place of their outputs: zero, or their mean over test sentences (default: zero)",
    )
    parser.add_argument(
        "--second",
        metavar="TEXT",
        help="second prompt: the heads get their values there instead (interchange, in place of --mode)",
    )
    parser.add_argument(
        "--fit",
        choices=FITS,
        default="as_is",
        help="how a second prompt of another length is made to fit (default: as_is, it has to fit)",
    )
    parser.add_argument(
        "--target",
        metavar="TEXT",
        help="the next token to watch, a text's first token if it has several (default: the most likely)",
    )
    parser.add_argument(
        "--against",
        metavar="TEXT",
        help="the other token of the logit difference (default: the most likely besides the target)",
    )
    parser.add_argument(
        "--position",
        type=whole,
        metavar="N",
        help="number of the token, from 0, after which the next one is predicted (default: the last)",
    )
    parser.add_argument(
        "--max-tokens",
        type=positive,
        metavar="N",
        help="most tokens the prompt may have, 256 at most, the start token included (default: 128)",
    )
    parser.add_argument(
        "--catalogs",
        type=Path,
        default=OUTPUT,
        metavar="DIR",
        help="folder of head catalogs (default: head_categories/)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write the JSON to this file and nothing to stdout"
    )
    add_device_options(parser)
    return parser


def _check_arguments(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End with usage and status 2 where an option asks for what cannot be."""
    check_device_options(arguments, parser)
    if arguments.second is not None and not arguments.ablate:
        parser.error("argument --second: needs the heads that get its values, with --ablate")
    if arguments.max_tokens is not None:
        from utils.models.limits import MAX_TOKENS_LIMIT

        if not 3 <= arguments.max_tokens <= MAX_TOKENS_LIMIT:
            parser.error(f"argument --max-tokens: must be from 3 to {MAX_TOKENS_LIMIT}")


def _service(arguments: argparse.Namespace) -> tuple["LiveService", "LoadedModel"]:
    """The live entry point on the one model, and the model, loaded."""
    from utils.live.service import LiveService
    from utils.models.limits import DEFAULT_MAX_TOKENS
    from utils.models.sources import find_model
    from utils.models.store import ModelStore
    from utils.runtime.progress_lines import TextLines

    source = find_model(arguments.model)
    store = ModelStore.of(source, device=arguments.device, dtype=arguments.dtype)
    service = LiveService(store, arguments.catalogs, arguments.max_tokens or DEFAULT_MAX_TOKENS)
    # Before a model is loaded, or even fetched, for a text that is far too long.
    service.check_characters(arguments.prompt)
    # In a log the loading of a model on this machine is not worth a line: there an error is the one line.
    if source.folder is not None and not sys.stderr.isatty():
        return service, store.get(source.name)
    lines = TextLines(source.name)
    try:
        return service, store.get(source.name, lines)
    finally:
        lines.close()


def _token(service: "LiveService", loaded: "LoadedModel", option: str, text: str | None) -> int | None:
    """The token that an option names, None where it was not given."""
    if text is None:
        return None
    token = service.token(loaded, text)
    if token is None:
        raise UserFacingError(f"{option} '{text[:40]}' is no token.", "Give a word, such as ' Mary'.")
    return token


def _analyze(arguments: argparse.Namespace) -> dict[str, "Json"]:
    """The export of what the command line asks for.

    Raises:
        UserFacingError: the model or the prompt cannot be used, or one of them lacks what an option names.
    """
    from utils.export.analysis_json import Chosen, export_analysis
    from utils.forward.ablation import check_heads

    service, loaded = _service(arguments)
    check_heads(sorted(arguments.ablate), loaded.geometry, loaded.name)
    target = _token(service, loaded, "--target", arguments.target)
    against = _token(service, loaded, "--against", arguments.against)
    last = len(service.tokenize(loaded.name, arguments.prompt).ids) - 1
    if arguments.position is not None and arguments.position > last:
        raise UserFacingError(
            f"The prompt has no token {arguments.position}.", f"Its tokens are numbered from 0 to {last}."
        )
    analysis = service.analyze(loaded.name, arguments.prompt)
    if analysis.catalog_problem:
        sys.stderr.write(f"analyze_prompt: no head is listed. {analysis.catalog_problem}\n")
    mode, second = arguments.mode, arguments.second or ""
    if second:
        mode = service.writing.interchange(loaded.name, arguments.prompt, second, arguments.fit)
    chosen = Chosen(arguments.ablate, mode, arguments.position, second=second)
    data = export_analysis(service, analysis, chosen, target, against)
    settings = data["settings"]
    assert isinstance(settings, dict) and isinstance(settings["against"], dict)
    # The page then takes the most likely other token; here somebody named it.
    if against is not None and settings["against"]["id"] != against:
        raise UserFacingError(
            f"--against '{arguments.against[:40]}' is the watched token itself.",
            "Name another one, or another --target.",
        )
    return data


def _write(text: str, output: Path | None, stdout: TextIO) -> None:
    """Write the JSON where it is to go.

    Raises:
        UserFacingError: it cannot be written there.
    """
    from utils.runtime.files import defer_signals, write_text_atomic

    try:
        if output is None:
            # JSON is UTF-8, whatever the terminal's own encoding.
            if isinstance(stdout, io.TextIOWrapper):
                stdout.reconfigure(encoding="utf-8")
            stdout.write(text)
            stdout.flush()
        elif output.exists() and not output.is_file():
            # A pipe or a device keeps its place.
            with output.open("w", encoding="utf-8") as file:
                file.write(text)
        else:
            with defer_signals():
                write_text_atomic(output, text)
    except OSError as error:
        if output is None:
            # Python would flush it once more at the end, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        raise _not_written(output, error) from error


def _check_output(output: Path | None) -> None:
    """Find out whether the file can be written, before the work.

    Raises:
        UserFacingError: it cannot.
    """
    from utils.runtime.files import check_writable

    if output is None:
        return
    try:
        if output.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if output.is_file() or not output.exists():
            check_writable(output.parent)
    except OSError as error:
        raise _not_written(output, error) from error


def _not_written(output: Path | None, error: OSError) -> UserFacingError:
    where, reason = output or "stdout", error.strerror or str(error)
    return UserFacingError(f"The analysis cannot go to {where}: {reason}.", "Choose a file with --output.")


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, analyze and print.

    Returns:
        0 when the JSON was written, 1 where it could not be made, 130 after Ctrl+C. Bad usage exits with 2.
    """
    parser = build_parser()
    arguments = parser.parse_args(argv)
    _check_arguments(arguments, parser)
    # Errors are one line each; what libraries log beside that is for developers.
    logging.basicConfig(level=logging.CRITICAL, format="%(message)s")
    stdout = sys.stdout
    try:
        # Nothing that some library prints comes between the JSON.
        with contextlib.redirect_stdout(sys.stderr), explained_memory(arguments.model):
            _check_output(arguments.output)
            data = _analyze(arguments)
            from utils.export.analysis_json import export_text

            _write(export_text(data) + "\n", arguments.output, stdout)
    except UserFacingError as error:
        sys.stderr.write(f"analyze_prompt: {' '.join(str(error).split())}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("analyze_prompt: stopped.\n")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
