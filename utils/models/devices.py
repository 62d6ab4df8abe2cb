"""Where a model runs and in which numbers: what an operator may ask for, and what this machine has."""

import re
from collections.abc import Mapping
from types import MappingProxyType

import torch

from utils.errors import UserFacingError

DEVICE_FORM = re.compile(r"cpu|cuda(:\d{1,3})?|mps")
DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
)


def check_device(device: str, dtype: str = "float32") -> None:
    """Refuse a device that this machine does not have, and numbers that do not go with it.

    Args:
        device: "cpu", "cuda", "cuda:1" and so on, or "mps".
        dtype: a key of DTYPES.

    Raises:
        UserFacingError: one of them cannot be had here.
    """
    if not DEVICE_FORM.fullmatch(device):
        raise UserFacingError(
            f"There is no device named '{device[:40]}'.", "Use cpu, cuda, cuda:1 (and so on) or mps."
        )
    if dtype not in DTYPES:
        raise UserFacingError(f"Models cannot run in '{dtype[:40]}'.", f"Use one of: {', '.join(DTYPES)}.")
    kind, _, index = device.partition(":")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        have = f"it has {count} CUDA device{'' if count == 1 else 's'}" if count else "it has no CUDA device"
        options = f"Use cpu{' or ' if count else ''}{', '.join(f'cuda:{i}' for i in range(count))}."
        raise UserFacingError(f"There is no {device} on this machine ({have}).", options)
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UserFacingError("There is no mps on this machine.", "Use cpu.")
    if kind == "cpu" and dtype != "float32":
        raise UserFacingError(
            f"On the CPU models run in float32, not in {dtype}.",
            f"Use --dtype float32, or --device cuda for {dtype}.",
        )
