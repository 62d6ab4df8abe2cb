"""What HeadScope adds to PyVene: a wrapper that keeps to its own hooks, a constant in a head's place."""

import contextlib
import io
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from utils.models.families import FAMILIES, ModelFamily

# PyVene prints a line about an optional package when it is imported.
with contextlib.redirect_stdout(io.StringIO()):
    import pyvene as pv
    from pyvene import type_to_dimension_mapping, type_to_module_mapping
    from pyvene.models.constants import CONST_INPUT_HOOK, split_head_and_permute

# A name of our own for the number of heads: the rest of a row that PyVene brings along stays as it is.
_HEADS = "headscope_n_heads"


def complete_tables(component: str) -> None:
    """Write one component into PyVene's tables for every family; a second call changes nothing.

    Args:
        component: the name for the input of the attention output projection, split by query head:
            [row, head, position, head_dim].
    """
    for family in FAMILIES.values():
        model_class = getattr(transformers, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[family.model_type])
        # New dicts: PyVene shares one between the classes of a family.
        type_to_module_mapping[model_class] = {
            **type_to_module_mapping.get(model_class, {}),
            component: (_pyvene_path(family), CONST_INPUT_HOOK, (split_head_and_permute, _HEADS)),
        }
        type_to_dimension_mapping[model_class] = {
            **type_to_dimension_mapping.get(model_class, {}),
            _HEADS: ("num_attention_heads",),
        }
        # PyVene's own entry for the width of a head is hidden size / heads, or a `head_dim` that not every
        # config has. Without an entry it gives interventions no width, and takes the tensor as it is.
        type_to_dimension_mapping[model_class].pop(component, None)


def _pyvene_path(family: ModelFamily) -> str:
    """The path of the output projection as PyVene writes it: the layer's number in brackets."""
    return family.output_projection.replace(".{layer}", "[%s]")


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

    def disable_model_gradients(self) -> None:
        """Nothing to do: models are loaded so. PyVene goes through all modules and weights each time."""
        self.model_has_grad = False

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
        value: what is put there, at every position [unit, d_head] or position by position [unit, position,
            d_head]; None for zero.
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
        value = self.value if self.value.dim() == 3 else self.value[:, None, :]
        return torch.where(chosen, value[None].to(base.dtype), base)
