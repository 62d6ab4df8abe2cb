"""Generated company filings with known facts: what the study asks about and the bundled models learn from.

A filing is built from parts, so that the place of the needle (the one sentence that holds the asked fact),
of the question and of the answer are known exactly, in characters and in tokens. The nine tasks, the prompt
and the null query are METHODS.md, sections 3 and 5. Incorporation state and headquarters state are drawn
independently: in the real filings they agree in half of the rows, and a model could answer one question by
the other's fact.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from study import filing_words as words

NULL_QUERY = "N/A"
WORD_PROMPT = "Answer in one word:"
SENTENCE_PROMPT = "Answer in one sentence:"


@dataclass(frozen=True)
class Task:
    """One question about a filing: how its fact is drawn, told, asked and answered.

    Attributes:
        key: name in result files.
        kind: "categorical", "numerical" or "name".
        question: the question's text, without "Question:".
        needles: wordings of the sentence that holds the fact, with {value}.
        draw: draws a value.
        sentence: the answer as a whole sentence, with {value}.
    """

    key: str
    kind: str
    question: str
    needles: tuple[str, ...]
    draw: Callable[[random.Random], str]
    sentence: str


def _choice(values: Sequence[str]) -> Callable[[random.Random], str]:
    return lambda rng: rng.choice(values)


def _number(low: int, high: int) -> Callable[[random.Random], str]:
    return lambda rng: str(rng.randint(low, high))


def _registrant(rng: random.Random) -> str:
    return " ".join(rng.choice(part) for part in (words.NAME_FIRST, words.NAME_SECOND, words.NAME_SUFFIX))


_TASK_ROWS = (
    Task(
        "inc_state",
        "categorical",
        "In which state was the company incorporated?",
        (
            "The company was incorporated in the state of {value}.",
            "It is a corporation under the laws of {value}.",
            "The company was incorporated under the laws of {value}.",
        ),
        _choice(words.STATES),
        "The company was incorporated in {value}.",
    ),
    Task(
        "inc_year",
        "numerical",
        "In which year was the company incorporated?",
        (
            "The company was incorporated in the year {value}.",
            "It was founded and incorporated in {value}.",
            "The year of its incorporation is {value}.",
        ),
        _number(1901, 1992),
        "The company was incorporated in {value}.",
    ),
    Task(
        "employee_count",
        "numerical",
        "How many employees does the company have in total?",
        (
            "The company has {value} employees in total.",
            "In total it employs {value} people.",
            "The total number of its employees is {value}.",
        ),
        _number(30, 9900),
        "The company has {value} employees.",
    ),
    Task(
        "hq_state",
        "categorical",
        "In which state are the headquarters of the company?",
        (
            "The headquarters are in the state of {value}.",
            "Its headquarters are located in {value}.",
            "The company has its headquarters in {value}.",
        ),
        _choice(words.STATES),
        "The headquarters are in {value}.",
    ),
    Task(
        "registrant_name",
        "name",
        "What is the name of the registrant?",
        ("The name of the registrant is {value}.", "This report is filed by the registrant {value}."),
        _registrant,
        "The registrant is {value}.",
    ),
    Task(
        "hq_city",
        "name",
        "In which city is the main office?",
        ("The main office is in the city of {value}.", "Its main office stands in the city of {value}."),
        _choice(words.CITIES),
        "The main office is in {value}.",
    ),
    Task(
        "ceo_lastname",
        "name",
        "What is the last name of the chief executive?",
        ("The chief executive is {first} {value}.", "{first} {value} is the chief executive."),
        _choice(words.LAST_NAMES),
        "The chief executive is named {value}.",
    ),
    Task(
        "holders_of_record",
        "numerical",
        "How many holders of record are there?",
        ("There are {value} holders of record.", "The shares have {value} holders of record."),
        _number(100, 9900),
        "There are {value} holders of record.",
    ),
    Task(
        "full_time_employees",
        "numerical",
        "How many full-time employees are there?",
        ("There are {value} full-time employees.", "Of these {value} work as full-time employees."),
        _number(20, 990),
        "There are {value} full-time employees.",
    ),
)
TASKS: dict[str, Task] = {task.key: task for task in _TASK_ROWS}
MAIN_TASKS = ("inc_state", "inc_year", "employee_count", "hq_state")


@dataclass(frozen=True)
class Sample:
    """One filing with one question, and where everything stands in the prompt.

    Attributes:
        task: key of the task asked about.
        prompt: all text before the answer.
        answer: the expected answer, without the space that goes before it.
        facts: every fact in the filing, {task key: value}.
        spans: character spans [start, end) in the prompt: "section" (the document), "needle" (the sentence
            with the fact), "answer" (its value there), "question" (the question's text).
        depth: where the needle stands, 0 for the first sentence to 1 for the last.
    """

    task: str
    prompt: str
    answer: str
    facts: dict[str, str]
    spans: dict[str, tuple[int, int]]
    depth: float

    @property
    def document(self) -> str:
        """The filing's text."""
        start, end = self.spans["section"]
        return self.prompt[start:end]

    @property
    def needle(self) -> str:
        """The sentence that holds the asked fact."""
        start, end = self.spans["needle"]
        return self.prompt[start:end]


@dataclass(frozen=True)
class FilingOptions:
    """How a filing is made.

    Attributes:
        other_facts: keys of the tasks whose facts stand in the filing besides the asked one.
        filler_sentences: how many sentences without a fact.
        depth: where the needle goes, 0 to 1; None for anywhere.
        whole_sentence: ask for, and expect, a sentence instead of one word.
    """

    other_facts: tuple[str, ...] = MAIN_TASKS
    filler_sentences: int = 6
    depth: float | None = None
    whole_sentence: bool = False


def filler_sentence(rng: random.Random) -> str:
    """One sentence that holds no fact of any task."""
    return rng.choice(words.FILLER).format(good=rng.choice(words.GOODS), raw=rng.choice(words.RAW_MATERIALS))


def _tell(task: Task, value: str, rng: random.Random) -> tuple[str, int]:
    """A sentence that holds the value, and where in it the value begins."""
    wording, first = rng.choice(task.needles), rng.choice(words.FIRST_NAMES)
    before, after = (part.format(first=first) for part in wording.split("{value}"))
    return before + value + after, len(before)


def make_filing(task_key: str, rng: random.Random, options: FilingOptions | None = None) -> Sample:
    """A filing with the fact of one task at a chosen depth, and the question about it.

    Args:
        task_key: one of `TASKS`.
        rng: source of all chance, so that the same seed gives the same filing.
        options: what else stands in it; the default asks nothing special.

    Raises:
        ValueError: unknown task or other fact, or a depth outside [0, 1].
    """
    options = options or FilingOptions()
    if task_key not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}. Got {task_key!r}.")
    if unknown := [key for key in options.other_facts if key not in TASKS]:
        raise ValueError(f"other_facts must be among {', '.join(TASKS)}. Got {unknown[0]!r}.")
    if options.depth is not None and not 0 <= options.depth <= 1:
        raise ValueError(f"depth must be in [0, 1]. Got {options.depth}.")
    keys = [task_key, *(key for key in options.other_facts if key != task_key)]
    facts = {key: TASKS[key].draw(rng) for key in keys}
    told = {key: _tell(TASKS[key], value, rng) for key, value in facts.items()}
    needle, answer_offset = told[task_key]
    others = [told[key][0] for key in keys[1:]] + [
        filler_sentence(rng) for _ in range(options.filler_sentences)
    ]
    rng.shuffle(others)
    place = rng.randint(0, len(others)) if options.depth is None else round(options.depth * len(others))
    sentences = [*others[:place], needle, *others[place:]]
    document = " ".join(sentences)
    needle_start = len(" ".join(sentences[:place])) + (1 if place else 0)
    answer_start = needle_start + answer_offset
    prompt, question_span = build_prompt(document, TASKS[task_key].question, options.whole_sentence)
    answer = (
        TASKS[task_key].sentence.format(value=facts[task_key]) if options.whole_sentence else facts[task_key]
    )
    return Sample(
        task=task_key,
        prompt=prompt,
        answer=answer,
        facts=facts,
        spans={
            "section": (0, len(document)),
            "needle": (needle_start, needle_start + len(needle)),
            "answer": (answer_start, answer_start + len(facts[task_key])),
            "question": question_span,
        },
        depth=place / len(others) if others else 0.0,
    )


def question_text(question: str, whole_sentence: bool = False) -> str:
    """The question's lines, up to where the answer begins."""
    return f"Question: {question}\n{SENTENCE_PROMPT if whole_sentence else WORD_PROMPT}"


def build_prompt(document: str, question: str, whole_sentence: bool = False) -> tuple[str, tuple[int, int]]:
    """The exact prompt (document, blank line, question, answer prompt) and its question's character span."""
    start = len(document) + len("\n\nQuestion: ")
    return f"{document}\n\n{question_text(question, whole_sentence)}", (start, start + len(question))


def null_prompt(sample: Sample) -> str:
    """The same prompt with "N/A" in the question's place (QRHead's calibration)."""
    start, end = sample.spans["question"]
    return sample.prompt[:start] + NULL_QUERY + sample.prompt[end:]


def token_spans(sample: Sample, tokenizer: Any, bos_count: int = 1) -> dict[str, tuple[int, int]]:
    """The sample's spans as token positions [start, end) in the prompt as the model gets it.

    A token that lies across a span's edge belongs to the span.

    Args:
        sample: a generated filing.
        tokenizer: a fast Hugging Face tokenizer (offsets are needed).
        bos_count: how many BOS tokens are put first.
    """
    offsets = tokenizer(sample.prompt, add_special_tokens=False, return_offsets_mapping=True)[
        "offset_mapping"
    ]
    spans = {}
    for name, (start, end) in sample.spans.items():
        inside = [i for i, (left, right) in enumerate(offsets) if left < end and right > start]
        spans[name] = (inside[0] + bos_count, inside[-1] + 1 + bos_count)
    return spans


def make_filings(
    task_key: str, count: int, seed: int | str, options: FilingOptions | None = None
) -> list[Sample]:
    """`count` filings for one task; the same seed gives the same ones."""
    rng = random.Random(f"{seed}-{task_key}")
    return [make_filing(task_key, rng, options) for _ in range(count)]
