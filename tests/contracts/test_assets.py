"""What the page loads by itself asks nothing of another host and is all there."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ASSETS = Path(__file__).resolve().parents[2] / "assets"

SHEETS = sorted(ASSETS.rglob("*.css"))

URL = re.compile(r"""url\(\s*(?:"([^"]*)"|'([^']*)'|([^)"']*))\s*\)""")


def addresses(sheet: Path) -> list[str]:
    return ["".join(groups) for groups in URL.findall(sheet.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_sheet_asks_no_other_host(sheet):
    text = sheet.read_text(encoding="utf-8")
    assert "@import" not in text
    for address in addresses(sheet):
        parts = urlsplit(address)
        assert parts.scheme in ("", "data") and not parts.netloc, address


def test_icon_font_is_there():
    first = addresses(ASSETS / "01-bootstrap-icons.min.css")[0]
    assert (ASSETS / urlsplit(first).path).read_bytes()[:4] == b"wOF2"


def test_vendored_sheets_come_first_in_the_order_dash_loads_them():
    names = sorted(path.name for path in ASSETS.glob("*.css"))
    assert names[:2] == ["00-bootstrap.min.css", "01-bootstrap-icons.min.css"]


def test_sheets_are_the_versions_that_the_readme_says():
    assert "Bootstrap  v5.3.8" in (ASSETS / "00-bootstrap.min.css").read_text(encoding="utf-8")[:200]
    assert "v1.13.2" in (ASSETS / "01-bootstrap-icons.min.css").read_text(encoding="utf-8")[:200]
    readme = (ASSETS / "README.md").read_text(encoding="utf-8")
    assert "| 5.3.8 |" in readme and "| 1.13.2 |" in readme


@pytest.mark.parametrize("name", ["bootstrap", "bootstrap-icons", "morphdom"])
def test_licences_are_kept(name):
    assert "The MIT License" in (ASSETS / "licenses" / f"{name}.txt").read_text(encoding="utf-8")
