"""The live check: which catalogued heads do their job on the input at hand.

Scores come from `role_scores`, the same functions that made the catalog; this module adds the decision
(docs/METHODS.md, section 1, "Active") and the words that explain it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils.catalog.catalog import CATALOG_FOLDER, catalog_path, check_fit, load_catalog
from utils.roles.activity import as_record, listed_activity, prompt_scores
from utils.roles.registry import ROLES
from utils.roles.scores import role_target
from utils.roles.written import Written

# A row of probabilities may pass 1 by this much (float16 models, JSON rounded to four places).
ROW_SUM_TOLERANCE = 0.02


def _probabilities(values: Any, name: str, axes: tuple[str, ...], length: int) -> Tensor:
    """`values` as a float32 tensor with these axes, checked to be attention over `length` tokens."""
    try:
        pattern = torch.as_tensor(values, dtype=torch.float32).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must hold numbers: {error}.") from None
    if pattern.dim() != len(axes) or pattern.shape[-2:] != (length, length):
        shape = ", ".join((*[".."] * (len(axes) - 2), str(length), str(length)))
        raise ValueError(f"{name} must have shape ({', '.join(axes)})=({shape}). Got {tuple(pattern.shape)}.")
    # A pattern written by hand may leave rows out that no score looks at; more than 1 is no probability.
    # NaN fails too.
    at_most_one = pattern.sum(-1) <= 1 + ROW_SUM_TOLERANCE
    if not bool(at_most_one.all() and (pattern >= 0).all()):
        raise ValueError(
            f"no row of {name} may sum to more than 1, nor hold anything below 0: pass probabilities, "
            "after the softmax."
        )
    return pattern


def verify_head_activation(
    attention_weights: Any, tokens: Sequence[int], head_info: Mapping[str, Any], category: str
) -> float:
    """The live score of one head for one role, by the definition that the catalog uses.

    A role about what a head writes (copying, copy suppression) cannot be seen in a pattern: it scores 0, for
    the reason "needs the head's output" (`activation_reason`), unless `head_info` says what it writes.

    Args:
        attention_weights: the head's probabilities [query, key], a tensor or nested lists.
        tokens: the token ids, BOS included where the model is given one.
        head_info: the head's record, with "layer" and "head"; may hold "special_ids", ids that never
            count as a repetition, and "effects" [query, key] with "next_token", as in
            `get_active_head_summary`, for this head.
        category: a role key.

    Returns:
        The score in [0, 1]; 0 where the role does not apply to these tokens, and for "other".

    Raises:
        ValueError: unknown role, a matrix that is no attention pattern over these tokens, or effects that do
            not fit it.
    """
    if category not in ROLES:
        raise ValueError(f"category must be one of {', '.join(ROLES)}. Got {category!r}.")
    pattern = _probabilities(attention_weights, "attention_weights", ("query", "key"), len(tokens))
    if not ROLES[category].measured:
        return 0.0
    written = _written(head_info, pattern[None, None])
    scores = prompt_scores(
        pattern[None, None], tokens, [category], head_info.get("special_ids", ()), None, written
    )
    return float(scores.live[category].clamp(0, 1))


def activation_reason(tokens: Sequence[int], head_info: Mapping[str, Any], category: str) -> str:
    """Why `verify_head_activation` gives 0 whatever the pattern is; "" where the role applies.

    Args:
        tokens: as there.
        head_info: as there.
        category: as there.

    Raises:
        ValueError: unknown role.
    """
    if category not in ROLES:
        raise ValueError(f"category must be one of {', '.join(ROLES)}. Got {category!r}.")
    if not ROLES[category].measured:
        return "no catalogued role, so there is nothing to check"
    answer = head_info.get("next_token") if head_info.get("effects") is not None else None
    return role_target(category, tokens, head_info.get("special_ids", ()), answer).reason


def _written(data: Mapping[str, Any], attention: Tensor) -> Written | None:
    """What the heads write, where the data says so, for patterns [layer, head, query, key].

    Raises:
        ValueError: effects that do not fit the patterns, or without the next token.
    """
    if data.get("effects") is None:
        return None
    try:
        effects = torch.as_tensor(data["effects"], dtype=torch.float32).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"effects must hold numbers: {error}.") from None
    if effects.numel() != attention.numel() or effects.shape[-2:] != attention.shape[-2:]:
        raise ValueError(
            f"effects must have the shape of the attention, {tuple(attention.shape)}. "
            f"Got {tuple(effects.shape)}."
        )
    answer = data.get("next_token")
    if not isinstance(answer, int):
        raise ValueError("next_token must be the id of the token that the model expects next.")
    return Written(effects.reshape(attention.shape).__getitem__, answer)


def load_head_categories(model_name: str, folder: Path = CATALOG_FOLDER) -> dict[str, Any]:
    """The catalog of a model, validated, as plain data (head_categories/README.md).

    Raises:
        UserFacingError: the model has no catalog, or the file is damaged.
    """
    return load_catalog(catalog_path(model_name, folder)).model_dump(mode="json")


def get_active_head_summary(
    activation_data: Mapping[str, Any], model_name: str, folder: Path = CATALOG_FOLDER
) -> dict[str, list[dict[str, Any]]]:
    """Which of a model's catalogued heads are active on an input.

    Args:
        activation_data: {"attention": [layer, head, query, key], "tokens": ids}; may hold "special_ids" and
            "windows", how many keys each layer sees, None for all of them (default: the catalog's), and
            "outputs", what the heads write: {"effects": [layer, head, query, key], how much each head raises
            from each query on the logit of the token at each key (`writing.attribution.own_token_effects`),
            "next_token": id of the token that the model expects next}. Without it the roles about what heads
            write score 0 and say that they need the head's output.
        model_name: the model's name; its catalog is read from `folder`.
        folder: where the catalogs are.

    Returns:
        {role: [{layer, head, score, activation_score, chance, needed, positions, sink_share, max_attention,
        is_active, reason, pairs}]} in the catalog's order; `chance` is None where the role has none, `pairs`
        are the (query, key) positions that the role connects. Roles about what a head writes have `mass` and
        `effect` besides where that is known. A role without a score has no `needed`,
        `positions`, `sink_share` and `max_attention`.

    Raises:
        UserFacingError: no catalog, a damaged one, or one of another model's shape.
        ValueError: the attention does not fit the tokens, or the windows do not fit the layers.
    """
    catalog = load_catalog(catalog_path(model_name, folder))
    tokens = activation_data["tokens"]
    axes = ("layer", "head", "query", "key")
    attention = _probabilities(activation_data["attention"], "attention", axes, len(tokens))
    check_fit(catalog, attention.shape[0], attention.shape[1])
    special = activation_data.get("special_ids", catalog.settings.special_ids)
    windows = activation_data.get("windows", catalog.settings.windows)
    if windows is not None and len(windows) != len(attention):
        raise ValueError(f"windows must have one entry a layer, {len(attention)}. Got {len(windows)}.")
    roles = [role for role in catalog.categories if ROLES[role].measured]
    written = _written(activation_data.get("outputs") or {}, attention)
    scores = prompt_scores(attention, tokens, roles, special, windows, written)
    found = listed_activity(scores, catalog.listed_heads)
    return {role: [as_record(activity) for activity in heads] for role, heads in found.items()}
