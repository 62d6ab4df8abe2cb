"""Next-token prediction, clean beside ablated, and the chips of what is off."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from dash import html

from components import ids
from components.attributes import aria, data
from components.help_mark import marked
from components.tables import scrolled_table
from utils.effects.prediction import Comparison, TokenChange, name_heads
from utils.heads import Head


def chips(off: Sequence[Head]) -> list:
    """A chip for each head that is off, and the button that clears them all."""
    if not off:
        return [
            html.Span("All heads are on. Choose one and ablate it, or a whole role.", className="hs-hint")
        ]
    return [
        html.Span("Ablated:", className="hs-chip-label"),
        *(
            html.Button(
                [str(head), " ", html.I(className="bi bi-x", **aria(hidden="true"))],
                className="btn btn-outline-danger btn-sm hs-chip",
                title=f"Restore {head}",
                **aria(label=f"Restore {head}"),
                **data(press=json.dumps(ids.chip(str(head)))),
            )
            for head in off
        ),
    ]


def _points(change: float) -> str:
    return f"{change * 100:+.1f}"


def _row(row: TokenChange, label: str, ablated: bool, watched: bool) -> html.Tr:
    bars = [html.Span(className="hs-prob hs-prob-clean", style={"width": f"{row.clean:.2%}"})]
    if ablated:
        bars.append(html.Span(className="hs-prob hs-prob-ablated", style={"width": f"{row.ablated:.2%}"}))
    moved = ablated and row.clean_rank != row.ablated_rank
    rank = f"{row.clean_rank} → {row.ablated_rank}" if moved else str(row.clean_rank)
    title = f"rank {row.clean_rank} with all heads on, {row.ablated_rank} ablated" if ablated else None
    cells = [
        html.Td(rank, className="hs-number", title=title),
        html.Th(
            html.Button(
                html.Bdi(label),
                type="button",
                className="hs-token-button",
                title="Watch this token and see which heads write it",
                **data(watch=label),
            ),
            scope="row",
            className="hs-token-cell",
        ),
        html.Td(html.Div(bars, className="hs-probs"), className="hs-prob-cell", **aria(hidden="true")),
        html.Td(f"{row.clean:.1%}", className="hs-number"),
    ]
    if ablated:
        cells += [
            html.Td(f"{row.ablated:.1%}", className="hs-number"),
            html.Td(_points(row.change), className="hs-number"),
        ]
    return html.Tr(cells, className="hs-watched" if watched else "", **data(token=label))


def prediction_table(comparison: Comparison, off: Sequence[Head], label: Callable[[int], str]) -> html.Div:
    """The most likely next tokens, clean beside ablated.

    Args:
        comparison: clean against ablated.
        off: heads that are off.
        label: shows a token id as text.
    """
    ablated = bool(off)
    head = ["rank", "token", "", "clean"] + (["ablated", "points"] if ablated else [])
    watched = comparison.watched
    rows = list(comparison.rows)
    if watched not in rows:
        rows.append(watched)
    return scrolled_table(
        "Most likely next tokens",
        head,
        [_row(row, label(row.token), ablated, row.token == watched.token) for row in rows],
        numbers=(0, *range(3, len(head))),
    )


def prediction_facts(comparison: Comparison, off: Sequence[Head], label: Callable[[int], str]) -> list[Any]:
    """The figures for the watched token and for the prediction as a whole; arguments as in the table."""
    watched = comparison.watched
    clean_difference, ablated_difference = comparison.logit_difference
    fact = (
        f"Watching “{label(watched.token)}”: {watched.clean:.1%}"
        + (f" clean, {watched.ablated:.1%} ablated" if off else "")
        + f". Logit difference to “{label(comparison.rival)}”: {clean_difference:+.2f}"
        + (f" clean, {ablated_difference:+.2f} ablated." if off else ".")
    )
    kl = f"KL divergence of the whole prediction: {comparison.kl:.3f} nats."
    return [
        html.P(fact, className="hs-fact"),
        *([marked(html.P(kl, className="hs-fact"), "kl")] if off else []),
    ]


def cause_and_effect(comparison: Comparison, off: Sequence[Head], label: Callable[[int], str]) -> str:
    """The last cause and its effect in a few words, for a line of a phone's screen."""
    watched = comparison.watched
    name = label(watched.token).strip("·")
    if not off:
        return f"{name} {watched.clean:.0%} · no head is ablated"
    heads = name_heads(off).removeprefix("these ")
    return f"{heads} ablated: {name} {watched.clean:.0%} to {watched.ablated:.0%}"


def no_prediction(text: str) -> html.P:
    """What stands there when there is nothing to predict from."""
    return html.P(text, className="hs-hint")
