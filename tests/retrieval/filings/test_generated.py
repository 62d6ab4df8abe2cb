"""Generated filings: what stands where, the exact prompt, and that each question has one answer."""

import random
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from retrieval.filings import vocabulary
from retrieval.filings.generated import (
    MAIN_TASKS,
    NULL_QUERY,
    TASKS,
    FilingOptions,
    Sample,
    filler_sentence,
    make_filing,
    make_filings,
    make_filings_of_length,
    null_prompt,
)
from utils.errors import UserFacingError
from utils.models.loading import LoadedModel

EVERYTHING = FilingOptions(other_facts=tuple(TASKS), filler_sentences=8)
BOTH = pytest.mark.parametrize("whole_sentence", [False, True], ids=["word", "sentence"])


def span(sample: Sample, name: str) -> str:
    start, end = sample.spans[name]
    return sample.prompt[start:end]


def sentences(document: str) -> list[str]:
    return re.findall(r"[^.]+\.", document)


def test_there_are_nine_tasks_of_which_four_are_the_main_ones() -> None:
    assert len(TASKS) == 9 and all(task.key == key for key, task in TASKS.items())
    assert MAIN_TASKS == ("inc_state", "inc_year", "employee_count", "hq_state")
    kinds = [TASKS[key].kind for key in MAIN_TASKS]
    assert sorted(kinds) == ["categorical", "categorical", "numerical", "numerical"]
    assert set(TASKS) - set(MAIN_TASKS) == {
        "registrant_name",
        "hq_city",
        "ceo_lastname",
        "holders_of_record",
        "full_time_employees",
    }


@pytest.mark.parametrize("key", TASKS)
@BOTH
def test_contract_of_a_task(key: str, whole_sentence: bool) -> None:
    task = TASKS[key]
    assert all(wording.count("{value}") == 1 and wording.endswith(".") for wording in task.needles)
    assert len(task.needles) >= 2 and task.question.endswith("?")
    options = replace(EVERYTHING, whole_sentence=whole_sentence)
    for sample in make_filings(key, 60, seed=1, options=options):
        value = sample.facts[key]
        assert sample.task == key and set(sample.facts) == set(TASKS)
        assert span(sample, "answer") == value
        assert span(sample, "needle") == sample.needle and sample.needle.count(value) == 1
        needle, answer = sample.spans["needle"], sample.spans["answer"]
        assert needle[0] < answer[1] <= needle[1] and needle[0] <= answer[0]
        assert span(sample, "section") == sample.document
        assert span(sample, "question") == task.question
        assert sample.answer == (task.sentence.format(value=value) if whole_sentence else value)
        message = sentences(sample.document)
        assert len(message) == len(TASKS) + 8
        # The needle is one whole sentence, and stands where the depth says.
        assert sample.depth is not None
        assert round(sample.depth * (len(message) - 1)) == [text.strip() for text in message].index(
            sample.needle
        )


@pytest.mark.parametrize("key", TASKS)
def test_the_prompt_is_the_documented_template(key: str) -> None:
    (word,) = make_filings(key, 1, seed=3)
    (sentence,) = make_filings(key, 1, seed=3, options=FilingOptions(whole_sentence=True))
    question = TASKS[key].question
    assert word.prompt == f"{word.document}\n\nQuestion: {question}\nAnswer in one word:"
    assert sentence.prompt == f"{word.document}\n\nQuestion: {question}\nAnswer in one sentence:"


@pytest.mark.parametrize("key", TASKS)
@BOTH
def test_the_null_query_takes_the_questions_place_alone(key: str, whole_sentence: bool) -> None:
    (sample,) = make_filings(key, 1, seed=4, options=FilingOptions(whole_sentence=whole_sentence))
    start, end = sample.spans["question"]
    null = null_prompt(sample)
    assert NULL_QUERY == "N/A"
    assert null == f"{sample.document}\n\nQuestion: N/A{sample.prompt[end:]}"
    assert null[:start] == sample.prompt[:start]


def test_the_same_seed_gives_the_same_filings() -> None:
    for key in TASKS:
        assert make_filings(key, 5, seed=1) == make_filings(key, 5, seed=1)
        assert make_filings(key, 5, seed=1) == make_filings(key, 9, seed=1)[:5]
        assert make_filings(key, 5, seed=1) != make_filings(key, 5, seed=2)
    one, other = make_filings("inc_state", 5, seed=1), make_filings("hq_state", 5, seed=1)
    assert [sample.facts for sample in one] != [sample.facts for sample in other]


def test_depth_places_the_needle() -> None:
    for depth, index in ((0.0, 0), (0.25, 4), (0.5, 8), (1.0, 16)):
        options = FilingOptions(other_facts=tuple(TASKS), filler_sentences=8, depth=depth)
        for sample in make_filings("inc_year", 10, seed=depth.__repr__(), options=options):
            assert sentences(sample.document)[index].strip() == sample.needle
            assert sample.depth == depth
    anywhere = Counter(round((s.depth or 0) * 16) for s in make_filings("inc_year", 400, 1, EVERYTHING))
    assert set(anywhere) == set(range(17)) and max(anywhere.values()) < 60


@pytest.mark.parametrize("filler", [0, 1, 30])
def test_filler_is_as_long_as_asked(filler: int) -> None:
    options = FilingOptions(other_facts=(), filler_sentences=filler)
    (sample,) = make_filings("hq_city", 1, seed=0, options=options)
    assert len(sentences(sample.document)) == filler + 1
    assert list(sample.facts) == ["hq_city"]
    if not filler:
        assert sample.document == sample.needle and sample.depth == 0


def test_incorporation_and_headquarters_state_are_independent() -> None:
    """In the real filings they agree in half of the rows."""
    rows = make_filings("inc_state", 6000, seed=8, options=FilingOptions(filler_sentences=0))
    states = vocabulary.STATES
    pairs = [(sample.facts["inc_state"], sample.facts["hq_state"]) for sample in rows]
    assert {state for pair in pairs for state in pair} == set(states)
    agree = sum(one == other for one, other in pairs) / len(pairs)
    assert agree == pytest.approx(1 / len(states), abs=0.01)
    # Chi-square of the table of four groups of states by four: 9 degrees of freedom, beyond 27.9 once in
    # a thousand seeds.
    group = {state: number % 4 for number, state in enumerate(states)}
    table = Counter((group[one], group[other]) for one, other in pairs)
    inc = Counter(group[one] for one, _ in pairs)
    hq = Counter(group[other] for _, other in pairs)
    expected = {(a, b): inc[a] * hq[b] / len(pairs) for a in inc for b in hq}
    chi_square = sum((table[cell] - count) ** 2 / count for cell, count in expected.items())
    assert chi_square < 27.9
    # No state stands out as Delaware does in the real ones.
    assert max(Counter(one for one, _ in pairs).values()) / len(pairs) < 0.05


def patterns(key: str) -> list[re.Pattern[str]]:
    """What a needle of this task looks like, with any value of its kind."""
    kinds = {"categorical": "|".join(vocabulary.STATES), "numerical": r"\d+", "name": ".+"}
    value = f"({kinds[TASKS[key].kind]})"
    found = []
    for wording in TASKS[key].needles:
        text = re.escape(wording).replace(r"\{first\}", r"[A-Z][a-z]+").replace(r"\{value\}", value)
        found.append(re.compile(text))
    return found


@pytest.mark.parametrize("key", TASKS)
def test_one_sentence_alone_answers_the_question(key: str) -> None:
    """No other sentence has the wording of a needle of this task with a value of this task's kind."""
    for sample in make_filings(key, 80, seed=6, options=EVERYTHING):
        message = [text.strip() for text in sentences(sample.document)]
        found = [match for text in message for pattern in patterns(key) if (match := pattern.fullmatch(text))]
        assert [match[1] for match in found] == [sample.facts[key]]


def test_filler_holds_no_fact() -> None:
    rng = random.Random(1)
    texts = {filler_sentence(rng) for _ in range(3000)}
    values = {*vocabulary.STATES, *vocabulary.CITIES, *vocabulary.LAST_NAMES}
    for text in texts:
        assert not any(character.isdigit() for character in text)
        assert not any(re.search(rf"\b{value}\b", text) for value in values)
        assert not any(pattern.fullmatch(text) for key in TASKS for pattern in patterns(key))
        assert "{" not in text and text.count(".") == 1


def test_values_of_one_kind_are_told_apart() -> None:
    for words in (vocabulary.STATES, vocabulary.CITIES, vocabulary.LAST_NAMES):
        assert len(set(words)) == len(words)
    assert not set(vocabulary.CITIES) & set(vocabulary.STATES)
    assert not set(vocabulary.FIRST_NAMES) & set(vocabulary.LAST_NAMES)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("colour", FilingOptions(), r"task must be one of inc_state, .*Got 'colour'"),
        ("inc_state", FilingOptions(depth=1.5), r"depth must be in \[0, 1\]\. Got 1\.5"),
        ("inc_state", FilingOptions(depth=-0.1), r"depth must be in"),
        ("inc_state", FilingOptions(other_facts=("hq_state", "colour")), r"among inc_state, .*Got 'colour'"),
    ],
)
def test_what_cannot_be_made_is_refused(task: str, options: FilingOptions, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_filing(task, random.Random(0), options)


def test_the_asked_fact_may_be_named_among_the_others() -> None:
    options = FilingOptions(other_facts=MAIN_TASKS, filler_sentences=0)
    (sample,) = make_filings("hq_state", 1, seed=0, options=options)
    assert len(sentences(sample.document)) == len(MAIN_TASKS)
    starts = [sample.document.index(text) for text in sentences(sample.document)]
    assert all(one < other for one, other in pairwise(starts))


def words(text: str) -> int:
    """A token a word, and one before them."""
    return 1 + len(text.split())


@pytest.mark.parametrize("key", TASKS)
@pytest.mark.parametrize("length", [70, 128, 400])
def test_filings_of_a_length_are_as_near_to_it_as_sentences_allow(key: str, length: int) -> None:
    shortest = min(words(text.format(good="x", raw="x")) - 1 for text in vocabulary.FILLER)
    for sample in make_filings_of_length(key, 8, 3, length, words):
        assert length - shortest < words(sample.prompt) <= length
        assert span(sample, "answer") == sample.answer == sample.facts[key]
        assert set(sample.facts) == {key, *MAIN_TASKS}
        message = [text.strip() for text in sentences(sample.document)]
        assert message.count(sample.needle) == 1
        assert sample.depth is not None
        assert round(sample.depth * (len(message) - 1)) == message.index(sample.needle)


def test_a_models_own_tokens_are_counted(tiny_gpt2: LoadedModel) -> None:
    def count(text: str) -> int:
        return 1 + len(tiny_gpt2.tokenizer(text, add_special_tokens=False)["input_ids"])

    for length in (400, 700):
        lengths = [count(s.prompt) for s in make_filings_of_length("hq_state", 5, 1, length, count)]
        assert max(lengths) <= length and min(lengths) > length - 60


def test_the_nth_filing_of_a_seed_tells_the_same_facts_at_every_length() -> None:
    short = make_filings_of_length("inc_year", 6, 5, 100, words)
    long = make_filings_of_length("inc_year", 9, 5, 300, words)
    assert [sample.facts for sample in short] == [sample.facts for sample in long[:6]]
    assert [sample.key for sample in short] == [sample.key for sample in long[:6]]
    assert make_filings_of_length("inc_year", 9, 5, 300, words) == long
    assert make_filings_of_length("inc_year", 9, 6, 300, words) != long
    options = FilingOptions(depth=0.5)
    for sample in make_filings_of_length("inc_year", 6, 5, 300, words, options):
        assert sample.depth == pytest.approx(0.5, abs=0.03)


def test_where_there_is_little_room_other_facts_are_left_out() -> None:
    for sample in make_filings_of_length("inc_year", 10, 1, 40, words):
        assert words(sample.prompt) <= 40 and 1 <= len(sample.facts) < len(MAIN_TASKS)
        assert span(sample, "answer") == sample.facts["inc_year"]


def test_a_length_that_holds_no_needle_is_refused() -> None:
    with pytest.raises(UserFacingError, match=r"question inc_year has at least \d+ tokens; 15 are too few"):
        make_filings_of_length("inc_year", 1, 1, 15, words)
    with pytest.raises(ValueError, match="task must be one of"):
        make_filings_of_length("colour", 1, 1, 100, words)


def test_every_sample_has_a_key_of_its_own() -> None:
    samples = [sample for key in TASKS for seed in (1, 2) for sample in make_filings(key, 20, seed)]
    assert len({sample.key for sample in samples}) == len(samples)
    assert make_filings("inc_year", 3, 1)[2].key == "inc_year-1-0002"
