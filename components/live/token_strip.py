"""The tokens of the prompt as a strip; hovering over one shows where the chosen head looks from there."""

from dash import html

from components.attributes import data
from utils.models.prompts import TokenizedPrompt


def token_strip(prompt: TokenizedPrompt) -> list[html.Li]:
    """A button for each token: a click pins it, arrow keys move (`assets/token_strip.js`, which shades too).

    One of them can be reached with Tab, as in any row of choices.
    """
    return [
        html.Li(
            html.Button(
                [
                    html.Bdi(label, className="hs-token-text"),
                    html.Small(str(index), className="hs-token-index"),
                ],
                type="button",
                className="hs-token"
                + (" hs-token-special" if special else "")
                + (" hs-token-added" if prompt.start_added and not index else ""),
                tabIndex=0 if index == len(prompt.labels) - 1 else -1,
                title=f"token {index}{_about(prompt, index)}: show what follows it",
                **data(index=str(index)),
            )
        )
        for index, (label, special) in enumerate(zip(prompt.labels, prompt.special, strict=True))
    ]


def _about(prompt: TokenizedPrompt, index: int) -> str:
    """What a token's label does not say."""
    if prompt.start_added and not index:
        return " (the start token, put first by HeadScope: the tokenizer by itself would not)"
    return " (special)" if prompt.special[index] else ""
