"""Cells and tables: written, read back, counted by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from study.data.cell_records import AblationCell, CellSample, HeadSet, load_cell, load_cells, save_cell
from study.data.protocol import Protocol, load_protocol, parse_protocol
from study.data.results_folder import ResultPaths
from study.tables.building import build_tables, difference_rows
from study.tables.columns import COLUMNS, load_table, load_tables, save_tables
from utils.catalog.ranking_record import RankedHead, RankingRecord
from utils.errors import UserFacingError


def head_set(condition: Any, heads: str, matches: str, **fields: Any) -> HeadSet:
    names = heads.split()
    return HeadSet(
        condition=condition,
        k=len(names),
        heads=names,
        matches=[digit == "1" for digit in matches],
        **fields,
    )


def cell(**changes: Any) -> AblationCell:
    """Four samples, three of them answered with all heads on; a model of 2 layers x 4 heads."""
    of = {"method": "wu24", "source": "inc_state"}
    samples = [
        CellSample(key=f"s{number}", truth="Ohio", clean_output="Ohio", clean_match=number < 3)
        for number in range(4)
    ]
    sets = [
        head_set("single", "L0H1", "1110"),
        head_set("within", "L0H0 L1H1", "0010", unscored=1, **of),
        head_set("random_uniform", "L0H1 L1H2", "1110", draw=0, of="within", **of),
        head_set("random_uniform", "L0H2 L1H3", "1010", draw=1, of="within", **of),
        head_set("random_layer_matched", "L0H1 L1H0", "1111", draw=0, of="within", short=1, **of),
        head_set("random_layer_matched", "L0H3 L1H0", "1110", draw=1, of="within", short=1, **of),
        head_set("across", "L0H2 L1H1", "1100", method="wu24", source="inc_year"),
        head_set("global", "L0H0 L0H1", "0000", method="wu24"),
    ]
    fields: dict[str, Any] = {
        "model": "demo-llama", "question": "inc_state", "length": 128, "n_layers": 2, "n_heads": 4,
        "fingerprint": "f", "portion": "wu24-own", "settings": {"seed": 1}, "samples": samples, "sets": sets,
    }  # fmt: skip
    return AblationCell(**(fields | changes))


def protocol() -> Protocol:
    return parse_protocol(
        {
            "methods": ["wu24"],
            "questions": ["inc_state", "inc_year"],
            "ranking_questions": ["inc_state", "inc_year"],
            "models": [{"name": "demo-llama", "lengths": [128]}],
            "ablation": {"k_levels": [0, 2], "draws": 5, "shared_min_tasks": 1},
            "claim": {"model": "demo-llama", "method": "wu24", "length": 128, "questions": 1},
        }
    )


def rows(name: str, *cells: AblationCell, **fields: Any) -> list[dict[str, Any]]:
    found = build_tables(cells or [cell()], [], protocol())[name]
    return [row for row in found if all(row[key] == value for key, value in fields.items())]


def test_a_cell_comes_back_as_it_was(tmp_path: Path) -> None:
    path = save_cell(cell(), tmp_path)
    assert path == tmp_path / "ablations" / "demo-llama__inc_state__128__wu24-own.json"
    assert load_cell(path) == cell()
    assert load_cells(tmp_path) == [cell()]
    # A set a line, matches as digits: files can be compared and read.
    assert '"heads": ["L0H0", "L1H1"], "matches": "0010"}' in path.read_text(encoding="utf-8")


def test_the_name_of_a_model_of_the_hub_is_one_file(tmp_path: Path) -> None:
    paths = ResultPaths(tmp_path)
    assert paths.cell("meta/L-8B", "inc_year", 4096, "single").name == (
        "meta--L-8B__inc_year__4096__single.json"
    )
    assert paths.ranking("a", "qrhead", "hq_city", 1, "real").name == "a__qrhead__hq_city__real-1.json"
    assert paths.ranking("a/b", "qrhead", "hq_city", 1).name == "a--b__qrhead__hq_city__1.json"


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "damaged"), ("{}", "model: Field required"), ("[]", "damaged"), ("", "damaged")],
)
def test_a_damaged_cell_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "cell.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserFacingError, match=said):
        load_cell(path)
    with pytest.raises(UserFacingError, match="There is no file"):
        load_cell(tmp_path / "none.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"schema_version": 1},
        {"sets": [head_set("single", "L2H0", "1111")]},
        {"sets": [head_set("single", "L0H0", "111")]},
        {"samples": []},
    ],
)
def test_a_cell_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        cell(**changes)


@pytest.mark.parametrize(
    "fields",
    [
        {"condition": "single", "k": 2, "heads": ["L0H0"]},
        {"condition": "single", "k": 2, "heads": ["L0H0", "L0H0"]},
        {"condition": "random_uniform", "k": 1, "heads": ["L0H0"]},
        {"condition": "within", "k": 1, "heads": ["L0H0"], "draw": 0, "of": "within"},
        {"condition": "single", "k": 1, "heads": ["L0H0"], "matches": "1x"},
    ],
)
def test_a_set_that_contradicts_itself_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HeadSet.model_validate({"matches": "1", **fields})


def test_clean() -> None:
    (row,) = rows("clean")
    assert (row["n"], row["accuracy"], row["n_layers"], row["n_heads"]) == (4, 0.75, 2, 4)
    assert 0 < row["low"] < 0.75 < row["high"] < 1


def test_accuracy_has_tested_sets_random_means_and_a_beginning() -> None:
    found = {(row["condition"], row["of"], row["k"]): row for row in rows("accuracy")}
    assert set(found) == {
        ("within", None, 0), ("random_uniform", "within", 0), ("random_layer_matched", "within", 0),
        ("within", None, 2), ("random_uniform", "within", 2), ("random_layer_matched", "within", 2),
        ("across", None, 2), ("global", None, 2),
    }  # fmt: skip
    tested = found["within", None, 2]
    assert (tested["accuracy"], tested["share"], tested["draws"], tested["unscored"]) == (0.25, 0.25, 1, 1)
    random = found["random_uniform", "within", 2]
    assert (random["accuracy"], random["draws"]) == (0.625, 2)
    assert (random["draw_low"], random["draw_high"]) == (0.5, 0.75)
    assert found["random_layer_matched", "within", 2]["short"] == 1
    assert found["within", None, 0]["accuracy"] == 0.75
    assert found["across", None, 2]["source"] == "inc_year"


def test_differences_are_tested_minus_control() -> None:
    found = {row["control"]: row for row in rows("differences")}
    assert set(found) == {"random_uniform", "random_layer_matched"}
    matched = found["random_layer_matched"]
    # A sample's differences: 0 - 1, 0 - 1, 1 - 1, 0 - 0.5.
    assert (matched["tested"], matched["random"], matched["difference"]) == (0.25, 0.875, -0.625)
    assert matched["low"] < -0.625 < matched["high"]
    assert all(row["below"] == (row["high"] < 0) for row in found.values())


def test_transfer_and_single_heads_are_changes_from_clean() -> None:
    transfer = {row["source"]: row for row in rows("transfer")}
    assert (transfer["inc_state"]["change"], transfer["inc_year"]["change"]) == (-0.5, -0.25)
    (single,) = rows("single_heads")
    assert (single["head"], single["layer"], single["change"], single["clean"]) == ("L0H1", 0, 0.0, 0.75)


def test_real_filings_are_drawn_by_company() -> None:
    names = ("320193_2001", "320193_2002", "51143_2001", "320193_2003")
    samples = [
        CellSample(key=f"inc_state-{name}", truth="Ohio", clean_output="Ohio", clean_match=number < 3)
        for number, name in enumerate(names)
    ]
    real = cell(data="real", samples=samples)
    assert real.units == [0, 0, 1, 0]
    assert cell(samples=samples).units == [0, 1, 2, 3]
    # A name that begins with no company's number says nothing of whose filing it is.
    bare = [
        sample.model_copy(update={"key": f"inc_state-10K_{place}"}) for place, sample in enumerate(samples)
    ]
    assert cell(data="real", samples=bare).units == [0, 1, 2, 3]
    found = [row for row in difference_rows(real, protocol()) if row["control"] == "random_layer_matched"]
    (here,) = rows("differences", control="random_layer_matched")
    assert [(row["n"], row["units"], row["difference"]) for row in found] == [(4, 2, here["difference"])]
    assert (here["n"], here["units"]) == (4, 4)
    assert (found[0]["low"], found[0]["high"]) != (here["low"], here["high"])


def test_the_claim_counts_questions() -> None:
    # In the second cell the tested set ruins all samples and the control none.
    ruin = [
        head_set("within", "L0H0 L1H1", "0000", method="wu24", source="inc_year"),
        head_set("random_layer_matched", "L0H1 L1H0", "1111", draw=0, of="within", method="wu24",
                 source="inc_year"),
    ]  # fmt: skip
    found = rows("claim", cell(), cell(question="inc_year", sets=ruin))
    assert [(row["question"], row["k"], row["below"]) for row in found] == [
        ("inc_state", 2, rows("differences", control="random_layer_matched")[0]["below"]),
        ("inc_year", 2, True),
    ]
    assert {row["holds"] for row in found} == {True}
    assert {row["questions_counted"] for row in found} == {sum(row["counts"] for row in found)}
    assert rows("claim", cell(model="demo-gpt2")) == []


def test_cells_that_are_not_of_the_protocol_are_left_out() -> None:
    assert rows("clean", cell(model="other"), cell(length=64), cell(question="hq_state")) == []


def ranking(**fields: Any) -> RankingRecord:
    heads = ["L1H1", "L0H2", *(f"L{layer}H{head}" for layer in range(2) for head in range(4))]
    ranked = [
        RankedHead(head=head, score=1.0 / rank if rank < 3 else 0.0, rank=rank, std=0.0, count=3, max=1.0)
        for rank, head in enumerate(dict.fromkeys(heads), start=1)
    ]
    about: dict[str, Any] = {
        "method": "wu24", "model_key": "demo-llama", "model_name": "demo-llama", "question": "inc_state",
        "question_prompt": "?", "total_tokens": 128, "span": "needle", "successful_samples": 3,
        "rouge_threshold": 50.0, "samples_processed": 4, "samples_skipped": 0,
        "settings": {"data": "generated"},
        "timestamp": "2026-01-01", "head_rankings": ranked, "top_50_heads": [one.head for one in ranked],
    }  # fmt: skip
    return RankingRecord(**(about | fields))


def test_tops() -> None:
    (row,) = build_tables([], [ranking(), ranking(question="hq_city")], protocol())["tops"]
    # 20% of 8 heads is one.
    assert (row["k"], row["heads"], row["scores"], row["samples"]) == (1, ["L1H1"], [1.0], 3)
    assert (row["n_layers"], row["n_heads"], row["unscored"], row["mean_depth"]) == (2, 4, 0, 1.0)


def test_heads_without_a_score_say_nothing_of_where_the_top_lies() -> None:
    # 20% of 16 heads is three; two of them have a score, one stands in layer 0 for the number alone.
    scores = {"L1H1": 1.0, "L1H2": 0.5}
    names = [*scores, *(f"L{n}H{h}" for n in range(2) for h in range(8) if f"L{n}H{h}" not in scores)]
    ranked = [
        RankedHead(head=head, score=scores.get(head, 0.0), rank=rank, std=0.0, count=3, max=1.0)
        for rank, head in enumerate(names, start=1)
    ]
    (row,) = build_tables([], [ranking(head_rankings=ranked, top_50_heads=names)], protocol())["tops"]
    assert (row["heads"], row["unscored"], row["mean_depth"]) == (["L1H1", "L1H2", "L0H0"], 1, 1.0)


def test_tables_come_back_with_named_columns(tmp_path: Path) -> None:
    tables = build_tables([cell()], [ranking()], protocol())
    save_tables(tables, tmp_path)
    assert set(tables) == set(COLUMNS)
    for name, back in load_tables(tmp_path).items():
        assert all(tuple(row) == COLUMNS[name] for row in back)
        assert len(back) == len(tables[name])
    assert load_table(tmp_path, "clean")[0]["accuracy"] == 0.75
    before = {path: path.read_bytes() for path in (tmp_path / "tables").iterdir()}
    save_tables(build_tables([cell()], [ranking(timestamp="2030-01-01")], protocol()), tmp_path)
    assert {path: path.read_bytes() for path in before} == before  # no time of day in them


def test_a_missing_or_damaged_table_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match=r"There is no table .*clean\.json"):
        load_table(tmp_path, "clean")
    save_tables({"clean": []}, tmp_path)
    path = ResultPaths(tmp_path).table("clean")
    for damage in ("{", json.dumps({"columns": ["x"], "rows": []}), "[1]"):
        path.write_text(damage, encoding="utf-8")
        with pytest.raises(UserFacingError, match="damaged"):
            load_table(tmp_path, "clean")
    with pytest.raises(ValueError, match="columns"):
        save_tables({"clean": [{"model": "x"}]}, tmp_path)


def test_the_shipped_protocol_makes_tables_of_its_own(tmp_path: Path) -> None:
    assert set(build_tables([], [], load_protocol())) == set(COLUMNS)
