"""Finds a Chromium for the browser tests, or installs one where that needs no password.

Run by ``make test`` before the tests, which use ``find_chromium`` themselves. Looked for, in this order:
the path in ``HEADSCOPE_CHROMIUM``, the names in ``NAMES`` on the search path, the places in ``PLACES``,
Playwright's own copy. Without one the browser tests are skipped, and with ``HEADSCOPE_REQUIRE_BROWSER=1``
they fail.
"""

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import sync_playwright

logger = logging.getLogger(__name__)

CHROMIUM_VARIABLE = "HEADSCOPE_CHROMIUM"
REQUIRE_VARIABLE = "HEADSCOPE_REQUIRE_BROWSER"

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")

PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)

# A bare Debian has no font, and Chromium stops at the first letter without one; libatomic1 is for Playwright.
DEBIAN_PACKAGES = ("chromium", "fonts-dejavu-core", "libatomic1")

INSTALL_SECONDS = 900

REMEDY = (
    f"install it (Debian: sudo apt-get install {' '.join(DEBIAN_PACKAGES)};"
    " elsewhere: .venv/bin/python -m playwright install --with-deps chromium)"
    f" or name a Chromium in {CHROMIUM_VARIABLE}."
)


def browser_is_required() -> bool:
    """Whether a missing browser is a failure rather than a skip."""
    return os.environ.get(REQUIRE_VARIABLE, "") not in ("", "0")


def find_chromium() -> str | None:
    """The path of a Chromium (or Chrome, or Edge) on this machine, or None."""
    named = os.environ.get(CHROMIUM_VARIABLE)
    if named:
        return shutil.which(named)
    for candidate in (*NAMES, *PLACES):
        path = shutil.which(candidate)
        if path:
            return path
    return _find_playwright_chromium()


def driver_runs() -> bool:
    """Whether Playwright's own program starts; on a bare Debian it misses a library."""
    return _succeeds([sys.executable, "-m", "playwright", "--version"], quiet=True)


def what_is_missing() -> str | None:
    """What keeps the browser tests from running, in one sentence with its remedy, or None."""
    if not driver_runs():
        return f"Playwright does not start here: {REMEDY}"
    if find_chromium() is None:
        return f"There is no Chromium here: {REMEDY}"
    return None


def install_chromium() -> None:
    """Try the ways of installing one that ask for no password; says on the log what went wrong."""
    # On Ubuntu the package is a snap, which a container cannot run: Playwright's copy serves everywhere else.
    if _is_debian() and install_packages(DEBIAN_PACKAGES):
        return
    with_libraries = ["--with-deps"] if _root_prefix() is not None and shutil.which("apt-get") else []
    _succeeds([sys.executable, "-m", "playwright", "install", *with_libraries, "chromium"])


def install_packages(packages: Sequence[str]) -> bool:
    """Whether these packages of Debian or Ubuntu are there now; False also where it would need a password."""
    root = _root_prefix()
    if not shutil.which("apt-get") or root is None:
        return False
    quiet = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    return _succeeds([*quiet, "update"]) and _succeeds(
        [*quiet, "install", "-y", "--no-install-recommends", *packages]
    )


def main() -> int:
    """Find or install a browser; 1 where there is none although one is required."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    missing = what_is_missing()
    if missing and not os.environ.get(CHROMIUM_VARIABLE):
        logger.info("Installing a Chromium for the browser tests.")
        install_chromium()
        missing = what_is_missing()
    if missing is None:
        logger.info("Browser tests use %s", find_chromium())
        return 0
    logger.warning("The tests in tests/browser will not run. %s", missing)
    return 1 if browser_is_required() else 0


def _find_playwright_chromium() -> str | None:
    if not driver_runs():
        return None
    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return str(path) if path.is_file() else None


def _is_debian() -> bool:
    release = Path("/etc/os-release")
    return release.is_file() and "ID=debian" in release.read_text(encoding="utf-8").splitlines()


def _root_prefix() -> list[str] | None:
    """What to put before a command to run it as root: nothing, sudo, or None where it cannot be."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return []
    if shutil.which("sudo") and _succeeds(["sudo", "-n", "true"], quiet=True):
        return ["sudo", "-n"]
    return None


def _succeeds(command: list[str], quiet: bool = False) -> bool:
    try:
        done = subprocess.run(command, check=False, timeout=INSTALL_SECONDS, capture_output=quiet)
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("%s: %s", command[0], error)
        return False
    if done.returncode and not quiet:
        logger.warning("'%s' ended with status %d.", " ".join(command), done.returncode)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
