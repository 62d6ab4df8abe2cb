"""The benchmark of the retrieval lab runs, on a small model, and says what it should; no times are judged."""

import json
from collections.abc import Iterator

import pytest
import torch

from benchmarks.lab import main

SMALL = ["--model", "demo-gpt2", "--tokens", "100", "--repeats", "1"]


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_json_has_the_ratio_and_the_gap(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ratio_to_forward"] == pytest.approx(found["lab_seconds"] / found["forward_seconds"])
    assert found["longest_gap_seconds"] > 0 and found["rankings"] == 4
    # A message for each layer of each piece that is read.
    assert found["messages"] > 4 * found["layers"] and 85 <= found["tokens"] <= 100


def test_the_table_and_a_model_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SMALL) == 0
    printed = capsys.readouterr().out
    assert "longest gap between messages" in printed and "4 of 4" in printed
    with pytest.raises(SystemExit) as ended:
        main(["--model", "no such model"])
    assert ended.value.code == 2 and "neither a bundled model" in capsys.readouterr().err
