"""The lab's ablation: the answer without the top heads, beside the answers without as many random ones."""

from collections.abc import Sequence
from typing import Any

from dash import html

from components.tables import number, scrolled_table
from retrieval.lab.ablation import LabAblation, Outcome
from utils.forward.ablation import AblationMode

# A set with more heads than this is not written out.
MAX_HEADS = 12
NOT_UNUSED = (
    "Not necessary is not unused: where the answer survives, other heads may stand in (backup heads)."
)
OFF_DISTRIBUTION: dict[AblationMode, str] = {
    "zero": "Zeros are nothing that the model is used to, so some of the change may come from that alone.",
    "mean": "The means are those of ordinary sentences, which a filing with a question is not.",
}


def _held(draws: Sequence[Outcome], known: bool) -> int:
    """How many draws keep the answer: right where the truth is known, else as with all heads on."""
    return sum(bool(draw.right) if known else draw.same for draw in draws)


def off_sentence(done: LabAblation) -> str:
    """What ablating the heads came to, in plain words."""
    count = len(done.tested.heads)
    known = done.clean.right is not None
    if not count:
        return "No head is off. Move the slider to switch off the first heads of the ranking."
    heads = "the first head" if count == 1 else f"the first {count} heads"
    before, after = f"“{done.clean.text}”", f"“{done.tested.text}”"
    if done.tested.same:
        message = f"Without {heads} the model still answers {after}"
    else:
        message = f"Without {heads} the answer goes from {before} to {after}"
    if known:
        message += " (right)" if done.tested.right else " (wrong)"
    word = "right" if known else "the same"
    parts = [f"{_held(draws, known)} of {len(draws)} {kind}" for kind, draws in sorted(done.controls.items())]
    tail = f" With as many random heads ablated it stays {word} in {' and '.join(parts)} draws."
    if known and not done.clean.right:
        tail += " The answer is wrong with all heads on already, so it says little here."
    return message + "." + tail


def off_table(done: LabAblation) -> html.Div:
    """Every set that was switched off, with its answer."""
    rows = [_row("none", done.clean)]
    if done.tested.heads:
        rows.append(_row("the top heads", done.tested))
    for kind, draws in sorted(done.controls.items()):
        rows += [_row(f"random, {kind} {index}", draw) for index, draw in enumerate(draws, start=1)]
    return scrolled_table(
        "Answers with heads ablated",
        ["off", "answer", "", "probability of the truth", "heads"],
        rows,
        numbers=(3,),
        look="hs-lab-off",
    )


def _row(name: str, outcome: Outcome) -> html.Tr:
    if outcome.right is None:
        mark = "= same" if outcome.same else "≠ other"
    else:
        mark = "✓ right" if outcome.right else "✗ wrong"
    chance = "–" if outcome.truth_probability is None else f"{outcome.truth_probability:.1%}"
    heads = ", ".join(str(head) for head in outcome.heads[:MAX_HEADS])
    if len(outcome.heads) > MAX_HEADS:
        heads += f" and {len(outcome.heads) - MAX_HEADS} more"
    return html.Tr(
        [
            html.Th(name, scope="row"),
            html.Td(html.Bdi(outcome.text or "(nothing)")),
            html.Td(mark, className="hs-lab-same" if mark[0] in "✓=" else "hs-lab-lost"),
            number(chance),
            html.Td(heads or "–", className="hs-hint"),
        ]
    )


def off_view(done: LabAblation, scored: int) -> list[Any]:
    """Sentence, table and caveats.

    Args:
        done: what was ablated.
        scored: how many heads of the ranking have a score above 0.
    """
    caveats = [f"Random, {kind}: {message}" for kind, message in done.caveats.items() if message]
    if (unscored := len(done.tested.heads) - scored) > 0:
        caveats.insert(
            0,
            f"The ranking scores {scored or 'no'} heads above 0; the other {unscored} of the set stand in "
            "order of layer and head.",
        )
    return [
        html.P(off_sentence(done), className="hs-sentence", role="status"),
        off_table(done),
        *(html.P(message, className="hs-hint") for message in caveats),
        html.P(f"{NOT_UNUSED} {OFF_DISTRIBUTION[done.mode]}", className="hs-hint"),
    ]
