"""How much memory a model takes, and how much is free: asked before a model is loaded, not after.

A model that does not fit would not fail with an error: the machine would swap, or end the process for the
whole class.
"""

from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import AutoConfig

from utils.errors import UserFacingError
from utils.models.devices import DTYPES
from utils.models.families import geometry_problem, head_geometry
from utils.models.limits import MAX_TOKENS_LIMIT

# What a forward over the longest prompt of the page takes besides the weights: every layer's attention
# pattern and the logits, once as the model makes them and once in float32 for the page. The lab's longer
# texts are the study's own business.
WORK_TOKENS = MAX_TOKENS_LIMIT
# torch's own scratch memory, measured at some 30 MB on a CPU; GPU libraries take more.
WORK_SCRATCH = 64 * 2**20

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def size_text(size: float) -> str:
    """A number of bytes for people: "1.4 GB", "120 MB"."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def read_model_config(name: str, folder: Path) -> Any:
    """The transformers config of a model whose family has a row.

    Raises:
        UserFacingError: a value in it is of the wrong kind.
    """
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise misfit(name) from error


def misfit(name: str, why: str = "") -> UserFacingError:
    """What is said where a config.json and the weights contradict each other."""
    return UserFacingError(
        f"The weights of the model '{name}' do not fit its config.json{f' ({why})' if why else ''}.",
        "Copy the folder again, or save the model again with save_pretrained().",
    )


def memory_need(config: Any, parameters: int, dtype: str, largest: int = 0) -> int:
    """Bytes that a model takes while it is loaded and used.

    Loading does not double it: tensors are read and converted one by one, so that the peak is the weights and
    one tensor more. Measured on 355 million parameters with a forward over 256 tokens: 1.81 GB used from a
    float32 file and 1.94 GB from a bfloat16 file, 2.00 GB estimated.

    Args:
        config: of transformers.
        parameters: how many numbers the weights have.
        dtype: a key of devices.DTYPES.
        largest: numbers in the largest tensor.
    """
    geometry = head_geometry(config)
    patterns = geometry.n_layers * geometry.n_heads * WORK_TOKENS**2
    logits = WORK_TOKENS * config.vocab_size
    return (parameters + largest) * DTYPES[dtype].itemsize + 2 * 4 * (patterns + logits) + WORK_SCRATCH


def need_of_folder(name: str, folder: Path, parameters: int, dtype: str, largest: int = 0) -> int:
    """`memory_need` by the config.json of a folder.

    Raises:
        UserFacingError: the config cannot be understood, or has more tokens or heads than weights.
    """
    config = read_model_config(name, folder)
    if wrong := geometry_problem(config):
        raise misfit(name, wrong)
    try:
        # Before the geometry, which has an entry for each layer that the config claims.
        if max(config.vocab_size, config.num_hidden_layers * config.num_attention_heads) <= parameters:
            return memory_need(config, parameters, dtype, largest)
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise misfit(name) from error
    raise misfit(name)


def free_memory(device: str) -> int:
    """Bytes that a model may still take on a device.

    On the CPU: what the system can give without swapping, or what is left of this process's limit (a
    container's) where that is less. On a GPU: what the driver says, and what torch holds without using it.
    """
    kind, _, _ = device.partition(":")
    if kind == "cuda":
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + idle
    left = cgroup_left()
    available = psutil.virtual_memory().available
    return available if left is None else min(available, left)


def cgroup_left(root: Path = _CGROUPS, own: Path = _OWN_CGROUP) -> int | None:
    """Bytes left of the lowest memory limit that this process's control groups set, None without a limit.

    File pages that are kept only because nobody needs the memory do not count as used.

    Args:
        root: where the control groups are mounted.
        own: the file that says which ones this process is in, a line "number:controllers:path" each.
    """
    left: list[int] = []
    for controllers, path in _own_groups(own):
        if controllers == "":
            base, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base = root / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # A limit further up holds too. Inside a container the own group is often mounted as the root.
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts) + 1):
            left += _left_in(base.joinpath(*parts[:depth]), *names)
    return min(left, default=None)


def _own_groups(own: Path) -> list[tuple[str, str]]:
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    fields = [line.split(":", 2) for line in lines]
    return [(field[1], field[2]) for field in fields if len(field) == 3]


def _left_in(group: Path, limit_file: str, usage_file: str, cache_key: str) -> list[int]:
    """What is left of one group's limit: one number, or none where it has no limit ("max") or no files."""
    try:
        limit = int((group / limit_file).read_text(encoding="ascii"))
        used = int((group / usage_file).read_text(encoding="ascii"))
        stat = (group / "memory.stat").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []
    counts = dict(zip(stat[::2], stat[1::2], strict=False))
    cache = counts.get(cache_key, "0")
    return [max(0, limit - used + (int(cache) if cache.isdecimal() else 0))]


def check_memory(name: str, need: int, device: str, evictable: int = 0) -> None:
    """Refuse a model that does not fit.

    Args:
        name: of the model.
        need: bytes that it takes.
        device: where it is to run.
        evictable: bytes that will be freed for it.

    Raises:
        UserFacingError: it needs more than is free; both numbers are named.
    """
    free = free_memory(device) + evictable
    if need > free:
        memory = "memory" if device == "cpu" else f"memory on {device}"
        raise UserFacingError(
            f"The model '{name}' needs about {size_text(need)} of {memory}, and {size_text(free)} are free.",
            "Choose a smaller model, or let the operator free memory or use a larger machine.",
        )
