"""The nine questions about a company filing, one row each (docs/METHODS.md, section 5)."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from retrieval.filings import vocabulary as words


@dataclass(frozen=True)
class Task:
    """One question about a filing: how its fact is drawn, stated, asked and answered.

    Attributes:
        key: name in result files.
        kind: "categorical", "numerical" or "name".
        question: the question's text, without "Question:".
        needles: wordings of the sentence that holds the fact, with {value}.
        draw: draws a value.
        sentence: the answer as a whole sentence, with {value}.
        stem: how an answer begins, so that the first token written is part of the value
            (docs/METHODS.md, section 8).
    """

    key: str
    kind: str
    question: str
    needles: tuple[str, ...]
    draw: Callable[[random.Random], str]
    sentence: str
    stem: str


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
        "The company was incorporated under the laws of",
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
        "The company was incorporated in the year",
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
        "The total number of employees of the company is",
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
        "The company has its headquarters in",
    ),
    Task(
        "registrant_name",
        "name",
        "What is the name of the registrant?",
        ("The name of the registrant is {value}.", "This report is filed by the registrant {value}."),
        _registrant,
        "The registrant is {value}.",
        "The name of the registrant is",
    ),
    Task(
        "hq_city",
        "name",
        "In which city is the main office?",
        ("The main office is in the city of {value}.", "Its main office stands in the city of {value}."),
        _choice(words.CITIES),
        "The main office is in {value}.",
        "The main office is in the city of",
    ),
    Task(
        "ceo_lastname",
        "name",
        "What is the last name of the chief executive?",
        ("The chief executive is {first} {value}.", "{first} {value} is the chief executive."),
        _choice(words.LAST_NAMES),
        "The chief executive is named {value}.",
        "The last name of the chief executive is",
    ),
    Task(
        "holders_of_record",
        "numerical",
        "How many holders of record are there?",
        ("There are {value} holders of record.", "The shares have {value} holders of record."),
        _number(100, 9900),
        "There are {value} holders of record.",
        "The number of holders of record is",
    ),
    Task(
        "full_time_employees",
        "numerical",
        "How many full-time employees are there?",
        ("There are {value} full-time employees.", "Of these {value} work as full-time employees."),
        _number(20, 990),
        "There are {value} full-time employees.",
        "The number of full-time employees is",
    ),
)
TASKS: dict[str, Task] = {task.key: task for task in _TASK_ROWS}
MAIN_TASKS = ("inc_state", "inc_year", "employee_count", "hq_state")
