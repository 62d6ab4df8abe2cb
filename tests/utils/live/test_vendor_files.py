import hashlib
from pathlib import Path

import pytest

from utils.live.vendor_files import VENDOR_FILES, VENDOR_FOLDER


@pytest.mark.parametrize("row", VENDOR_FILES, ids=lambda row: row.package)
class TestRow:
    def test_file_is_there_and_says_its_version(self, row):
        head = row.path.read_text(encoding="utf-8")[:400]
        assert row.version in head

    def test_licence_is_kept(self, row):
        text = (VENDOR_FOLDER / "licenses" / row.licence).read_text(encoding="utf-8")
        assert "Copyright" in text
        assert "WITHOUT WARRANTY OF ANY KIND" in text or "PROVIDED BY THE COPYRIGHT HOLDERS" in text

    def test_readme_has_it(self, row):
        readme = (VENDOR_FOLDER / "README.md").read_text(encoding="utf-8")
        line = next(line for line in readme.splitlines() if line.startswith(f"| `{row.file_name}` |"))
        assert row.package in line and f"| {row.version} |" in line and row.licence in line

    def test_address_leads_to_the_file(self, row):
        path, _, version = row.address("/somewhere/").partition("?v=")
        assert path == f"/somewhere/{row.file_name}"
        assert hashlib.sha256(row.path.read_bytes()).hexdigest().startswith(version) and version


def test_no_script_lies_there_without_a_row():
    on_disk = {path.name for path in Path(VENDOR_FOLDER).glob("*.js")}
    assert on_disk == {row.file_name for row in VENDOR_FILES}
