"""Links: everything comes back from one, and nonsense in one is named and left out."""

import random
from dataclasses import fields, replace

import pytest

from retrieval.lab import state as lab_state
from tests.fixtures.model_folders import FOLDER_NAMES
from utils.compare import links as compare_links
from utils.compare.links import CompareState
from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_METHODS
from utils.heads import Head
from utils.links.page_links import from_query, to_query
from utils.links.page_state import VIEWS, PageState
from utils.links.reading import LONGEST_PROMPT, LONGEST_QUERY

FULL = PageState(
    model="demo-gpt2",
    prompt="The cat sat",
    head=Head(1, 14),
    ablated=frozenset({Head(2, 3), Head(1, 14)}),
    mode="interchange",
    second="The dog sat",
    fit="align",
    position=7,
    target="ring",
    against=" cup",
    view="effects",
    head_view="lines",
    map_view="sink",
    preset="golden-ring",
    lesson="induction",
    step=3,
)


def test_a_link_is_readable_and_in_a_fixed_order() -> None:
    assert to_query(replace(FULL, preset=None, lesson=None, step=None)) == (
        "?v=2&model=demo-gpt2&prompt=The+cat+sat&head=L1H14&off=L1H14,L2H3&mode=interchange"
        "&second=The+dog+sat&fit=align&position=7&target=ring&against=+cup&show=lines&map=sink&view=effects"
    )
    assert to_query(PageState()) == "?v=2"
    assert (
        to_query(PageState(preset="golden-ring", ablated=frozenset())) == "?v=2&off=none&preset=golden-ring"
    )


def test_links_of_the_first_version_are_read() -> None:
    first = "?v=1&model=demo-gpt2&prompt=The+cat+sat&off=L1H14&mode=mean&target=ring&map=sink"
    state, problems = from_query(first)
    assert problems == [] and state == PageState(
        model="demo-gpt2",
        prompt="The cat sat",
        ablated=frozenset({Head(1, 14)}),
        mode="mean",
        target="ring",
        map_view="sink",
    )


def test_what_a_link_does_not_say_stays_open() -> None:
    assert from_query("") == (PageState(), [])
    assert from_query("?") == (PageState(), [])
    assert from_query("?preset=golden-ring") == (PageState(preset="golden-ring"), [])


def test_a_full_state_comes_back() -> None:
    assert from_query(to_query(FULL)) == (FULL, [])
    assert all(getattr(FULL, field.name) is not None for field in fields(PageState))


@pytest.mark.parametrize("name", [*FOLDER_NAMES, "org/name", "Org-1/na.me_2"])
def test_the_name_of_a_folder_comes_back_from_every_link(name: str) -> None:
    state = PageState(model=name, prompt="The cat sat")
    assert from_query(to_query(state)) == (state, [])
    sides = CompareState(name, "a", "demo-gpt2", "b")
    assert compare_links.from_query(compare_links.to_query(sides), [name, "demo-gpt2"], sides) == (sides, [])
    lab = lab_state.LabState(lab_state.LabPrompt(name))
    assert lab_state.from_query(lab_state.to_query(lab), ["demo-gpt2", name]) == (lab, [])


ALPHABET = "ab Z09,.;:!?&=+%#/\\'\"<>-_~\n\t\0é😀שלום\u202e\u0301\uff46\u0661"


def _random_state(rng: random.Random) -> PageState:
    def maybe(value):
        return value if rng.random() < 0.7 else None

    def text(longest: int) -> str:
        return "x" + "".join(rng.choices(ALPHABET, k=rng.randrange(longest)))

    heads = frozenset(Head(rng.randrange(40), rng.randrange(40)) for _ in range(rng.randrange(6)))
    lesson = maybe("lesson-one")
    return PageState(
        model=maybe(rng.choice(("demo-gpt2", "EleutherAI/pythia-70m", "Qwen/Qwen2.5-0.5B"))),
        prompt=maybe(text(300)),
        head=maybe(Head(rng.randrange(100), rng.randrange(100))),
        ablated=maybe(heads),
        mode=maybe(rng.choice(ABLATION_METHODS)),
        position=maybe(rng.randrange(300)),
        target=maybe(text(39)),
        against=maybe(text(39)),
        view=maybe(rng.choice(list(VIEWS))),
        preset=maybe("größer 1+1"),
        lesson=lesson,
        step=maybe(rng.randrange(1, 20)) if lesson else None,
    )


def test_any_state_comes_back_as_it_was() -> None:
    rng = random.Random(0)
    for _ in range(2000):
        state = _random_state(rng)
        query = to_query(state)
        assert query.isascii() and " " not in query
        assert from_query(query) == (state, []), query
        # As an address bar hands it on, and the same state gives the same link.
        assert to_query(from_query(query.removeprefix("?"))[0]) == query


def test_no_link_at_all_makes_it_fail() -> None:
    rng = random.Random(1)
    keys = ["v", "model", "prompt", "head", "off", "mode", "position", "target", "step", "view", "x", ""]
    pieces = [*ALPHABET, "%", "%zz", "%ff", "%ed%a0%80", "\ud800", "L1H1", "..", "1", "-1", "none", ","]
    for _ in range(2000):
        query = "&".join(
            rng.choice(keys) + rng.choice(["=", "", "=="]) + "".join(rng.choices(pieces, k=rng.randrange(8)))
            for _ in range(rng.randrange(8))
        )
        state, problems = from_query(query)
        assert all(
            sentence[-1] in ".!" and "\n" not in sentence and len(sentence) < 400 for sentence in problems
        )
        # What was kept can be shared again.
        assert from_query(to_query(state)) == (state, [])


BAD = {
    "model=../../etc/passwd": "The model “../../etc/passwd” in this link is left out: no model is named",
    "model=%2Fhome%2Fme%2Fmodel": "no model is named like this",
    "model=a/b/c": "no model is named like this",
    "model=a/..": "no model is named like this",
    "model=a%0ab": "no model is named like this",
    "model=a%E2%80%AEb": "no model is named like this",
    "model=C:\\models": "no model is named like this",
    f"model={'x' * 200}": "no model is named like this",
    "preset=../../secret": "no preset or lesson is named like this",
    "preset=..%5csecret": "no preset or lesson is named like this",
    "lesson=a%00b": "no preset or lesson is named like this",
    "head=cat": "The head “cat” in this link is left out: a head is written like L5H5",
    "head=L-1H2": "a head is written like L5H5",
    "off=L1H1,cat,,L2H2": "The list of heads that are off has “cat”, “” in it, which is left out",
    "mode=random": "it must be zero, mean or interchange",
    "position=-1": "it must be a whole number from 0 to 99999",
    "position=seven": "it must be a whole number",
    "position=1_0": "it must be a whole number",
    "position=9999999": "it must be a whole number",
    f"target={'x' * 41}": "it has 41 characters, and at most 40 are read",
    f"prompt={'x' * (LONGEST_PROMPT + 1)}": "it has 8,001 characters, and at most 8,000 are read",
    "show=everything": "it must be heatmap, lines, scores or writes",
    "map=everything": "it must be one of role, live-previous_token",
    "view=everything": "it must be next, direct, effects, others, lens, positions, continuations or random",
    "prompt=": "The prompt in this link is empty.",
    "prompt": "The prompt in this link is empty.",
    "prompt=++%0a": "The prompt in this link is empty.",
    "prompt=%ff%fe": "The prompt in this link is damaged",
    "prompt=%ed%a0%80": "The prompt in this link is damaged",
    "prompt=a\ud800b": "The prompt in this link is damaged",
    "head=L1H1&head=L2H2": "The head stands in this link more than once; the first one is used.",
    "colour=red&%3Cscript%3E=1": "parts that mean nothing here (“colour”, “%3Cscript%3E”)",
    "step=3": "This link names a step but no lesson.",
    "lesson=a&step=0": "it must be a whole number from 1",
    "v=3": "This link was made by another version of HeadScope (“3”; this one reads 2)",
    "v=x": "This link was made by another version of HeadScope (“x”; this one reads 2)",
}


@pytest.mark.parametrize(("part", "sentence"), BAD.items())
def test_nonsense_is_named_once_and_the_rest_is_kept(part: str, sentence: str) -> None:
    state, problems = from_query(f"?{part}&against=cup")
    (problem,) = problems
    assert sentence in problem and problem.endswith(".")
    assert state.against == "cup"


def test_of_a_list_the_good_heads_are_kept_and_of_doubles_the_first() -> None:
    assert from_query("off=L1H1,cat,2.3, L2-H2")[0].ablated == {Head(1, 1), Head(2, 3), Head(2, 2)}
    assert from_query("off=cat")[0].ablated is None
    assert from_query("head=L1H1&head=L2H2")[0].head == Head(1, 1)


def test_a_version_from_the_future_is_read_as_far_as_it_goes() -> None:
    state, problems = from_query("?v=7&model=demo-gpt2&prompt=Hello&dimension=5")
    assert state == PageState(model="demo-gpt2", prompt="Hello")
    assert len(problems) == 2


def test_an_enormous_link_is_not_read_at_all() -> None:
    state, problems = from_query("?prompt=Hello&x=" + "y" * LONGEST_QUERY)
    assert state == PageState()
    assert len(problems) == 1 and "at most 16,000 are read" in problems[0]


def test_hand_typed_percent_signs_and_tracking_marks_do_no_harm() -> None:
    assert from_query("prompt=100% sure&utm_source=chat&fbclid=x") == (PageState(prompt="100% sure"), [])


def test_a_prompt_of_256_tokens_fits_and_a_longer_one_says_so() -> None:
    for text in ("understanding " * 256, "Ж" * 256 * 4, "漢字仮" * 256):
        assert from_query(to_query(PageState(prompt=text))) == (PageState(prompt=text), [])
    for text in ("x" * (LONGEST_PROMPT + 1), "漢" * LONGEST_PROMPT):
        with pytest.raises(UserFacingError, match="too long for a link"):
            to_query(PageState(prompt=text))
    with pytest.raises(UserFacingError, match="half of a character"):
        to_query(PageState(target="\ud800"))
