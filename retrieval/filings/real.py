"""Real filings with a ground truth: the samples of the study's four questions (docs/METHODS.md, section 5).

The truth is a CSV, one row a filing; the texts lie elsewhere (`filing_texts`). Real tables have holes, and
truncation cuts answers away: whatever is left out or repaired is counted.
"""

import csv
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from retrieval.filings.generated import Sample, build_prompt
from retrieval.filings.sentences import find_fact, sentences, tells, value_pattern
from retrieval.filings.tasks import MAIN_TASKS, TASKS
from retrieval.filings.texts import SECTION, load_texts, plain_name
from retrieval.filings.vocabulary import ALL_STATES
from utils.errors import UserFacingError

FILENAME = "filename"
# The number of the company; without the column each filing is of a company of its own.
COMPANY = "cik"
# What else it may say of a filing, for people.
NAME, YEAR = "registrant_name_truth", "year"
# The files of a folder of real filings.
TRUTH_FILE, TEXTS_FILE = "truth.csv", "texts.jsonl"
# Which column tells which task's truth.
COLUMNS = {
    "inc_state": "original_Inc_state_truth",
    "inc_year": "original_Inc_year_truth",
    "employee_count": "employee_count_truth",
    "hq_state": "headquarters_state_truth",
}
_NOTHING = {"", "null", "none", "nan", "n/a", "na", "unknown", "-"}
# The space around a value is stripped afterwards: a pattern with it would read a long stretch over and over.
_SEVERAL = re.compile(r"[;|/\n]")
_SEVERAL_NAMES = re.compile(r"[;|/,\n]")
_NUMBER = re.compile(r"(\d+|\d{1,3}(?:,\d{3})+)(?:\.0+)?")
# No count and no year has more; Python refuses to read numbers of thousands of digits.
_MAX_DIGITS = 18


@dataclass
class TaskCounts:
    """What became of the rows of the truth, for one question.

    Attributes:
        rows: filings in the table.
        null: no truth.
        multi_valued: left out, because two answers are given.
        unreadable: left out, because a number was expected and there is none.
        repaired: kept, but written otherwise: "1929.0" as 1929, "1,200" as 1200.
        no_text: left out, because there is no text of the filing, or an empty one.
        answer_cut: left out, because truncation cuts away the sentence that tells the fact, or every place
            where the value stands.
        needle_unknown: kept, though no sentence was found that tells the fact; there is no needle span.
        answer_unseen: of these, how many texts do not hold the value at all.
        no_needle: left out, because no sentence was found that tells the fact and a window needs one.
        distracted: kept, with another sentence in the window that names another value of the same kind.
        samples: what is left.
    """

    rows: int = 0
    null: int = 0
    multi_valued: int = 0
    unreadable: int = 0
    repaired: int = 0
    no_text: int = 0
    answer_cut: int = 0
    needle_unknown: int = 0
    answer_unseen: int = 0
    no_needle: int = 0
    distracted: int = 0
    samples: int = 0

    def as_dict(self) -> dict[str, int]:
        """All counts by name."""
        return asdict(self)


@dataclass(frozen=True)
class RealFilings:
    """Samples by task, and what was counted on the way to them.

    Attributes:
        samples: {task key: samples}, each with its filing's name in its key.
        counts: {task key: counts}.
        duplicates: rows left out because their filing stood in an earlier one.
        truncated: filings whose text was cut for at least one question.
    """

    samples: dict[str, list[Sample]]
    counts: dict[str, TaskCounts]
    duplicates: int = 0
    truncated: int = 0


@dataclass(frozen=True)
class Truth:
    """A cell of the ground truth, read.

    Attributes:
        value: the answer, None where there is none to be used.
        problem: the count that it falls under: "null", "multi_valued" or "unreadable"; None where it is good.
        repaired: whether it was written otherwise in the table.
    """

    value: str | None
    problem: str | None = None
    repaired: bool = False


def read_truth(task_key: str, cell: str | None) -> Truth:
    """A cell of the ground truth: NULLs, "1929.0" and "Delaware; New York" are told apart.

    The same value given twice ("Ohio; Ohio") is one value. A name with a comma ("Boston, Massachusetts")
    counts as several: which of them is meant cannot be known.
    """
    text = " ".join((cell or "").split(" ")).strip()
    if text.lower() in _NOTHING:
        return Truth(None, "null")
    numerical = TASKS[task_key].kind == "numerical"
    parts = (_SEVERAL if numerical else _SEVERAL_NAMES).split(text)
    values: dict[str, str] = {}
    for part in parts:
        part = " ".join(part.split())
        if part.lower() in _NOTHING:
            continue
        if numerical:
            match = _NUMBER.fullmatch(part)
            digits = match[1].replace(",", "") if match else ""
            if not 0 < len(digits) <= _MAX_DIGITS:
                return Truth(None, "unreadable")
            part = str(int(digits))
        values.setdefault(part.casefold(), part)
    if not values:
        return Truth(None, "null")
    if len(values) > 1:
        return Truth(None, "multi_valued")
    (value,) = values.values()
    return Truth(value, None, value != text)


@dataclass(frozen=True)
class RealFiling:
    """One real filing with what it says.

    Attributes:
        name: its file's name without the ending.
        title: the registrant and the year, where the table has them; else the name.
        body: its text, white space levelled.
        truths: {task key: value}, those that the table has and that a sentence of the text tells.
    """

    name: str
    title: str
    body: str
    truths: Mapping[str, str]


def read_filings(folder: Path) -> dict[str, RealFiling]:
    """The filings of a folder with `TRUTH_FILE` and `TEXTS_FILE`, by name, in order of titles.

    One that answers no question is left out.

    Raises:
        UserFacingError: a file is missing or cannot be read, or no filing answers any question.
    """
    for file in (TRUTH_FILE, TEXTS_FILE):
        if not (folder / file).is_file():
            raise UserFacingError(
                f"The folder of filings {folder} has no {file}.",
                f"It needs a {TRUTH_FILE} (what each filing says) and a {TEXTS_FILE} (the texts).",
            )
    rows, _ = _read_rows(folder / TRUTH_FILE, tuple(COLUMNS))
    texts = load_texts(folder / TEXTS_FILE, list(rows))
    found = []
    for name, text in texts.items():
        body, row = " ".join(text.split()), rows[name]
        truths = {key: value for key, value in _facts(row).items() if find_fact(body, key, value)}
        about = [part for column in (NAME, YEAR) if (part := (row.get(column) or "").strip())]
        if truths:
            found.append(RealFiling(name, " ".join(about) or name, body, truths))
    if not found:
        raise UserFacingError(
            f"No filing of the folder {folder} answers any of the questions.",
            f"Check its {TRUTH_FILE} and whether the names in it are those of {TEXTS_FILE}.",
        )
    return {filing.name: filing for filing in sorted(found, key=lambda one: (one.title, one.name))}


def window_sample(
    filing: RealFiling, task: str, length: int, depth: float, count_tokens: Callable[[str], int]
) -> Sample:
    """What stands around the sentence that answers a question, as a sample.

    Args:
        filing: the filing.
        task: the question's key.
        length: most tokens of the plain prompt.
        depth: which part of the room is before that sentence, 0 to 1, where the filing has that much.
        count_tokens: how many tokens the model gets for a text, BOS included.

    Raises:
        UserFacingError: the filing does not say it, or the length is too small.
    """
    value = filing.truths.get(task)
    cut = None if value is None else _window(filing.body, task, value, depth, length, count_tokens)
    if value is None or cut is None:
        answered = "; ".join(TASKS[key].question for key in filing.truths)
        raise UserFacingError(
            f"The filing {filing.title} does not answer this question.",
            f"It answers: {answered}",
        )
    sample = _sample(task, filing.name, cut, cut, value, dict(filing.truths), TaskCounts())
    assert sample is not None  # a window holds its needle
    return replace(sample, distractors=_distractors(sample))


def load_real_filings(
    truth_csv: Path,
    texts: str | Path,
    *,
    tasks: Sequence[str] = MAIN_TASKS,
    length: int | None = None,
    count_tokens: Callable[[str], int] | None = None,
    window: bool = False,
    seed: int = 0,
    section: str = SECTION,
    config: str | None = None,
    split: str = "train",
) -> RealFilings:
    """The samples of real filings.

    A filing's white space is levelled to single spaces, and it is cut at a word's end so that the plain
    prompt has at most `length` tokens. The needle is the first sentence that holds the value and a word of
    what is asked ("incorporated", "employees"); where there is none the sample has no "needle" and no
    "answer" span.

    Args:
        truth_csv: the ground truth; its columns are `FILENAME` and those of `COLUMNS`.
        texts: where the texts are, see `load_texts`.
        tasks: which questions.
        length: most tokens of a prompt; None for whole filings.
        window: instead of the section's head take what stands around the needle, so that the prompt has
            nearly `length` tokens and the needle stands at a depth that is drawn. A sentence that names
            another value of the same kind stays and is counted.
        seed: of the depths.
        count_tokens: how many tokens the model gets for a text, BOS included; needed with `length`.
        section: see `load_texts`.
        config: see `load_texts`.
        split: see `load_texts`.

    Raises:
        UserFacingError: no such file, a missing column, texts that cannot be read, a question without a
            column, or one for which no filing is left.
        ValueError: `length` without `count_tokens`, or `window` without `length`.
    """
    if length is not None and count_tokens is None:
        raise ValueError("length needs count_tokens.")
    if window and length is None:
        raise ValueError("window needs length.")
    if unknown := [key for key in tasks if key not in COLUMNS]:
        raise UserFacingError(
            f"The ground truth has no column for the question {unknown[0]}.",
            f"Choose among {', '.join(COLUMNS)}.",
        )
    rows, duplicates = _read_rows(truth_csv, tasks)
    found = load_texts(texts, list(rows), section, config, split)
    bodies = {name: " ".join(text.split()) for name, text in found.items()}
    result = RealFilings({key: [] for key in tasks}, {key: TaskCounts() for key in tasks}, duplicates)
    cut: set[str] = set()
    for key in tasks:
        counts = result.counts[key]
        for name, row in rows.items():
            counts.rows += 1
            truth = read_truth(key, row[COLUMNS[key]])
            if truth.problem is not None or truth.value is None:
                problem = truth.problem or "null"
                setattr(counts, problem, getattr(counts, problem) + 1)
                continue
            body = bodies.get(name, "")
            if not body:
                counts.no_text += 1
                continue
            if window:
                assert length is not None and count_tokens is not None
                depth = random.Random(f"{seed}-{key}-{name}").random()
                cached = _window(body, key, truth.value, depth, length, count_tokens)
                if cached is None:
                    counts.no_needle += 1
                    continue
            else:
                cached = _fitting(body, TASKS[key].question, length, count_tokens)
            if len(cached) < len(body):
                cut.add(name)
            within = cached if window else body
            sample = _sample(key, name, within, cached, truth.value, _facts(row), counts)
            if sample is not None:
                counts.repaired += truth.repaired
                counts.samples += 1
                sample = replace(
                    sample,
                    company=(row.get(COMPANY) or name).strip(),
                    distractors=_distractors(sample) if window else 0,
                )
                counts.distracted += sample.distractors > 0
                result.samples[key].append(sample)
        if not counts.samples:
            why = ", ".join(f"{count} {what}" for what, count in counts.as_dict().items() if count)
            raise UserFacingError(
                f"No filing is left for the question {key} ({why or 'the table is empty'}).",
                "Check the column of its truth and the names of the texts, leave the question out, or take a "
                "greater length.",
            )
    return RealFilings(result.samples, result.counts, duplicates, len(cut))


def _read_rows(path: Path, tasks: Sequence[str]) -> tuple[dict[str, Mapping[str, str | None]], int]:
    """The table's rows by filing, the first of each, and how many more there were."""
    rows: dict[str, Mapping[str, str | None]] = {}
    duplicates = 0
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            for column in (FILENAME, *(COLUMNS[key] for key in tasks)):
                if column not in columns:
                    raise UserFacingError(
                        f"The ground truth {path} has no column {column!r}.",
                        f"Its columns are: {', '.join(columns) or 'none'}.",
                    )
            for row in reader:
                name = plain_name(row[FILENAME] or "")
                duplicates += name in rows
                if name:
                    rows.setdefault(name, row)
    except FileNotFoundError:
        raise UserFacingError(
            f"There is no ground truth {path}.", "Name the CSV with the truth of each filing."
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UserFacingError(
            f"The ground truth {path} cannot be read ({why}).", "Save it as a CSV in UTF-8."
        ) from error
    return rows, duplicates


def _facts(row: Mapping[str, str | None]) -> dict[str, str]:
    """All facts of a row that can be used, for confounds between the questions."""
    truths = {key: read_truth(key, row.get(column)) for key, column in COLUMNS.items()}
    return {key: truth.value for key, truth in truths.items() if truth.value is not None}


def _fitting(body: str, question: str, length: int | None, count_tokens: Callable[[str], int] | None) -> str:
    """As much of a text as fits with the question into `length` tokens, up to a word's end."""
    if length is None or count_tokens is None:
        return body
    ends = [match.start() for match in re.finditer(r" |\Z", body)]

    def fits(words: int) -> bool:
        return count_tokens(build_prompt(body[: ends[words - 1]], question)[0]) <= length

    # From few words up, so that no more than twice of what fits is ever tokenized.
    low, high = 0, 1
    while fits(high):
        if high == len(ends):
            return body
        low, high = high, min(2 * high, len(ends))
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    if low == 0:
        raise UserFacingError(
            f"{length} tokens are too few for a filing and the question.", "Choose a greater length."
        )
    return body[: ends[low - 1]]


def _window(
    body: str, key: str, value: str, depth: float, length: int, count_tokens: Callable[[str], int]
) -> str | None:
    """What stands around the needle, so much that the prompt has `length` tokens; None without a needle.

    It begins and ends at a word's edge. `depth` of the room is before the needle, where the filing has that
    much.
    """
    fact = find_fact(body, key, value)
    if fact is None:
        return None
    start, end = fact[0]
    starts = [0, *(match.end() for match in re.finditer(r" ", body[:start]))]
    ends = [match.start() for match in re.finditer(r" |\Z", body) if match.start() >= end]

    def tokens(first: int, last: int) -> int:
        return count_tokens(build_prompt(body[first:last], TASKS[key].question)[0])

    room = length - tokens(start, end)
    if room < 0:
        raise UserFacingError(
            f"{length} tokens are too few for the sentence with the fact and the question.",
            "Choose a greater length.",
        )

    def reach(before: int) -> tuple[int, int]:
        """The longest passage with at most `before` more tokens in front, filled up behind."""
        most = length - room + before
        first = starts[_least(len(starts) - 1, lambda at: tokens(starts[at], end) <= most)]
        last = ends[_most(len(ends) - 1, lambda at: tokens(first, ends[at]) <= length)]
        return first, last

    first, last = reach(round(depth * room))
    if last == len(body) and first:  # room is left behind the filing's end: it goes to the front
        first = starts[_least(len(starts) - 1, lambda at: tokens(starts[at], last) <= length)]
    return body[first:last]


def _least(most: int, holds: Callable[[int], bool]) -> int:
    """The least number for which a condition holds that holds from there on; `most` where none below does."""
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _most(most: int, holds: Callable[[int], bool]) -> int:
    """The greatest number up to which a condition holds; 0 where it holds for none."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


_YEAR = re.compile(r"(?<![\d.,])(?:1[89]\d\d|20[0-4]\d)(?![\d.,]?\d)")


def _distractors(sample: Sample) -> int:
    """Sentences besides the needle that name another value of the same kind: state, year or head count."""
    document, needle = sample.document, sample.spans["needle"]
    found = 0
    for start, end in sentences(document):
        if (start, end) != needle:
            found += any(value != sample.answer for value in _values_in(document[start:end], sample.task))
    return found


def _values_in(sentence: str, key: str) -> list[str]:
    """The values of a task's kind that a sentence names."""
    if TASKS[key].kind == "categorical":
        return [state for state in ALL_STATES if value_pattern(state).search(sentence)]
    if key == "inc_year":
        return _YEAR.findall(sentence)
    if not tells(sentence, key):
        return []
    return [number.replace(",", "") for number in re.findall(r"\d+(?:,\d{3})*", sentence)]


def _sample(
    key: str, name: str, body: str, cached: str, value: str, facts: dict[str, str], counts: TaskCounts
) -> Sample | None:
    """The sample of a filing, None where its answer was cut away."""
    fact = find_fact(body, key, value)
    seen = value_pattern(value)
    if (fact is not None and fact[0][1] > len(cached)) or (not seen.search(cached) and seen.search(body)):
        counts.answer_cut += 1
        return None
    prompt, question = build_prompt(cached, TASKS[key].question)
    spans = {"section": (0, len(cached)), "question": question}
    depth = None
    if fact is None:
        counts.needle_unknown += 1
        counts.answer_unseen += seen.search(cached) is None
    else:
        spans |= {"needle": fact[0], "answer": fact[1]}
        positions = sentences(cached)
        depth = next(i for i, (_, end) in enumerate(positions) if end >= fact[1][1]) / max(
            1, len(positions) - 1
        )
    return Sample(key, prompt, value, facts, spans, depth, f"{key}-{name}")
