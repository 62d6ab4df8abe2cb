from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from retrieval.filings.generated import FilingOptions, Sample, make_filings
from retrieval.filings.prompting import EncodedPrompt, encode_sample, usual_stem
from retrieval.rankings.methods import METHODS, RankingOptions, Readings
from retrieval.rankings.ranking import rank_heads, read_sample, sample_scores
from retrieval.reading.query_rows import query_rows
from tests.fixtures import slow_rankings as slow
from tests.fixtures.makers.retrieval_model import ALWAYS, RETRIEVAL, filings, save_retrieval_model
from utils.errors import UserFacingError
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.models.loading import LoadedModel, load_model
from utils.models.sources import REAL_MODEL

OPTIONS = RankingOptions()
SHORT = FilingOptions(other_facts=("hq_state",), filler_sentences=2)


def _samples(task: str, count: int = 2) -> list[Sample]:
    return make_filings(task, count, 11, SHORT)


@pytest.fixture(scope="module")
def read_by_model(bundled: Callable[[str], LoadedModel]) -> Callable[..., Any]:
    """A function that gives a model, an encoded sample, and what was read of it."""

    def read(name: str, task: str, options: RankingOptions) -> tuple[LoadedModel, EncodedPrompt, Readings]:
        loaded = bundled(name)
        encoded = encode_sample(loaded, _samples(task)[0])
        return loaded, encoded, read_sample(loaded, encoded, METHODS, options)

    return read


def _whole(loaded: LoadedModel, ids: Sequence[int]) -> torch.Tensor:
    """output_attentions=True over all of it, [layer, head, query, key]."""
    return capture(loaded, ids).attention


def _close(found: torch.Tensor | None, expected: slow.Table) -> None:
    assert found is not None
    torch.testing.assert_close(found.double(), torch.tensor(expected).double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("task", ["employee_count", "registrant_name"])
@pytest.mark.parametrize("name", ["demo-gpt2", "demo-llama", REAL_MODEL])
def test_each_method_equals_its_reference_on_the_bundled_models(
    read_by_model: Callable[..., Any], name: str, task: str
) -> None:
    loaded, encoded, readings = read_by_model(name, task, OPTIONS)
    whole, null = _whole(loaded, encoded.ids), _whole(loaded, encoded.null_ids)
    needle, question = encoded.spans["needle"], encoded.spans["question"]
    found = {key: sample_scores(key, readings, OPTIONS).scores for key in METHODS}
    _close(found["summed_attention"], slow.summed_attention(whole, needle))
    null_rows = whole.new_tensor(null[:, :, slice(*encoded.null_spans["question"])].tolist())
    expected = slow.qrhead(whole[:, :, slice(*question)].tolist(), null_rows.tolist(), needle, encoded.shared)
    _close(found["qrhead"], expected)
    written = readings.answer.ids
    assert len(written) >= 2
    spoken = _whole(loaded, [*encoded.ids, *written])
    last = len(encoded.ids) - 1
    rows = [spoken[:, :, last + step, : last + step + 1].tolist() for step in range(len(written))]
    _close(found["wu24"], slow.wu24(rows, written, encoded.ids, needle))
    _close(found["reasoning"], slow.reasoning(rows, len(encoded.ids), question))


def test_options_are_followed(read_by_model: Callable[..., Any]) -> None:
    options = RankingOptions(
        span="section",
        query_span="line",
        calibrate=False,
        remove_outliers=False,
        wu24_rule="count",
        reasoning_rule="published",
    )
    loaded, encoded, readings = read_by_model("demo-llama", "employee_count", options)
    whole = _whole(loaded, encoded.ids)
    section, line = encoded.spans["section"], encoded.spans["question_line"]
    found = {key: sample_scores(key, readings, options) for key in METHODS}
    _close(found["summed_attention"].scores, slow.summed_attention(whole, section))
    rows = whole[:, :, slice(*line)].tolist()
    _close(found["qrhead"].scores, slow.qrhead(rows, rows, section, encoded.shared, False, False))
    share = (section[1] - section[0]) / len(encoded.ids)
    assert found["summed_attention"].details["span_share"] == pytest.approx(share)
    spoken = _whole(loaded, [*encoded.ids, *readings.answer.ids])
    last, steps = len(encoded.ids) - 1, len(readings.answer.ids)
    rows = [spoken[:, :, last + step, : last + step + 1].tolist() for step in range(steps)]
    written, needle = readings.answer.ids, encoded.spans["needle"]
    _close(found["wu24"].scores, slow.wu24(rows, written, encoded.ids, needle, count=True))
    question = encoded.spans["question"]
    _close(found["reasoning"].scores, slow.reasoning(rows, len(encoded.ids), question, per_step=False))


def test_every_family_can_be_ranked(loaded: LoadedModel) -> None:
    roomy = replace(loaded, context_length=128)
    sample = make_filings("inc_state", 1, 0, FilingOptions(other_facts=(), filler_sentences=0))[0]
    # A question of a few tokens in place of the long one, which 320 tokens spell nearly letter by letter.
    prompt = "It was in Delaware.\n\nQuestion: Where?\nAnswer:"
    spans = {"section": (0, 19), "needle": (0, 19), "answer": (10, 18), "question": (31, 37)}
    sample = replace(sample, prompt=prompt, answer="Delaware", spans=spans)
    records = rank_heads(roomy, [sample], METHODS, RankingOptions(new_tokens=3), 64)
    geometry = loaded.geometry
    for record in records.values():
        assert len(record.heads()) == geometry.n_layers * geometry.n_heads
    encoded = encode_sample(roomy, sample, usual_stem(roomy, "inc_state"))
    last = query_rows(loaded, encoded.ids, len(encoded.ids) - 1)
    expected = slow.summed_attention(last, encoded.spans["needle"])
    best = records["summed_attention"].head_rankings[0]
    head = records["summed_attention"].heads()[0]
    assert best.score == pytest.approx(max(map(max, expected)), abs=1e-4)
    assert best.score == pytest.approx(expected[head.layer][head.head], abs=1e-4)


@pytest.fixture(scope="module")
def retrieval(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model("retrieval", save_retrieval_model(tmp_path_factory.mktemp("retrieval"), filings(6)))


def test_the_retrieval_head_is_first_in_all_three_methods(retrieval: LoadedModel) -> None:
    records = rank_heads(retrieval, filings(6), METHODS, OPTIONS, 100)
    for method in ("summed_attention", "wu24", "qrhead"):
        assert records[method].heads()[0] == RETRIEVAL, method
        assert records[method].successful_samples == 6
    scores = {
        method: {entry.head: entry.score for entry in records[method].head_rankings} for method in records
    }
    best, always = str(RETRIEVAL), str(ALWAYS)
    assert scores["summed_attention"][best] > 0.99
    assert scores["summed_attention"][always] == pytest.approx(0.4, abs=0.01)
    # All tokens of the question but its first look; the other head looks as much under the null query.
    assert scores["qrhead"][best] > 0.8 and abs(scores["qrhead"][always]) < 0.01
    assert scores["wu24"][best] > 0.05 and scores["wu24"][always] == 0


def test_the_retrieval_head_is_needed_and_rests_without_a_question(retrieval: LoadedModel) -> None:
    sample = filings(6)[0]
    encoded = encode_sample(retrieval, sample)
    assert read_sample(retrieval, encoded, ["wu24"], OPTIONS).answer.text == sample.answer
    null = query_rows(retrieval, encoded.null_ids, *encoded.null_spans["question"])
    needle = slice(*encoded.spans["needle"])
    assert float(null[RETRIEVAL][:, needle].sum(-1).max()) < 0.01
    assert float(null[ALWAYS][:, needle].sum(-1).min()) > 0.39


def test_only_answered_samples_count_for_the_gated_methods(retrieval: LoadedModel) -> None:
    samples = filings(6)
    wrong = [replace(sample, answer="Nowhere at all") for sample in samples[:2]]
    records = rank_heads(retrieval, [*wrong, *samples[2:]], METHODS, OPTIONS, 100)
    counted = {method: record.successful_samples for method, record in records.items()}
    assert counted == {"summed_attention": 6, "wu24": 4, "qrhead": 6, "reasoning": 4}
    assert all(record.samples_processed == 6 for record in records.values())
    readings = read_sample(retrieval, encode_sample(retrieval, wrong[0]), ["wu24"], OPTIONS)
    found = sample_scores("wu24", readings, OPTIONS)
    assert not found.counted and "0% of the expected words" in found.problem
    assert found.scores is not None and float(found.scores[RETRIEVAL]) > 0
    assert found.details["copied"] == [[RETRIEVAL]]
    # Without one answered sample there is a ranking still: nothing, in order of layer and head.
    none = rank_heads(retrieval, wrong, ["wu24"], OPTIONS, 100)["wu24"]
    assert none.heads() == [Head(layer, head) for layer in range(2) for head in range(2)]
    assert [(entry.score, entry.count) for entry in none.head_rankings] == [(0, 0)] * 4


def test_the_gate_is_passed_above_the_threshold_and_not_at_it(retrieval: LoadedModel) -> None:
    sample = filings(1)[0]
    half = replace(sample, answer=f"{sample.answer} Nowhere")
    for threshold, counted in ((50.0, 0), (49.0, 1)):
        options = RankingOptions(rouge_threshold=threshold)
        assert rank_heads(retrieval, [half], ["wu24"], options, 100)["wu24"].successful_samples == counted


def test_samples_without_the_spans_are_skipped_and_counted(retrieval: LoadedModel) -> None:
    samples = filings(4)
    bare = {name: span for name, span in samples[0].spans.items() if name in ("section", "question")}
    samples[0] = replace(samples[0], spans=bare)
    records = rank_heads(retrieval, samples, METHODS, OPTIONS, 100)
    message = {key: (record.samples_processed, record.samples_skipped) for key, record in records.items()}
    assert message == {"summed_attention": (3, 1), "wu24": (3, 1), "qrhead": (3, 1), "reasoning": (4, 0)}
    readings = read_sample(retrieval, encode_sample(retrieval, samples[0]), ["reasoning"], OPTIONS)
    found = sample_scores("qrhead", readings, OPTIONS)
    assert found.scores is None and not found.counted and "was not found" in found.problem


def test_the_record_says_what_was_done(retrieval: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    steps: list[tuple[str, int, int]] = []
    samples = filings(2)
    records = rank_heads(
        retrieval, samples, METHODS, OPTIONS, 100, lambda *step: steps.append(step), {"seed": 3}
    )
    assert [step[1:] for step in steps] == [(1, 2), (2, 2)]
    record = records["qrhead"]
    assert (record.model_name, record.question, record.length) == ("retrieval", "inc_state", 100)
    assert record.question_prompt == "In which state was the company incorporated?"
    assert (record.null_query, record.rouge_threshold, record.span) == ("N/A", None, "needle")
    assert record.timestamp == "2023-11-14" and record.settings["seed"] == 3
    assert record.settings["calibrate"] is True
    gated = records["reasoning"]
    assert (gated.rouge_threshold, gated.span, gated.null_query) == (50.0, "question", None)
    # One token is written each time, and none was before it; of the last five, none is the question's.
    assert gated.recency_control == 0
    share = records["summed_attention"].span_share
    assert share is not None and 0.05 < share < 0.5
    assert records == rank_heads(retrieval, samples, METHODS, OPTIONS, 100, settings={"seed": 3})


def test_an_unknown_method_names_the_four(retrieval: LoadedModel) -> None:
    with pytest.raises(UserFacingError, match="summed_attention, wu24, qrhead, reasoning"):
        rank_heads(retrieval, filings(1), ["wu25"], OPTIONS, 100)


@pytest.mark.parametrize("answer", ["", " ", "."])
def test_an_empty_truth_is_one_sentence(retrieval: LoadedModel, answer: str) -> None:
    samples = filings(2)
    with pytest.raises(UserFacingError, match="Sample 2 of inc_state has no expected answer"):
        rank_heads(retrieval, [samples[0], replace(samples[1], answer=answer)], METHODS, OPTIONS, 100)


def test_no_samples_and_too_long_ones(retrieval: LoadedModel) -> None:
    with pytest.raises(UserFacingError, match="no samples"):
        rank_heads(retrieval, [], METHODS, OPTIONS, 100)
    with pytest.raises(UserFacingError, match="retrieval reads at most 40"):
        rank_heads(replace(retrieval, context_length=40), filings(1), METHODS, OPTIONS, 100)
    with pytest.raises(ValueError, match="one question"):
        rank_heads(retrieval, [*filings(1), *_samples("inc_year")], METHODS, OPTIONS, 100)
