"""A catalog's retrieval rankings, and what they say about single heads."""

from typing import Any

import pytest

from tests.fixtures.catalogs import make_catalog
from utils.catalog.catalog import CATALOG_FOLDER, Catalog, load_catalog
from utils.catalog.rankings import catalog_rankings, rank_order, retrieval_facts, retrieval_heads
from utils.heads import Head

HEADS = [f"L{layer}H{head}" for layer in range(2) for head in range(10)]


def record(question: str, scores: dict[str, float], counted: int, **more: Any) -> dict[str, Any]:
    rows = [{"head": head, "score": score} for head, score in scores.items()]
    return {"question": question, "successful_samples": counted, "head_rankings": rows, **more}


def catalog_with(**rankings: list[dict[str, Any]]) -> Catalog:
    return make_catalog("some", 2, 10, {}).model_copy(update={"rankings": rankings})


def test_a_ranking_is_the_mean_over_the_records_that_can_be_read():
    ones, twos = (dict.fromkeys(HEADS, value) for value in (0.1, 0.3))
    catalog = catalog_with(
        qrhead=[
            record("inc_state", ones, 4),
            record("inc_year", twos | {"L0H1": 0.7}, 6),
            record("hq_state", twos, 0),
            record("broken", {"L0H0": 1.0}, 9),
            record("broken", ones | {"nonsense": 1.0}, 9),
            {"successful_samples": 3},
        ],
        wu24=[record("hq_state", ones, 0)],
    )
    rankings = catalog_rankings(catalog)
    assert list(rankings) == ["qrhead"]
    ranking = rankings["qrhead"]
    assert (ranking.records, ranking.questions, ranking.samples) == (2, ("inc_state", "inc_year"), 10)
    assert float(ranking.scores[0, 0]) == pytest.approx(0.2) and ranking.control is None
    assert ranking.order == tuple(rank_order(ranking.scores)) and ranking.order[0] == Head(0, 1)
    assert catalog_rankings(catalog) is rankings
    assert catalog_rankings(None) == catalog_rankings(catalog_with()) == {}


def test_what_the_rankings_say_about_a_head():
    scores = {head: (20 - position) / 100 for position, head in enumerate(HEADS)}
    catalog = catalog_with(
        summed_attention=[
            record("a", scores, 2, span_share=0.1),
            record("b", scores, 2, span_share=0.3),
        ],
        reasoning=[record("a", scores, 2, recency_control=0.4)],
    )
    summed, reasoning = retrieval_facts(catalog, Head(0, 2))
    assert (summed.method, summed.rank, summed.total) == ("summed_attention", 3, 20)
    assert (summed.score, summed.median) == (pytest.approx(0.18), pytest.approx(0.10))
    assert summed.control == pytest.approx(0.2) and reasoning.control == pytest.approx(0.4)
    assert retrieval_facts(None, Head(0, 0)) == []


def test_retrieval_heads_are_the_first_tenth_as_far_as_they_score():
    scores = dict.fromkeys(HEADS, -0.1) | {"L1H4": 0.5, "L0H3": 0.0}
    assert retrieval_heads(catalog_with(qrhead=[record("a", scores, 3)])) == (Head(1, 4),)
    both = scores | {"L0H0": 0.9}
    assert retrieval_heads(catalog_with(qrhead=[record("a", both, 3)])) == (Head(0, 0), Head(1, 4))
    assert retrieval_heads(catalog_with(wu24=[record("a", both, 3)])) == ()
    assert retrieval_heads(None) == ()


@pytest.mark.parametrize("name", ["demo-gpt2", "demo-llama"])
def test_the_bundled_models_have_all_four(name: str):
    catalog = load_catalog(CATALOG_FOLDER / f"{name}.json")
    assert len(catalog_rankings(catalog)) == 4
    assert len(retrieval_heads(catalog)) == 6
