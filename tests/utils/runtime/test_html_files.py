"""Templates: what is filled in is text, and what is missing is an error."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from utils.runtime.html_files import html_templates


def test_values_are_text_and_the_frame_is_there(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        '{% extends "document.html" %}{% block body %}<p title="{{ title }}">{{ 1 + 1 }}</p>{% endblock %}'
    )
    page = html_templates(tmp_path).get_template("page.html")
    found = page.render(title='<b>it\'s "&"</b>')
    written = "&lt;b&gt;it&#x27;s &quot;&amp;&quot;&lt;/b&gt;"
    assert f'<p title="{written}">2</p>' in found
    assert f"<title>{written}</title>" in found
    with pytest.raises(UndefinedError, match="title"):
        page.render()
