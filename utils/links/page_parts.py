"""The parts of the live page that a lesson can point at and a preset can cover until the reveal.

The page maps each key to the id of its element (`components/`), and a test there checks that none is missing.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PagePart:
    """One part of the live page.

    Attributes:
        key: its name in presets and lessons.
        title: what it is called in a sentence, with its article.
    """

    key: str
    title: str


PAGE_PARTS: dict[str, PagePart] = {
    part.key: part
    for part in (
        PagePart("model-menu", "the menu of models"),
        PagePart("prompt", "the box with your prompt"),
        PagePart("run", "the Run button"),
        PagePart("token-strip", "the strip of tokens"),
        PagePart("head-grid", "the grid of all heads"),
        PagePart("role-cards", "the cards of the roles"),
        PagePart("prediction", "the prediction"),
        PagePart("chips", "the list of heads that are off"),
        PagePart("toggle-head", "the switch of the chosen head"),
        PagePart("head-facts", "the scores of the chosen head"),
        PagePart("heatmap", "the heatmap of the chosen head"),
        PagePart("bertviz", "the line drawing of the chosen head (BertViz)"),
        PagePart("effect-map", "the effect map"),
        PagePart("positions", "the view of every position"),
        PagePart("continuations", "the continuations"),
        PagePart("compare", "the comparison of two prompts"),
    )
}
