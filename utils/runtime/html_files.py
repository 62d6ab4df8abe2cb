"""HTML files that stand on their own, made from Jinja templates."""

import html
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"


def html_templates(folder: Path) -> Environment:
    """The templates of `folder`, and `document.html`, which they extend; every value is escaped.

    A template sets `title` and the blocks `policy` (a Content Security Policy), `style` and `body`.
    """
    return Environment(
        loader=FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _escaped(value: Any) -> Any:
    # Jinja would write an apostrophe as "&#39;"; the study's committed pages have Python's "&#x27;".
    return value if hasattr(value, "__html__") else Markup(html.escape(str(value)))
