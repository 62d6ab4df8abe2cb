from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrieval.rankings.methods import METHODS, RankingOptions, Readings, methods_named, missing_spans
from utils.catalog.catalog import CATALOG_FOLDER, load_catalog
from utils.errors import UserFacingError

KEYS = ("summed_attention", "wu24", "qrhead", "reasoning")


def test_the_methods_are_those_of_the_catalog() -> None:
    assert tuple(METHODS) == KEYS
    catalogs = [path for path in sorted(Path(CATALOG_FOLDER).glob("*.json"))]
    assert catalogs and all(tuple(load_catalog(path).rankings) == KEYS for path in catalogs)
    for key, method in METHODS.items():
        assert method.key == key and method.name and method.source.endswith(".")
        assert len(method.explanation) > 100
        assert all(hasattr(RankingOptions(), name) for name in method.options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "other"}, "the word of other must have its key. Got 'qrhead'"),
        ({"control": "share", "chance": "luck"}, "span_share, recency_control, control. Got 'share'"),
        ({"control": "control"}, "both control and chance"),
        ({"chance": "even attention"}, "both control and chance"),
    ],
)
def test_a_row_that_does_not_hold_together(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(METHODS["qrhead"], **change)


def test_every_option_matters_to_a_method() -> None:
    used = {name for method in METHODS.values() for name in method.options}
    assert used == set(RankingOptions.__dataclass_fields__)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"span": "sentence"}, "needle, section, answer"),
        ({"query_span": "word"}, "text, line"),
        ({"wu24_rule": ""}, "distinct, count"),
        ({"reasoning_rule": None}, "normalised, published"),
        ({"rouge_threshold": 100}, "below 100"),
        ({"rouge_threshold": -1}, "below 100"),
        ({"new_tokens": 0}, "at least 1"),
    ],
)
def test_a_choice_that_there_is_not(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserFacingError, match=message):
        RankingOptions(**options)  # pyright: ignore[reportArgumentType]


def test_methods_by_name() -> None:
    assert [method.key for method in methods_named(["qrhead", "wu24", "qrhead"])] == ["qrhead", "wu24"]
    with pytest.raises(UserFacingError, match=r"'summed'.*summed_attention, wu24, qrhead, reasoning"):
        methods_named(["summed"])


@pytest.mark.parametrize(
    ("span", "summed", "qrhead"),
    [("needle", ["needle"], ["needle"]), ("section", [], []), ("answer", ["answer"], ["answer"])],
)
def test_what_a_real_filing_may_lack(span: str, summed: list[str], qrhead: list[str]) -> None:
    options = RankingOptions(span=span)  # pyright: ignore[reportArgumentType]
    known = ("section", "question", "question_line")
    lacking = [missing_spans(known, method, options) for method in METHODS.values()]
    assert lacking == [summed, ["needle"], qrhead, []]


def test_what_was_not_read_scores_nothing() -> None:
    readings = Readings((0, 1, 2), {"needle": (1, 2), "question": (2, 3)}, 2)
    assert [method.score(readings, RankingOptions()) for method in METHODS.values()] == [None] * 4
    with pytest.raises(ValueError, match="not read"):
        _ = readings.answer
