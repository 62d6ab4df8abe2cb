"""What the retrieval lab shows, as one value, and the link that restores it.

    /lab?v=1&model=demo-llama&question=inc_state&length=192&depth=50&seed=1&method=qrhead&ranking=here&head=L2H3&k=8

With `question=own` the text, the question, the answer and the needle's sentence are in the link instead of
length, depth and seed. What is wrong in a link is said in one sentence each and left out.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from retrieval.filings.tasks import TASKS
from retrieval.rankings.methods import METHODS
from utils.catalog.rankings import RETRIEVAL_METHOD
from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_MODES, AblationMode
from utils.heads import Head, parse_head
from utils.links.page_links import LONGEST_PROMPT, read_query, write_query
from utils.wording import excerpt

# The question's key where the visitor brought text and question.
OWN = "own"
QUESTIONS = (*TASKS, OWN)
# The ranking whose top heads are ablated: this prompt's, or the mean over many in the catalog.
Ranking = Literal["here", "catalog"]
RANKINGS: tuple[Ranking, ...] = get_args(Ranking)
MAX_SEED = 999_999
MAX_LENGTH = 1_000_000
MAX_K = 100_000
# Characters of the visitor's own text, question and answer. In no script does so much text reach the limit on
# what a browser may send (`serving.MAX_BODY_BYTES`); models read less.
LONGEST_TEXT = 500_000
LONGEST_QUESTION = 2_000
LONGEST_ANSWER = 500


@dataclass(frozen=True)
class LabPrompt:
    """A filing with a question on a model: what is read, and nothing of how it is looked at.

    Attributes:
        model: its name in the menu.
        question: a key of `TASKS`, or `OWN`.
        length: tokens of a generated prompt; None for what suits the model.
        depth: where its needle stands, in per cent: 0 for the first sentence, 100 for the last.
        seed: of a generated filing.
        text: the visitor's own text.
        asked: the visitor's question about it.
        answer: the answer to that, "" where none is given.
        needle: number of the sentence of `text` that holds the answer, from 0; None for the first sentence
            that the answer stands in.
    """

    model: str
    question: str = "inc_state"
    length: int | None = None
    depth: int = 50
    seed: int = 1
    text: str = ""
    asked: str = ""
    answer: str = ""
    needle: int | None = None

    @property
    def own(self) -> bool:
        """Whether text and question are the visitor's."""
        return self.question == OWN


@dataclass(frozen=True)
class LabView:
    """How it is looked at.

    Attributes:
        method: a key of `METHODS`.
        ranking: whose top heads are ablated.
        head: the chosen head; None for the first of the ranking.
        k: how many heads are ablated; None for what suits the model.
        mode: what is put in their place.
    """

    method: str = RETRIEVAL_METHOD
    ranking: Ranking = "here"
    head: Head | None = None
    k: int | None = None
    mode: AblationMode = "zero"


@dataclass(frozen=True)
class LabState:
    """All that the page shows."""

    prompt: LabPrompt
    view: LabView = field(default_factory=LabView)


class _NonsenseError(Exception):
    """A part of a link that cannot be used; the message is the end of a sentence about it."""


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        # int() also takes "1_0", "+1" and digits of other scripts.
        if not re.fullmatch("[0-9]{1,7}", text) or not least <= int(text) <= most:
            raise _NonsenseError(f"it must be a whole number from {least} to {most}")
        return int(text)

    return read


def _one_of(options: Collection[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in options:
            raise _NonsenseError(f"it must be one of {', '.join(options)}")
        return text

    return read


def _head(text: str) -> Head:
    try:
        return parse_head(text)
    except UserFacingError:
        raise _NonsenseError("a head is written like L5H5, layer and head from 0") from None


def _text(text: str) -> str:
    if len(text) > LONGEST_PROMPT:
        raise _NonsenseError(f"it has {len(text):,} characters, and at most {LONGEST_PROMPT:,} are read")
    return text


@dataclass(frozen=True)
class _Part:
    """One part of a link.

    Attributes:
        key: its name in the link; of the field that holds it too.
        words: what it is called in a sentence.
        read: from its text to its value; raises _NonsenseError.
    """

    key: str
    words: str
    read: Callable[[str], Any]


_PROMPT_PARTS = (
    _Part("model", "The model", _text),
    _Part("question", "The question", _one_of(QUESTIONS)),
    _Part("length", "The length", _number(1, MAX_LENGTH)),
    _Part("depth", "The depth", _number(0, 100)),
    _Part("seed", "The seed", _number(0, MAX_SEED)),
    _Part("text", "The text", _text),
    _Part("asked", "The question about the text (asked)", _text),
    _Part("answer", "The answer", _text),
    _Part("needle", "The needle", _number(0, MAX_K)),
)
_VIEW_PARTS = (
    _Part("method", "The method", _one_of(METHODS)),
    _Part("ranking", "The ranking", _one_of(RANKINGS)),
    _Part("head", "The head", _head),
    _Part("k", "The number of heads (k)", _number(0, MAX_K)),
    _Part("mode", "The way of switching off (mode)", _one_of(ABLATION_MODES)),
)
_GENERATED = ("length", "depth", "seed")
_OWN_PARTS = ("text", "asked", "answer", "needle")


def to_query(state: LabState) -> str:
    """The state as the part of an address after the page's name; the same state gives the same text.

    Raises:
        UserFacingError: the visitor's text is too long for a link, or holds half a character.
    """
    left_out = _GENERATED if state.prompt.own else _OWN_PARTS
    texts: dict[str, str] = {}
    for parts, values in ((_PROMPT_PARTS, state.prompt), (_VIEW_PARTS, state.view)):
        for part in parts:
            value = getattr(values, part.key)
            if value is not None and part.key not in left_out:
                texts[part.key] = str(value)
    if any(len(text) > LONGEST_PROMPT for text in texts.values()):
        raise UserFacingError("The text is too long for a link.", "Shorten it, or share the text itself.")
    return write_query(texts)


def from_query(query: str, models: Sequence[str]) -> tuple[LabState, list[str]]:
    """Read a link.

    Args:
        query: with or without its "?".
        models: names of the models that may be used, of which there must be one.

    Returns:
        What can be shown, and a sentence for each thing in the link that is wrong. Never raises.
    """
    words = {part.key: part.words for part in (*_PROMPT_PARTS, *_VIEW_PARTS)}
    texts, problems = read_query(query, words)
    values: dict[str, Any] = {}
    for part in (*_PROMPT_PARTS, *_VIEW_PARTS):
        if part.key not in texts:
            continue
        text = texts[part.key]
        try:
            values[part.key] = part.read(text if part.key in ("text", "asked") else text.strip())
        except _NonsenseError as error:
            problems.append(f"{part.words} {excerpt(text)} in this link is left out: {error}.")
    model = values.pop("model", models[0])
    if model not in models:
        problems.append(
            f"The model {excerpt(model)} in this link is not here: choose one of {', '.join(models)}."
        )
        model = models[0]
    view_keys = {part.key for part in _VIEW_PARTS}
    prompt = {key: value for key, value in values.items() if key not in view_keys}
    if prompt.get("question") == OWN and not prompt.get("text"):
        problems.append("This link asks about a text of its own, but has none in it.")
        prompt = {}
    view = {key: value for key, value in values.items() if key in view_keys}
    return LabState(LabPrompt(model, **prompt), LabView(**view)), problems
