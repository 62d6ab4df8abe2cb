"""What the live page shows, as one value: a link, a preset and a lesson each say some of it.

What one of them does not say is None: the page, or what stands below it, decides. Nothing here looks
anything up; `fit` compares a state with the model that it is for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from utils.effects.second_prompt import Fit
from utils.forward.ablation import MethodKey
from utils.heads import Head
from utils.models.families import HeadGeometry
from utils.wording import excerpt


@dataclass(frozen=True)
class View:
    """One way in which the live page shows the model's answer.

    Attributes:
        key: its name in links and presets.
        title: what the page calls it.
        description: what it shows, in one sentence.
    """

    key: str
    title: str
    description: str


VIEWS: dict[str, View] = {
    view.key: view
    for view in (
        View("next", "In numbers", "The watched token in numbers, clean beside ablated."),
        View("direct", "Who writes it", "What each head itself adds to the watched token's logit."),
        View(
            "effects", "Which heads matter", "The effect of ablating each head alone, as colours of the map."
        ),
        View("others", "Other heads", "What the other heads do without those that are ablated."),
        View("lens", "Logit lens", "What the model would say after each of its layers."),
        View("positions", "At every position", "What the model expects after each token of the prompt."),
        View("continuations", "Continuations", "How the model goes on with the text, clean beside ablated."),
        View("random", "Random control", "The ablated heads against random sets of as many heads."),
    )
}

# What the column of the chosen head shows of it.
HEAD_VIEWS: dict[str, View] = {
    view.key: view
    for view in (
        View("heatmap", "Heatmap", "Its attention pattern, a row for each query token."),
        View("lines", "Lines", "Its attention pattern, drawn as lines (BertViz)."),
        View("scores", "Scores", "What it scores for each role, and where its attention goes."),
        View("writes", "Writes", "The tokens that it promotes, and which tokens it copied them from."),
    )
}


@dataclass(frozen=True)
class PageState:
    """What one live page shows; None is what the link does not say.

    Attributes:
        model: name in the menu.
        prompt: the text.
        head: the chosen head.
        ablated: heads that are off; an empty set says that all are on.
        mode: "zero", "mean" or "interchange" ablation.
        second: the second prompt of an interchange.
        fit: how it is made as long as the prompt, a key of `second_prompt.FITS`.
        position: which token's prediction is shown, counted as on the token strip; None for the last.
        target: text of the token that is watched.
        against: text of a second token, for the logit difference.
        view: a key of `VIEWS`.
        head_view: a key of `HEAD_VIEWS`.
        map_view: a key of `utils.live.map_views.MAP_VIEWS`.
        preset: key of the preset that the page was opened with.
        lesson: key of the lesson under way.
        step: its step, from 1.
    """

    model: str | None = None
    prompt: str | None = None
    head: Head | None = None
    ablated: frozenset[Head] | None = None
    mode: MethodKey | None = None
    second: str | None = None
    fit: Fit | None = None
    position: int | None = None
    target: str | None = None
    against: str | None = None
    view: str | None = None
    head_view: str | None = None
    map_view: str | None = None
    preset: str | None = None
    lesson: str | None = None
    step: int | None = None

    def over(self, base: "PageState") -> "PageState":
        """This state, and what it does not say as `base` has it (a link over the preset that it names)."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(base, **{name: value for name, value in said.items() if value is not None})


def fit(
    state: PageState, models: Sequence[str], geometry: HeadGeometry | None = None, tokens: int | None = None
) -> tuple[PageState, list[str]]:
    """Leave out of a state what there is not: an unknown model, heads and positions that it does not have.

    Args:
        state: what a link says.
        models: names of the models that may be used.
        geometry: the heads of the model that will be shown, None while it is not known.
        tokens: how many tokens its prompt has, BOS included, None while it is not known.

    Returns:
        The state that can be shown, and a sentence for each thing left out.
    """
    problems: list[str] = []
    if state.model is not None and state.model not in models:
        options = f"choose one of {', '.join(models)}" if models else "there is no model here"
        problems.append(f"The model {excerpt(state.model)} in this link is not here: {options}.")
        state = replace(state, model=None)
    if geometry is not None:
        shape = f"layers go from 0 to {geometry.n_layers - 1}, heads from 0 to {geometry.n_heads - 1}"

        def has(head: Head) -> bool:
            return head.layer < geometry.n_layers and head.head < geometry.n_heads

        if state.head is not None and not has(state.head):
            problems.append(f"This model has no head {state.head} ({shape}).")
            state = replace(state, head=None)
        if missing := sorted(head for head in state.ablated or () if not has(head)):
            few = ", ".join(map(str, missing[:3])) + (" and more" if len(missing) > 3 else "")
            problems.append(f"This model has no head {few}, so it is not switched off ({shape}).")
            cached = frozenset(head for head in state.ablated or () if has(head))
            state = replace(state, ablated=cached or None)
    if tokens is not None and state.position is not None and state.position >= tokens:
        problems.append(
            f"The prompt has no position {state.position} (its tokens are numbered 0 to {tokens - 1}); the "
            "last one is shown."
        )
        state = replace(state, position=None)
    return state, problems
