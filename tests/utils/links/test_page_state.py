"""The live page's state: what one source leaves open another fills, and what a model lacks is left out."""

from dataclasses import replace

from utils.heads import Head
from utils.links.page_state import PageState, fit
from utils.models.families import HeadGeometry


def test_a_link_comes_over_the_preset_that_it_names() -> None:
    preset = PageState(model="demo-gpt2", prompt="The cat", ablated=frozenset({Head(0, 1)}), view="next")
    link = PageState(preset="cat", ablated=frozenset(), view="effects")
    assert link.over(preset) == replace(preset, preset="cat", ablated=frozenset(), view="effects")


GEOMETRY = HeadGeometry(4, 16, 16, 12, (None,) * 4)


def test_what_the_model_does_not_have_is_named_and_left_out() -> None:
    state = PageState(
        model="other",
        head=Head(4, 0),
        ablated=frozenset({Head(0, 16), Head(3, 15)}),
        position=12,
        prompt="Hi",
    )
    fitted, problems = fit(state, ["demo-gpt2", "demo-llama"], GEOMETRY, tokens=12)
    assert fitted == PageState(prompt="Hi", ablated=frozenset({Head(3, 15)}))
    assert len(problems) == 4
    assert "choose one of demo-gpt2, demo-llama" in problems[0]
    assert "no head L4H0 (layers go from 0 to 3, heads from 0 to 15)" in problems[1]
    assert "no head L0H16, so it is not switched off" in problems[2]
    assert "numbered 0 to 11" in problems[3]


def test_what_fits_stays_as_it_is() -> None:
    state = PageState(model="demo-gpt2", head=Head(3, 15), ablated=frozenset(), position=11)
    assert fit(state, ["demo-gpt2"], GEOMETRY, 12) == (state, [])
    assert fit(PageState(), []) == (PageState(), [])
