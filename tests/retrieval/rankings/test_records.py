import json
from pathlib import Path
from typing import Any

import pytest
import torch

from retrieval.rankings.records import RankingRecord, load_ranking, make_record, save_ranking, statistics_of
from utils.errors import UserFacingError
from utils.heads import Head

ABOUT: dict[str, Any] = {
    "method": "qrhead",
    "model_key": "tiny",
    "model_name": "tiny",
    "question": "inc_state",
    "question_prompt": "In which state was the company incorporated?",
    "total_tokens": 128,
    "span": "needle",
    "null_query": "N/A",
    "successful_samples": 3,
    "samples_processed": 4,
    "settings": {"seed": 0},
    "timestamp": "2025-11-21",
}
SCORES = torch.tensor([[[0.1, 0.0], [0.5, 0.2]], [[0.3, 0.0], [-0.5, 0.2]], [[0.2, 0.0], [0.6, 0.2]]])


def _record() -> RankingRecord:
    return make_record(statistics_of(SCORES), ABOUT)


def test_statistics() -> None:
    found = statistics_of(SCORES)
    torch.testing.assert_close(found.mean, SCORES.double().mean(0))
    torch.testing.assert_close(found.std, SCORES.double().std(0, correction=0))
    assert found.count.tolist() == [[3, 3], [3, 3]]
    torch.testing.assert_close(found.max, SCORES.double().amax(0))


def test_the_published_rule_leaves_out_samples_without_a_score() -> None:
    found = statistics_of(SCORES, only_positive=True)
    assert found.count.tolist() == [[3, 0], [2, 3]]
    torch.testing.assert_close(found.mean, torch.tensor([[0.2, 0], [0.55, 0.2]]).double())
    torch.testing.assert_close(found.std[1, 0], torch.tensor(0.05).double())
    assert found.max[0, 1] == 0 and found.std[0, 1] == 0


def test_no_samples_at_all() -> None:
    found = statistics_of(torch.zeros(0, 2, 3))
    for table in (found.mean, found.std, found.count, found.max):
        assert table.tolist() == [[0] * 3] * 2


def test_heads_go_by_score_and_ties_by_layer_and_head() -> None:
    record = _record()
    # 0.2 three times, up to rounding: by layer and head.
    assert record.heads() == [Head(0, 0), Head(1, 0), Head(1, 1), Head(0, 1)]
    assert [entry.rank for entry in record.head_rankings] == [1, 2, 3, 4]
    assert record.top_50_heads == ["L0H0", "L1H0", "L1H1", "L0H1"]
    assert record.length == 128
    assert record.head_rankings[1].max == 0.6 and record.head_rankings[1].count == 3
    many = make_record(statistics_of(torch.rand(2, 8, 16, generator=torch.Generator().manual_seed(0))), ABOUT)
    assert len(many.top_50_heads) == 50 and len(many.head_rankings) == 128


def test_written_and_read_back(tmp_path: Path) -> None:
    record, path = _record(), tmp_path / "new" / "one.json"
    save_ranking(record, path)
    assert load_ranking(path) == record
    data = json.loads(path.read_text(encoding="utf-8"))
    assert "rouge_threshold" not in data and data["null_query"] == "N/A"
    first = path.read_bytes()
    save_ranking(load_ranking(path), path)
    assert path.read_bytes() == first
    fields = "method model_key model_name question question_prompt total_tokens span null_query "
    fields += "successful_samples samples_processed settings timestamp head_rankings top_50_heads"
    assert set(fields.split()) <= set(data)
    assert set(data["head_rankings"][0]) == {"head", "score", "rank", "std", "count", "max"}


def _broken(**changes: Any) -> dict[str, Any]:
    data = _record().model_dump(mode="json", exclude_none=True)
    return data | changes


def _swapped() -> list[dict[str, Any]]:
    entries = _broken()["head_rankings"]
    return [entries[-1] | {"rank": 1}, *entries[1:-1], entries[0] | {"rank": 4}]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "wu25"}, "summed_attention, wu24, qrhead, reasoning"),
        ({"head_rankings": []}, "head_rankings"),
        ({"head_rankings": _swapped()}, "by score"),
        ({"head_rankings": _broken()["head_rankings"][::-1]}, "by rank"),
        ({"head_rankings": [_broken()["head_rankings"][0]] * 2}, "once"),
        ({"top_50_heads": ["L0H1"]}, "first of head_rankings"),
        ({"top_50_heads": ["0.1"]}, "top_50_heads"),
        ({"successful_samples": 9}, "at most samples_processed"),
        ({"unknown": 1}, "unknown"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"total_tokens": "128"}, "total_tokens"),
    ],
)
def test_a_damaged_ranking_is_one_sentence(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps(_broken(**changes)), encoding="utf-8")
    with pytest.raises(UserFacingError, match=message) as raised:
        load_ranking(path)
    assert "one.json is damaged" in raised.value.message and "\n" not in str(raised.value)


def test_a_ranking_that_is_not_there_or_no_json(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match="cannot be read"):
        load_ranking(tmp_path / "none.json")
    (tmp_path / "one.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserFacingError, match="damaged"):
        load_ranking(tmp_path / "one.json")
