import io
import json
from pathlib import Path

import pytest

from retrieval.rankings.comparison import run
from retrieval.rankings.published import PUBLISHED_FILE, for_model, published, read_named, read_rankings
from utils.errors import UserFacingError
from utils.heads import Head

RECORD = {
    "model_name": "meta-llama/Meta-Llama-3-8B-Instruct",
    "question": "inc_state",
    "total_tokens": 2048,
    "head_rankings": [
        {"head": "L8H8", "score": 42.15, "rank": 2, "num_samples": 121},
        {"head": "L14H31", "score": 45.23, "rank": 1, "num_samples": 121},
    ],
    "top_50_heads": ["L14H31", "L8H8"],
}


def _write(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_the_kept_rankings_are_whole() -> None:
    assert len({ranking.model for ranking in published()}) == 12
    assert len(published()) == 15
    for ranking in published():
        assert ranking.shape is not None
        layers, width = ranking.shape
        assert all(head.layer < layers and head.head < width for head in ranking.heads)
        assert len(set(ranking.heads)) == len(ranking.heads)
        assert ranking.source
        if ranking.scores is not None:
            assert len(ranking.scores) == len(ranking.heads) == 50
            assert list(ranking.scores) == sorted(ranking.scores, reverse=True)
    assert for_model("llama-2-7b-80k")[0].heads[0] == Head(16, 19)
    assert PUBLISHED_FILE.with_name("README.md").is_file()


@pytest.mark.parametrize("name", ["Llama-3.1-8B-Instruct", "meta-llama/Meta-Llama-3.1-8B-Instruct"])
def test_a_model_is_found_with_its_organisation_and_without(name: str) -> None:
    assert [ranking.detected_on for ranking in for_model(name)] == ["LME", "NQ"]


def test_most_models_have_none() -> None:
    assert for_model("demo-llama") == ()


def test_score_files_of_wu_et_al(tmp_path: Path) -> None:
    scores = {"0-0": [0, 0.5], "0-1": [1.0, 0.5], "1-0": [0, 0], "1-1": [0.5, 0.0]}
    (ranking,) = read_rankings(_write(tmp_path, "some-model.json", scores))
    # Means 0.25, 0.75, 0, 0.25: equal ones in the order of their places.
    assert ranking.heads == (Head(0, 1), Head(0, 0), Head(1, 1), Head(1, 0))
    assert ranking.scores == (0.75, 0.25, 0.25, 0.0)
    assert ranking.shape == (2, 2)
    assert ranking.name == "some-model"


@pytest.mark.parametrize(
    "text",
    [
        'attn_head_set: "13-18,8-11"  # top16\nmodel_name_or_path: "meta-llama/Llama-3.1-8B-Instruct"',
        "attn_head_set: 13_18,8_11\nmodel_base_class: Llama-3.1-8B-Instruct",
        "model: Llama-3.1-8B-Instruct\nheads: [13-18, 8-11]",
        "heads: [[13, 18], [8, 11]]\nattn_head_set: [L13H18, L8H11]\nmodel: Llama-3.1-8B-Instruct",
    ],
)
def test_head_lists_of_qrhead(tmp_path: Path, text: str) -> None:
    (ranking,) = read_rankings(_write(tmp_path, "heads.yaml", text))
    assert ranking.heads == (Head(13, 18), Head(8, 11))
    assert ranking.scores is None
    assert ranking.shape == (32, 32)  # known from the model's name


def test_a_bare_yaml_list_has_no_shape(tmp_path: Path) -> None:
    (ranking,) = read_rankings(_write(tmp_path, "heads.yml", "13-18,8-11"))
    assert (ranking.heads, ranking.shape, ranking.model) == ((Head(13, 18), Head(8, 11)), None, "")


def test_ranking_records_go_by_rank(tmp_path: Path) -> None:
    (ranking,) = read_rankings(_write(tmp_path, "tokens_2048.json", RECORD))
    assert ranking.heads == (Head(14, 31), Head(8, 8))
    assert ranking.scores == (45.23, 42.15)
    assert ranking.name == "meta-llama/Meta-Llama-3-8B-Instruct inc_state 2048"
    assert ranking.detected_on == "inc_state"


def test_a_catalog_gives_all_its_rankings(tmp_path: Path) -> None:
    record = {"question": "inc_state", "length": 128, "head_rankings": RECORD["head_rankings"]}
    catalog = {
        "model_name": "m",
        "num_layers": 16,
        "num_heads": 32,
        "rankings": {"wu24": [record], "qrhead": []},
    }
    (ranking,) = read_rankings(_write(tmp_path, "m.json", catalog))
    assert (ranking.name, ranking.method, ranking.shape) == ("m wu24 inc_state 128", "wu24", (16, 32))


def _record(**changes: object) -> dict[str, object]:
    return {**RECORD, **changes}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", "{", "a.json is not JSON: line 1"),
        ("a.json", "17", "holds a number where an object was expected"),
        ("a.json", {}, "it is empty"),
        ("a.json", {"0-0": []}, "at '0-0': the list of scores is empty"),
        ("a.json", {"0-0": [0.1], "layer": [1]}, "at 'layer': this is no head of the form layer-head"),
        ("a.json", {"0-0": [0.1, "x"]}, "at '0-0', score 2: expected a number, got text"),
        ("a.json", {"0-0": [True]}, "expected a number, got true or false"),
        ("a.json", '{"0-0": [NaN]}', "at '0-0', score 1: nan is not a finite number"),
        ("a.json", '{"0-0": [1], "0-0": [2]}', "at 0-0: it stands twice"),
        ("a.json", {"0-0": [1], "00-0": [2]}, "at '00-0': head L0H0 stands twice"),
        ("a.json", {"head_rankings": []}, "at head_rankings: expected a list of heads, got an empty list"),
        (
            "a.json",
            {"head_rankings": {"L0H0": 1}},
            "at head_rankings: expected a list of heads, got an object",
        ),
        (
            "a.json",
            {"head_rankings": [{"head": "sixteen"}]},
            "head_rankings, entry 1: 'sixteen' is not the name",
        ),
        ("a.json", {"head_rankings": [{"score": 1}]}, 'entry 1: expected an object with "head"'),
        (
            "a.json",
            {"head_rankings": [{"head": "L0H0", "rank": 1}, {"head": "L0H1", "rank": 1}]},
            "at head_rankings: rank 1 stands twice",
        ),
        (
            "a.json",
            {"head_rankings": [{"head": "L0H0", "score": 1}, {"head": "L0H1"}]},
            "1 of 2 heads have no score",
        ),
        ("a.json", _record(n_layers=4, n_heads=16), "L14H31 is no head of a model of 4 layers of 16 heads"),
        ("a.json", {"num_layers": 1, "rankings": {"wu24": []}}, "this catalog has none yet"),
        ("a.yaml", "a: [", "a.yaml is not YAML: line 1"),
        ("a.yaml", "model: gpt2", "none of its keys holds a list of heads"),
        ("a.yaml", "a: 1-2\nb: 1-3", "a and b each hold a list of heads"),
        ("a.yaml", "attn_head_set: full_heads", "at attn_head_set: 'full_heads' means every head"),
        ("a.yaml", "attn_head_set: '13-18,13-18'", "at attn_head_set: head L13H18 stands twice"),
        ("a.yaml", "attn_head_set: '13-18,x'", "at attn_head_set, entry 2: 'x' is not the name of a head"),
        ("a.yaml", "attn_head_set: ''", "the list of heads is empty"),
        ("a.yaml", "when: 2024-13-45", "neither JSON nor YAML that can be read"),
    ],
)
def test_wrong_shapes_are_told_with_file_and_place(
    tmp_path: Path, name: str, content: object, said: str
) -> None:
    with pytest.raises(UserFacingError) as error:
        read_rankings(_write(tmp_path, name, content))
    assert said in error.value.message
    assert name in error.value.message
    assert "\n" not in str(error.value)


def test_not_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserFacingError, match="not a text file in UTF-8"):
        read_rankings(path)


@pytest.mark.parametrize("name", ["missing.json", "no-such-model"])
def test_what_is_neither_file_nor_model(name: str) -> None:
    with pytest.raises(UserFacingError):
        read_named([name])


def _compared(*names: str) -> str:
    out = io.StringIO()
    assert run(names, out) == 0
    return out.getvalue()


def test_compare_finds_kin_and_tells_chance() -> None:
    message = _compared("Mistral-7B-v0.2-hf", "Mixtral-8x7B-v0.1")
    one, other = (set(for_model(name)[0].heads) for name in ("Mistral-7B-v0.2-hf", "Mixtral-8x7B-v0.1"))
    overlap = len(one & other) / len(one | other)
    assert overlap > 0.5  # Mixtral was trained on from Mistral
    assert f"{overlap:.2f} (0.03)" in message
    assert "layer 18: 6" in message


def test_compare_puts_unlike_shapes_by_depth_alone() -> None:
    message = _compared("llama-2-7b-80k", "Qwen1.5-14B")
    assert "Heads in common" not in message
    assert "Distance in relative depth" in message


def test_compare_without_a_shape_says_so(tmp_path: Path) -> None:
    bare = _write(tmp_path, "heads.yaml", "13-18,8-11")
    assert "the shape of a model is not known" in _compared(str(bare), "llama-2-7b-80k")


def test_compare_numbers_rankings_of_one_name(tmp_path: Path) -> None:
    path = str(_write(tmp_path, "tokens_2048.json", RECORD))
    message = _compared(path, path)
    assert "inc_state 2048 #2" in message
    assert "1.00 (?)" in message  # the same heads; without the model's shape nobody knows chance


def test_the_same_file_twice_overlaps_fully(tmp_path: Path) -> None:
    record = {**RECORD, "n_layers": 32, "n_heads": 32}
    path = str(_write(tmp_path, "a.json", record))
    assert "1.00 (0.00)" in _compared(path, path)


def ranked(*heads: str) -> dict[str, object]:
    """A record of these heads in a model of 32 x 32, scores from 1 down by a tenth."""
    entries = [
        {"head": head, "score": round(1 - 0.1 * place, 2), "rank": place + 1}
        for place, head in enumerate(heads)
    ]
    return {**RECORD, "n_layers": 32, "n_heads": 32, "head_rankings": entries}


def test_compare_lists_top_heads_with_scores_and_what_is_in_common(tmp_path: Path) -> None:
    one = str(_write(tmp_path, "a.json", ranked("L3H4", "L5H6", "L7H8")))
    other = str(_write(tmp_path, "b.json", ranked("L5H6", "L9H1", "L7H8", "L2H2")))
    lines = _compared(one, other).splitlines()
    start = lines.index("Top 20 heads with their scores; * in the tops of all")
    listed = [line.split() for line in lines[start + 3 : start + 7]]
    assert listed == [
        ["1", "L3H4", "1.000", "L5H6", "1.000*"],
        ["2", "L5H6", "0.900*", "L9H1", "0.900"],
        ["3", "L7H8", "0.800*", "L7H8", "0.800*"],
        ["4", "–", "L2H2", "0.700"],
    ]
    start = lines.index("In the tops of all 2: 2 heads, by mean rank, with rank and score in each")
    assert [line.split() for line in lines[start + 2 : start + 4]] == [
        ["L5H6", "#2", "0.900", "#1", "1.000"],
        ["L7H8", "#3", "0.800", "#3", "0.800"],
    ]


def test_compare_has_nothing_in_common_for_models_of_unlike_shape() -> None:
    message = _compared("llama-2-7b-80k", "Qwen1.5-14B")
    assert "Top 20 heads with their scores" in message
    assert "In the tops of all" not in message and "*\n" not in message
