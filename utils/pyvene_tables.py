"""PyVene's tables, completed for every model family: where the heads' outputs are, and how they are split.

PyVene looks a model's class up in two tables. As shipped (0.1.8) they have no row for OPT and Qwen3, and for
GPT-Neo one that names a module that is not there and a number of heads that cannot be read. Here the one
component that the project uses is written for every family, from the family's own row.
"""

import contextlib
import io

import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from utils.model_families import FAMILIES, ModelFamily

# PyVene prints a line about an optional package when it is imported.
with contextlib.redirect_stdout(io.StringIO()):
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
