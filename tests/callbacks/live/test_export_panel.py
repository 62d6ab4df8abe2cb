"""The card "Export": the files say what the page says, whatever was typed."""

import csv
import io
import json
import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from dash import no_update

from callbacks.answer.effects_view import EffectsView
from callbacks.answer.next_token_view import NOTHING_YET
from callbacks.answer.random_sets_panel import RandomSetsPanel
from callbacks.live.context import find_shown
from callbacks.live.export_panel import BYTE_ORDER_MARK, CANNOT_BE_SHOWN, ExportPanel, ExportRequest, Held
from components import ids
from components.live.export_panel import FIGURES, export_drawer
from tests.fixtures.guides import NAME, guide_of
from tests.fixtures.makers.hand_built import INDUCTION, N_HEADS, N_LAYERS, PREVIOUS
from tests.fixtures.reading_trees import find, text_of
from utils.effects.effect_map import effect_map
from utils.effects.prediction import compare
from utils.export.lab_record import MAX_CHARACTERS
from utils.live.service import LiveService
from utils.roles.registry import measured_roles

PROMPT = "the cat sat on a mat. the cat s"
HOSTILE = '</script>=cmd <img src=x onerror="alert(1)"> the cat s'
LINK = "http://127.0.0.1:8050/?v=1&model=hand-built&prompt=the+cat"
NAMES = [str(PREVIOUS), str(INDUCTION)]


@pytest.fixture
def panel(built_service: LiveService, tmp_path: Path) -> ExportPanel:
    guide = guide_of(built_service, tmp_path)
    effects, random_sets = EffectsView(built_service), RandomSetsPanel(built_service)
    return ExportPanel(built_service, effects.known, random_sets.known, guide.presets.presets, guide.lessons)


def held(prompt: str = PROMPT, **more: Any) -> Held:
    base: dict[str, Any] = {"request": {"model": NAME, "prompt": prompt}, "off": [], "head": str(INDUCTION)}
    return Held(**{**base, **more})


def export_request(what: str, **answers: str) -> ExportRequest:
    return {"what": what, "link": LINK, "answers": answers}


def saved(answer: tuple[Any, Any]) -> str:
    file, message = answer
    assert file is not no_update, message
    assert file["base64"] is False and message == f"Saved as {file['filename']}."
    return file["content"]


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_json_holds_what_is_on_show(panel: ExportPanel, built_service: LiveService) -> None:
    shown = held(off=NAMES, position="10", target="x", against="q")
    data = json.loads(saved(panel.download(export_request("analysis"), shown)))
    analysis = built_service.analyze(NAME, PROMPT)
    clean = built_service.position_logits(NAME, PROMPT)[10]
    ablated = built_service.position_logits(NAME, PROMPT, [PREVIOUS, INDUCTION])[10]
    expected = compare(clean, ablated, data["settings"]["target"]["id"], data["settings"]["against"]["id"])
    assert data["kind"] == "headscope-analysis" and data["link"] == LINK
    assert data["model"]["name"] == NAME and data["prompt"]["text"] == PROMPT
    settings = data["settings"]
    assert settings["ablated"] == sorted(NAMES) and settings["mode"] == "zero" and settings["position"] == 10
    assert (settings["target"]["label"], settings["against"]["label"]) == ("x", "q")
    rows = data["comparison"]["candidates"]
    assert [row["id"] for row in rows] == [row.token for row in expected.rows]
    assert [row["id"] for row in data["prediction"]] == [row.token for row in expected.rows[:10]]
    assert data["ablated"]["heads"] == sorted(NAMES) and data["ablated"]["prediction"][0]["rank"] == 1
    assert data["comparison"]["kl"] == pytest.approx(expected.kl, rel=1e-2)
    assert expected.kl > 0.01  # the two heads do something here: clean is not taken for ablated
    assert data["roles"]["induction"]["live_scores"][INDUCTION.layer][INDUCTION.head] == pytest.approx(
        float(analysis.scores.live["induction"][INDUCTION.layer, INDUCTION.head]), abs=1e-6
    )
    assert data["effect_map"] is None and data["random_sets"] is None


def test_what_was_computed_goes_along(built_service: LiveService, panel: ExportPanel) -> None:
    effects, random_sets = EffectsView(built_service), RandomSetsPanel(built_service)
    panel.effects, panel.random_sets = effects.known, random_sets.known
    request, pause = held().get("request"), threading.Event()
    for _ in range(600):
        if effects.show(ids.VIEW, request, "zero", "", None, None, "kl", "me")[2]:
            break
        pause.wait(0.1)
    shown = find_shown(built_service, request, [str(INDUCTION)])
    for trigger in (ids.RANDOM_RUN, *[ids.RANDOM_TICK] * 600):
        if random_sets.show(trigger, shown, "uniform", "20", "light", "me")[2]:
            break
        pause.wait(0.1)
    now = held(off=[str(INDUCTION)], kind="uniform", draws="20")
    data = json.loads(saved(panel.download(export_request("analysis"), now)))
    analysis = built_service.analyze(NAME, PROMPT)
    alone = effect_map(analysis.loaded, analysis.prompt.ids)
    assert data["effect_map"]["target"] == alone.target
    for cached, fresh in zip(data["effect_map"]["probability"], alone.probability.tolist(), strict=True):
        assert cached == pytest.approx(fresh, abs=1e-5)
    assert data["random_sets"]["heads"] == [str(INDUCTION)]
    assert len(data["random_sets"]["contrasts"]["probability"]["draws"]) == 20
    record = saved(panel.download(export_request("markdown"), now))
    assert "matters most" in record and "different random sets of 1 head from all layers" in record
    # Another watched token, or another way to draw: what was computed is not about it.
    other = held(off=[str(INDUCTION)], kind="uniform", draws="20", target="q")
    data = json.loads(saved(panel.download(export_request("analysis"), other)))
    assert data["effect_map"] is None and data["random_sets"] is None
    now["kind"] = "layer-matched"
    assert json.loads(saved(panel.download(export_request("analysis"), now)))["random_sets"] is None


def test_the_csv_has_every_head_with_every_role(panel: ExportPanel) -> None:
    text = saved(panel.download(export_request("heads"), held(HOSTILE[10:], off=NAMES)))
    assert text.startswith(BYTE_ORDER_MARK + "layer,head,role")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix(BYTE_ORDER_MARK), newline="")))
    assert len(rows) == N_LAYERS * N_HEADS * len(measured_roles())
    off = {f"L{row['layer']}H{row['head']}" for row in rows if row["ablated"] == "yes"}
    assert off == set(NAMES)


def test_a_prompt_that_is_a_formula_is_text_in_the_csv(panel: ExportPanel) -> None:
    text = saved(panel.download(export_request("heads"), held("=cmd</script> the cat, the cat")))
    rows = list(csv.DictReader(io.StringIO(text.removeprefix(BYTE_ORDER_MARK), newline="")))
    assert {row["prompt"] for row in rows} == {"'=cmd</script> the cat, the cat"}


@pytest.mark.parametrize("what", ["markdown", "html"])
def test_the_record_has_prompt_heads_effects_and_answers(panel: ExportPanel, what: str) -> None:
    now = held(
        off=NAMES,
        opened={"lesson": "first", "step": 6},
        author="Ada L.",
        notes="I expected less.",
    )
    page = saved(
        panel.download(export_request(what, **{"Why?": "The copy stands there.", "Other?": "no"}), now)
    )
    for part in (
        "HeadScope lab record: A lesson",
        "Ada L.",
        PROMPT,
        ", ".join(sorted(NAMES)),
        "zero ablation",
        "KL divergence",
        "Why?",
        "The copy stands there.",
        "I expected less.",
        f"On this text {INDUCTION}",
        "headscope 0.",
    ):
        assert part in page, part
    assert "Other?" not in page
    assert LINK.replace("&", "&amp;") in page if what == "html" else f"<{LINK}>" in page


@pytest.mark.parametrize("what", ["markdown", "html"])
def test_what_is_typed_stays_text_in_the_record(panel: ExportPanel, what: str) -> None:
    plain = saved(panel.download(export_request(what), held("the cat", author="a", title="b", notes="c")))
    hard = held(
        HOSTILE, author=HOSTILE, title=HOSTILE, notes=HOSTILE, opened={"preset": "one", "revealed": True}
    )
    page = saved(panel.download(export_request(what, **{"What comes next?": HOSTILE}), hard))
    if what == "html":
        assert set(Page(page).tags) <= set(Page(plain).tags) | {"h3"}
        assert Page(page).text.count(HOSTILE) >= 6  # <title> and <h1>, name, prompt, answer, notes
    else:
        # The prompt stands as it is within its fence, and nowhere else.
        fence = f"```text\n{HOSTILE}\n```"
        assert (
            fence in page
            and "<img" not in page.replace(fence, "")
            and "</script" not in page.replace(fence, "")
        )


def test_only_answers_to_the_questions_that_are_open_are_taken(panel: ExportPanel) -> None:
    page = saved(
        panel.download(export_request("markdown", **{"Why?": "Because."}), held(opened={"preset": "one"}))
    )
    assert "Because." not in page and "## Questions" not in page
    for opened in (None, {}, {"preset": "gone"}, {"lesson": "gone", "step": "x"}):
        assert saved(panel.download(export_request("markdown", **{"Why?": "B"}), held(opened=opened)))


def test_what_is_open_says_which_answers_go_along(panel: ExportPanel) -> None:
    assert panel.questions({"preset": "one"}) == (
        ["What comes next?"],
        "Your answer to the question of the preset “One” is included.",
    )
    assert panel.questions({"lesson": "first", "step": 2})[0] == ["Why?"]
    for opened in (None, {}, {"preset": "gone"}):
        assert panel.questions(opened) == ([], "")


def test_too_long_notes_are_one_sentence(panel: ExportPanel) -> None:
    file, message = panel.download(export_request("html"), held(notes="a" * (MAX_CHARACTERS + 1)))
    assert file is no_update and f"a lab record takes {MAX_CHARACTERS:,}" in text_of(message)


def test_nothing_yet_and_a_request_that_cannot_be_shown(panel: ExportPanel) -> None:
    assert panel.show(None) == (True, NOTHING_YET)
    assert panel.show({"model": "gone", "prompt": "a"}) == (True, CANNOT_BE_SHOWN)
    assert panel.show({"model": NAME, "prompt": PROMPT}) == (False, "")
    for request, said in ((None, NOTHING_YET), ({"model": "gone", "prompt": "a"}, CANNOT_BE_SHOWN)):
        for what in ("analysis", "heads", "markdown", "html"):
            assert panel.download(export_request(what), held(request=request)) == (no_update, said)
    assert panel.download(None, held()) == (no_update, no_update)
    assert panel.download(export_request("nonsense"), held()) == (no_update, no_update)


def test_a_click_that_was_tampered_with_loses_nothing_but_the_link(panel: ExportPanel) -> None:
    for link in (None, 5, ["x"], "http://a/" + "b" * 100_000):
        made = ExportRequest(what="analysis", link=link, answers={})  # pyright: ignore[reportArgumentType]
        assert json.loads(saved(panel.download(made, held())))["link"] == ""
    broken = held(off=["L99H0", "x", None], mode="rm", position="-4", target=None, head="L99H99")
    settings = json.loads(saved(panel.download(export_request("analysis"), broken)))["settings"]
    assert (settings["ablated"], settings["mode"]) == ([], "zero")
    assert saved(panel.download(export_request("html"), broken))


def test_file_names_say_model_and_head(panel: ExportPanel) -> None:
    names = panel.figures({"model": "EleutherAI/pythia-70m", "prompt": "a"}, "L1H2", "kl", "effect")
    assert set(names) == set(FIGURES)
    assert names["headscope-head"]["name"].startswith("headscope-EleutherAI-pythia-70m-head-L1H2-")
    assert "L1H2" in names["headscope-head"]["title"]
    assert "ablation effect, whole prediction (KL)" in names["headscope-map"]["title"]
    assert panel.figures(None, None, None) == {}
    file, _ = panel.download(export_request("heads"), held())
    assert file["filename"].startswith(f"headscope-{NAME}-heads-") and file["filename"].endswith(".csv")


def test_every_figure_of_the_live_page_can_be_saved() -> None:
    """Each figure's own toolbar has a name for its file: by that export.js finds it."""
    sources = Path(__file__).resolve().parents[3] / "components"
    named = {
        part
        for room in ("live", "answer", "guide")
        for path in (sources / room).glob("*.py")
        for part in re.findall(r'graph\(\s*"([\w-]+)"', path.read_text(encoding="utf-8"))
    }
    # The map is drawn from its cells.
    assert {f"headscope-{name}" for name in named} == set(FIGURES) - {"headscope-map"}


def test_the_card_is_off_until_something_is_analyzed() -> None:
    card = export_drawer()
    assert find(card, disabled=True) and all(title in text_of(card) for title in FIGURES.values())
    assert len(find(card, data_save="png")) == len(find(card, data_save="svg")) == len(FIGURES)
