"""What the command lines share. Nothing here imports torch: a wrong option should not wait for it."""

import argparse
import contextlib
import re
from collections.abc import Iterator

from utils.errors import UserFacingError

# Exit status after Ctrl+C.
INTERRUPTED = 130
DTYPES = ("float32", "bfloat16", "float16")


def positive(text: str) -> int:
    """A whole number from 1, as argparse takes it."""
    number = int(text) if re.fullmatch(r"[0-9]{1,12}", text) else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1. Got '{text[:40]}'.")
    return number


def whole(text: str) -> int:
    """A whole number from 0, as argparse takes it."""
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0. Got '{text[:40]}'.")
    return int(text)


def amount(text: str) -> float:
    """A number from 0, such as 1 or 0.5."""
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4})?", text):
        raise argparse.ArgumentTypeError(f"must be a number from 0, such as 1 or 0.5. Got '{text[:40]}'.")
    return float(text)


def device(text: str) -> str:
    """The name of a device, which may not be there."""
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?|mps", text):
        raise argparse.ArgumentTypeError(f"must be cpu, cuda, cuda:1 (and so on) or mps. Got '{text[:40]}'.")
    return text


@contextlib.contextmanager
def explained_memory(model: str) -> Iterator[None]:
    """Turn an error about too little memory into one that says what to do.

    Raises:
        UserFacingError: what is done with the model does not fit into the memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch's errors of its own kinds are RuntimeErrors.
        if isinstance(error, RuntimeError) and not re.search("out of memory|allocate memory", str(error)):
            raise
        raise UserFacingError(
            f"{model} does not fit into the memory.", "Close other programs, or use another --device."
        ) from error
