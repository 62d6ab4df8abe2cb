"""What the chosen head writes: its sentence, the tokens it copied from, the tokens that it promotes."""

from collections.abc import Callable, Sequence
from typing import Any

from dash import html

from components.attributes import aria, data
from components.help_mark import marked
from components.tables import number, scrolled_table
from utils.effects.total_and_direct import HeadEffects
from utils.writing.attribution import DirectEffect
from utils.writing.promoted import PromotedTokens, TokenEffect

# So many source tokens are listed, those with the largest effects.
MAX_SOURCES = 6


def effect_bar(effect: float, largest: float) -> html.Span:
    """A bar to the right for an effect that raises, to the left for one that lowers."""
    share = min(abs(effect) / max(largest, 1e-9), 1.0) / 2
    side = {"left": "50%"} if effect >= 0 else {"right": "50%"}
    return html.Span(
        html.Span(
            className=f"hs-effect {'hs-effect-up' if effect >= 0 else 'hs-effect-down'}",
            style={"width": f"{share:.1%}", **side},
        ),
        className="hs-effect-bar",
        **aria(hidden="true"),
    )


def _sources(sources: Sequence[float], attention: Sequence[float], labels: Sequence[str]) -> html.Div:
    order = sorted(range(len(sources)), key=lambda key: -abs(sources[key]))[:MAX_SOURCES]
    largest = max((abs(sources[key]) for key in order), default=0.0)
    total = sum(sources)
    rows = [
        html.Tr(
            [
                number(str(key)),
                html.Th(
                    html.Button(
                        html.Bdi(labels[key]),
                        type="button",
                        className="hs-token-button",
                        title="Show this token in the strip",
                        **data(source=str(key)),
                    ),
                    scope="row",
                    className="hs-token-cell",
                ),
                number(f"{attention[key]:.0%}"),
                html.Td(effect_bar(sources[key], largest), className="hs-prob-cell"),
                number(f"{sources[key]:+.2f}"),
            ]
        )
        for key in order
    ]
    rest = total - sum(sources[key] for key in order)
    if len(sources) > len(order):
        rows.append(
            html.Tr(
                [html.Td(), html.Th("all others", scope="row"), html.Td(), html.Td(), number(f"{rest:+.2f}")]
            )
        )
    titles = ("#", "copied from", "attention", "", "logits")
    return scrolled_table("Which tokens this head's effect comes from", titles, rows, numbers=(0, 2, 4))


def _token_list(
    title: str, entries: Sequence[TokenEffect], label: Callable[[int], str], largest: float
) -> html.Div:
    rows = [
        html.Tr(
            [
                html.Th(html.Bdi(label(entry.token)), scope="row", className="hs-token-cell"),
                html.Td(effect_bar(entry.logits, largest), className="hs-prob-cell"),
                number(f"{entry.logits:+.2f}"),
            ]
        )
        for entry in entries
    ]
    return scrolled_table(title, (title, "", "logits"), rows, numbers=(2,))


def writes_view(
    sentence: str,
    direct: DirectEffect,
    head_effect: float,
    rank: int,
    effects: HeadEffects | None,
    sources: Sequence[float],
    attention: Sequence[float],
    labels: Sequence[str],
    promoted: PromotedTokens,
    label: Callable[[int], str],
) -> html.Div:
    """What the head writes at the chosen position.

    Args:
        sentence: what it does with what it attends to (`writing.sentences`).
        direct: the direct effects of all parts, for what the numbers are of.
        head_effect: the head's own, in logits.
        rank: its place among all heads by the size of the effect, from 1.
        effects: total beside direct, None while the effect map is not known.
        sources: the head's effect by source token [key].
        attention: its attention from the position [key].
        labels: the prompt's tokens as they are shown.
        promoted: the tokens that it raises and lowers most.
        label: shows a token id as text.
    """
    pair = f"“{label(direct.target)}”" + (
        f" against “{label(direct.against)}”" if direct.against is not None else ""
    )
    heads = direct.heads.numel()
    parts: list[Any] = [
        html.P(sentence, className="hs-sentence"),
        marked(
            html.P(
                f"Direct effect on {pair}: {head_effect:+.2f} logits, number {rank} of {heads} heads.",
                className="hs-fact",
            ),
            "direct_effect",
        ),
    ]
    if effects is not None:
        parts.append(
            html.P(
                f"Ablating it changes the difference by {-effects.total:+.2f} logits: "
                f"{effects.reading.label}. {effects.reading.words}",
                className="hs-fact",
            )
        )
    if direct.capped:
        parts.append(
            html.P(
                "This model caps its logits afterwards; the numbers are of the logits before the cap.",
                className="hs-hint",
            )
        )
    parts.append(_sources(sources, attention, labels))
    largest = max((abs(entry.logits) for entry in (*promoted.promoted, *promoted.suppressed)), default=0.0)
    parts += [
        marked(html.H3("Tokens that it promotes and suppresses", className="hs-subtitle"), "promoted_tokens"),
        html.Div(
            [
                _token_list("promotes", promoted.promoted, label, largest),
                _token_list("suppresses", promoted.suppressed, label, largest),
            ],
            className="hs-side-by-side",
        ),
    ]
    return html.Div(parts)
