"""Which HeadScope and which libraries made a result. HeadScope's version stands in pyproject.toml alone."""

import platform
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
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
