import stat

import pytest

from scripts.ensure_browser import browser_is_required, find_chromium, main, what_is_missing


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "my-chromium"
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_named_one_wins(program, monkeypatch):
    monkeypatch.setenv("HEADSCOPE_CHROMIUM", str(program))
    assert find_chromium() == str(program)
    assert what_is_missing() is None
    assert main() == 0


def test_one_on_the_search_path_is_found(program, monkeypatch):
    monkeypatch.delenv("HEADSCOPE_CHROMIUM", raising=False)
    program.rename(program.with_name("chromium"))
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_chromium() == str(program.with_name("chromium"))


def test_a_named_one_that_is_not_there_is_not_replaced_by_another(monkeypatch, tmp_path):
    monkeypatch.setenv("HEADSCOPE_CHROMIUM", str(tmp_path / "nothing"))
    assert find_chromium() is None


@pytest.mark.parametrize(("value", "status"), [("1", 1), ("0", 0), ("", 0)])
def test_a_missing_browser_fails_where_one_is_required(value, status, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("HEADSCOPE_CHROMIUM", str(tmp_path / "nothing"))
    monkeypatch.setenv("HEADSCOPE_REQUIRE_BROWSER", value)
    assert browser_is_required() == bool(status)
    assert main() == status
    assert "tests in tests/browser will not run" in caplog.text
