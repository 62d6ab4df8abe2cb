"""Generated company filings with known facts: what the study asks about and the bundled models learn from.

A filing is built from parts, so that the place of the needle (the one sentence that holds the asked fact),
of the question and of the answer are known exactly, in characters and in tokens. The prompt and the null
query are docs/METHODS.md, sections 3 and 5; `filing_tasks` has the nine tasks. Incorporation state and
headquarters state are drawn independently: in the real filings they agree in half of the rows, and a model
could answer one question by the other's fact.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from retrieval.filings import vocabulary as words
from retrieval.filings.tasks import MAIN_TASKS as MAIN_TASKS
from retrieval.filings.tasks import TASKS, Task
from utils.errors import UserFacingError

NULL_QUERY = "N/A"
WORD_PROMPT = "Answer in one word:"
SENTENCE_PROMPT = "Answer in one sentence:"


@dataclass(frozen=True)
class Sample:
    """One filing with one question, and where everything stands in the prompt.

    Attributes:
        task: key of the task asked about.
        prompt: all text before the answer.
        answer: the expected answer, without the space that goes before it.
        facts: every fact in the filing, {task key: value}.
        spans: character spans [start, end) in the prompt: "section" (the document), "needle" (the sentence
            with the fact), "answer" (its value there), "question" (the question's text). A real filing
            whose fact was not found has no "needle" and no "answer".
        depth: where the needle stands, 0 for the first sentence to 1 for the last; None where no needle is
            known.
        key: names the sample among all of its task; the same from run to run.
        company: whose filing it is, where several may be of one company; "" where each is of its own.
        distractors: sentences of a real filing besides the needle that name another value of the same kind.
    """

    task: str
    prompt: str
    answer: str
    facts: dict[str, str]
    spans: dict[str, tuple[int, int]]
    depth: float | None
    key: str = ""
    company: str = ""
    distractors: int = 0

    @property
    def document(self) -> str:
        """The filing's text."""
        start, end = self.spans["section"]
        return self.prompt[start:end]

    @property
    def needle(self) -> str:
        """The sentence that holds the asked fact.

        Raises:
            KeyError: no needle is known.
        """
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
    return _filled(rng.choice(words.FILLER), rng)


def _filled(wording: str, rng: random.Random) -> str:
    return wording.format(good=rng.choice(words.GOODS), raw=rng.choice(words.RAW_MATERIALS))


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
    _check(task_key, options)
    message = _Told.draw(task_key, rng, options)
    return message.sample(rng, [filler_sentence(rng) for _ in range(options.filler_sentences)], options)


def _check(task_key: str, options: FilingOptions) -> None:
    if task_key not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}. Got {task_key!r}.")
    if unknown := [key for key in options.other_facts if key not in TASKS]:
        raise ValueError(f"other_facts must be among {', '.join(TASKS)}. Got {unknown[0]!r}.")
    if options.depth is not None and not 0 <= options.depth <= 1:
        raise ValueError(f"depth must be in [0, 1]. Got {options.depth}.")


@dataclass(frozen=True)
class _Told:
    """A filing's facts and the sentences that tell them, the asked one first.

    Attributes:
        facts: {task key: value}.
        sentences: for each fact its sentence, and where in it the value begins.
    """

    facts: dict[str, str]
    sentences: tuple[tuple[str, int], ...]

    @classmethod
    def draw(cls, task_key: str, rng: random.Random, options: FilingOptions) -> "_Told":
        keys = [task_key, *(key for key in options.other_facts if key != task_key)]
        facts = {key: TASKS[key].draw(rng) for key in keys}
        return cls(facts, tuple(_tell(TASKS[key], value, rng) for key, value in facts.items()))

    def first(self, count: int) -> "_Told":
        """The same with only so many of the facts."""
        return _Told(dict(list(self.facts.items())[:count]), self.sentences[:count])

    def sample(self, rng: random.Random, filler: Sequence[str], options: FilingOptions) -> Sample:
        """The filing with this filler, in an order that is drawn, and the question."""
        task_key = next(iter(self.facts))
        task, value = TASKS[task_key], self.facts[task_key]
        needle, answer_offset = self.sentences[0]
        others = [sentence for sentence, _ in self.sentences[1:]] + [*filler]
        rng.shuffle(others)
        position = (
            rng.randint(0, len(others)) if options.depth is None else round(options.depth * len(others))
        )
        document = " ".join((*others[:position], needle, *others[position:]))
        needle_start = len(" ".join(others[:position])) + (1 if position else 0)
        answer_start = needle_start + answer_offset
        prompt, question_span = build_prompt(document, task.question, options.whole_sentence)
        return Sample(
            task=task_key,
            prompt=prompt,
            answer=task.sentence.format(value=value) if options.whole_sentence else value,
            facts=self.facts,
            spans={
                "section": (0, len(document)),
                "needle": (needle_start, needle_start + len(needle)),
                "answer": (answer_start, answer_start + len(value)),
                "question": question_span,
            },
            depth=position / len(others) if others else 0.0,
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


def make_filings(
    task_key: str, count: int, seed: int | str, options: FilingOptions | None = None
) -> list[Sample]:
    """`count` filings for one task; the same seed gives the same ones."""
    rng = random.Random(f"{seed}-{task_key}")
    made = (make_filing(task_key, rng, options) for _ in range(count))
    return [replace(sample, key=_key(task_key, seed, number)) for number, sample in enumerate(made)]


def _key(task_key: str, seed: int | str, number: int) -> str:
    return f"{task_key}-{seed}-{number:04d}"


def make_filings_of_length(
    task_key: str,
    count: int,
    seed: int | str,
    length: int,
    count_tokens: Callable[[str], int],
    options: FilingOptions | None = None,
) -> list[Sample]:
    """`count` filings whose prompts are as near to `length` tokens as whole sentences allow, never longer.

    The n-th filing of a seed tells the same facts whatever the length; only where there is no room for the
    other facts are the last of them left out.

    Args:
        task_key: one of `TASKS`.
        count: how many.
        seed: the same seed gives the same filings.
        length: tokens of the plain prompt.
        count_tokens: how many tokens the model gets for a text, BOS included.
        options: as in `make_filing`; its number of filler sentences is not used.

    Raises:
        ValueError: as in `make_filing`.
        UserFacingError: the needle and the question alone are longer than `length`.
    """
    options = options or FilingOptions()
    _check(task_key, options)
    samples = []
    for number in range(count):
        rng = random.Random(f"{seed}-{task_key}-{number}")
        sample = _of_length(task_key, rng, length, count_tokens, options)
        samples.append(replace(sample, key=_key(task_key, seed, number)))
    return samples


def _of_length(
    task_key: str,
    rng: random.Random,
    length: int,
    count_tokens: Callable[[str], int],
    options: FilingOptions,
) -> Sample:
    message = _Told.draw(task_key, rng, options)
    while (least := count_tokens(message.sample(rng, (), options).prompt)) > length:
        if len(message.facts) == 1:
            raise UserFacingError(
                f"A filing with the question {task_key} has at least {least} tokens; {length} are too few.",
                "Choose a greater length.",
            )
        message = message.first(len(message.facts) - 1)
    nothing = count_tokens("")
    filler: list[str] = []
    left = length - least
    while True:
        # Where the sentence drawn is too long, every other wording is tried before the rest is left empty.
        others = (_filled(text, rng) for text in rng.sample(words.FILLER, len(words.FILLER)))
        for sentence in chain([filler_sentence(rng)], others):
            # A sentence costs what it costs alone, or nearly so: the whole is counted at the end.
            cost = count_tokens(f" {sentence}") - nothing
            if cost <= left:
                filler.append(sentence)
                left -= cost
                break
        else:
            break
    while count_tokens((sample := message.sample(rng, filler, options)).prompt) > length and filler:
        filler.pop()
    return sample
