"""The retrieval lab's form: a generated filing of some length, depth and number, or one's own text."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import html

from components import ids
from components.attributes import aria
from components.fields import menu
from components.section import section
from retrieval.filings.real import RealFiling
from retrieval.filings.tasks import TASKS
from retrieval.lab.state import LONGEST_ANSWER, LONGEST_QUESTION, LONGEST_TEXT, MAX_SEED, OWN, LabPrompt


def field(label: str, box: Any, look: str | None = None) -> html.Div:
    """A box of the form below its label."""
    return html.Div([dbc.Label(label, html_for=box.id), box], className=look)


# The menu's value for a filing that is made up: a menu shows no value of no characters.
GENERATED = "generated"


def filing_options(filings: Mapping[str, RealFiling], question: str) -> list[Any]:
    """The menu of filings: a generated one, and the real ones that answer the question."""
    return [
        {"label": "Generated", "value": GENERATED},
        *(
            {"label": filing.title, "value": name}
            for name, filing in filings.items()
            if question in filing.truths
        ),
    ]


def ask_section(
    models: Sequence[str], prompt: LabPrompt, filings: Mapping[str, RealFiling], *below: Any
) -> html.Section:
    """The form as a link fills it in.

    Args:
        models: names for the menu.
        prompt: what it asks for.
        filings: the real filings that there are, by name.
        *below: what stands at its end.
    """
    questions = {key: task.question for key, task in TASKS.items()} | {OWN: "Your own text and question"}
    options = filing_options(filings, prompt.question)
    value = prompt.filing or GENERATED
    if value not in [option["value"] for option in options]:
        options.append({"label": prompt.filing, "value": value})
    # Without a folder of real filings there is nothing to choose.
    chosen = field(
        "Filing",
        dbc.Select(id=ids.LAB_FILING, options=options, value=value),
        "hs-lab-filing" if filings else "hs-lab-filing hs-lab-nothing",
    )
    generated = html.Div(
        [
            chosen,
            field(
                "Length (tokens)",
                dbc.Input(
                    id=ids.LAB_LENGTH,
                    type="number",
                    min=1,
                    step=1,
                    value=prompt.length,
                    placeholder="as suits the model",
                ),
            ),
            field(
                "Depth of the needle (%)",
                dbc.Input(id=ids.LAB_DEPTH, type="number", min=0, max=100, step=1, value=prompt.depth),
            ),
            field(
                "Filing number (seed)",
                dbc.Input(id=ids.LAB_SEED, type="number", min=0, max=MAX_SEED, step=1, value=prompt.seed),
                "hs-lab-seed",
            ),
            dbc.Button(
                [html.I(className="bi bi-shuffle", **aria(hidden="true")), " Another filing"],
                id=ids.LAB_ANOTHER,
                color="secondary",
                outline=True,
            ),
        ],
        className="hs-lab-fields hs-lab-generated",
    )
    own = html.Div(
        [
            field(
                "Your text",
                dbc.Textarea(
                    id=ids.LAB_TEXT,
                    value=prompt.text,
                    rows=5,
                    spellCheck=False,
                    maxLength=LONGEST_TEXT,
                    debounce=False,
                ),
            ),
            html.Div(
                [
                    field(
                        "Your question",
                        dbc.Input(id=ids.LAB_ASKED, value=prompt.asked, maxLength=LONGEST_QUESTION),
                    ),
                    field(
                        "The true answer (may be empty)",
                        dbc.Input(id=ids.LAB_ANSWER, value=prompt.answer, maxLength=LONGEST_ANSWER),
                    ),
                ],
                className="hs-lab-fields",
            ),
            html.Details(
                [
                    html.Summary("Choose the needle: the sentence that holds the answer"),
                    html.P(
                        "Without a choice it is the first sentence in which the answer stands.",
                        className="hs-hint",
                    ),
                    html.Div(id=ids.LAB_SENTENCES, className="hs-static"),
                ]
            ),
        ],
        className="hs-lab-own",
    )
    return section(
        "Retrieval lab",
        "Which heads find the sentence with the answer, and what is left of the answer without them?",
        html.Div(
            [
                html.Div(
                    [
                        menu("Model", ids.LAB_MODEL, {name: name for name in models}, prompt.model),
                        menu("Question", ids.LAB_QUESTION, questions, prompt.question),
                    ],
                    className="hs-lab-fields hs-lab-what",
                ),
                generated,
                own,
            ],
            id=ids.LAB_FORM,
            className=f"hs-lab-form hs-lab-{'own' if prompt.own else 'generated'}-form",
        ),
        html.Div(
            dbc.Button(
                [
                    html.I(className="bi bi-play-fill", **aria(hidden="true")),
                    " Read and answer ",
                    html.Kbd("Ctrl+Enter"),
                ],
                id=ids.LAB_RUN,
                color="primary",
            ),
            className="hs-lab-ask",
        ),
        html.Div(id=ids.LAB_PROGRESS, role="status"),
        html.Div(id=ids.LAB_ALERT, role="alert"),
        *below,
        name="lab",
        term=("needle", "retrieval_head"),
        look="hs-pane hs-lab-ask-pane",
    )
