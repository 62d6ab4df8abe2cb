"""A card a role: its state, a bar a head with its chance mark, the reason when gray, prompts that wake it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import html

from components import ids
from components.attributes import aria, data
from utils.head_roles import ROLES, HeadRole
from utils.heads import Head


def role_style(role: HeadRole) -> dict[str, str]:
    """The role's hue for light and dark as CSS variables."""
    return {"--hue-light": role.color, "--hue-dark": role.color_dark}


def head_bar(role: str, entry: Mapping[str, Any], off: bool) -> html.Button:
    """One head's live score as a bar with its number and its chance mark; a click chooses the head."""
    head = str(Head(entry["layer"], entry["head"]))
    live, chance = entry["activation_score"], entry["chance"]
    marks = [html.Span(className="hs-bar-fill", style={"width": f"{live:.1%}"})]
    if chance is not None:
        marks.append(html.Span(className="hs-bar-chance", style={"left": f"{chance:.1%}"}))
    state = "active" if entry["is_active"] else "not triggered"
    told_chance = "" if chance is None else f", chance {chance:.2f}"
    return html.Button(
        [
            html.Span(
                [html.S(head), html.Span(" off", className="hs-hint")] if off else head,
                className="hs-bar-name",
            ),
            html.Span(marks, className="hs-bar", **aria(hidden="true")),
            html.Span(f"{live:.2f}", className="hs-bar-number"),
        ],
        id=ids.link(role, head),
        className="hs-bar-row" + ("" if entry["is_active"] else " hs-gray"),
        title=f"{head}: {live:.2f} here{told_chance}; {entry['score']:.2f} in the catalog; {entry['reason']}",
        **aria(label=f"{head}, {state}: {live:.2f} on your text{told_chance}. Show this head."),
    )


def _quiet_reason(entries: Sequence[Mapping[str, Any]], lookalikes: str) -> str:
    """Why the role is gray: its best head's reason."""
    best = max(entries, key=lambda entry: entry["activation_score"])
    reason = best["reason"]
    return f"{reason[0].upper()}{reason[1:]}." + (f" {lookalikes}" if lookalikes else "")


def _suggestions(role: HeadRole, prompts: Sequence[str]) -> list:
    if not prompts:
        return [html.P("No suggested prompt wakes this role on this model.", className="hs-hint")]
    return [
        dbc.Button(
            [html.I(className="bi bi-lightning-charge", **aria(hidden="true")), f" {prompt}"],
            id=ids.suggestion(role.key, number),
            size="sm",
            color="link",
            className="hs-suggestion",
            title="Fill in this prompt, which wakes the role on this model",
        )
        for number, prompt in enumerate(prompts)
    ]


def role_card(
    role: HeadRole,
    entries: Sequence[Mapping[str, Any]],
    prompts: Sequence[str],
    off: Collection[Head],
    lookalikes: str = "",
) -> html.Article:
    """The card of one role.

    Args:
        role: the registry's row.
        entries: the role's part of `head_detection.summarize_heads`.
        prompts: the catalog's suggested prompts.
        off: the heads that are switched off.
        lookalikes: a sentence on tokens that only look alike, for roles that need a repetition.
    """
    active = any(entry["is_active"] for entry in entries)
    heads = [Head(entry["layer"], entry["head"]) for entry in entries]
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
        circle, state = ("bi-circle-fill", "active") if active else ("bi-circle", "not triggered")
        all_off = all(head in off for head in heads)
        what = (
            f"Switch {'on' if all_off else 'off'} the one head"
            if len(heads) == 1
            else f"Switch {'on' if all_off else 'off'} all {len(heads)} heads"
        )
        if not active:
            body.append(html.P(_quiet_reason(entries, lookalikes), className="hs-reason"))
        elif any("little evidence" in entry["reason"] for entry in entries if entry["is_active"]):
            rows = entries[0]["positions"]
            body.append(
                html.P(
                    f"Little evidence: only {rows} place{'s' if rows > 1 else ''} to look at.",
                    className="hs-reason",
                )
            )
        body += [
            html.Div(
                [head_bar(role.key, entry, head in off) for entry, head in zip(entries, heads, strict=True)],
                className="hs-bars",
            ),
            dbc.Button(what, id=ids.ablate_role(role.key), size="sm", color="danger", outline=True),
        ]
    if role.measured and entries:
        body.append(
            html.Details(
                [html.Summary("Prompts that wake it"), *_suggestions(role, prompts)],
                open=not active,
            )
        )
    return html.Article(
        [
            html.H3(
                [
                    html.I(className=f"bi {circle} hs-circle", **aria(hidden="true")),
                    html.I(className=f"bi bi-{role.icon}", **aria(hidden="true")),
                    f" {role.display_name} ",
                    html.Span(state, className="hs-state"),
                ],
                className="hs-role-title",
            ),
            *body,
        ],
        className="hs-role" + (" hs-role-active" if active else ""),
        style=role_style(role),
        **data(role=role.key, state=state),
    )


def role_cards(
    summary: Mapping[str, Sequence[Mapping[str, Any]]],
    prompts: Mapping[str, Sequence[str]],
    off: Collection[Head],
    lookalikes: str = "",
) -> list[html.Article]:
    """All cards, in the registry's order."""
    return [
        role_card(
            role,
            summary.get(key, ()),
            prompts.get(key, ()),
            off,
            lookalikes if role.requires_repetition else "",
        )
        for key, role in ROLES.items()
    ]


def no_catalog(problem: str, model: str) -> list[html.Article]:
    """What stands in the cards' place when the model has no catalog that can be used."""
    return [
        html.Article(
            [
                html.H3("No roles to show", className="hs-role-title"),
                html.P(problem),
                html.P(["Make it with: ", html.Code(f"python scripts/analyze_heads.py --model {model}")]),
                html.P(
                    "Attention, predictions and switching heads off work all the same.", className="hs-hint"
                ),
            ],
            className="hs-role",
        )
    ]
