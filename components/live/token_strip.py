"""The tokens of the prompt as a strip; hovering over one shows where the chosen head looks from there."""

from dash import html

from components.attributes import data
from utils.models.prompts import TokenizedPrompt


def token_strip(prompt: TokenizedPrompt) -> list[html.Li]:
    """One focusable item a token; `assets/headscope.js` shades them from the chosen head's pattern."""
    return [
        html.Li(
            [html.Bdi(label, className="hs-token-text"), html.Small(str(index), className="hs-token-index")],
            className="hs-token"
            + (" hs-token-special" if special else "")
            + (" hs-token-added" if prompt.start_added and not index else ""),
            tabIndex=0,
            title=f"token {index}" + _about(prompt, index),
            **data(index=str(index)),
        )
        for index, (label, special) in enumerate(zip(prompt.labels, prompt.special, strict=True))
    ]


def _about(prompt: TokenizedPrompt, index: int) -> str:
    """What a token's label does not say."""
    if prompt.start_added and not index:
        return " (the start token, put first by HeadScope: the tokenizer by itself would not)"
    return " (special)" if prompt.special[index] else ""
