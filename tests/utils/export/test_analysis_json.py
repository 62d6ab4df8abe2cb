"""Exports: JSON and CSV that say what the page says, whatever was typed."""

import csv
import io
import json
import math
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fixtures.model_folders import FOLDER_NAMES
from utils.effects.prediction import compare
from utils.export.analysis_json import (
    SCHEMA_VERSION,
    Chosen,
    analysis_export,
    export_analysis,
    export_text,
    file_name,
)
from utils.export.heads_csv import COLUMNS, csv_text, heads_csv, safe_cell
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.links.page_links import to_query
from utils.links.page_state import PageState
from utils.live.analysis import LiveAnalysis
from utils.live.head_reading import read_head
from utils.live.service import LiveService
from utils.live.unlisted_heads import find_unlisted_heads
from utils.models.loading import LoadedModel
from utils.models.prompts import token_label
from utils.models.store import ModelStore
from utils.roles.registry import measured_roles, output_roles
from utils.runtime.provenance import app_version, library_versions

TEXT = "The cat sat on the mat. The cat sat on the"
HARD = '=cmd() </script> "שלום", @x\n+1'
OFF = frozenset({Head(1, 14), Head(0, 5)})
NOON = datetime(2025, 1, 31, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def analysis(service: LiveService) -> LiveAnalysis:
    return service.analyze("demo-gpt2", TEXT)


@pytest.fixture(scope="module")
def uncatalogued(tiny_models_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> LiveAnalysis:
    service = LiveService(ModelStore([tiny_models_folder]), tmp_path_factory.mktemp("none"))
    return service.analyze("tiny-llama", "One day a")


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_json_says_what_the_analysis_is(service: LiveService, analysis: LiveAnalysis) -> None:
    comparison = compare(analysis.logits, service.next_token_logits("demo-gpt2", TEXT, OFF))
    chosen = Chosen(OFF, "zero", None, "http://127.0.0.1:8050/?v=1")
    off = service.analyze_ablated("demo-gpt2", TEXT, OFF)
    data = analysis_export(analysis, chosen, comparison, off, made_at=NOON)
    assert json.loads(export_text(data)) == data
    assert data == analysis_export(analysis, chosen, comparison, off, made_at=NOON)
    # What computes the parts itself says the same.
    whole = export_analysis(service, analysis, chosen)
    assert {**whole, "made_at": data["made_at"]} == data
    assert data["schema_version"] == SCHEMA_VERSION and data["made_at"] == "2025-01-31T12:00:00+00:00"
    assert data["versions"] == {"headscope": app_version(), **library_versions()}
    assert data["link"] == chosen.link
    prompt = data["prompt"]
    assert isinstance(prompt, dict) and prompt["text"] == TEXT
    tokens = prompt["tokens"]
    assert isinstance(tokens, list) and [t["id"] for t in tokens] == list(analysis.prompt.ids)  # pyright: ignore
    settings = data["settings"]
    assert isinstance(settings, dict)
    assert settings["ablated"] == ["L0H5", "L1H14"] and settings["mode"] == "zero"
    assert settings["position"] == len(analysis.prompt.ids) - 1
    top = comparison.top.token
    label = token_label(analysis.loaded, top)
    assert settings["target"] == {"id": top, "label": label, "text": label.replace("·", " ")}
    prediction = data["comparison"]
    assert isinstance(prediction, dict) and isinstance(prediction["candidates"], list)
    for shown, row in zip(prediction["candidates"], comparison.rows, strict=True):
        assert isinstance(shown, dict) and shown["id"] == row.token
        assert shown["clean"] == pytest.approx(row.clean, rel=6e-3, abs=1e-6)
        assert shown["ablated"] == pytest.approx(row.ablated, rel=6e-3, abs=1e-6)
    assert prediction["kl"] == pytest.approx(comparison.kl, rel=1e-2)
    assert data["effect_map"] is None


def test_the_roles_are_the_analysis_own(analysis: LiveAnalysis) -> None:
    roles = analysis_export(analysis, Chosen())["roles"]
    assert isinstance(roles, dict) and list(roles) == list(measured_roles())
    more = analysis.unlisted
    assert analysis.catalog is not None
    for role, message in roles.items():
        assert isinstance(message, dict)
        entries = analysis.listed[role]
        assert message["active"] is any(entry.is_active for entry in entries)
        live = torch.tensor(message["live_scores"])
        torch.testing.assert_close(live, analysis.scores.live[role], atol=1e-6, rtol=6e-3)
        assert torch.tensor(message["catalog_scores"]).shape == live.shape
        assert isinstance(message["listed"], list)
        assert [listed["head"] for listed in message["listed"]] == [  # pyright: ignore
            str(entry.head) for entry in entries
        ]
        assert message["unlisted_active_count"] == more[role].count
        assert [acting["head"] for acting in message["unlisted_active"]] == [  # pyright: ignore
            str(acting.head) for acting in more[role].heads
        ]
    assert roles["diffuse"]["chance_by_layer"] == [None] * 4  # pyright: ignore


def test_tokens_and_settings_can_be_read_alone(service: LiveService, analysis: LiveAnalysis) -> None:
    data: Any = analysis_export(analysis, Chosen())
    assert "".join(token["text"] for token in data["tokens"] if not token["special"]) == TEXT
    assert [token["index"] for token in data["tokens"]] == list(range(len(analysis.prompt.ids)))
    for token, old in zip(data["tokens"], data["prompt"]["tokens"], strict=True):
        assert old == {"position": token["index"], **{key: token[key] for key in ("id", "label", "special")}}
    assert data["tokens"][0]["special"] and data["tokens"][0]["label"] == "<|endoftext|>"
    settings = data["settings"]
    assert (settings["model"], settings["prompt"], settings["heads"]) == ("demo-gpt2", TEXT, [])
    assert data["ablated"] is None


def test_a_prediction_is_ranked_at_the_chosen_position(service: LiveService, analysis: LiveAnalysis) -> None:
    for position in (4, None):
        data: Any = export_analysis(service, analysis, Chosen(OFF, "mean", position))
        for ranked, heads in ((data["prediction"], set()), (data["ablated"]["prediction"], OFF)):
            logits = capture(analysis.loaded, analysis.prompt.ids, heads, "mean").logits
            shares = logits[-1 if position is None else position].softmax(-1)
            assert [row["rank"] for row in ranked] == list(range(1, 11))
            expected = shares.topk(10)
            assert [row["id"] for row in ranked] == expected.indices.tolist()
            assert [row["probability"] for row in ranked] == pytest.approx(expected.values.tolist(), rel=6e-3)
            for row in ranked:
                label = token_label(analysis.loaded, row["id"])
                assert (row["label"], row["token"]) == (label, label.replace("·", " "))
        assert data["prediction"] != data["ablated"]["prediction"]


def test_the_roles_with_heads_ablated_are_those_of_that_forward(
    service: LiveService, analysis: LiveAnalysis
) -> None:
    data: Any = export_analysis(service, analysis, Chosen(OFF, "zero"), target=5, against=7)
    off, ablated = service.analyze_ablated("demo-gpt2", TEXT, OFF), data["ablated"]
    assert (ablated["heads"], ablated["mode"]) == (["L0H5", "L1H14"], "zero")
    assert list(ablated["roles"]) == list(data["roles"]) and ablated["roles"] != data["roles"]
    for role, message in ablated["roles"].items():
        for shown, entry in zip(message["listed"], off.listed[role], strict=True):
            assert Head(shown["layer"], shown["number"]) == entry.head and shown["head"] == str(entry.head)
            assert shown["live_score"] == pytest.approx(entry.live, rel=6e-3, abs=1e-6)
            assert (shown["active"], shown["reason"]) == (entry.is_active, entry.reason)
            assert shown["chance"] == (entry.chance and pytest.approx(entry.chance, rel=6e-3))
        for shown, other in zip(message["unlisted_active"], off.unlisted[role].heads, strict=True):
            assert Head(shown["layer"], shown["number"]) == other.head
    target = ablated["target"]
    clean, now = (service.next_token_logits("demo-gpt2", TEXT, heads) for heads in ((), OFF))
    for side, logits in (("clean", clean), ("ablated", now)):
        assert target["probability"][side] == pytest.approx(float(logits.softmax(-1)[5]), rel=6e-3)
        assert target["rank"][side] == int((logits > logits[5]).sum()) + 1
        assert ablated["logit_difference"][side] == pytest.approx(float(logits[5] - logits[7]), abs=1e-4)
    assert (target["id"], ablated["against"]["id"], data["settings"]["against"]["id"]) == (5, 7, 7)


def test_ablated_heads_are_not_exported_without_what_they_do(
    service: LiveService, analysis: LiveAnalysis
) -> None:
    comparison, off = (
        compare(analysis.logits, analysis.logits),
        service.analyze_ablated("demo-gpt2", TEXT, OFF),
    )
    for arguments in ((Chosen(OFF), comparison, None), (Chosen(), comparison, off), (Chosen(OFF), None, off)):
        with pytest.raises(ValueError, match="where heads are ablated"):
            analysis_export(analysis, *arguments)


def test_an_effect_map_goes_through_the_gate(analysis: LiveAnalysis) -> None:
    grid = torch.full((4, 16), 0.25)
    grid[0, 0] = math.nan
    data = analysis_export(analysis, Chosen(), effect_map={"mode": "zero", "probability": grid})
    effects = data["effect_map"]
    assert isinstance(effects, dict) and isinstance(effects["probability"], list)
    assert effects["probability"][0][:2] == [None, 0.25]  # pyright: ignore


def test_without_a_catalog_or_a_repetition(uncatalogued: LiveAnalysis) -> None:
    data = analysis_export(uncatalogued, Chosen(position=1))
    assert json.dumps(data, allow_nan=False)
    settings, roles = data["settings"], data["roles"]
    assert isinstance(settings, dict) and settings["catalog_date"] is None and settings["position"] == 1
    assert isinstance(roles, dict) and isinstance(roles["induction"], dict)
    assert roles["induction"]["catalog_scores"] is None and not roles["induction"]["applicable"]
    assert roles["induction"]["reason"] == "nothing repeats in your text"
    for row in rows_of(heads_csv(uncatalogued)):
        assert row["catalog_score"] == "" and row["listed"] == "no" and row["active"] == "no"
        if row["role"] != "copying":  # what the model expects next may stand in the text
            assert (row["live_score"] == "") is (row["role"] in ("induction", "duplicate_token"))


def test_every_family_can_be_exported(loaded: LoadedModel, tiny_models_folder: Path, tmp_path: Path) -> None:
    """Grouped-query heads and windowed layers among them."""
    analysis = LiveService(ModelStore([loaded.path]), tmp_path).analyze(loaded.name, TEXT)
    geometry = loaded.geometry
    data = analysis_export(analysis, Chosen())
    assert json.dumps(data, allow_nan=False)
    model, roles = data["model"], data["roles"]
    assert isinstance(model, dict) and model["windows"] == list(geometry.windows)
    assert isinstance(roles, dict) and isinstance(roles["positional"], dict)
    chances = roles["positional"]["chance_by_layer"]
    assert isinstance(chances, list) and len(chances) == geometry.n_layers
    rows = rows_of(heads_csv(analysis))
    assert len(rows) == geometry.n_layers * geometry.n_heads * len(measured_roles())
    for layer in range(geometry.n_layers):
        message = {
            row["chance"] for row in rows if row["role"] == "positional" and row["layer"] == str(layer)
        }
        assert message == {str(chances[layer])}
        reading = read_head(analysis, Head(layer, 0))
        assert reading.window == geometry.windows[layer] and reading.sentence


def test_no_folder_of_the_machine_is_told(analysis: LiveAnalysis) -> None:
    message = json.dumps(analysis_export(analysis, Chosen())) + heads_csv(analysis)
    assert (
        str(analysis.loaded.path) not in message and str(Path(__file__).resolve().parents[3]) not in message
    )


def test_the_csv_has_a_row_a_head_and_role(analysis: LiveAnalysis) -> None:
    text = heads_csv(analysis, OFF)
    assert text.startswith(",".join(COLUMNS) + "\r\n")
    rows = rows_of(text)
    assert len(rows) == 4 * 16 * len(measured_roles())
    assert len({(row["layer"], row["head"], row["role"]) for row in rows}) == len(rows)
    assert analysis.catalog is not None
    more = find_unlisted_heads(analysis.scores, analysis.by_head, analysis.catalog, most=64)
    for row in rows:
        head, role = Head(int(row["layer"]), int(row["head"])), row["role"]
        live = float(analysis.scores.live[role][head.layer, head.head])
        if analysis.scores.target(role).applicable:
            assert float(row["live_score"]) == pytest.approx(live, rel=6e-3, abs=1e-6)
        table = analysis.catalog.all_scores[role]
        assert float(row["catalog_score"]) == pytest.approx(table[head.layer][head.head], rel=6e-3)
        assert (row["chance"] == "") is (role in ("diffuse", *output_roles()))
        assert (row["listed"] == "yes") == any(e.head == head for e in analysis.listed[role])
        entry = next((e for e in analysis.carrying[role] if e.head == head), None)
        assert row["has_role"] == ("yes" if entry else "no")
        assert row["active"] == ("yes" if entry and entry.is_active else "no")
        assert row["ablated"] == ("yes" if head in OFF else "no")
        assert row["unlisted_active"] == ("yes" if head in [a.head for a in more[role].heads] else "no")
        assert row["model"] == "demo-gpt2" and row["prompt"] == TEXT
    assert any(row["unlisted_active"] == "yes" for row in rows)


def test_a_prompt_that_is_a_formula_is_text(service: LiveService) -> None:
    rows = rows_of(heads_csv(service.analyze("demo-gpt2", HARD)))
    safe = HARD.replace("=cmd", "'=cmd").replace("@x", "'@x").replace("+1", "'+1")
    assert {row["prompt"] for row in rows} == {safe}
    data = analysis_export(service.analyze("demo-gpt2", HARD), Chosen())
    prompt = data["prompt"]
    # JSON opens in no spreadsheet: there it stands as it was typed.
    assert isinstance(prompt, dict) and prompt["text"] == HARD


@pytest.mark.parametrize("text", ["公司在上海。", "本社は東京です。", "यह दिल्ली में है।", "في القاهرة، مصر؟"])
def test_text_of_any_script_comes_through(service: LiveService, text: str) -> None:
    analysis = service.analyze("demo-llama", text)
    data = analysis_export(analysis, Chosen(link="http://127.0.0.1:8050/" + to_query(PageState(prompt=text))))
    back = json.loads(json.dumps(data))
    assert back["prompt"]["text"] == text
    assert [token["label"] for token in back["prompt"]["tokens"]] == list(analysis.prompt.labels)
    assert {row["prompt"] for row in rows_of(heads_csv(analysis))} == {text}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b"])
def test_every_beginning_of_a_formula_is_made_text(start: str) -> None:
    assert safe_cell(start + "1+1") == f"'{start}1+1"
    assert rows_of(csv_text(["a"], [{"a": start + "x"}])) == [{"a": f"'{start}x"}]


def test_other_cells_stay_as_they_are() -> None:
    for separator in (";", ",", "\t", "|", "\n", "\r\n", '; "', ";  "):
        assert safe_cell(f"a{separator}=1+1") == f"a{separator}'=1+1"
        assert safe_cell(f"a{separator}b") == f"a{separator}b"
    assert [safe_cell(text) for text in ("", "a=b", "1-2", "'", '"')] == ["", "a=b", "1-2", "'", '"']
    row = {"text": 'a,"b"\nc', "small": -0.25, "none": None, "nan": math.nan, "yes": True, "n": 3}
    (back,) = rows_of(csv_text(list(row), [row]))
    # A number is a number, also a negative one.
    assert back == {"text": 'a,"b"\nc', "small": "-0.25", "none": "", "nan": "", "yes": "yes", "n": "3"}
    with pytest.raises(TypeError):
        csv_text(["a"], [{"a": [1]}])


def test_file_names_are_plain() -> None:
    assert file_name("demo-gpt2", "heads", "csv", NOON) == "headscope-demo-gpt2-heads-2025-01-31.csv"
    assert file_name("EleutherAI/pythia-70m", "a", "json", NOON).startswith(
        "headscope-EleutherAI-pythia-70m-"
    )
    assert file_name("../../\u202e\n", "a", "md", NOON) == "headscope-model-a-2025-01-31.md"
    assert file_name("modèle (v2)", "a", "md", NOON) == "headscope-modele-v2-a-2025-01-31.md"
    for name in FOLDER_NAMES:
        assert re.fullmatch(r"headscope-[A-Za-z0-9.-]+-a-2025-01-31\.md", file_name(name, "a", "md", NOON))


def test_versions_are_the_real_ones() -> None:
    project = (Path(__file__).resolve().parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{app_version()}"\n' in project
    versions = library_versions()
    assert versions["torch"] == version("torch") and versions["pyvene"] == version("pyvene")
    assert versions["python"].startswith("3.")
