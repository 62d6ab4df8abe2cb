"""Total beside direct effects: the rule of each reading, and a model in which they are known."""

import pytest
import torch

from utils.effects.effect_map import effect_map
from utils.effects.total_and_direct import (
    MIN_EFFECT,
    READINGS,
    SMALL_SHARE,
    HeadEffects,
    read_effects,
    replaced_effects,
    total_and_direct,
)
from utils.errors import UserFacingError
from utils.forward.ablation import replacements
from utils.forward.attention_capture import capture
from utils.forward.interchange import Interchange
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.writing.attribution import direct_effect

IDS = (0, 5, 17, 60, 5, 17, 99, 3, 5)


@pytest.mark.parametrize(
    ("total", "direct", "reading"),
    [
        (1.0, 1.0, "itself"),
        (-1.0, -1.0, "itself"),
        (1.0, SMALL_SHARE, "itself"),
        (1.0, SMALL_SHARE - 0.01, "through_others"),
        (1.0, -2.0, "backed_up"),
        (2.0, -1.0, "through_others"),
        (-1.0, 0.0, "through_others"),
        (SMALL_SHARE, 1.0, "itself"),
        (SMALL_SHARE - 0.01, 1.0, "backed_up"),
        (0.0, -1.0, "backed_up"),
        (MIN_EFFECT - 0.01, 0.01 - MIN_EFFECT, "little"),
        (MIN_EFFECT, MIN_EFFECT, "itself"),
        (0.0, 0.0, "little"),
    ],
)
def test_the_rule_of_each_reading(total: float, direct: float, reading: str) -> None:
    assert read_effects(total, direct) == reading
    assert HeadEffects(Head(0, 0), total, direct).reading == READINGS[read_effects(total, direct)]


def test_every_reading_says_when_it_holds() -> None:
    for key, row in READINGS.items():
        assert row.key == key and row.words.endswith(".") and row.rule.endswith(".")
        assert f"{MIN_EFFECT:g}" in row.rule


def test_of_the_last_layers_heads_total_and_direct_differ_by_norm_and_block_alone(
    loaded: LoadedModel,
) -> None:
    found = effect_map(loaded, IDS, 17, 60)
    parts = capture(loaded, IDS, stream=True).stream
    assert parts is not None
    direct = direct_effect(loaded, parts, 8, 17, 60)
    both = total_and_direct(found, direct)
    assert [one.head for one in both] == [
        Head(x, y) for x in range(loaded.geometry.n_layers) for y in range(loaded.geometry.n_heads)
    ]
    for one in both:
        assert one.total == pytest.approx(
            found.clean_logit_difference - float(found.logit_difference[one.head])
        )
        assert one.direct == pytest.approx(float(direct.heads[one.head]))
    with pytest.raises(UserFacingError, match="different tokens"):
        total_and_direct(found, direct_effect(loaded, parts, 8, 17, 5))


def test_what_stands_in_a_heads_place_is_taken_off(loaded: LoadedModel) -> None:
    parts = capture(loaded, IDS, stream=True).stream
    assert parts is not None
    direct = direct_effect(loaded, parts, 8, 17, 60)
    assert not replaced_effects(loaded, parts, 8, 17, 60, None).any()
    # Its own values instead of its own values: nothing changes.
    own = replaced_effects(loaded, parts, 8, 17, 60, replacements(loaded, Interchange(IDS)))
    torch.testing.assert_close(own, direct.heads, rtol=1e-3, atol=1e-3)
    means = replaced_effects(loaded, parts, 8, 17, 60, replacements(loaded, "mean"))
    assert means.shape == direct.heads.shape and float(means.abs().max()) > 0
