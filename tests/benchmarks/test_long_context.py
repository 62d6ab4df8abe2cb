"""The benchmark of long filings runs, on short ones, and says what it should; no times are judged."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from benchmarks.long_context import WAYS, growth_of, main, table_rows


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_json_has_times_memory_ratios_and_agreement(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lengths", "160", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    # Both ways make the same scores, and there are some.
    assert found["largest_difference"] < 1e-5 < 0.01 < found["largest_score"]
    (row,) = found["lengths"]
    for way in ("ours", "whole"):
        assert row[way]["seconds"] > 0 and row[way]["bytes"] >= 1
    assert row["seconds_ratio"] == pytest.approx(row["whole"]["seconds"] / row["ours"]["seconds"])
    assert row["bytes_ratio"] == pytest.approx(row["whole"]["bytes"] / row["ours"]["bytes"])
    assert (row["tokens"], row["whole_needs_bytes"]) == (160, 4 * 16 * 160**2 * 7)
    assert found["growth"] == {"ours": None, "whole": None}


def _row(tokens: int, seconds: float, whole: float | None) -> dict[str, Any]:
    row: dict[str, Any] = {"tokens": tokens, "ours": {"seconds": seconds, "bytes": tokens * 1024}}
    row |= {"whole": None, "whole_needs_bytes": tokens**2}
    if whole is not None:
        row |= {"whole": {"seconds": whole, "bytes": tokens**2}, "seconds_ratio": whole / seconds}
        row["bytes_ratio"] = tokens / 1024
    return row


def test_growth_is_an_exponent_and_what_does_not_fit_says_so() -> None:
    rows = [_row(1000, 1, 2), _row(2000, 4, 16), _row(4000, 16, None)]
    growth = {way: growth_of(rows, way) for way in WAYS}
    assert growth["ours"] == pytest.approx({"seconds": 2, "bytes": 1})
    assert growth["whole"] == pytest.approx({"seconds": 3, "bytes": 2})
    table = table_rows({"lengths": rows, "growth": growth})
    assert table[1] == ("2,000 tokens", "4.00 s", "2 MiB", "16.00 s", "4 MiB", "4.0", "2.0")
    assert table[2][3:] == ("-", "needs 16 MB", "-", "-")
    assert table[3][:5] == ("growth, exponent", "2.00", "1.00", "3.00", "2.00")
    assert growth_of(rows[:1], "ours") is None


@pytest.mark.parametrize("arguments", [["--lengths", "100"], ["--lengths", "0"], ["--lengths"], ["--fast"]])
def test_bad_usage_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("error:") == 1
