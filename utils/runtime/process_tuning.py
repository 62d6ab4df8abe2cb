"""What a serving process asks of its C libraries, before torch is loaded.

glibc keeps for each thread what that thread freed, and gives little back: a server of many threads then takes
several times what it uses (`benchmarks/memory.py`). The threads of one forward wait for each other by
spinning, for so long that several forwards on few cores are ten times slower than one after the other.
"""

import ctypes
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

# Of mallopt: its parameter, our value, and the environment variable by which an operator sets another one.
_MALLOC = {
    "MALLOC_TRIM_THRESHOLD_": (-1, 131_072),
    "MALLOC_MMAP_THRESHOLD_": (-3, 131_072),
    "MALLOC_ARENA_MAX": (-8, 2),
}
# Of GNU's OpenMP, which torch uses on Linux: rounds of waiting before a thread sleeps.
SPIN_VARIABLE, SPINS = "GOMP_SPINCOUNT", "1000"
# Intel's MKL keeps buffers of some megabytes for each thread that ever asked for a product, and every thread
# of the server comes to do so.
BUFFERS_VARIABLE = "MKL_DISABLE_FAST_MM"


def tune_process(
    environment: MutableMapping[str, str] = os.environ, library: Any = None
) -> dict[str, int | str]:
    """Ask for all of it; what the operator's environment says goes before.

    Args:
        environment: the process's.
        library: the C library; None for the process's.

    Returns:
        What was set, by the name of its environment variable; nothing of malloc where it is not glibc's.
    """
    done: dict[str, int | str] = {}
    if not {SPIN_VARIABLE, "OMP_WAIT_POLICY"} & environment.keys():
        done[SPIN_VARIABLE] = environment[SPIN_VARIABLE] = SPINS
    if BUFFERS_VARIABLE not in environment:
        done[BUFFERS_VARIABLE] = environment[BUFFERS_VARIABLE] = "1"
    return done | _tune_malloc(environment, library)


def _tune_malloc(environment: Mapping[str, str], library: Any) -> dict[str, int]:
    if library is None and sys.platform == "linux":
        library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return {}
    return {
        name: value
        for name, (parameter, value) in _MALLOC.items()
        if name not in environment and library.mallopt(parameter, value)
    }
