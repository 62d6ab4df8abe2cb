"""What the page that compares shows, in its address, so that a link shows another person the same thing.

?v=1&left_model=demo-gpt2&left=The+cat&right_model=demo-llama&right=The+cat

What the right side does not say is as on the left. What is wrong in a link is said and left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from utils.links.page_links import LONGEST_PROMPT, read_query, write_query
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

    left_model: str
    left: str
    right_model: str
    right: str

    @property
    def sides(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """Model and text of each side."""
        return (self.left_model, self.left), (self.right_model, self.right)


_WORDS = {
    "left_model": "The left model",
    "left": "The left prompt",
    "right_model": "The right model",
    "right": "The right prompt",
}


def to_query(state: CompareState) -> str:
    """The state as the part of an address after the page's name.

    Raises:
        UserFacingError: the prompts are too long for a link, or hold half a character.
    """
    return write_query({key: getattr(state, key) for key in _WORDS})


def from_query(query: str, models: Sequence[str], first: CompareState) -> tuple[CompareState, list[str]]:
    """Read a link.

    Args:
        query: with or without its "?".
        models: names of the models that may be used.
        first: what is shown where a link says nothing at all.

    Returns:
        What can be shown, and a sentence for each thing in the link that is wrong. Never raises.
    """
    texts, problems = read_query(query, _WORDS)
    for key in ("left_model", "right_model"):
        if key in texts and texts[key].strip() not in models:
            options = f"choose one of {', '.join(models)}" if models else "there is no model here"
            problems.append(f"{_WORDS[key]} {excerpt(texts.pop(key))} in this link is not here: {options}.")
    for key in ("left", "right"):
        if len(texts.get(key, "")) > LONGEST_PROMPT:
            problems.append(
                f"{_WORDS[key]} in this link has {len(texts.pop(key)):,} characters, and at most "
                f"{LONGEST_PROMPT:,} are read; it is left out."
            )
    if not texts:
        return first, problems
    left_model, left = texts.get("left_model", first.left_model).strip(), texts.get("left", first.left)
    return (
        CompareState(
            left_model, left, texts.get("right_model", left_model).strip(), texts.get("right", left)
        ),
        problems,
    )
