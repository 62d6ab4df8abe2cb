"""transformers, PyVene and Dash without what they import for training, plots, notebooks and many machines.

Those parts are most of what importing them costs (torch's compiler, its distributed tensors, accelerate,
scipy, Matplotlib, IPython), and the app runs none of them: one process, one device, eager attention.
`python app.py` imports all three so, before anything else does; scripts and tests import everything as usual.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

# What transformers asks before it imports these; each answers False where they are not installed.
_OPTIONAL = ("is_accelerate_available", "is_scipy_available", "is_torch_distributed_available")
# Decorators that tell torch's compiler what to leave alone. Asking for one loads the compiler.
_DECORATORS = ("allow_in_graph", "assume_constant_result", "disable")
# Where transformers takes from the compiler what few masks need.
_MODE = "torch._dynamo._trace_wrapped_higher_order_op"
# What Dash imports to run in a notebook, and can do without.
_NOTEBOOK = "IPython"
# What PyVene imports for its drawings.
_DRAWING = ("networkx", "matplotlib", "matplotlib.pyplot")


@contextmanager
def lean_imports() -> Iterator[None]:
    """What imports transformers, PyVene and Dash in this block imports them so; for one thread."""
    import torch
    import transformers.utils

    with ExitStack() as replaced:
        for name in _DRAWING:
            replaced.enter_context(_standing_in(name, _ImportedWhenUsed(name)))
        replaced.enter_context(_standing_in(_NOTEBOOK, None))
        for name in _OPTIONAL:
            for module in (transformers.utils, transformers.utils.import_utils):
                replaced.enter_context(_replaced(module, name, lambda *args, **options: False))
        if "torch._dynamo" not in sys.modules:
            for name in _DECORATORS:
                replaced.enter_context(_replaced(torch.compiler, name, _undecorated))
            replaced.enter_context(_replaced(torch, "_dynamo", _NoCompiler()))
            mode = ModuleType(_MODE)
            vars(mode)["TransformGetItemToIndex"] = _transform_getitem
            replaced.enter_context(_standing_in(_MODE, mode))
        yield


class _NoCompiler:
    """Every decorator of the compiler, each of which changes nothing."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return _undecorated


def _undecorated(function: Callable[..., Any] | None = None, *args: Any, **options: Any) -> Any:
    return function if function is not None else _undecorated


def _transform_getitem() -> Any:
    return importlib.import_module(_MODE).TransformGetItemToIndex()


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Another value under a module's name while the block runs."""
    there = name in vars(owner)
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if there:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


@contextmanager
def _standing_in(name: str, module: ModuleType | None) -> Iterator[None]:
    """A module (None: it is missing) in another one's place in the block, unless that is there already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = module  # pyright: ignore[reportArgumentType]  (None is how Python itself marks it)
    try:
        yield
    finally:
        del sys.modules[name]


class _ImportedWhenUsed(ModuleType):
    """Stands for a module until something in it is used, after the block."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        inner = sys.modules.get(f"{self.__name__}.{name}")
        return inner or getattr(importlib.import_module(self.__name__), name)
