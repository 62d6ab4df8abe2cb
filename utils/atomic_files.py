"""Files that are written whole or not at all."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` to `path` (UTF-8) through a temporary file in the same folder.

    A reader sees the old file or the new one, never half of one; after an error the old one stands.

    Raises:
        OSError: the folder is missing or read-only, or the disk is full.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file readable by its owner alone; a catalog is for everyone.
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json_atomic(path: Path, data: Any, indent: int | None = 1) -> None:
    """Write `data` as JSON (no NaN or infinity) by `write_text_atomic`."""
    write_text_atomic(path, json.dumps(data, indent=indent, allow_nan=False, ensure_ascii=False) + "\n")
