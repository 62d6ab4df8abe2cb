"""A head described from its pattern: what is put in comes out, in words and numbers, and chance does not."""

import pytest
import torch
from torch import Tensor

from tests.fixtures.makers import hand_built
from tests.fixtures.makers.hand_built import save_hand_built
from utils.live.attended_positions import PLACES, View, is_punctuation, standing_out
from utils.live.head_reading import Reading, read_head, read_pattern
from utils.live.service import LiveService
from utils.models.prompts import TokenizedPrompt
from utils.models.store import ModelStore
from utils.roles.random_heads import LOGIT_STDS, random_head_patterns

LABELS = (
    "<BOS>",
    "The",
    "·cat",
    "·sat",
    ",",
    "·and",
    "·the",
    "·dog",
    "·sat",
    ",",
    "·and",
    "·it",
    "·ran",
    ".",
)
REPEATING = "jumbled foxy king. " * 6


def as_prompt(*labels: str) -> TokenizedPrompt:
    """A prompt of these tokens, BOS marked special; equal labels are equal tokens."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    ids = tuple(numbers[label] for label in labels)
    return TokenizedPrompt("", ids, labels, tuple(label == "<BOS>" for label in labels))


PROMPT = as_prompt(*LABELS)
N = len(LABELS)


def pattern(place, rest: str = "uniform", weight: float = 1.0, n: int = N) -> Tensor:
    """A pattern that puts `weight` on the key `place(row)` (None for no such key), the rest elsewhere."""
    rows = torch.zeros(n, n)
    for row in range(n):
        key = place(row)
        left = 1.0 if key is None else 1 - weight
        if rest == "uniform":
            rows[row, : row + 1] = left / (row + 1)
        else:
            rows[row, 0] = left
        if key is not None:
            rows[row, key] += weight
    return rows


def earlier(row: int) -> int | None:
    """The last earlier copy of the token at `row`."""
    copies = [key for key in range(1, row) if LABELS[key] == LABELS[row]]
    return copies[-1] if copies else None


def after_earlier(row: int) -> int | None:
    """What followed the last earlier copy of the token at `row`."""
    copy = earlier(row)
    return None if copy is None else copy + 1


def shares(reading: Reading) -> dict[str, float]:
    return {share.key: share.share for share in reading.shares}


@pytest.mark.parametrize(
    ("place", "key", "words"),
    [
        (lambda row: 0, "first", "mostly looks at the first token (100%)"),
        (lambda row: row, "itself", "mostly looks at itself (100%)"),
        (lambda row: max(row - 1, 0), "back_1", "mostly looks one token back (100%)"),
        *[
            (lambda row, k=k: max(row - k, 0), f"back_{k}", f"mostly looks {k} tokens back (100%)")
            for k in (2, 3, 4, 5)
        ],
    ],
)
def test_a_head_that_does_one_thing(place, key: str, words: str) -> None:
    reading = read_pattern(pattern(place), PROMPT, "L2H5")
    assert reading.stands_out[0] == key
    assert (
        reading.sentence.startswith(f"On this text L2H5 {words.split(' (')[0]}") and words in reading.sentence
    )
    message = next(share for share in reading.shares if share.key == key)
    assert message.share == pytest.approx(1) and message.stands_out and message.chance < 0.4


def test_a_head_that_does_two_things() -> None:
    """Itself 62%; the rest at punctuation where there is some, else at the first token."""
    rows = torch.zeros(N, N)
    for row in range(N):
        marks = [key for key in range(1, row) if LABELS[key] in ",."]
        for key in marks or [0]:
            rows[row, key] += 0.38 / len(marks or [0])
        rows[row, row] += 0.62
    sparse = as_prompt(*("a" if label == "." else label for label in LABELS))
    reading = read_pattern(rows, sparse, "L2H5")
    assert reading.stands_out[0] == "itself"
    assert reading.sentence.startswith("On this text L2H5 mostly looks at itself (62%)")
    long = as_prompt("<BOS>", ",", *[chr(300 + k) for k in range(40)])
    rows = 0.62 * torch.eye(42)
    rows[:, 1] += 0.25
    rows[:, 0] += 0.13
    rows[1:2] = rows[0:1] = 0
    reading = read_pattern(rows, long, "L2H5")
    assert reading.stands_out == ("itself", "punctuation")
    assert reading.sentence == "On this text L2H5 mostly looks at itself (62%) and at punctuation (25%)."


def test_what_another_place_accounts_for_is_not_told_again() -> None:
    """On "a , b , c ," every other token back is a comma: a head that looks one back seeks no commas."""
    prompt = as_prompt("<BOS>", "a", ",", "b", ",", "c", ",", "d", ",", "e", ",", "f", ",", "g", ",", "h")
    n = len(prompt.ids)
    reading = read_pattern(pattern(lambda row: max(row - 1, 0), n=n), prompt)
    assert reading.stands_out == ("back_1",)
    # And a head that seeks commas is described so.
    seeker = torch.zeros(n, n)
    for row in range(n):
        commas = [key for key in range(1, row) if prompt.labels[key] == ","]
        for key in commas or [0]:
            seeker[row, key] = 1 / len(commas or [0])
    assert read_pattern(seeker, prompt).stands_out[0] == "punctuation"


def test_on_a_text_with_a_period_a_place_is_told_once() -> None:
    """Three tokens back is also the last copy of the same token: one of the two accounts for both."""
    prompt = as_prompt("<BOS>", *"xyz" * 8)
    reading = read_pattern(pattern(lambda row: max(row - 3, 0), n=25), prompt)
    assert shares(reading)["same"] == pytest.approx(1)
    assert reading.stands_out == ("back_3",)


def test_copies_are_told_with_how_many_places_have_one() -> None:
    reading = read_pattern(pattern(earlier, rest="first"), PROMPT)
    # "·sat", "," and "·and" come again.
    assert reading.stands_out == ("first", "same")
    assert shares(reading)["same"] == pytest.approx(1)
    assert "at earlier copies of its own token (100% from the 3 places that have one)" in reading.sentence
    after = read_pattern(pattern(after_earlier, rest="first"), PROMPT)
    assert after.stands_out == ("first", "after_same")
    assert "at what followed an earlier copy of its token (100% from the 3 places" in after.sentence


def test_several_tokens_back_are_told_together() -> None:
    n = 24
    prompt = as_prompt("<BOS>", *[chr(97 + k) for k in range(23)])
    rows = torch.zeros(n, n)
    for row in range(n):
        for back in (2, 4):
            rows[row, max(row - back, 0)] += 0.5
    reading = read_pattern(rows, prompt)
    assert set(reading.stands_out) >= {"back_2", "back_4"}
    assert "2 and 4 tokens back (50% and 50%)" in reading.sentence


def test_nearby_is_told_when_no_one_place_is() -> None:
    n = 40
    prompt = as_prompt("<BOS>", *[chr(200 + k) for k in range(39)])
    rows = torch.zeros(n, n)
    for row in range(n):
        for back in range(1, 6):
            rows[row, max(row - back, 0)] += 0.2
    smeared = 0.85 * rows + 0.15 * pattern(lambda row: None, n=n)
    reading = read_pattern(smeared, prompt)
    assert reading.stands_out == ("nearby",)
    assert "mostly looks at the 5 tokens before (" in reading.sentence


def test_uniform_attention_is_spread_and_nothing_stands_out() -> None:
    reading = read_pattern(pattern(lambda row: None), PROMPT, "L0H1")
    assert reading.stands_out == () and reading.spread == pytest.approx(1)
    assert "L0H1 spreads its attention over many tokens (spread 1.00 of 1)" in reading.sentence
    for share in reading.shares:
        assert share.share == pytest.approx(share.chance) and not share.stands_out


def test_single_tokens_without_a_system_are_said_to_be_that() -> None:
    spots = [0, 0, 2, 1, 2, 1, 3, 2, 3, 7, 3, 7, 3, 6]
    reading = read_pattern(pattern(lambda row: spots[row], weight=0.9), PROMPT, "L1H1")
    assert reading.stands_out == ()
    assert "picks out single tokens" in reading.sentence
    assert "“·sat” (token 3) is looked at most" in reading.sentence


def test_neither_sharp_nor_spread_is_nothing() -> None:
    n = 40
    prompt = as_prompt("<BOS>", *[chr(200 + k) for k in range(39)])
    generator = torch.Generator().manual_seed(1)
    rows = torch.zeros(n, n)
    for row in range(n):
        for key in torch.randperm(row + 1, generator=generator)[:2]:
            rows[row, key] = 0.49
    reading = read_pattern(rows, prompt, "L3H3")
    assert reading.stands_out == () and reading.peak < 0.5 and reading.spread < 0.4
    assert reading.sentence == "Nothing stands out in what L3H3 looks at on this text."


def test_too_short_is_said() -> None:
    reading = read_pattern(torch.tensor([[1.0, 0], [0.5, 0.5]]), as_prompt("<BOS>", "a"), "L0H0")
    assert reading.stands_out == () and "too short to say what L0H0 does" in reading.sentence


def test_a_window_is_considered() -> None:
    """In a layer that sees 3 tokens, uniform attention puts a third on each: chance, not a habit."""
    n = 40
    prompt = as_prompt("<BOS>", *[chr(200 + k) for k in range(39)])
    window = torch.zeros(n, n)
    for row in range(n):
        first = max(0, row - 2)
        window[row, first : row + 1] = 1 / (row + 1 - first)
    blind, message = read_pattern(window, prompt), read_pattern(window, prompt, window=3)
    assert set(blind.stands_out) == {"itself", "back_1", "back_2"} and message.stands_out == ()
    assert message.spread == pytest.approx(1) and blind.spread < 0.5
    by_key = {share.key: share for share in message.shares}
    # Row 2 alone sees the first token; nothing further than 2 back is in sight.
    assert by_key["first"].rows == 1 and "back_3" not in by_key
    for share in message.shares:
        assert share.share == pytest.approx(share.chance)
    assert message.sentence.endswith("(This layer sees the last 3 tokens alone.)")
    assert "layer sees" not in read_pattern(window, prompt, window=64).sentence


def test_punctuation_is_known_from_its_label() -> None:
    for label in (",", ".", "·(", '."', "—", "。", "؟"):
        assert is_punctuation(label), label
    for label in ("·", "··", "⏎", "a,", "<BOS>", "·1", "⟨E2⟩", "$", "+"):
        assert not is_punctuation(label), label


def test_the_places_of_punctuation_are_the_marks_before() -> None:
    mask = View(pattern(lambda row: 0)).masks(PROMPT)["punctuation"]
    marks = [key for key, label in enumerate(LABELS) if label in (",", ".")]
    expected = {(row, key) for row in range(2, N) for key in marks if key < row}
    assert {(row, key) for row, key in mask.nonzero().tolist()} == expected


def test_special_tokens_are_neither_punctuation_nor_copies() -> None:
    prompt = as_prompt("<BOS>", "a", "<BOS>", "b", "<BOS>", "c")
    keys = set(View(pattern(lambda row: 0, n=6)).masks(prompt))
    assert keys.isdisjoint({"same", "after_same", "punctuation"})


@pytest.mark.parametrize("key", list(PLACES))
def test_contract_of_a_place(key: str) -> None:
    view = View(pattern(lambda row: 0))
    mask = view.masks(PROMPT)[key]
    assert mask.shape == (N, N) and mask.dtype == torch.bool
    assert torch.equal(mask, view.masks(PROMPT)[key])
    # The first token belongs to one kind alone.
    assert bool(mask[:, 0].any()) is (key == "first")
    assert PLACES[key].name and PLACES[key].phrase


def test_a_pattern_of_another_length_is_refused_and_none_is_changed() -> None:
    with pytest.raises(ValueError, match=r"\(query, key\)=\(14, 14\)"):
        read_pattern(torch.eye(3), PROMPT)
    rows = pattern(lambda row: 0)
    before = rows.clone()
    read_pattern(rows, PROMPT)
    assert torch.equal(rows, before)


def test_heads_built_by_hand_are_described_as_built(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("built")
    save_hand_built(folder / "hand-built")
    analysis = LiveService(ModelStore([folder]), folder, max_tokens=128).analyze("hand-built", REPEATING)
    leads = {
        hand_built.PREVIOUS: "back_1",
        hand_built.FIRST: "first",
        hand_built.THREE_BACK: "back_3",
        hand_built.SELF: "itself",
        hand_built.INDUCTION: "after_same",
        hand_built.DUPLICATE: "same",
    }
    for head, key in leads.items():
        assert read_head(analysis, head).stands_out[0] == key, head
    mixture = read_head(analysis, hand_built.MIXTURE)
    assert set(mixture.stands_out) >= {"back_2", "back_3", "back_4", "back_5"}
    assert "2, 3, 4 and 5 tokens back (25%, 25%, 25% and 25%)" in mixture.sentence
    assert "spreads its attention" in read_head(analysis, hand_built.DIFFUSE).sentence


def test_the_bundled_heads_are_described_by_their_role(service: LiveService) -> None:
    analysis = service.analyze("demo-gpt2", "The cat sat on the mat. The cat sat on the")
    for role, key in (("previous_token", "back_1"), ("induction", "after_same")):
        best = max(analysis.listed[role], key=lambda entry: entry.live)
        reading = read_head(analysis, best.head)
        assert key in reading.stands_out
        # The same number as the role's own score, where the rows are the same.
        assert shares(reading)[key] == pytest.approx(best.live, abs=0.01)


def test_random_heads_are_hardly_ever_said_to_do_anything() -> None:
    message = tried = 0
    for std in LOGIT_STDS:
        for rows in random_head_patterns(N, std, 200, seed=int(std)):
            view = View(rows)
            tried += 1
            message += bool(standing_out(view, view.masks(PROMPT)))
    assert message / tried <= 0.03
