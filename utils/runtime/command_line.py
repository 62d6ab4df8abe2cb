"""What the command lines share. Nothing here imports torch: a wrong option should not wait for it."""

import argparse
import re

# Exit status after Ctrl+C.
INTERRUPTED = 130
DTYPES = ("float32", "bfloat16", "float16")


def positive(text: str) -> int:
    """A whole number from 1, as argparse takes it."""
    number = int(text) if re.fullmatch(r"[0-9]{1,12}", text) else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1. Got '{text[:40]}'.")
    return number


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
