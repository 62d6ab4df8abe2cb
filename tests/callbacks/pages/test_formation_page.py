"""The page about how heads form, on the logs that come with the bundled models."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from plotly.utils import PlotlyJSONEncoder

from callbacks.pages.formation_page import FormationPage
from components.formation.curves import EDGE
from components.formation.film import film
from tests.fixtures.reading_trees import text_of
from training.recipes import RECIPES
from utils.formation.log import LOG_NAME, logs_alone
from utils.models.sources import BUNDLED
from utils.models.store import ModelStore
from utils.roles.registry import ROLES

SCAFFOLDS = {name: recipe.scaffolds for name, recipe in RECIPES.items()}


@pytest.fixture(scope="module")
def page() -> FormationPage:
    return FormationPage(ModelStore(), SCAFFOLDS, logs_alone())


def menu(tree: Any) -> Any:
    return next(part for part in tree._traverse() if getattr(part, "id", None) == "formation-model")


def slider(tree: Any) -> Any:
    return next(part for part in tree._traverse() if getattr(part, "id", None) == "formation-step")


@pytest.mark.parametrize("model", ["demo-gpt2", "demo-llama"])
def test_a_training_is_shown_with_its_scaffold_said_openly(page: FormationPage, model: str):
    body = page.show(model)
    message = text_of(body)
    assert "Previous-token heads pass 0.4" in message
    assert "A scaffold stood from" in message
    assert "so this does not show that they would have come by themselves" in message
    history = page.history(model)
    assert slider(body).value == slider(body).max == len(history.tokens) - 1
    for point in history.checkpoints:
        assert f" {point.tokens:,} " in message  # the table has every line of the log


def test_without_a_scaffold_none_is_told():
    message = text_of(FormationPage(ModelStore()).show("demo-gpt2"))
    assert "scaffold" not in message.lower() and "without help" not in message


def test_the_page_opens_with_heads_that_formed_without_help(page: FormationPage):
    opened = page.layout("")
    choice = menu(opened)
    assert choice.value == "formation-llama"
    labels = {option["value"]: option["label"] for option in choice.options}
    assert next(iter(labels)) == "formation-llama"
    assert labels["formation-llama"] == "formation-llama (formed without help)"
    for name in ("demo-gpt2", "demo-llama", "demo-llama-instruct"):
        assert labels[name] == name
    message = text_of(opened)
    assert "All of this formed without help" in message and "nothing ever told a head where" in message
    assert "A scaffold stood" not in message and "formed by itself" not in message
    history = page.history("formation-llama")
    assert history.unaided and history.scaffolds == ()
    shot = json.loads(json.dumps(dict(film(history)), cls=PlotlyJSONEncoder))
    assert shot["tokens"] == list(history.tokens) and set(shot["pointed"]) == {None}
    assert not page.history("demo-gpt2").unaided
    # A place in it can be linked too.
    linked = page.layout(f"?model=formation-llama&tokens={history.tokens[7]}")
    assert slider(linked).value == 7


def test_a_tuned_model_is_shown_as_what_its_base_became(page: FormationPage):
    message = text_of(page.show("demo-llama-instruct"))
    assert "demo-llama-instruct went on from demo-llama" in message
    assert "demo-llama as it ended" in message and "questions in the chat template" in message
    assert "scaffold" not in message.lower() and "Before any training" not in message
    history = page.history("demo-llama-instruct")
    shot = json.loads(json.dumps(dict(film(history)), cls=PlotlyJSONEncoder))
    assert shot["tokens"] == list(history.tokens) and set(shot["pointed"]) == {None}


def test_a_link_opens_the_page_at_a_place(page: FormationPage):
    opened = page.layout("?v=1&model=demo-llama&tokens=4032032")
    history = page.history("demo-llama")
    assert history.tokens[slider(opened).value] == 4032032
    assert "hs-alert" not in text_of(opened)
    near = slider(page.layout("?model=demo-llama&tokens=99999999999999"))
    assert near.value == near.max


@pytest.mark.parametrize("model", ["demo-gpt2", "demo-llama", "demo-llama-instruct"])
def test_the_links_to_bundled_models_still_lead_there(page: FormationPage, model: str):
    tokens = page.history(model).tokens[5]
    opened = page.layout(f"?model={model}&tokens={tokens}")
    assert menu(opened).value == model and slider(opened).value == 5
    assert "hs-alert" not in text_of(opened) and "formed without help" not in text_of(page.show(model))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?model=../../etc/passwd", "There is no training log of"),
        ("?tokens=-3", "must be a number of tokens"),
        ("?tokens=%D9%A3", "must be a number of tokens"),
    ],
)
def test_nonsense_in_a_link_is_told_and_the_rest_is_shown(page: FormationPage, query: str, message: str):
    opened = page.layout(query)
    assert message in text_of(opened)
    assert slider(opened).value == slider(opened).max


def test_a_class_sees_the_models_that_it_may_use(tmp_path: Path):
    assert FormationPage(ModelStore((BUNDLED,), ("demo-llama",)), SCAFFOLDS).models() == ["demo-llama"]
    none = FormationPage(ModelStore((tmp_path,)), SCAFFOLDS)
    assert none.models() == []
    assert "None of the models" in text_of(none.layout("?model=demo-gpt2"))
    # What is no model is no choice of the operator's.
    few = FormationPage(ModelStore((BUNDLED,), ("demo-llama",)), SCAFFOLDS, logs_alone())
    assert few.models() == [*logs_alone(), "demo-llama"]


def test_a_damaged_log_is_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "demo-gpt2"
    shutil.copytree(BUNDLED / "demo-gpt2", folder)
    lines = (folder / LOG_NAME).read_text(encoding="utf-8").splitlines()
    (folder / LOG_NAME).write_text("\n".join([*lines[:3], lines[3][:40]]), encoding="utf-8")
    monkeypatch.setattr("utils.models.sources.BUNDLED", tmp_path)
    page = FormationPage(ModelStore((tmp_path,)), SCAFFOLDS)
    message = text_of(page.layout(""))
    assert "Line 4 of the training log of demo-gpt2 is damaged" in message
    assert str(tmp_path) not in message
    # Mended, it is read again.
    (folder / LOG_NAME).write_text("\n".join(lines[:3]), encoding="utf-8")
    assert slider(page.show("demo-gpt2")).max == 2


@pytest.mark.parametrize("model", ["demo-gpt2", "demo-llama"])
def test_the_browser_gets_every_checkpoint(page: FormationPage, model: str):
    history = page.history(model)
    shot = json.loads(json.dumps(dict(film(history)), cls=PlotlyJSONEncoder))
    keys = [role for role in ROLES if role in history.best_scores]
    assert shot["tokens"] == list(history.tokens)
    assert {len(shot[part]) for part in ("labels", "messages", "shares", "cells", "best")} == {
        len(history.tokens)
    }
    for index, point in enumerate(history.checkpoints):
        for number, passed in enumerate(shot["cells"][index]):
            layer, head = divmod(number, history.shape[1])
            for position, score in passed:
                exact = point.role_scores[keys[position]][layer][head]
                assert score == pytest.approx(exact, abs=5e-4) and exact >= ROLES[keys[position]].threshold
    pointed = {name for name, since in zip(shot["heads"], shot["pointed"], strict=True) if since is not None}
    assert pointed == {str(head) for heads in SCAFFOLDS[model][0].heads.values() for head in heads}
    # The slider's line stands where Plotly puts the checkpoint on its axis.
    low, high = shot["figures"]["light"]["loss"]["layout"]["xaxis"]["range"]
    for tokens, share in zip(shot["tokens"], shot["shares"], strict=True):
        assert low + share * (high - low) == pytest.approx(tokens / 1e6, abs=1e-3)
    assert low == pytest.approx(-EDGE * history.tokens[-1] / 1e6)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_figures_show_the_log_and_where_the_scaffold_stood(page: FormationPage, theme: str):
    history = page.history("demo-gpt2")
    figures = film(history)["figures"][theme]
    scores = {trace["name"]: trace["y"] for trace in figures["scores"]["data"]}
    assert scores == {ROLES[key].display_name: list(curve) for key, curve in history.best_scores.items()}
    assert list(figures["accuracy"]["data"][0]["y"]) == list(history.repeated_accuracy)
    scaffold = SCAFFOLDS["demo-gpt2"][0]
    for figure in figures.values():
        spans = [
            (shape["x0"] * 1e6, shape["x1"] * 1e6)
            for shape in figure["layout"]["shapes"]
            if shape["type"] == "rect"
        ]
        assert spans == [(pytest.approx(scaffold.start), pytest.approx(scaffold.end))]
