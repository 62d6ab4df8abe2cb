"""What the page says of the real model's heads that write names, and of a circuit of two kinds of heads."""

import pytest
import torch

from utils.effects.changed_roles import random_scores
from utils.heads import Head
from utils.live.service import LiveService
from utils.models.sources import REAL_MODEL
from utils.roles.registry import measured_roles
from utils.teaching.presets import load_presets, open_preset
from utils.writing.sentences import attended_sentence, written_sentence

# The answer, and the name that comes twice; which of them is named first alternates.
NAMES = (
    ("Mary", "John"),
    ("John", "Mary"),
    ("Tom", "James"),
    ("Sarah", "Peter"),
    ("Anna", "David"),
    ("Mark", "Lucy"),
    ("Emma", "Paul"),
    ("Jack", "Alice"),
)


def sentence(number: int) -> str:
    answer, again = NAMES[number]
    one, two = (answer, again) if number % 2 == 0 else (again, answer)
    return f"When {one} and {two} went to the store, {again} gave a drink to"


def test_the_strongest_head_for_the_right_name_is_said_to_lower_the_other(service: LiveService) -> None:
    """Largest for A against B, and taken apart: it looks at B and lowers B, so it is no copying."""
    loaded, writing = service.store.get(REAL_MODEL), service.writing
    tokens = [tuple(service.token(loaded, name) for name in pair) for pair in NAMES]
    effects = [
        writing.direct(REAL_MODEL, sentence(i), None, pair[0], pair[1]) for i, pair in enumerate(tokens)
    ]
    mean = torch.stack([one.heads for one in effects]).mean(0)
    head = Head(*divmod(int(mean.argmax()), mean.shape[1]))
    assert float(mean[head]) > 2
    for number, (answer, again) in enumerate(tokens):
        text = sentence(number)
        reading = writing.reading(REAL_MODEL, text, head, None, answer, again)
        assert reading.attended == again and reading.mass > 0.5
        # The effect on the pair is carried by the name that comes twice, which it lowers.
        assert reading.own < -2 and abs(reading.raised) < -reading.own / 2
        assert reading.pair == pytest.approx(float(effects[number].heads[head]), abs=1e-3)
        words = written_sentence(loaded, reading)
        name = NAMES[number][1]
        assert words.startswith(
            f"{head} attends to “·{name}” ({reading.mass:.0%}) and lowers it by {-reading.own:.1f} logits."
        )
        assert f"lowers “·{name}” by {-reading.own:.1f} logits" in words
        assert attended_sentence(reading, lambda token: "B") in words.replace(f"·{name}", "B", 1)
        # And it copied nothing: what it reads there comes from that name.
        sources = writing.sources(REAL_MODEL, text, head, None, answer, again)
        ids = service.tokenize(REAL_MODEL, text).ids
        from_again = sum(float(sources[key]) for key, token in enumerate(ids) if token == again)
        assert from_again > 0.8 * float(sources.sum())
    catalog = service.catalog(REAL_MODEL)
    assert catalog is not None
    listed = catalog.categories["copy_suppression"].top_heads
    assert head in [Head(entry.layer, entry.head) for entry in listed]


def test_without_a_previous_token_head_an_induction_head_falls(service: LiveService) -> None:
    preset = load_presets().get("note-of-before")
    opened = open_preset(preset, REAL_MODEL, service.catalog(REAL_MODEL))
    off, head = opened.revealed.ablated, opened.revealed.head
    assert off and head and opened.problems == ()
    analysis = service.analyze(REAL_MODEL, preset.prompt)
    random = random_scores(analysis.loaded, analysis.prompt.ids, off, measured_roles())
    found = service.writing.changed(REAL_MODEL, preset.prompt, off, random=random)
    (fallen,) = [one for one in found if (one.head, one.role) == (head, "induction")]
    assert fallen.change < -0.5 and fallen.beyond_chance and len(fallen.random) == 20
    drops = torch.tensor([fallen.clean - score for score in fallen.random])
    assert -fallen.change > float(drops.quantile(0.95))
    # The numbers that the preset's answer has.
    for number in (fallen.clean, fallen.ablated, min(fallen.random), max(fallen.random)):
        assert f"{number:.2f}" in (preset.answer or "")
    assert sum(one.role == "induction" and one.change < -0.3 for one in found) >= 3
