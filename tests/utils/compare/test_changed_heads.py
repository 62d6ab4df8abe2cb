"""What the page shows of two analyses, on a bundled model."""

import pytest

from utils.compare.changed_heads import MAX_CHANGED, compare, most_changed
from utils.compare.sentences import SMALL_DIFFERENCE
from utils.compare.side_by_side import score_differences
from utils.live.analysis import LiveAnalysis
from utils.live.service import LiveService
from utils.roles.registry import MIN_POSITIONS, Z_SEARCH

REPEATS = "red stone blue river tall tower green field red stone blue river tall tower green"
GOES_ON = "red stone blue river tall tower green field red house dark forest cold winter white"


@pytest.fixture(scope="module")
def pair(service: LiveService) -> tuple[LiveAnalysis, LiveAnalysis]:
    return service.analyze("demo-gpt2", REPEATS), service.analyze("demo-gpt2", GOES_ON)


def test_the_heads_that_change_most_are_the_largest_differences(pair: tuple[LiveAnalysis, LiveAnalysis]):
    changed = most_changed(*pair, count=1000)
    assert changed
    found = {(entry.role, entry.head): entry.difference for entry in changed}
    tables = score_differences(*pair)
    for role, table in tables.items():
        for layer in range(table.shape[0]):
            for head in range(table.shape[1]):
                value = float(table[layer, head])
                got = found.pop((role, (layer, head)), None)  # type: ignore[arg-type]
                clears = any(
                    float(side.scores.live[role][layer, head])
                    > side.scores.inputs[role][layer].chance_bound(Z_SEARCH)
                    for side in pair
                )
                assert min(side.scores.target(role).rows for side in pair) >= MIN_POSITIONS or got is None
                if min(side.scores.target(role).rows for side in pair) >= MIN_POSITIONS:
                    assert (got is not None) == (abs(value) >= SMALL_DIFFERENCE and clears)
                assert got is None or got == pytest.approx(value, abs=1e-6)
    assert not found
    sizes = [abs(entry.difference) for entry in changed]
    assert sizes == sorted(sizes, reverse=True)
    assert most_changed(*pair, count=3) == changed[:3]


def test_what_rests_on_a_place_or_two_is_left_out(service: LiveService):
    once, plain = (service.analyze("demo-gpt2", text) for text in ("red stone blue red", "red stone blue"))
    few = {role for role in once.scores.inputs if once.scores.target(role).rows < MIN_POSITIONS}
    assert few
    assert not few & {entry.role for entry in most_changed(once, plain, count=1000)}


def test_whether_a_head_is_listed_is_the_catalogs_word(pair: tuple[LiveAnalysis, LiveAnalysis]):
    for entry in most_changed(*pair, count=1000):
        listed = {one.head for one in pair[0].carrying[entry.role]}
        assert entry.listed == ((entry.head.layer, entry.head.head) in listed)


def test_nothing_changes_between_a_text_and_itself(pair: tuple[LiveAnalysis, LiveAnalysis]):
    assert most_changed(pair[0], pair[0], count=10) == ()


def test_two_models_have_no_heads_to_compare(service: LiveService, pair: tuple[LiveAnalysis, LiveAnalysis]):
    compared = compare(pair[0], service.analyze("demo-llama", REPEATS))
    assert compared.changed is None
    assert compared.comparison.models == ("demo-gpt2", "demo-llama")
    one = compare(*pair)
    assert one.changed is not None and 0 < len(one.changed) <= MAX_CHANGED
    assert [prompt.text for prompt in one.prompts] == [REPEATS, GOES_ON]
