"""What an operator can choose: one table of settings.

The command line, the environment variables and the README's table all come from the fields of `Settings`.
"""

import argparse
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from utils.catalog.catalog import CATALOG_FOLDER
from utils.models.limits import DEFAULT_MAX_TOKENS, MAX_TOKENS_LIMIT
from utils.runtime.command_line import DTYPES, device

PAGES = ("live", "lessons", "catalog", "formation", "compare", "lab", "glossary", "instructor")
VARIABLE_PREFIX = "HEADSCOPE_"
YES, NO = ("1", "yes", "true", "on"), ("0", "no", "false", "off")


def _port(text: str) -> int:
    number = int(text) if re.fullmatch(r"[0-9]{1,5}", text) else 0
    if not 1 <= number <= 65_535:
        raise argparse.ArgumentTypeError("must be from 1 to 65535")
    return number


def _prefix(text: str) -> str:
    path = text.rstrip("/")
    if path and not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", path):
        raise argparse.ArgumentTypeError(f"must be a path, such as /headscope. Got '{text[:80]}'")
    return path


def _max_tokens(text: str) -> int:
    number = int(text) if re.fullmatch(r"[0-9]{1,5}", text) else 0
    if not 3 <= number <= MAX_TOKENS_LIMIT:
        raise argparse.ArgumentTypeError(f"must be from 3 to {MAX_TOKENS_LIMIT}")
    return number


def _gigabytes(text: str) -> int:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < 1e6:
        raise argparse.ArgumentTypeError("must be a number of GB from 0")
    return round(number * 1e9)


def _page(text: str) -> str:
    # The name that the glossary had before.
    name = "glossary" if text == "words" else text
    if name not in PAGES:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(PAGES)}. Got '{text[:40]}'")
    return name


def _dtype(text: str) -> str:
    if text not in DTYPES:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(DTYPES)}. Got '{text[:40]}'")
    return text


def _site(text: str) -> str:
    if not re.fullmatch(r"https?://[A-Za-z0-9.*-]+(:[0-9]{1,5})?", text):
        raise argparse.ArgumentTypeError(f"must be a site, such as https://moodle.example. Got '{text[:80]}'")
    return text


def _redis(text: str) -> str:
    # Not the text itself in the message: it may hold a password.
    if not re.fullmatch(r"(rediss?://[^\s/]+|unix://\S+)(/\S*)?", text):
        raise argparse.ArgumentTypeError("must be a Redis, such as redis://127.0.0.1:6379")
    return text


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", text):
        raise argparse.ArgumentTypeError(f"must be a host's name without a port. Got '{text[:80]}'")
    return text.lower()


def _row(default: Any, help_text: str, parse: Callable[[str], Any] = str, **more: Any) -> Any:
    """A setting: its default, what it is, how its text is read.

    `more` is what is not as usual: `flag`, `metavar`, `several` values, `each` with an option of its own.
    """
    return field(default=default, metadata={"help": help_text, "parse": parse, **more})


@dataclass(frozen=True)
class Settings:
    """What an operator can choose; each field is a setting, told in its row."""

    host: str = _row("127.0.0.1", "address to serve on; 0.0.0.0 for everyone on the network")
    port: int = _row(8050, "port to serve on", _port)
    prefix: str = _row(
        "",
        "path below which a reverse proxy has the app, such as /headscope; it may hand the path on or take "
        "it off (default: none)",
        _prefix,
        metavar="PATH",
    )
    model_dirs: tuple[Path, ...] = _row(
        (),
        "a model's folder in Hugging Face layout, or a folder of such folders (repeatable)",
        Path,
        flag="--model-dir",
        metavar="DIR",
        each=True,
    )
    models: tuple[str, ...] | None = _row(
        None,
        "the models that may be used (default: all in the folders); a name that no folder has is a model of "
        "the Hugging Face hub, fetched when it is first chosen: gpt2, EleutherAI/pythia-70m",
        metavar="NAME",
        several=True,
    )
    device: str = _row("cpu", "where the models run: cpu, cuda, cuda:1 (and so on) or mps", device)
    dtype: str = _row(
        "float32", f"what the models count in, of {', '.join(DTYPES)}; on the CPU float32", _dtype
    )
    memory: int | None = _row(
        None,
        "memory for the models that are kept loaded, in GB (default: half of what is free)",
        _gigabytes,
        metavar="GB",
    )
    pages: tuple[str, ...] | None = _row(
        None,
        f"the pages that may be opened, of {', '.join(PAGES)} (default: all; glossary is always there)",
        _page,
        metavar="NAME",
        several=True,
    )
    examples: Path | None = _row(  # noqa: RUF009
        None, "a folder of presets (*.yaml) of your own, besides ours", Path, metavar="DIR"
    )
    lessons: Path | None = _row(  # noqa: RUF009
        None, "a folder of lessons (*.yaml) of your own, besides ours", Path, metavar="DIR"
    )
    filings: Path | None = _row(  # noqa: RUF009
        None,
        "a folder of real filings for the retrieval lab: truth.csv and texts.jsonl (default: generated "
        "ones alone)",
        Path,
        metavar="DIR",
    )
    catalogs: Path = _row(  # noqa: RUF009
        CATALOG_FOLDER,
        "folder of head catalogs, where the app also writes them (default: head_categories/)",
        Path,
        metavar="DIR",
    )
    prepare: bool = _row(
        False,
        "compute a preset when it is first opened, not all of them in the background from the start",
        flag="--no-prepare",
    )
    max_tokens: int = _row(
        DEFAULT_MAX_TOKENS, f"most tokens a prompt may have, {MAX_TOKENS_LIMIT} at most", _max_tokens
    )
    allowed_hosts: tuple[str, ...] = _row(
        (),
        "names by which browsers may reach the server, besides localhost, --host and addresses in numbers",
        _host,
        metavar="NAME",
        several=True,
    )
    embed_in: tuple[str, ...] = _row(
        (),
        "sites that may show the pages in a frame, such as https://moodle.example (default: none)",
        _site,
        metavar="SITE",
        several=True,
    )
    cache: str | None = _row(
        None,
        "a Redis in which several servers share results, such as redis://127.0.0.1:6379 (default: none)",
        _redis,
        metavar="URL",
    )
    cache_secret: Path | None = _row(  # noqa: RUF009
        None,
        "with --cache: a file of at least 32 characters that all these servers have and nobody else; shared "
        "results are signed with it",
        Path,
        metavar="FILE",
    )
    metrics: bool = _row(
        False, "answer at /metrics with numbers for Prometheus: requests, latencies, jobs, models, memory"
    )


def flag(setting: Field[Any]) -> str:
    """A setting's option: "--max-tokens"."""
    return setting.metadata.get("flag") or f"--{setting.name.replace('_', '-')}"


def variable(setting: Field[Any]) -> str:
    """A setting's environment variable: "HEADSCOPE_MAX_TOKENS"."""
    return f"{VARIABLE_PREFIX}{setting.name.upper()}"


def _help(setting: Field[Any]) -> str:
    text = setting.metadata["help"]
    if setting.default in (None, (), MISSING) or "(default" in text or isinstance(setting.default, bool):
        return text
    return f"{text} (default: {setting.default})"


def rows() -> list[tuple[str, str, str]]:
    """Option, environment variable and meaning of every setting, as the README's table has them."""
    return [(flag(setting), variable(setting), _help(setting)) for setting in fields(Settings)]


def build_parser(description: str | None = None) -> argparse.ArgumentParser:
    """The command line; a setting that is not given is left out of what it parses."""
    parser = argparse.ArgumentParser(
        description=description,
        argument_default=argparse.SUPPRESS,
        epilog=f"Each option may also be an environment variable: {VARIABLE_PREFIX}PORT=8060, several values "
        "parted by commas; an option goes before its variable.",
    )
    for setting in fields(Settings):
        more: dict[str, Any] = {"dest": setting.name, "help": _help(setting).replace("%", "%%")}
        if isinstance(setting.default, bool):
            more["action"] = "store_false" if flag(setting).startswith("--no-") else "store_true"
        else:
            more["type"] = setting.metadata["parse"]
            more["metavar"] = setting.metadata.get("metavar", setting.name.upper())
            if setting.metadata.get("each"):
                more["action"] = "append"
            elif setting.metadata.get("several"):
                more["nargs"] = "+"
        parser.add_argument(flag(setting), **more)
    return parser


def parse_settings(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """The settings of a command line and its environment; presets are prepared where nothing else is said.

    Args:
        parser: of `build_parser`; ends with status 2 on bad usage.
        argv: the arguments; None for the process's.
        environment: its variables.
    """
    values: dict[str, Any] = {"prepare": True}
    for setting in fields(Settings):
        text = environment.get(variable(setting), "")
        if text:
            try:
                values[setting.name] = _parse_variable(setting, text)
            except (argparse.ArgumentTypeError, ValueError) as error:
                parser.error(f"{variable(setting)}: {error}")
    values |= vars(parser.parse_args(argv))
    tidy: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return Settings(**tidy)


def _parse_variable(setting: Field[Any], text: str) -> Any:
    if isinstance(setting.default, bool):
        if text.lower() not in (*YES, *NO):
            raise argparse.ArgumentTypeError("must be yes or no")
        return text.lower() in YES
    parse = setting.metadata["parse"]
    if setting.metadata.get("each") or setting.metadata.get("several"):
        return [parse(part.strip()) for part in text.split(",") if part.strip()]
    return parse(text)
