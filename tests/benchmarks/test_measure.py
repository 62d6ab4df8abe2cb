import argparse
import json
from collections.abc import Callable

import pytest

from benchmarks.measure import MEBIBYTE, add_options, interleaved, median_ratio, peak_memory, report, timed


def _fill(mebibytes: int) -> Callable[[], object]:
    """Work that fills so much memory; for a process of its own, which imports it by name."""
    return lambda: len(bytearray(b"x" * (mebibytes * MEBIBYTE)))


def _fail() -> Callable[[], object]:
    raise ValueError("on purpose")


def test_works_are_called_in_turn_and_the_warm_up_is_not_counted() -> None:
    calls: list[str] = []
    seconds = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3, warm_up=2)
    assert "".join(calls) == "ab" * 5
    assert [len(seconds["a"]), len(seconds["b"])] == [3, 3]
    assert all(value >= 0 for value in seconds["a"])
    assert len(timed(lambda: calls.append("c"), 2)) == 2
    assert calls.count("c") == 3


def test_a_ratio_is_one_of_medians() -> None:
    assert median_ratio([1, 100, 4], [2, 2, 0.1]) == 2


def test_memory_is_that_of_the_work_alone() -> None:
    little, much = peak_memory(_fill, 1), peak_memory(_fill, 200)
    assert 0 < little.before <= little.peak
    assert much.peak - little.peak > 150 * MEBIBYTE


def test_work_that_fails_in_its_process_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="ended with 1"):
        peak_memory(_fail)
    assert "on purpose" in capfd.readouterr().err


def test_a_table_or_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("one", "1.5"), ("longer name", "12.25")]
    report("A title", ("what", "s"), rows, {"ratio": 1.5}, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "A title",
        "",
        "what             s",
        "-----------  -----",
        "one            1.5",
        "longer name  12.25",
    ]
    report("A title", ("what", "s"), rows, {"ratio": 1.5}, as_json=True)
    out = capsys.readouterr().out
    assert json.loads(out) == {"ratio": 1.5} and out.count("\n") == 1


def test_json_refuses_what_is_no_number() -> None:
    with pytest.raises(ValueError):
        report("", ("a",), [], {"ratio": float("nan")}, as_json=True)


def test_options() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser, repeats=7)
    chosen = parser.parse_args(["--json", "--threads", "2"])
    assert (chosen.json, chosen.repeats, chosen.threads) == (True, 7, 2)
    with pytest.raises(SystemExit):
        parser.parse_args(["--repeats", "0"])
