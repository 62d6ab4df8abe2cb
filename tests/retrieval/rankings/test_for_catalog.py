import copy
from collections.abc import Callable
from dataclasses import replace

import pytest

from retrieval.filings.generated import MAIN_TASKS
from retrieval.rankings.for_catalog import (
    CatalogRankingOptions,
    empty_rankings,
    rank_for_catalog,
    samples_in_all,
)
from retrieval.rankings.methods import METHODS
from utils.catalog.ranking_record import RankingRecord
from utils.errors import UserFacingError
from utils.models.loading import LoadedModel

OPTIONS = CatalogRankingOptions(samples=2, seed=4)


def _silent(what: str, done: int, total: int) -> None:
    pass


def test_a_record_a_method_and_question(bundled: Callable[[str], LoadedModel]) -> None:
    steps: list[tuple[str, int, int]] = []
    found = rank_for_catalog(bundled("demo-gpt2"), OPTIONS, lambda *step: steps.append(step))
    assert tuple(found) == tuple(METHODS)
    assert [step[1:] for step in steps] == [(done, 8) for done in range(1, 9)]
    assert samples_in_all(OPTIONS) == 8 and "In which state" in steps[0][0]
    for method, records in found.items():
        read = [RankingRecord.model_validate(record) for record in records]
        assert [record.question for record in read] == list(MAIN_TASKS)
        for record in read:
            assert (record.method, record.length, record.samples_processed) == (method, 128, 2)
            assert len(record.head_rankings) == 64
            assert record.settings["seed"] == 4 and record.settings["data"] == "generated filings"
            tokens = record.settings["prompt_tokens"]
            assert isinstance(tokens, dict) and 100 < float(str(tokens["mean"])) <= 128


def test_the_same_seed_gives_the_same_rankings(bundled: Callable[[str], LoadedModel]) -> None:
    loaded, one = bundled("demo-gpt2"), CatalogRankingOptions(samples=1)
    first = rank_for_catalog(loaded, one, _silent)
    assert rank_for_catalog(loaded, one, _silent) == first
    assert rank_for_catalog(loaded, replace(one, seed=1), _silent) != first


def test_a_length_that_the_model_cannot_read(bundled: Callable[[str], LoadedModel]) -> None:
    with pytest.raises(UserFacingError, match="at most 232"):
        rank_for_catalog(bundled("demo-gpt2"), CatalogRankingOptions(length=250), _silent)
    with pytest.raises(UserFacingError, match="20 are too few"):
        rank_for_catalog(bundled("demo-gpt2"), CatalogRankingOptions(length=20), _silent)


@pytest.mark.parametrize("context", [16, 40])
def test_a_context_that_is_too_small_for_filings_is_one_sentence(
    bundled: Callable[[str], LoadedModel], context: int
) -> None:
    small = replace(bundled("demo-gpt2"), context_length=context)
    with pytest.raises(UserFacingError) as caught:
        rank_for_catalog(small, OPTIONS, _silent)
    assert caught.value.message == (
        f"demo-gpt2 reads {context} tokens at once, which are too few for a filing with its question and an "
        "answer of 24 tokens."
    )
    assert "--rankings" in caught.value.remedy


def test_rankings_in_which_no_sample_counts_are_told() -> None:
    def record(question: str, counted: int) -> dict[str, object]:
        return {"question": question, "successful_samples": counted}

    rankings = {
        "qrhead": [record("inc_state", 3), record("inc_year", 1)],
        "wu24": [record("inc_state", 0), record("inc_year", 2), record("hq_state", 0)],
        "reasoning": [],
    }
    (note,) = empty_rankings(rankings)
    assert note.startswith("no sample counts in the ranking by wu24 of inc_state and hq_state:")


def test_the_date_of_a_chat_template_stands_in_the_settings(
    bundled: Callable[[str], LoadedModel],
) -> None:
    loaded = bundled("demo-llama")
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.chat_template = "{{ strftime_now('%Y-%m-%d') }} {{ messages[0]['content'] }}"
    dated = replace(loaded, tokenizer=tokenizer)
    one = CatalogRankingOptions(samples=1)
    for model, date in ((dated, "2024-07-26"), (loaded, None)):
        for records in rank_for_catalog(model, one, _silent).values():
            assert [record["settings"].get("chat_date") for record in records] == [date] * len(MAIN_TASKS)
