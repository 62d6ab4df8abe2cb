"""The list of lessons: what each teaches, how far this browser has come, and where to begin."""

from collections.abc import Sequence

from dash import html

from components.addresses import address
from components.attributes import data
from components.section import section
from utils.links.page_links import to_query
from utils.links.page_state import PageState
from utils.teaching.lessons import Lesson

PAGE = "lessons"


def _lesson(lesson: Lesson) -> html.Section:
    return html.Section(
        [
            html.H3(lesson.title, className="hs-title"),
            html.P(lesson.about or ""),
            # headscope's guide.js fills in how far this browser has come.
            html.P(
                f"{len(lesson.steps)} steps",
                className="hs-hint",
                **data(**{"lesson-progress": lesson.key, "lesson-steps": str(len(lesson.steps))}),
            ),
            html.Div(
                [
                    html.A(
                        "Begin",
                        href=address("/" + to_query(PageState(lesson=lesson.key, step=1))),
                        className="btn btn-sm btn-primary",
                        **data(**{"lesson-link": lesson.key}),
                    ),
                    html.A(
                        "from the start",
                        href=address("/" + to_query(PageState(lesson=lesson.key, step=1))),
                        className="btn btn-sm btn-link",
                    ),
                ]
            ),
        ],
        className="hs-card hs-lesson",
    )


def lessons_layout(lessons: Sequence[Lesson]) -> html.Div:
    """The page."""
    return html.Div(
        [
            section(
                "Lessons",
                "Short tours of the live page, a step at a time. How far you have come is kept in this "
                "browser alone.",
                html.Div([_lesson(lesson) for lesson in lessons], className="hs-lesson-list"),
                *([] if lessons else [html.P("There is no lesson here.")]),
                name="lessons",
            )
        ],
        className="hs-page-body",
    )
