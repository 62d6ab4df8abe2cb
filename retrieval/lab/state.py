"""What the retrieval lab shows, as one value, and the link that restores it.

    /lab?v=1&model=demo-llama&question=inc_state&length=192&depth=50&seed=1&method=qrhead&ranking=here&k=8

A real filing has its name in place of the seed. With `question=own` the text, the question, the answer and
the needle's sentence are in the link instead of length, depth and seed. What is wrong in a link is said in
one sentence each and left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal, get_args

from retrieval.filings.tasks import TASKS
from retrieval.rankings.methods import METHODS
from utils.catalog.rankings import RETRIEVAL_METHOD
from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_MODES, AblationMode
from utils.heads import Head
from utils.links.reading import (
    LONGEST_PROMPT,
    HeadPart,
    Link,
    Part,
    Text,
    Whole,
    at_most,
    one_of,
    read_link,
    whole_number,
    write_query,
)
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
        filing: name of a real filing of the operator's folder; "" for a generated one.
        text: the visitor's own text.
        asked: the visitor's question about it.
        answer: the answer to that, "" where none is given.
        needle: number of the sentence of `text` that holds the answer, from 0; None for the first sentence
            that the answer stands in.
    """

    model: Text
    question: Text = "inc_state"
    length: Whole | None = None
    depth: Whole = 50
    seed: Whole = 1
    filing: Text = ""
    text: Text = ""
    asked: Text = ""
    answer: Text = ""
    needle: Whole | None = None

    @property
    def own(self) -> bool:
        """Whether text and question are the visitor's."""
        return self.question == OWN

    @property
    def real(self) -> bool:
        """Whether it is a window of a real filing."""
        return bool(self.filing) and not self.own


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


_Text = Annotated[str, at_most(LONGEST_PROMPT)]


class LabLink(Link):
    """The link of the lab; the parts of its view come last."""

    model: Annotated[_Text | None, Part("The model")] = None
    question: Annotated[Annotated[str, one_of(lambda: QUESTIONS)] | None, Part("The question")] = None
    length: Annotated[Annotated[int, whole_number(1, MAX_LENGTH)] | None, Part("The length")] = None
    depth: Annotated[Annotated[int, whole_number(0, 100)] | None, Part("The depth")] = None
    seed: Annotated[Annotated[int, whole_number(0, MAX_SEED)] | None, Part("The seed")] = None
    filing: Annotated[Annotated[str, at_most(200)] | None, Part("The filing")] = None
    text: Annotated[_Text | None, Part("The text", as_typed=True)] = None
    asked: Annotated[_Text | None, Part("The question about the text (asked)", as_typed=True)] = None
    answer: Annotated[_Text | None, Part("The answer")] = None
    needle: Annotated[Annotated[int, whole_number(0, MAX_K)] | None, Part("The needle")] = None
    method: Annotated[Annotated[str, one_of(lambda: METHODS)] | None, Part("The method")] = None
    ranking: Annotated[Annotated[str, one_of(lambda: RANKINGS)] | None, Part("The ranking")] = None
    head: Annotated[HeadPart | None, Part("The head")] = None
    k: Annotated[Annotated[int, whole_number(0, MAX_K)] | None, Part("The number of heads (k)")] = None
    mode: Annotated[
        Annotated[str, one_of(lambda: ABLATION_MODES)] | None, Part("The ablation method (mode)")
    ] = None


_FILING_PARTS = ("length", "depth", "seed", "filing")
_OWN_PARTS = ("text", "asked", "answer", "needle")


def to_query(state: LabState) -> str:
    """The state as the part of an address after the page's name; the same state gives the same text.

    Raises:
        UserFacingError: the visitor's text is too long for a link, or holds half a character.
    """
    left_out: tuple[str, ...] = _FILING_PARTS if state.prompt.own else _OWN_PARTS
    left_out += ("seed",) if state.prompt.real else () if state.prompt.filing else ("filing",)
    values = {**vars(state.prompt), **vars(state.view)}
    texts = {
        key: str(values[key]) for key in LabLink.parts() if values[key] is not None and key not in left_out
    }
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
    link, problems = read_link(LabLink, query)
    values: dict[str, Any] = {key: getattr(link, key) for key in link.model_fields_set}
    model = values.pop("model", models[0])
    if model not in models:
        problems.append(
            f"The model {excerpt(model)} in this link is not here: choose one of {', '.join(models)}."
        )
        model = models[0]
    view_keys = {field.name for field in fields(LabView)}
    prompt = {key: value for key, value in values.items() if key not in view_keys}
    if prompt.get("question") == OWN and not prompt.get("text"):
        problems.append("This link asks about a text of its own, but has none in it.")
        prompt = {}
    view = {key: value for key, value in values.items() if key in view_keys}
    return LabState(LabPrompt(model, **prompt), LabView(**view)), problems
