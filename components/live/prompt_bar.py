"""The bar above the workbench: model, a prompt of one line that grows while it is typed in, Run, examples."""

from collections.abc import Sequence

import dash_bootstrap_components as dbc
from dash import html

from components import ids
from components.attributes import aria, data
from components.help_mark import help_mark
from utils.models.prompts import max_characters
from utils.teaching.presets import Preset


def _of_model(preset: Preset, models: Sequence[str]) -> str:
    """An example's title, with the model that it opens on where that is not the page's first."""
    fitting = [model for model in preset.model if model in models]
    return f"{preset.title} ({fitting[0]})" if fitting and models[0] not in fitting else preset.title


def _menu(label: str, menu: dbc.Select) -> html.Div:
    """A menu whose label only screen readers hear: the bar has one line."""
    return html.Div(
        [dbc.Label(label, html_for=menu.id, className="visually-hidden"), menu],  # pyright: ignore[reportAttributeAccessIssue]
        className="hs-bar-menu",
    )


def _prompt(prompt: str, cap: int) -> html.Div:
    return html.Div(
        [
            dbc.Label("Your prompt", html_for=ids.PROMPT, className="visually-hidden"),
            html.Div(
                [
                    dbc.Textarea(
                        id=ids.PROMPT,
                        value=prompt,
                        rows=1,
                        spellCheck=False,
                        maxLength=max_characters(cap),
                        placeholder="Type a sentence, then Run (Ctrl+Enter)",
                        debounce=False,
                    ),
                    html.Div(
                        [
                            html.Span(id=ids.TOKEN_COUNT, className="hs-hint", **data(cap=str(cap))),
                            html.Span([html.Kbd("Ctrl+Enter"), " runs it"], className="hs-hint"),
                        ],
                        className="hs-prompt-foot",
                    ),
                ],
                className="hs-prompt-box",
            ),
        ],
        className="hs-prompt",
    )


def prompt_bar(
    models: Sequence[str], presets: Sequence[Preset], model: str | None, prompt: str, cap: int
) -> html.Section:
    """The bar.

    Args:
        models: names for the menu.
        presets: for the menu of examples.
        model: the chosen one.
        prompt: the text in the box.
        cap: most tokens a prompt may have.
    """
    return html.Section(
        [
            _menu(
                "Model",
                dbc.Select(
                    id=ids.MODEL, size="sm", options=[{"label": m, "value": m} for m in models], value=model
                ),
            ),
            _prompt(prompt, cap),
            help_mark("token", "bos"),
            dbc.Button(
                [
                    html.I(className="bi bi-play-fill", **aria(hidden="true")),
                    html.Span(" Run", className="hs-run-label"),
                ],
                id=ids.RUN,
                color="primary",
                size="sm",
                title="Run the prompt (Ctrl+Enter)",
            ),
            html.Button(
                html.I(className="bi bi-three-dots-vertical", **aria(hidden="true")),
                type="button",
                className="btn btn-sm btn-outline-secondary hs-bar-more",
                title="Model, examples, export",
                **aria(label="Model, examples, export", expanded="false"),
            ),
            # Filled by style sheet and script: what was typed and not run, what runs now.
            html.Span(id=ids.RUN_STATUS, className="hs-run-status", role="status"),
            _menu(
                "Examples",
                dbc.Select(
                    id=ids.EXAMPLES,
                    size="sm",
                    placeholder="Examples…",
                    options=[{"label": _of_model(preset, models), "value": preset.key} for preset in presets],
                ),
            ),
            html.Button(
                [
                    html.I(className="bi bi-download", **aria(hidden="true")),
                    html.Span(" Export", className="hs-wide-only"),
                ],
                id=ids.EXPORT_OPEN,
                type="button",
                className="btn btn-sm btn-outline-secondary",
                title="Save the analysis, tables, figures or a lab record as files",
                **aria(label="Export"),
                **data(dialog=ids.EXPORT_DRAWER),
            ),
        ],
        className="hs-prompt-bar",
        **aria(label="Prompt"),
    )
