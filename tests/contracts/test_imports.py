"""Imports go one way: the contracts of import-linter in pyproject.toml hold, a wrong import breaks one."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("callbacks", "components", "training", "study", "retrieval", "utils")
LINT = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_contracts_hold() -> None:
    message = lint(ROOT)
    assert message.returncode == 0, message.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("utils/roles/scores.py", "from utils.live.service import LiveService", "The rooms of utils"),
        ("retrieval/lab/rows.py", "from components import ids", "The folders import one way"),
        ("utils/wording.py", "import dash", "Only components and callbacks know Dash"),
    ],
)
def test_a_wrong_import_breaks_them(tmp_path: Path, module: str, line: str, broken: str) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("results", "*.pyc"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / module
    path.write_text(path.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    message = lint(tmp_path)
    assert message.returncode == 1 and any(
        broken in text and "BROKEN" in text for text in message.stdout.splitlines()
    )
