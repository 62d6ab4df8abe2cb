"""The benchmark of the server's memory runs on a small model and says what it should."""

import json

import pytest

from benchmarks.memory import main
from utils.models.loading import LoadedModel


def test_json_has_both_peaks(tiny_llama: LoadedModel, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", str(tiny_llama.path), "--prompts", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ratio"] == pytest.approx(found["peak_bytes"]["tuned"] / found["peak_bytes"]["untuned"])
