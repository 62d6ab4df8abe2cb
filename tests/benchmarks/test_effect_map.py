"""The benchmark of the effect map runs, on a small shape, and says what it should; no times are judged."""

import json
from collections.abc import Iterator

import pytest
import torch

from benchmarks.effect_map import main
from utils.effects.measures import MEASURES
from utils.models.loading import LoadedModel

SMALL = ["--layers", "2", "--heads", "2", "--width", "16", "--tokens", "5", "--sample", "3", "--repeats", "1"]


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_json_has_the_ratio_and_the_agreement(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ratio_to_one_at_a_time"] > 0
    each = found["seconds_a_head"]
    assert found["ratio_to_one_at_a_time"] == pytest.approx(each["map"] / each["whole"])
    assert found["ratio_to_last_logits"] == pytest.approx(each["map"] / each["last_logits"])
    assert found["ratio_to_remaining_layers"] == pytest.approx(each["map"] / each["remaining_layers"])
    assert each["remaining_layers"] == pytest.approx(found["seconds"]["remaining_layers"][0] / 4)
    assert each["map"] == pytest.approx(found["map_seconds"] / 4)
    assert each["whole"] == pytest.approx(found["seconds"]["whole"][0] / 3)
    assert set(found["largest_difference"]) == set(MEASURES)
    assert max(found["largest_difference"].values()) <= 1e-5
    # There was something to compare.
    assert found["largest_kl"] > 1e-4
    assert (found["one_at_a_time_heads"], found["layers"], found["heads"], found["tokens"]) == (3, 2, 2, 5)


def test_the_table_names_what_it_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--sample", "99"]) == 0
    printed = capsys.readouterr().out
    assert "2 layers x 2 heads, 16 wide, 5 tokens; 4 heads one at a time" in printed
    for line in (
        "map / patterns and all logits",
        "at most 0.6",
        "map / last logits only",
        "map / batched forward of the remaining layers",
        "at most 1.15",
        "largest difference",
    ):
        assert line in printed


def test_a_model_of_a_folder(tiny_llama: LoadedModel, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--model", str(tiny_llama.path), "--tokens", "5", "--sample", "2", "--repeats", "1", "--json"]
    assert main(options) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["layers"], found["heads"]) == ("tiny-llama", 4, 6)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--width", "10", "--heads", "4"],
        ["--tokens", "0"],
        ["--sample", "many"],
        ["--fast"],
        ["--model", "nowhere"],
    ],
)
def test_bad_usage_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    assert "error:" in capsys.readouterr().err
