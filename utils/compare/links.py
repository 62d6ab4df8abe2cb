"""What the page that compares shows, in its address, so that a link shows another person the same thing.

?v=1&left_model=demo-gpt2&left=The+cat&right_model=demo-llama&right=The+cat

What the right side does not say is as on the left. What is wrong in a link is said and left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from utils.links.reading import LONGEST_PROMPT, Link, Part, Text, at_most, read_link, write_query
from utils.wording import excerpt


@dataclass(frozen=True)
class CompareState:
    """Two prompts, each on its model.

    Attributes:
        left_model: name of the model on the left.
        left: the text there.
        right_model: name of the model on the right.
        right: the text there.
    """

    left_model: Text
    left: Text
    right_model: Text
    right: Text

    @property
    def sides(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """Model and text of each side."""
        return (self.left_model, self.left), (self.right_model, self.right)


class CompareLink(Link):
    """The link of the page that compares."""

    left_model: Annotated[str | None, Part("The left model")] = None
    left: Annotated[
        Annotated[str, at_most(LONGEST_PROMPT)] | None, Part("The left prompt", as_typed=True)
    ] = None
    right_model: Annotated[str | None, Part("The right model")] = None
    right: Annotated[
        Annotated[str, at_most(LONGEST_PROMPT)] | None, Part("The right prompt", as_typed=True)
    ] = None


def to_query(state: CompareState) -> str:
    """The state as the part of an address after the page's name.

    Raises:
        UserFacingError: the prompts are too long for a link, or hold half a character.
    """
    return write_query({key: getattr(state, key) for key in CompareLink.parts()})


def from_query(query: str, models: Sequence[str], first: CompareState) -> tuple[CompareState, list[str]]:
    """Read a link.

    Args:
        query: with or without its "?".
        models: names of the models that may be used.
        first: what is shown where a link says nothing at all.

    Returns:
        What can be shown, and a sentence for each thing in the link that is wrong. Never raises.
    """
    link, problems = read_link(CompareLink, query)
    texts = {key: getattr(link, key) for key in link.model_fields_set}
    for key in ("left_model", "right_model"):
        if key in texts and texts[key] not in models:
            options = f"choose one of {', '.join(models)}" if models else "there is no model here"
            words = CompareLink.parts()[key].words
            problems.append(f"{words} {excerpt(texts.pop(key))} in this link is not here: {options}.")
    if not texts:
        return first, problems
    left_model, left = texts.get("left_model", first.left_model), texts.get("left", first.left)
    return (
        CompareState(left_model, left, texts.get("right_model", left_model), texts.get("right", left)),
        problems,
    )
