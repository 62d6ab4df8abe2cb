"""The view "Who writes it": what each head, block and the embeddings add to the watched token's logit."""

from collections.abc import Callable, Sequence
from typing import Any

from dash import html

from components.attributes import data
from components.help_mark import marked
from components.live.head_writes import effect_bar
from components.tables import number, scrolled_table
from utils.heads import Head
from utils.writing.attribution import DirectEffect

STRONGEST = 8
# The blocks that are listed beside the heads.
STRONGEST_BLOCKS = 3


def _row(name: Any, effect: float, largest: float) -> html.Tr:
    return html.Tr(
        [
            html.Th(name, scope="row"),
            html.Td(effect_bar(effect, largest), className="hs-prob-cell"),
            number(f"{effect:+.2f}"),
        ]
    )


def _head(head: Head) -> html.Button:
    return html.Button(
        str(head), type="button", className="hs-link-button", **data(choose=str(head), show="writes")
    )


def direct_sentence(direct: DirectEffect, label: Callable[[int], str]) -> str:
    """What the attribution comes to: the head that adds most and the one that takes most."""
    raises = max(
        ((float(value), index) for index, value in enumerate(direct.heads.flatten())), default=(0.0, 0)
    )
    lowers = min(
        ((float(value), index) for index, value in enumerate(direct.heads.flatten())), default=(0.0, 0)
    )
    columns = direct.heads.shape[1]
    best, worst = (Head(*divmod(index, columns)) for _, index in (raises, lowers))
    pair = f"“{label(direct.target)}”" + (
        f" against “{label(direct.against)}”" if direct.against is not None else ""
    )
    return (
        f"Of the {direct.logit:+.2f} logits for {pair}, {best} writes {raises[0]:+.2f}, more than any "
        "other head; "
        f"{worst} writes {lowers[0]:+.2f}."
    )


def direct_view(direct: DirectEffect, label: Callable[[int], str]) -> list[Any]:
    """The heads with the largest direct effects, and the other parts, which together make the logit.

    Args:
        direct: what each part adds.
        label: shows a token id as text.
    """
    strongest = direct.strongest(STRONGEST)
    blocks: Sequence[int] = direct.mlps.abs().argsort(descending=True)[:STRONGEST_BLOCKS].tolist()
    effects = [float(direct.heads[head.layer, head.head]) for head in strongest]
    largest = max((abs(effect) for effect in effects), default=0.0)
    rest = float(direct.heads.sum()) - sum(effects)
    other_blocks = float(direct.mlps.sum()) - sum(float(direct.mlps[block]) for block in blocks)
    rows = [_row(_head(head), effect, largest) for head, effect in zip(strongest, effects, strict=True)]
    rows += [
        _row("the other heads", rest, largest),
        *(_row(f"MLP of layer {block}", float(direct.mlps[block]), largest) for block in blocks),
        _row("the other MLPs", other_blocks, largest),
        _row("embeddings", direct.embedding, largest),
        _row("biases", direct.bias, largest),
        _row(
            "the model's logit" if direct.against is None else "the logit difference", direct.logit, largest
        ),
    ]
    capped = " This model caps its logits afterwards; these are the logits before." if direct.capped else ""
    return [
        html.P(direct_sentence(direct, label), className="hs-sentence"),
        marked(
            html.P(
                "What each part itself adds (direct logit attribution, the final norm's scale held "
                "fixed). The map "
                f"shows it for every head; choose one to see from which token it copied.{capped}",
                className="hs-hint",
            ),
            "direct_effect",
        ),
        scrolled_table("Direct effects, in logits", ("written by", "", "logits"), rows, numbers=(2,)),
    ]
