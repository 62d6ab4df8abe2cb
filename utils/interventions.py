"""What HeadScope adds to PyVene: a wrapper that keeps to its own hooks, a constant in a head's place."""

import contextlib
import io
from typing import Any

import torch
from torch import Tensor

from utils.pyvene_tables import complete_tables

# PyVene prints a line about an optional package when it is imported.
with contextlib.redirect_stdout(io.StringIO()):
    import pyvene as pv

# PyVene's name for the input of the output projection, split by query head.
COMPONENT = "head_attention_value_output"
complete_tables(COMPONENT)


class OwnHooksIntervenable(pv.IntervenableModel):
    """PyVene's wrapper, which removes its own hooks only.

    The original removes *every* hook on the model after each forward, among them those by which transformers
    collects attention patterns: from then on `output_attentions=True` gives an empty tuple.
    """

    def __init__(self, config: Any, model: torch.nn.Module, **kwargs: Any) -> None:
        super().__init__(config, model, **kwargs)
        self._own_hooks: list[Any] = []

    def _intervention_getter(self, *args: Any, **kwargs: Any) -> Any:
        handles = super()._intervention_getter(*args, **kwargs)
        self._own_hooks.extend(handles.handlers)
        return handles

    def _intervention_setter(self, *args: Any, **kwargs: Any) -> Any:
        handles = super()._intervention_setter(*args, **kwargs)
        self._own_hooks.extend(handles.handlers)
        return handles

    def _remove_forward_hooks(self) -> None:
        for handle in self._own_hooks:
            handle.remove()
        self._own_hooks.clear()


class PutConstant(pv.ConstantSourceIntervention, pv.LocalistRepresentationIntervention):
    """Puts a constant in the place of some heads' outputs, which heads being a matter of the row.

    PyVene's own unit locations may differ from row to row too, but each row must name equally many; here
    every row names the same heads, and a row that keeps one gets its own value back, bit for bit.

    Args:
        rows: whether a head is replaced, boolean [row, unit]; a unit is one of the heads that the call's unit
            locations name, in their order.
        value: what is put there at every position, [unit, d_head]; None for zero.
    """

    def __init__(self, rows: Tensor, value: Tensor | None = None) -> None:
        super().__init__()
        self.rows = rows
        self.value = value

    def forward(self, base: Tensor, source: None = None, subspaces: None = None) -> Tensor:
        """The heads' outputs [row, unit, position, d_head] with the chosen ones replaced."""
        chosen = self.rows[:, :, None, None].to(base.device)
        if self.value is None:
            return base.masked_fill(chosen, 0)
        return torch.where(chosen, self.value[None, :, None, :].to(base.dtype), base)
