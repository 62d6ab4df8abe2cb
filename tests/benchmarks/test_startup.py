"""The benchmark of the start runs once on a small model and says what it should; no times are judged."""

import json

import pytest

from benchmarks.startup import main


def test_json_has_each_moment_in_its_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "--repeats", "1", "--models", "demo-gpt2"]) == 0
    found = json.loads(capsys.readouterr().out)
    medians = found["medians"]
    assert medians["first_byte"] < medians["first_page"] < medians["first_analysis"]
    for name in ("first_byte", "first_page", "first_analysis"):
        assert found[name] == pytest.approx(medians[name] / medians["imports"])
