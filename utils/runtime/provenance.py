"""The day that stands in files which can be made again."""

import os
import platform
import tomllib
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from utils.errors import UserFacingError


def today() -> str:
    """The date (UTC), or that of SOURCE_DATE_EPOCH, by which files are made that can be made again.

    The day and no time: made twice on a day from the same model, two files are the same to the last byte.

    Raises:
        UserFacingError: SOURCE_DATE_EPOCH is set, and to no time.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return datetime.now(UTC).date().isoformat()
    try:
        return datetime.fromtimestamp(int(epoch), UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        raise UserFacingError(
            f"SOURCE_DATE_EPOCH is no time: '{epoch[:40]}'.", "Set it to seconds since 1970, or unset it."
        ) from None


_PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
# The packages that the numbers of the live page depend on.
PACKAGES = ("torch", "transformers", "tokenizers", "pyvene")


@cache
def app_version() -> str:
    """HeadScope's version."""
    return str(tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["version"])


def library_versions() -> dict[str, str]:
    """Python's version and those of `PACKAGES`."""
    return {"python": platform.python_version(), **{package: _version(package) for package in PACKAGES}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
