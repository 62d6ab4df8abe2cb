"""The benchmark of Run and toggle runs on a small model and says what it should; no times are judged."""

import json
from collections.abc import Iterator

import pytest
import torch

from benchmarks.live import main
from utils.models.loading import LoadedModel


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_json_has_ratios_and_agreement(tiny_llama: LoadedModel, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--model", str(tiny_llama.path), "--tokens", "8", "20", "--repeats", "1"]
    assert main([*options, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["tokens"] for each in found["lengths"]] == [8, 20]
    for each in found["lengths"]:
        medians = each["medians"]
        assert each["run"] == pytest.approx(medians["run"] / medians["plain"])
        assert each["toggle"] == pytest.approx(medians["toggle"] / medians["plain"])
        assert set(each["largest_difference"]) == {"attention", "logits", "toggle"}
        assert max(each["largest_difference"].values()) <= 1e-5
    assert main(options) == 0
    assert "20 tokens: toggle / plain" in capsys.readouterr().out
