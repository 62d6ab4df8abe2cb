"""One card per role: state, a bar per head with its chance mark, why it is inactive, suggested prompts."""

import json
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from dash import html

from components import ids
from components.attributes import aria, data
from components.help_mark import help_mark, marked
from components.roles import role_style
from utils.heads import Head
from utils.live.unlisted_heads import UnlistedHead, UnlistedHeads
from utils.roles.activity import HeadActivity
from utils.roles.registry import ROLES, HeadRole


def head_bar(entry: HeadActivity, off: bool) -> html.Button:
    """One head's live score as a bar with its number and its chance mark; a click chooses the head."""
    head, live, chance = str(entry.head), entry.live, entry.chance
    marks = [html.Span(className="hs-bar-fill", style={"width": f"{live:.0%}"})]
    if chance is not None:
        marks.append(html.Span(className="hs-bar-chance", style={"left": f"{chance:.0%}"}))
    state = "active" if entry.is_active else "inactive"
    chance_part = "" if chance is None else f", chance {chance:.2f}"
    return html.Button(
        [
            html.Span(
                [html.S(head), html.Span(" ablated", className="hs-hint")] if off else head,
                className="hs-bar-name",
            ),
            html.Span(marks, className="hs-bar", **aria(hidden="true")),
            html.Span(f"{live:.2f}", className="hs-bar-number"),
            html.Span(f" on your text, {state}{chance_part}. Show this head.", className="visually-hidden"),
        ],
        className="hs-bar-row" + ("" if entry.is_active else " hs-inactive"),
        title=f"{head}: {live:.2f} here{chance_part}; {entry.catalog_score:.2f} in the catalog; "
        f"{entry.reason}",
        **data(choose=head),
    )


def _inactive_reason(entries: Sequence[HeadActivity], lookalikes: str) -> str:
    """Why the role is inactive: its best head's reason."""
    reason = max(entries, key=lambda entry: entry.live).reason
    return f"{reason[0].upper()}{reason[1:]}." + (f" {lookalikes}" if lookalikes else "")


def _suggestions(role: HeadRole, prompts: Sequence[str]) -> list:
    if not prompts:
        return [html.P("No suggested prompt triggers this role on this model.", className="hs-hint")]
    return [
        html.Button(
            [html.I(className="bi bi-lightning-charge", **aria(hidden="true")), f" {prompt}"],
            className="btn btn-link btn-sm hs-suggestion",
            title="Fill in this prompt, which triggers the role on this model",
            **data(press=json.dumps(ids.suggestion(role.key, number))),
        )
        for number, prompt in enumerate(prompts)
    ]


def unlisted_button(entry: UnlistedHead, off: bool) -> html.Button:
    """A head that acts like the role now without being listed for it; a click chooses the head.

    One component a head, no bar: there may be forty on the page, and each part costs the browser time.
    """
    head = str(entry.head)
    chance = "" if entry.chance is None else f", chance {entry.chance:.2f}"
    catalog = "" if entry.catalog is None else f"; {entry.catalog:.2f} in the catalog"
    return html.Button(
        f"{head} {entry.live:.2f}{' (ablated)' if off else ''}",
        className="hs-unlisted-head",
        title=f"{head}, not listed: {entry.live:.2f} here{chance}{catalog}. {entry.note}".rstrip(),
        **data(choose=head),
    )


def unlisted_part(unlisted: UnlistedHeads, off: Collection[Head]) -> list[Any]:
    """Heads that act like a role now without being listed for it, set apart from those that are."""
    if not unlisted.count:
        return []
    return [
        html.Details(
            [
                html.Summary(f"Unlisted active heads: {unlisted.count}", className="hs-unlisted-title"),
                marked(html.P(unlisted.sentence, className="hs-hint"), "unlisted_active"),
                html.Div(
                    [unlisted_button(entry, entry.head in off) for entry in unlisted.heads],
                    className="hs-unlisted-heads",
                ),
            ],
            className="hs-unlisted",
        )
    ]


def role_card(
    role: HeadRole,
    entries: Sequence[HeadActivity],
    prompts: Sequence[str],
    off: Collection[Head],
    lookalikes: str = "",
    unlisted: UnlistedHeads | None = None,
    carrying: Sequence[HeadActivity] = (),
    note: str = "",
    there: bool = False,
) -> html.Article:
    """The card of one role.

    Args:
        role: the registry's row.
        entries: what each head that is listed for the role does.
        prompts: the catalog's suggested prompts.
        off: the ablated heads.
        lookalikes: a sentence on tokens that only look alike, for roles that need a repetition.
        unlisted: heads that act like the role now without having it.
        carrying: what each head that has the role does, listed or not.
        note: what the reader should know besides, "" for nothing.
        there: whether the browser has this model's card already, on whatever text: what does not depend on
            the text is then not sent again.
    """
    active = any(entry.is_active for entry in entries)
    heads = [entry.head for entry in entries]
    body: list = [html.P(role.description, className="hs-role-text")]
    if not role.measured:
        body += [
            html.P(
                f"{len(heads)} heads. No live check: there is nothing to look for."
                if heads
                else "Every head of this model has a catalogued role.",
                className="hs-hint",
            )
        ]
        circle, state = "bi-dash-circle", "neutral"
    elif not entries:
        body.append(html.P("No head of this model does this.", className="hs-hint"))
        circle, state = "bi-circle", "no heads"
    else:
        circle, state = ("bi-circle-fill", "active") if active else ("bi-circle", "inactive")
        all_off = all(head in off for head in heads)
        what = (
            "Restore the one head"
            if all_off
            else "Ablate the one head"
            if len(heads) == 1
            else f"{'Restore' if all_off else 'Ablate'} all {len(heads)} heads"
        )
        if not active:
            body.append(html.P(_inactive_reason(entries, lookalikes), className="hs-reason"))
        elif any(entry.little_evidence for entry in entries if entry.is_active):
            rows = entries[0].positions
            body.append(
                html.P(
                    f"Little evidence: only {rows} place{'s' if rows > 1 else ''} to look at.",
                    className="hs-reason",
                )
            )
        if len(carrying) > len(heads):
            body.append(_shown_of(len(heads), carrying))
        if note:
            body.append(html.P(note, className="hs-hint"))
        body += [
            html.Div(
                [head_bar(entry, entry.head in off) for entry in entries],
                className="hs-bars",
            ),
            html.Button(
                what,
                className="btn btn-outline-danger btn-sm",
                **data(press=json.dumps(ids.ablate_role(role.key))),
            ),
        ]
    if unlisted is not None:
        body += unlisted_part(unlisted, off)
    if role.measured and entries:
        body.append(
            html.Details(
                [
                    html.Summary("Prompts that trigger it"),
                    _lasting(f"prompts-{role.key}", _suggestions(role, prompts), there),
                ],
                open=not active,
            )
        )
    has = carrying or entries
    count = (
        f"{sum(entry.is_active for entry in has)} of {len(has)}" if role.measured and has else str(len(heads))
    )
    return html.Article(
        html.Details(
            [
                html.Summary(
                    [
                        html.Span(role.letter, className="hs-swatch", **aria(hidden="true")),
                        html.Span(role.display_name, className="hs-role-name"),
                        html.I(className=f"bi {circle} hs-circle", **aria(hidden="true")),
                        html.Span(state, className="hs-state"),
                        html.Span(
                            count,
                            className="hs-role-count",
                            title=f"{count} heads of this role are active on your text"
                            if role.measured and has
                            else f"{count} heads",
                        ),
                    ],
                    className="hs-role-title",
                ),
                html.Div(
                    [
                        _lasting(
                            f"about-{role.key}",
                            [body[0], help_mark(role.key)],
                            there,
                            className="hs-role-about",
                        ),
                        *body[1:],
                    ],
                    className="hs-role-body",
                ),
            ],
            className="hs-role-fold",
            # One list at a time is open, and the map shows that role's heads alone (assets/head_map.js).
            **data(filter=role.key),
        ),
        className="hs-role" + (" hs-role-active" if active else ""),
        style=role_style(role),
        **data(role=role.key, state=state),
    )


def _lasting(name: str, parts: list[Any], there: bool, **more: Any) -> html.Div:
    """A part that stays as it is in the browser (`assets/plain_html.js`) where it is there already."""
    return html.Div([] if there else parts, id=name, **more, **(data(kept="") if there else {}))


def _shown_of(shown: int, carrying: Sequence[HeadActivity]) -> html.P:
    """How many heads have the role, where the list has no room for all of them."""
    active = sum(entry.is_active for entry in carrying)
    count = len(carrying)
    return html.P(
        f"{shown} of {count} heads shown, the best by the catalog; {active} of all {count} are active on "
        "your text.",
        className="hs-hint",
    )


def role_cards(
    listed: Mapping[str, Sequence[HeadActivity]],
    prompts: Mapping[str, Sequence[str]],
    off: Collection[Head],
    lookalikes: str = "",
    unlisted: Mapping[str, UnlistedHeads] = MappingProxyType({}),
    carrying: Mapping[str, Sequence[HeadActivity]] = MappingProxyType({}),
    notes: Mapping[str, str] = MappingProxyType({}),
    there: bool = False,
) -> list[html.Article]:
    """All cards, in the registry's order."""
    return [
        role_card(
            role,
            listed.get(key, ()),
            prompts.get(key, ()),
            off,
            lookalikes if role.requires_repetition else "",
            unlisted.get(key),
            carrying.get(key, ()),
            notes.get(key, ""),
            there,
        )
        for key, role in ROLES.items()
    ]


def no_catalog(
    problem: str, unlisted: Mapping[str, UnlistedHeads], off: Collection[Head]
) -> list[html.Article]:
    """What stands in the cards' place when the model has no catalog that can be used.

    Args:
        problem: why there is none, and how to make it.
        unlisted: which heads act like a role on this text, whatever they do on others.
        off: the ablated heads.
    """
    return [
        html.Article(
            [
                html.H3("The roles of this model's heads are not known", className="hs-role-title"),
                html.P(problem, className="hs-role-text"),
                html.P("Attention, predictions and ablating heads work all the same.", className="hs-hint"),
            ],
            className="hs-role",
        ),
        *(
            html.Article(
                [html.H3(ROLES[role].display_name, className="hs-role-title"), *unlisted_part(found, off)],
                className="hs-role",
                style=role_style(ROLES[role]),
            )
            for role, found in unlisted.items()
            if found.count
        ),
    ]
