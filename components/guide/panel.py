"""The drawer beside the workbench while a preset or a lesson is open: a question, a task, the next step."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.addresses import address
from components.answer.random_sets_panel import random_figure
from components.attributes import aria, data
from components.guide.part_ids import element_ids
from components.messages import link_notice
from components.plots import graph
from utils.teaching.lesson_acts import ask
from utils.teaching.lessons import Lesson, Step
from utils.teaching.prepared_presets import PresetEffect
from utils.teaching.presets import Preset


def _card(
    badge: str, title: str, body: list[Any], cover: str = "", point: str = "", step: int = 0
) -> html.Section:
    return html.Section(
        [
            html.Div(
                [
                    html.H2([html.Span(badge, className="hs-badge"), f" {title}"], className="hs-title"),
                    html.Button(
                        html.I(className="bi bi-chevron-down", **aria(hidden="true")),
                        type="button",
                        className="btn btn-sm btn-outline-secondary hs-guide-fold",
                        title=f"Fold the {badge.lower()}",
                        **aria(label="Fold", expanded="true"),
                    ),
                    html.Button(
                        html.I(className="bi bi-x-lg", **aria(hidden="true")),
                        id=ids.guide_button("close"),
                        className="btn btn-sm btn-outline-secondary",
                        title=f"Close the {badge.lower()}; the page stays as it is",
                        **aria(label="Close"),
                    ),
                ],
                className="hs-guide-head",
            ),
            *body,
        ],
        className="hs-card hs-guide",
        # What headscope.js covers, and what it points at.
        **data(cover=cover, point=point, step=str(step)),
        **aria(label=f"{badge}: {title}"),
    )


def _question(question: str, answered: bool) -> list[Any]:
    return [
        html.P([html.Strong("Predict first: "), question], className="hs-guide-question"),
        dbc.Label("Your answer (it stays in your browser)", html_for=ids.GUIDE_ANSWER, className="hs-hint"),
        dbc.Textarea(
            id=ids.GUIDE_ANSWER,
            rows=2,
            readonly=answered,
            persistence=question,
            persistence_type="local",
            maxLength=2000,
        ),
    ]


def _effect(effect: PresetEffect, theme: str) -> list[Any]:
    return [
        html.P(effect.sentence, className="hs-sentence"),
        graph(
            "preset",
            figure=random_figure(effect.comparison.contrasts["probability"], theme),
            style={"height": "180px"},
        ),
        html.P(
            f"Circles: {len(effect.random)} random sets of as many heads, from the same layers; the band "
            "holds the middle 95% of them. Diamond: the heads of this preset.",
            className="hs-hint",
        ),
    ]


def preset_card(
    preset: Preset,
    problems: tuple[str, ...],
    revealed: bool,
    effect: PresetEffect | None,
    theme: str,
) -> html.Section:
    """A preset's card.

    Args:
        preset: the preset.
        problems: what this model does not have.
        revealed: whether its answer is shown.
        effect: what its heads do, None where it switches nothing off or it is not revealed.
        theme: "light" or "dark".
    """
    body: list[Any] = link_notice(problems, "This preset does not fit this model.")
    if preset.look_for:
        body.append(html.P([html.Strong("What to look for: "), preset.look_for]))
    if preset.question:
        body += _question(preset.question, revealed)
        if not revealed:
            body.append(dbc.Button("Reveal", id=ids.guide_button("reveal"), color="primary", size="sm"))
        elif preset.answer:
            body.append(html.P([html.Strong("What happens: "), preset.answer], className="hs-guide-answer"))
    if effect is not None:
        body += _effect(effect, theme)
    cover = "" if revealed else element_ids(preset.cover)
    return _card("Preset", preset.title, body, cover)


def lesson_card(lesson: Lesson, number: int, done: bool, problems: tuple[str, ...]) -> html.Section:
    """A lesson's card on one of its steps.

    Args:
        lesson: the lesson.
        number: the step, from 1.
        done: whether the student has done what the step asks for.
        problems: what this model does not have.
    """
    step = lesson.step(number)
    last = number == len(lesson.steps)
    reading = step.act.kind == "read"
    body: list[Any] = link_notice(problems, "This lesson does not fit this model.")
    body += [
        html.Div(
            [
                html.Progress(
                    value=str(number - 1 + done),
                    max=str(len(lesson.steps)),
                    className="hs-progress",
                    **aria(label="Progress of the lesson"),
                ),
                html.Span(f"step {number} of {len(lesson.steps)}", className="hs-hint"),
            ],
            className="hs-lesson-progress",
        ),
        html.P(step.text, className="hs-guide-text"),
        *_step_task(step, done),
        html.Div(
            [
                html.Button(
                    "Back",
                    id=ids.guide_button("back"),
                    className="btn btn-sm btn-outline-secondary",
                    disabled=number == 1,
                ),
                html.Button(
                    "Finish" if last else "Next",
                    id=ids.guide_button("next"),
                    className="btn btn-sm btn-primary",
                    disabled=not (done or reading),
                ),
                *(
                    []
                    if done or reading or last
                    else [
                        html.Button(
                            "Skip this step",
                            id=ids.guide_button("skip"),
                            className="btn btn-sm btn-link",
                        )
                    ]
                ),
            ],
            className="hs-guide-buttons",
        ),
    ]
    point = element_ids([step.at]) if step.at else ""
    return _card("Lesson", lesson.title, body, point=point, step=number)


def _step_task(step: Step, done: bool) -> list[Any]:
    if step.act.kind == "read":
        return []
    if step.act.kind == "answer":
        task = _question(step.question or "", done)
        if not done:
            task.append(
                dbc.Button("See the answer", id=ids.guide_button("answer"), color="primary", size="sm")
            )
        elif step.answer:
            task.append(html.P([html.Strong("Answer: "), step.answer], className="hs-guide-answer"))
        return task
    mark = html.I(
        className=f"bi {'bi-check-circle-fill' if done else 'bi-circle'} hs-guide-mark", **aria(hidden="true")
    )
    return [
        html.P(
            [mark, html.Strong(" Done: " if done else " To do: "), ask(step.act)],
            className="hs-guide-task" + (" hs-guide-done" if done else ""),
            role="status",
        )
    ]


def lesson_finished(lesson: Lesson) -> html.Section:
    """What is shown after the last step."""
    return _card(
        "Lesson",
        lesson.title,
        [
            html.P("You have finished this lesson.", className="hs-guide-text", role="status"),
            dcc.Link("All lessons", href=address("/lessons")),
        ],
    )
