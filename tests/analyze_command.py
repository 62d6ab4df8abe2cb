"""`scripts/analyze_heads.py` as a process of its own, for what only a process can show."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# So few sequences that an analysis takes a second.
QUICK = ["--sequences", "3"]


def start_analysis(argv: list[str], **options: Any) -> subprocess.Popen[str]:
    """A process that analyzes.

    Args:
        argv: the command line's words.
        options: more of `subprocess.Popen`'s.
    """
    return subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "analyze_heads.py"), *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **options,
    )
