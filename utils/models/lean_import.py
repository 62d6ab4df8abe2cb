"""transformers and PyVene without what they import for training, plots and many machines.

Those parts are most of what importing them costs (torch's compiler, its distributed tensors, accelerate,
scipy, Matplotlib), and the app runs none of them: one process, one device, eager attention. `python app.py`
calls this before anything else imports transformers; scripts and tests import everything as usual.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

# What transformers asks before it imports these; each answers False where they are not installed.
_OPTIONAL = ("is_accelerate_available", "is_scipy_available", "is_torch_distributed_available")
_DECORATORS = ("allow_in_graph", "assume_constant_result", "disable")
# What PyVene imports for its drawings; run when one of their names is first used.
_LAZY = ("networkx", "matplotlib.pyplot")


def import_models() -> None:
    """Import transformers' models and PyVene, if nobody has imported them yet."""
    if "transformers.modeling_utils" in sys.modules:
        return
    import torch
    import transformers.utils

    with ExitStack() as replaced:
        for name in _OPTIONAL:
            for module in (transformers.utils, transformers.utils.import_utils):
                replaced.enter_context(_replaced(module, name, lambda *args, **options: False))
        # Decorators that tell the compiler what to leave alone. Asking for one loads the compiler.
        for name in _DECORATORS:
            replaced.enter_context(_replaced(torch.compiler, name, _undecorated))
        replaced.enter_context(_replaced(torch, "_dynamo", _NoCompiler()))
        import transformers.modeling_utils
    for name in _LAZY:
        _import_lazily(name)


class _NoCompiler:
    """Every decorator of the compiler, each of which changes nothing."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return _undecorated


def _undecorated(function: Callable[..., Any] | None = None, *args: Any, **options: Any) -> Any:
    return function if function is not None else _undecorated


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


def _import_lazily(name: str) -> None:
    """Put a module where imports find it, to be run when something in it is used."""
    spec = importlib.util.find_spec(name)
    if name in sys.modules or spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
