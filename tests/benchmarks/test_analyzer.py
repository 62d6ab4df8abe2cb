"""The benchmark runs and tells what it promises to tell; how fast the machine is, no test can know."""

import contextlib
import io
import json
from typing import Any

import pytest
import torch

from benchmarks.analyzer import main, table_rows

SMALL = ["--sequences", "3", "--layers", "2", "--heads", "2", "--width", "16", "--repeats", "1"]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What it measures on a tiny model, read from its JSON."""
    threads = torch.get_num_threads()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main([*SMALL, "--json"]) == 0
    assert torch.get_num_threads() == threads
    assert out.getvalue().count("\n") == 1
    return json.loads(out.getvalue())


def test_the_ratios_are_those_of_the_medians(found: dict[str, Any]) -> None:
    seconds = found["seconds"]
    assert all(value > 0 for value in seconds.values()) and found["prompt_check_seconds"] > 0
    assert found["ratio_to_forward"] == pytest.approx(seconds["analyzer"] / seconds["forward"])
    assert found["ratio_to_detect_head"] == pytest.approx(seconds["detect_head"] / seconds["analyzer"])


def test_the_scores_agree_with_detect_head(found: dict[str, Any]) -> None:
    differences = found["largest_difference_from_detect_head"]
    assert set(differences) == {"previous_token", "duplicate_token", "induction"}
    assert max(differences.values()) <= 1e-6


def test_what_was_measured_is_told(found: dict[str, Any]) -> None:
    assert (found["sequences"], found["more_sequences"], found["tokens"]) == (3, 12, 51)
    assert (found["layers"], found["heads"], found["width"], found["repeats"]) == (2, 2, 16, 1)
    assert found["peak_memory_bytes"] >= found["memory_before_bytes"][0] > 0
    message = {what: promised for what, _, promised in table_rows(found)}
    assert message["detect_head / our analyzer"] == "at least 6"
    assert message["our analyzer / bare forward"] == "at most 1.2"
    assert "peak memory, 3 sequences" in message and "growth with 12 sequences" in message


def test_a_width_that_heads_cannot_share_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--heads", "5", "--width", "16"])
    assert "--width" in capsys.readouterr().err
