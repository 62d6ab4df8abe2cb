"""A head's total effect (ablating it) beside its direct one (what it writes itself), and how to read the two.

docs/METHODS.md, section 4. Both are in logits of one difference and signed alike: positive where the head
speaks for the target. Pure functions; which reading holds is decided here and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from utils.effects.effect_map import EffectMap
from utils.errors import UserFacingError
from utils.forward.stream_capture import StreamParts
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.writing.attribution import DirectEffect, head_terms, pair_direction

# An effect smaller than this is little, in logits.
MIN_EFFECT = 0.3
# One effect is small beside the other where it goes the same way less than this share as far.
SMALL_SHARE = 0.5

ReadingKey = Literal["itself", "through_others", "backed_up", "little"]


@dataclass(frozen=True)
class EffectReading:
    """One way to read a total beside a direct effect.

    Attributes:
        key: its name in results.
        label: its name for people.
        words: what it says about a head.
        rule: when it holds, in words.
    """

    key: ReadingKey
    label: str
    words: str
    rule: str


READINGS: Mapping[ReadingKey, EffectReading] = MappingProxyType(
    {
        row.key: row
        for row in (
            EffectReading(
                "itself",
                "does it itself",
                "What is lost without it is about what it writes itself.",
                f"One of the two effects is at least {MIN_EFFECT:g} logits, and neither is less than "
                f"{SMALL_SHARE:.0%} of the other.",
            ),
            EffectReading(
                "through_others",
                "through others",
                "More is lost without it than it writes itself: later heads and layers use what it writes.",
                f"The total effect is at least {MIN_EFFECT:g} logits, and the direct one goes the same way "
                f"less than {SMALL_SHARE:.0%} as far.",
            ),
            EffectReading(
                "backed_up",
                "backed up",
                "It writes more than is lost without it: other heads stand in when it is off.",
                f"The direct effect is at least {MIN_EFFECT:g} logits, and the total one goes the same way "
                f"less than {SMALL_SHARE:.0%} as far.",
            ),
            EffectReading(
                "little",
                "little either way",
                "It matters little here.",
                f"Both effects are below {MIN_EFFECT:g} logits.",
            ),
        )
    }
)


@dataclass(frozen=True)
class HeadEffects:
    """One head's two effects, in logits.

    Attributes:
        head: which head.
        total: the clean logit difference minus that without the head.
        direct: what the head itself adds to the difference, minus what stands in its place adds.
    """

    head: Head
    total: float
    direct: float

    @property
    def reading(self) -> EffectReading:
        """How the two are read."""
        return READINGS[read_effects(self.total, self.direct)]


def read_effects(total: float, direct: float) -> ReadingKey:
    """Which reading two effects have.

    >>> read_effects(1.2, 1.0), read_effects(1.2, 0.1), read_effects(0.1, 1.2), read_effects(0.1, 0.1)
    ('itself', 'through_others', 'backed_up', 'little')
    >>> read_effects(-0.5, 1.2)     # without it the difference even grows: others more than stand in
    'backed_up'

    Args:
        total: clean minus ablated, in logits.
        direct: what the head writes itself, in logits.
    """
    if max(abs(total), abs(direct)) < MIN_EFFECT:
        return "little"
    # The larger of the two decides which way is meant.
    if abs(direct) >= abs(total):
        same_way = total if direct > 0 else -total
        return "backed_up" if same_way < SMALL_SHARE * abs(direct) else "itself"
    same_way = direct if total > 0 else -direct
    return "through_others" if same_way < SMALL_SHARE * abs(total) else "itself"


def replaced_effects(
    loaded: LoadedModel,
    parts: StreamParts,
    position: int,
    target: int,
    against: int | None,
    values: Tensor | None,
) -> Tensor:
    """What would be added directly by what ablation puts in each head's place, [layer, head], float64.

    Args:
        loaded: the model.
        parts: of the clean forward.
        position: whose next token is predicted.
        target: the token.
        against: the token to compare it with, None for none.
        values: `ablation.replacements`, [layer, head, d_head] or [layer, head, position, d_head]; None for
            zero.
    """
    shape = (loaded.geometry.n_layers, loaded.geometry.n_heads)
    if values is None:
        return torch.zeros(shape, dtype=torch.float64)
    here = (values if values.dim() == 3 else values[:, :, position]).float()
    direction = pair_direction(loaded, target, against)
    rows = [
        head_terms(loaded, parts, layer, direction, [position], here[layer][None])[:, 0, 0]
        for layer in range(shape[0])
    ]
    return torch.stack(rows).double()


def total_and_direct(
    total: EffectMap, direct: DirectEffect, replaced: Tensor | None = None
) -> tuple[HeadEffects, ...]:
    """Both effects of every head, in the order of layers and heads.

    Args:
        total: the effect map.
        direct: the attribution of the same logit difference at the same position.
        replaced: `replaced_effects` for the map's ablation method; None for zero ablation.

    Raises:
        UserFacingError: the two are of different tokens or positions.
    """
    asked = (total.target, total.other, total.position)
    if asked != (direct.target, direct.against, direct.position):
        raise UserFacingError(
            "The effect map and the direct effects are of different tokens.",
            "Choose both tokens, then compute the map again.",
        )
    lost = -total.change("logit_difference").double()
    written = direct.heads if replaced is None else direct.heads - replaced
    return tuple(
        HeadEffects(Head(layer, head), float(lost[layer, head]), float(written[layer, head]))
        for layer in range(lost.shape[0])
        for head in range(lost.shape[1])
    )
