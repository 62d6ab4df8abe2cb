"""The study's data: counts, what truncation cut away, and confounds (docs/METHODS.md, section 5).

A confound is what lets a model answer without finding the asked fact: an answer that most filings share, or
another fact of the filing with the same value.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from statistics import mean
from typing import Any

from retrieval.filings.generated import Sample
from retrieval.filings.grading import normalise
from retrieval.filings.real import TaskCounts
from retrieval.filings.tasks import TASKS
from study.data.splits import Split

JSON_NAME = "data_report.json"
MARKDOWN_NAME = "data_report.md"
# From here on a share is called a confound.
TELLING_SHARE = 0.2
_LEFT_OUT = ("null", "multi_valued", "unreadable", "no_text", "answer_cut", "no_needle")


def data_report(
    splits: Mapping[str, Split],
    source: str,
    *,
    counts: Mapping[str, TaskCounts] | None = None,
    length: int | None = None,
    count_tokens: Callable[[str], int] | None = None,
) -> dict[str, Any]:
    """The report as one JSON object.

    Args:
        splits: both parts of each question's samples, {task key: split}.
        source: where the filings are from, in words.
        counts: what became of the rows of a real ground truth; None for generated filings.
        length: the length in tokens that the prompts were made for, None for any.
        count_tokens: counts a prompt's tokens; without it they are not reported.
    """
    samples = {task: [*split.train, *split.test] for task, split in splits.items()}
    report: dict[str, Any] = {
        "source": source,
        "length": length,
        "questions": {task: _question(split, count_tokens) for task, split in splits.items()},
        "confounds": _agreements([sample for part in samples.values() for sample in part]),
        "filings_in_train_and_test": _shared_filings(splits),
    }
    if counts is not None:
        report["rows"] = {task: counts[task].as_dict() for task in splits if task in counts}
    return report


def _question(split: Split, count_tokens: Callable[[str], int] | None) -> dict[str, Any]:
    """Counts of one question's samples, and how far one gets without reading."""
    samples = [*split.train, *split.test]
    answers = Counter(normalise(sample.answer) for sample in samples)
    written = {normalise(sample.answer): sample.answer for sample in samples}
    common, times = answers.most_common(1)[0]
    known = {normalise(sample.answer) for sample in split.train}
    guess = Counter(normalise(sample.answer) for sample in split.train).most_common(1)[0][0]
    test = [normalise(sample.answer) for sample in split.test]
    depths = [sample.depth for sample in samples if sample.depth is not None]
    message: dict[str, Any] = {
        "samples": len(samples),
        "train": len(split.train),
        "test": len(split.test),
        "distinct_answers": len(answers),
        "most_common_answer": written[common],
        "most_common_share": round(times / len(samples), 4),
        # What always saying the train part's most common answer would get right.
        "guess_accuracy": round(test.count(guess) / len(test), 4),
        "test_answers_seen_in_train": round(sum(answer in known for answer in test) / len(test), 4),
        "needle_known": sum("needle" in sample.spans for sample in samples),
        "mean_depth": round(mean(depths), 4) if depths else None,
    }
    if any(sample.company for sample in samples):
        message["companies"] = {
            part: len({sample.company for sample in some})
            for part, some in (("train", split.train), ("test", split.test))
        }
    if count_tokens is not None:
        tokens = [count_tokens(sample.prompt) for sample in samples]
        message["prompt_tokens"] = {"least": min(tokens), "mean": round(mean(tokens), 1), "most": max(tokens)}
    return message


def _filing(sample: Sample) -> tuple[str, tuple[tuple[str, str], ...]]:
    """What a filing has in common in the samples of all questions: its name and its facts."""
    return sample.key.removeprefix(f"{sample.task}-"), tuple(sorted(sample.facts.items()))


def _agreements(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """For each two questions of one kind: how many filings tell both facts, and the share with one value."""
    filings = {_filing(sample): sample.facts for sample in samples}.values()
    pairs = []
    for one, other in combinations(TASKS, 2):
        if TASKS[one].kind != TASKS[other].kind:
            continue
        both = [facts for facts in filings if one in facts and other in facts]
        if both:
            same = sum(normalise(facts[one]) == normalise(facts[other]) for facts in both)
            pairs.append(
                {"questions": [one, other], "filings": len(both), "same_value": round(same / len(both), 4)}
            )
    return pairs


def _shared_filings(splits: Mapping[str, Split]) -> int:
    """Test samples whose filing is in the train part of another question."""
    trained = {task: {_filing(sample) for sample in split.train} for task, split in splits.items()}
    return sum(
        any(_filing(sample) in filings for other, filings in trained.items() if other != task)
        for task, split in splits.items()
        for sample in split.test
    )


def report_markdown(report: Mapping[str, Any]) -> str:
    """The report in Markdown: tables, and the confounds in words."""
    length = f", prompts of at most {report['length']} tokens" if report["length"] else ""
    rows = report["questions"].values()
    parts = [
        f"# Data report\n\nFilings: {report['source']}{length}.",
        _table(
            ("question", "samples", "train", "test", "answers", "most common", "guess", "needle known")
            + (("companies",) if any("companies" in row for row in rows) else ())
            + (("tokens",) if any("prompt_tokens" in row for row in rows) else ()),
            [_row(task, row) for task, row in report["questions"].items()],
        ),
        '"Guess" is the share of test answers that the most common answer of the train part gets right.',
    ]
    if "rows" in report:
        parts += [
            "## Rows of the ground truth",
            _table(
                (
                    "question",
                    "rows",
                    *(name.replace("_", " ") for name in _LEFT_OUT),
                    "samples",
                    "repaired",
                    "with a distractor",
                ),
                [
                    (
                        task,
                        row["rows"],
                        *(row[name] for name in _LEFT_OUT),
                        row["samples"],
                        row["repaired"],
                        row["distracted"],
                    )
                    for task, row in report["rows"].items()
                ],
            ),
            '"With a distractor" are windows in which another sentence names another value of the same kind.',
            *(
                f"`{task}`: truncation cut away the answer of {row['answer_cut']} filings; "
                f"{row['needle_unknown']} of those kept have no known needle, and {row['answer_unseen']} of "
                "these do not hold the value at all."
                for task, row in report["rows"].items()
                if row["answer_cut"] or row["needle_unknown"]
            ),
        ]
    parts += ["## Confounds", *_confounds(report)]
    return "\n\n".join(parts) + "\n"


def _row(task: str, row: Mapping[str, Any]) -> tuple[object, ...]:
    tokens, companies = row.get("prompt_tokens"), row.get("companies")
    return (
        task,
        row["samples"],
        row["train"],
        row["test"],
        row["distinct_answers"],
        f"{row['most_common_answer']} ({row['most_common_share']:.0%})",
        f"{row['guess_accuracy']:.0%}",
        row["needle_known"],
        *((f"{companies['train']} train, {companies['test']} test",) if companies else ()),
        *((f"{tokens['least']} to {tokens['most']}, mean {tokens['mean']:g}",) if tokens else ()),
    )


def _confounds(report: Mapping[str, Any]) -> list[str]:
    """A paragraph each; one that says so where there is none."""
    message = [
        f"`{task}`: {row['most_common_share']:.0%} of the answers are {row['most_common_answer']}. A model "
        "that always says so looks as if it read."
        for task, row in report["questions"].items()
        if row["most_common_share"] >= TELLING_SHARE
    ]
    for pair in report["confounds"]:
        one, other = pair["questions"]
        if pair["same_value"] >= TELLING_SHARE:
            message.append(
                f"`{one}` and `{other}` have the same value in {pair['same_value']:.0%} of the "
                f"{pair['filings']} filings that tell both. A model may answer one by the other's fact."
            )
    if shared := report["filings_in_train_and_test"]:
        message.append(
            f"{shared} test samples are about a filing that is in the train part of another question: heads "
            "ranked on that question and ablated on this one have been ranked on the same text."
        )
    if not message:
        message.append(f"None: no answer and no pair of facts of one value reaches {TELLING_SHARE:.0%}.")
    pairs = [
        f"- `{pair['questions'][0]}` = `{pair['questions'][1]}`: {pair['same_value']:.1%} of "
        f"{pair['filings']} filings"
        for pair in report["confounds"]
    ]
    return [*message, *(["Facts of one kind with the same value:\n\n" + "\n".join(pairs)] if pairs else [])]


def _table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; "|" in a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )
