"""The instructor's page: every preset and lesson with its link, and what is wrong with the files."""

from collections.abc import Sequence
from typing import Any

from dash import html

from components.addresses import address
from components.attributes import data
from components.section import section
from components.tables import scrolled_table
from utils.links.page_links import to_query
from utils.links.page_state import PageState
from utils.roles.registry import ROLES
from utils.teaching.lessons import Lesson
from utils.teaching.presets import Preset

PAGE = "instructor"


def _copy(query: str, what: str) -> html.Td:
    return html.Td(
        [
            html.A("open", href=address(f"/{query}"), className="hs-instructor-open"),
            " ",
            html.Button(
                "Copy link",
                className="btn btn-sm btn-outline-secondary",
                title=f"Copy the link to {what}",
                **data(copy=address(f"/{query}")),
            ),
            html.Span(className="hs-hint", role="status"),
        ],
        className="hs-nowrap",
    )


def _preset_row(preset: Preset) -> html.Tr:
    roles = ", ".join(ROLES[role].display_name for role in preset.roles)
    return html.Tr(
        [
            html.Th(preset.title, scope="row"),
            html.Td(", ".join(preset.model) or "any", **data(label="models")),
            html.Td(roles or "–", **data(label="roles")),
            html.Td(preset.ablated_words or "–", **data(label="switches off")),
            html.Td("yes" if preset.question else "no", **data(label="asks first")),
            _copy(to_query(PageState(preset=preset.key)), preset.title),
        ]
    )


def _lesson_part(lesson: Lesson) -> html.Details:
    rows = [
        html.Tr(
            [
                html.Td(str(number), className="hs-number"),
                html.Td(step.text),
                _copy(to_query(PageState(lesson=lesson.key, step=number)), f"step {number}"),
            ]
        )
        for number, step in enumerate(lesson.steps, 1)
    ]
    return html.Details(
        [
            html.Summary(f"{lesson.title} ({len(lesson.steps)} steps)"),
            html.P(lesson.about or "", className="hs-hint"),
            scrolled_table(
                f"Steps of {lesson.title}",
                ("step", "what the student reads", "link"),
                rows,
                look="hs-stacked",
            ),
        ]
    )


def _problems(problems: Sequence[str]) -> Any:
    if not problems:
        return html.P("All files were read, and every preset was prepared without a problem.", role="status")
    return html.Ul([html.Li(problem) for problem in problems], className="hs-problems")


def instructor_layout(
    presets: Sequence[Preset], lessons: Sequence[Lesson], problems: Sequence[str], state: str
) -> html.Div:
    """The page.

    Args:
        presets: all presets, in menu order.
        lessons: all lessons.
        problems: one sentence for each file that was skipped, each preset that does not fit, each name that
            stands for another.
        state: how far the preparation is.
    """
    return html.Div(
        [
            section(
                "For instructors",
                "Hand out a link: it opens the preset or the step on any computer that reaches this server. "
                "Presets are computed when the server starts, so that a class opens them at once.",
                html.P(state, role="status"),
                _problems(problems),
                html.P(
                    [
                        "Your own files: start the app with ",
                        html.Code("--examples FOLDER"),
                        " and ",
                        html.Code("--lessons FOLDER"),
                        "; limit a class with ",
                        html.Code("--models NAME ..."),
                        " and ",
                        html.Code("--pages NAME ..."),
                        ".",
                    ],
                    className="hs-hint",
                ),
                name="instructor",
            ),
            section(
                "Presets",
                "A question before each reveal: let the class predict, then see.",
                scrolled_table(
                    "Presets",
                    ("title", "models", "roles", "switches off", "asks first", "link"),
                    [_preset_row(preset) for preset in presets],
                    look="hs-stacked",
                ),
                name="presets",
            ),
            section(
                "Lessons",
                "Steps that complete when the student does the thing. Each step has a link of its own.",
                *(_lesson_part(lesson) for lesson in lessons),
                name="lessons",
            ),
        ],
        className="hs-page-body hs-instructor",
    )
