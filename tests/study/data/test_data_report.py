"""The data report: counts and shares by hand, and the confounds in words."""

from dataclasses import replace

import pytest

from retrieval.filings.generated import MAIN_TASKS, Sample, build_prompt, make_filings, make_filings_of_length
from retrieval.filings.real import TaskCounts
from retrieval.filings.tasks import TASKS
from study.data.data_report import data_report, report_markdown
from study.data.splits import Split, split


def words(text: str) -> int:
    return 1 + len(text.split())


def real(task: str, name: str, facts: dict[str, str], needle: bool = True) -> Sample:
    document = f"The fact is {facts[task]}."
    prompt, question = build_prompt(document, TASKS[task].question)
    spans = {"section": (0, len(document)), "question": question}
    if needle:
        spans |= {"needle": (0, len(document)), "answer": (12, len(document) - 1)}
    return Sample(task, prompt, facts[task], facts, spans, 0.0 if needle else None, f"{task}-{name}")


FACTS = (
    {"inc_state": "Delaware", "hq_state": "Delaware", "inc_year": "1929"},
    {"inc_state": "delaware", "hq_state": "Ohio", "inc_year": "1930"},
    {"inc_state": "Texas", "hq_state": "Texas"},
    {"inc_state": "Utah", "inc_year": "1931", "employee_count": "1931"},
)


@pytest.fixture
def splits() -> dict[str, Split]:
    state = [real("inc_state", f"f{n}", facts, n != 3) for n, facts in enumerate(FACTS)]
    hq = [real("hq_state", f"f{n}", facts) for n, facts in enumerate(FACTS[:3])]
    return {
        "inc_state": Split((state[0], state[2]), (state[1], state[3])),
        "hq_state": Split((hq[1], hq[2]), (hq[0],)),
    }


def test_counts_and_shares_by_hand(splits: dict[str, Split]) -> None:
    report = data_report(splits, "a table", length=99, count_tokens=words)
    state, hq = report["questions"]["inc_state"], report["questions"]["hq_state"]
    assert state == {
        "samples": 4,
        "train": 2,
        "test": 2,
        "distinct_answers": 3,
        "most_common_answer": "delaware",
        "most_common_share": 0.5,
        "guess_accuracy": 0.5,
        "test_answers_seen_in_train": 0.5,
        "needle_known": 3,
        "mean_depth": 0.0,
        "prompt_tokens": {"least": 17, "mean": 17, "most": 17},
    }
    assert (hq["train"], hq["test"], hq["guess_accuracy"], hq["test_answers_seen_in_train"]) == (2, 1, 0, 0)
    # Of four filings, each counted once, three tell both states; a year and a number of people differ in kind
    # but not in what they are: both are numerical.
    assert {
        tuple(pair["questions"]): (pair["filings"], pair["same_value"]) for pair in report["confounds"]
    } == {
        ("inc_state", "hq_state"): (3, 0.6667),
        ("inc_year", "employee_count"): (1, 1.0),
    }
    # f1 is tested on its incorporation and trained on its headquarters; f0 the other way round.
    assert report["filings_in_train_and_test"] == 2
    assert "rows" not in report


def test_the_confounds_are_told_in_words(splits: dict[str, Split]) -> None:
    counts = {
        "inc_state": TaskCounts(
            rows=9, null=2, multi_valued=1, answer_cut=2, needle_unknown=1, distracted=3, samples=4
        ),
        "hq_state": TaskCounts(rows=9, null=6, samples=3),
    }
    message = report_markdown(data_report(splits, "a table", counts=counts, length=99))
    for part in (
        "Filings: a table, prompts of at most 99 tokens.",
        "| inc_state | 4 | 2 | 2 | 3 | delaware (50%) | 50% | 3 |",
        "| inc_state | 9 | 2 | 1 | 0 | 0 | 2 | 0 | 4 | 0 | 3 |",
        "`inc_state`: truncation cut away the answer of 2 filings; 1 of those kept have no known needle",
        "`inc_state`: 50% of the answers are delaware.",
        "`inc_state` and `hq_state` have the same value in 67% of the 3 filings that tell both.",
        "2 test samples are about a filing that is in the train part of another question",
        "- `inc_state` = `hq_state`: 66.7% of 3 filings",
    ):
        assert part in message
    for table in message.split("\n\n"):
        if table.startswith("|"):
            assert len({line.count("|") for line in table.splitlines()}) == 1


def test_generated_filings_have_no_confound() -> None:
    splits = {task: split(make_filings_of_length(task, 60, 1, 120, words)) for task in MAIN_TASKS}
    report = data_report(splits, "generated", length=120, count_tokens=words)
    assert report["filings_in_train_and_test"] == 0
    assert all(pair["same_value"] < 0.1 for pair in report["confounds"])
    for row in report["questions"].values():
        assert row["samples"] == row["needle_known"] == 60 and (row["train"], row["test"]) == (48, 12)
        assert row["prompt_tokens"]["most"] <= 120 and 0.3 < row["mean_depth"] < 0.7
    assert "None: no answer and no pair of facts of one value reaches 20%." in report_markdown(report)


def test_a_sign_of_a_table_in_an_answer_breaks_no_table() -> None:
    samples = [replace(sample, answer="A|B") for sample in make_filings("hq_city", 4, seed=1)]
    message = report_markdown(data_report({"hq_city": split(samples)}, "x"))
    assert "A\\|B (100%)" in message
