"""The retrieval lab's callbacks as plain functions, on the bundled models."""

import re
import threading
from dataclasses import asdict, replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from dash import no_update

from callbacks.lab.context import parse_view
from callbacks.lab.page import LabPage
from callbacks.lab.readings import LabReadings
from callbacks.lab.study_card import LabStudy
from callbacks.lab.views import LabViews
from components import ids
from components.lab.head import WINDOW
from components.lab.page import PAGE
from retrieval.filings.real import read_filings
from retrieval.lab.reading import Written
from retrieval.lab.state import OWN, LabPrompt, LabState, LabView, from_query
from retrieval.rankings.methods import METHODS
from study.figures.registry import FIGURES
from study.tables.columns import save_tables
from tests.fixtures.hand_made_tables import tables
from tests.fixtures.reading_trees import find, text_of
from tests.fixtures.real_filings import write_folder
from utils.errors import UserFacingError
from utils.heads import Head
from utils.links.reading import read_store
from utils.live.service import LiveService
from utils.models.sources import BUNDLED
from utils.models.store import ModelStore
from utils.runtime.jobs import CancelledError, JobView, Progress

PROMPT = LabPrompt("demo-llama", seed=3)
SHOWN = asdict(PROMPT)
PATIENT = 120.0


def words(message: str) -> str:
    """The text of HTML."""
    return " ".join(unescape(re.sub("<[^>]+>", " ", message)).split())


@pytest.fixture(scope="module")
def readings() -> LabReadings:
    return LabReadings(LiveService(ModelStore()), PATIENT)


@pytest.fixture(scope="module")
def page(readings: LabReadings, tmp_path_factory: pytest.TempPathFactory) -> LabPage:
    return LabPage(readings, LabStudy(tmp_path_factory.mktemp("empty")))


@pytest.fixture(scope="module")
def views(readings: LabReadings) -> LabViews:
    return LabViews(readings)


def read(page: LabPage, prompt: LabPrompt) -> dict[str, Any]:
    progress, error, rests, shown, writing = page.follow(ids.LAB_WANTED, asdict(prompt), "me")
    assert (progress, error, rests, writing) == (None, None, True, "")
    return shown


def test_a_prompt_is_read_and_answered(page: LabPage, views: LabViews):
    shown = read(page, PROMPT)
    assert shown == SHOWN
    answer, facts, text = views.show_prompt(shown)
    assert "✓ right" in answer and "The text says" in words(answer)
    assert "tokens of the 512" in words(facts) and "% of the prompt" in facts
    assert text.count("<mark") == 1 and 'class="hs-lab-answer"' in text
    assert len(re.findall(r'data-t="\d+"', text)) == int(words(facts).split()[0])


def test_a_text_is_not_said_to_hold_an_answer_that_it_lacks(page: LabPage, views: LabViews):
    own = replace(PROMPT, question=OWN, text="The code is 5.", asked="What is the code?", answer="Texas")
    answer, facts, _ = views.show_prompt(read(page, own))
    assert "The true answer is" in words(answer) and "The text says" not in words(answer)
    assert "stands in no sentence of the text" in words(facts)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_is_told_beside_its_grid(page: LabPage, views: LabViews, method: str):
    shown = read(page, PROMPT)
    message, here, _, style, _, _, top, table = views.show_method(shown, method, "L1H2", "dark")
    assert METHODS[method].explanation in words(message)
    assert METHODS[method].source in words(message)
    assert len(here.data[0].z) == 4 and len(here.data[0].z[0]) == 16 and style["height"].endswith("px")
    heads = re.findall(r'data-pick="(L\d+H\d+)"', top)
    reading = page.readings.shown(shown)
    assert reading is not None
    scores = reading.rankings[method].scores
    assert scores is not None
    assert len(heads) == 10 and heads[0] == str(Head(*divmod(int(scores.argmax()), 16)))
    assert words(table).count("L") >= 64


def test_the_catalog_stands_beside_it(page: LabPage, views: LabViews, monkeypatch: pytest.MonkeyPatch):
    shown = read(page, PROMPT)
    service = page.readings.service
    catalog = service.catalog("demo-llama")
    assert catalog is not None
    rankings = [
        {"head": f"L{position // 16}H{position % 16}", "score": 1 - position / 64} for position in range(64)
    ]
    record: Any = {"question": "inc_state", "successful_samples": 5, "head_rankings": rankings}
    with_one = catalog.model_copy(update={"rankings": {"qrhead": [record]}})
    monkeypatch.setattr(service, "catalog", lambda model: with_one)
    message, _, there, _, _, position, top, table = views.show_method(shown, "qrhead", None, "light")
    assert "mean over 5 samples (inc_state)" in words(message) and "Spearman" in message
    assert there.data[0].z[0][0] == 1 and position == {} and "catalog:" in top
    assert "rank, catalog" in words(table)
    _, body, _ = views.show_off(ids.LAB_OFF_RUN, shown, "qrhead", "catalog", 2, "zero", "me")
    assert "L0H0, L0H1" in words(body)
    monkeypatch.setattr(service, "catalog", lambda model: None)
    message, _, _, _, _, position, top, _ = views.show_method(shown, "qrhead", None, "light")
    assert (
        "no ranking by this method" in message and position == {"display": "none"} and "catalog:" not in top
    )
    _, body, rests = views.show_off(ids.LAB_OFF_RUN, shown, "qrhead", "catalog", 2, "zero", "me")
    assert "no ranking in the catalog" in body and rests


def test_the_chosen_head_and_its_share_of_the_needle(page: LabPage, views: LabViews):
    shown = read(page, PROMPT)
    message, figure, _, table, looks = views.show_head(shown, "L2H4", "light")
    reading = page.readings.shown(shown)
    assert reading is not None
    start, end = reading.encoded.spans["needle"]
    assert "L2H4 puts" in message and "needle's share" in words(message)
    assert (figure.layout.shapes[0].x0, figure.layout.shapes[0].x1) == (start - 0.5, end - 0.5)
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == (
        "key token (looked at)",
        "query token (looks from)",
    )
    question = reading.encoded.spans["question"]
    # A window around the needle: the prompt is longer.
    shown_keys = figure.data[0].x
    assert len(shown_keys) == WINDOW < len(reading.labels)
    assert shown_keys[0] <= start and end - 1 <= shown_keys[-1]
    assert f"Shown: tokens {shown_keys[0]} to {shown_keys[-1]} of {len(reading.labels)}." in words(message)
    assert len(figure.data[0].z) == question[1] - question[0] + 1 == table.count("<tr>") - 1
    assert len(looks) == len(reading.labels) and 0 < sum(looks[start:end]) < 1
    for nonsense in (None, "banana", "L9H9"):
        assert views.show_head(shown, nonsense, "light") == (no_update,) * 5


def test_nothing_is_ablated_until_it_is_asked_for(page: LabPage, views: LabViews):
    shown = read(page, LabPrompt("demo-llama", seed=5))
    ask = (shown, "qrhead", "here", 2, "zero", "me")
    for trigger in (ids.LAB_SHOWN, ids.LAB_K, ids.LAB_METHOD):
        assert views.show_off(trigger, *ask) == (None, "", True)
    done = views.show_off(ids.LAB_OFF_RUN, *ask)
    assert "Without the first 2 heads" in words(done[1]) and done[2]
    # What is known is shown at once, and other heads have no result of these.
    assert views.show_off(ids.LAB_K, *ask) == done
    assert views.show_off(ids.LAB_K, shown, "qrhead", "here", 3, "zero", "me") == (None, "", True)


def test_top_heads_off_beside_random_ones(page: LabPage, views: LabViews):
    shown = read(page, PROMPT)
    progress, body, rests = views.show_off(ids.LAB_OFF_RUN, shown, "qrhead", "here", "4", "zero", "me")
    assert (progress, rests) == (None, True)
    assert words(body).count("random, ") == 10 and "of 5 layer-matched and" in words(body)
    assert "Not necessary is not unused" in body and "Zeros are nothing" in body
    mean = views.show_off(ids.LAB_OFF_RUN, shown, "qrhead", "here", 4, "mean", "me")[1]
    assert "The means are those" in mean
    none = views.show_off(ids.LAB_OFF_RUN, shown, "qrhead", "here", 0, "zero", "me")[1]
    assert "No head is off" in none and "random, " not in none
    error, body, rests = views.show_off(ids.LAB_OFF_RUN, shown, "qrhead", "here", 60, "zero", "me")
    assert "more than half" in text_of(error) and (body, rests) == ("", True)
    assert views.show_off(ids.LAB_OFF_RUN, shown, "qrhead", "here", None, "zero", "me")[1] is no_update


def test_heads_without_a_score_are_told(page: LabPage, views: LabViews):
    shown = read(page, PROMPT)
    body = views.show_off(ids.LAB_OFF_RUN, shown, "wu24", "here", 32, "zero", "me")[1]
    assert "heads above 0; the other" in body


def test_controls_come_with_the_model(page: LabPage):
    shown = read(page, PROMPT)
    options, head, most, k = page.controls(shown, "qrhead", None, None)
    assert len(options) == 64 and (most, k) == (32, 8)
    assert page.controls(shown, "qrhead", "L3H15", "5")[1:] == ("L3H15", 32, 5)
    assert page.controls(shown, "qrhead", "L20H0", 99)[1:] == (head, 32, 32)


def test_the_link_restores_the_page(page: LabPage):
    shown = read(page, PROMPT)
    query = page.link(shown, "wu24", "catalog", "L1H3", 12, "mean")
    state, problems = from_query(query, ["demo-gpt2", "demo-llama"])
    assert problems == []
    assert state == LabState(replace(PROMPT, length=192), LabView("wu24", "catalog", Head(1, 3), 12, "mean"))
    opened = page.layout(query)
    assert find(opened, value="wu24") and find(opened, value="L1H3") and find(opened, value=12)
    assert "not read as a whole" in text_of(page.layout("?model=%2e%2e%2fetc"))


def test_ones_own_text(page: LabPage, views: LabViews):
    text = "<script>x</script> makes boots. The company has 431 employees in total."
    prompt = LabPrompt("demo-llama", OWN, text=text, asked="How many employees?", answer="431")
    shown = read(page, prompt)
    _, facts, message = views.show_prompt(shown)
    assert "<script" not in message and "&lt;" in message and "<mark" in message and "needle: tokens" in facts
    bare = read(page, replace(prompt, answer=""))
    assert "no needle yet" in views.show_prompt(bare)[1]
    assert "Choose the sentence" in views.show_method(bare, "qrhead", None, None)[0]
    assert (
        "no ranking on this prompt"
        in views.show_off(ids.LAB_OFF_RUN, bare, "qrhead", "here", 3, "zero", "me")[1]
    )
    assert "no needle" in views.show_head(bare, "L0H0", None)[0]
    chosen = read(page, replace(prompt, answer="", needle=1))
    body = views.show_off(ids.LAB_OFF_RUN, chosen, "qrhead", "here", 3, "zero", "me")[1]
    assert "= same" in body
    listed = views.show_sentences(text, 1)
    assert listed.count("data-sentence") == 2 and listed.count('aria-pressed="true"') == 1
    assert "There is no text yet" in views.show_sentences(None, None)
    assert "The text has 500,001 characters" in views.show_sentences("a" * 500_001, None)


def test_what_the_form_asks_for(page: LabPage):
    form: list[Any] = ["demo-gpt2", "inc_year", 100, "20", 7, "generated", None, None, None, None]
    assert page.ask(ids.LAB_RUN, *form) == LabPrompt("demo-gpt2", "inc_year", 100, 20, 7)
    assert page.ask(ids.LAB_ANOTHER, *form).seed == 8
    empty = page.ask(ids.LAB_RUN, "demo-gpt2", OWN, None, "", None, None, "a", "b", "c", 2)
    assert empty == LabPrompt("demo-gpt2", OWN, text="a", asked="b", answer="c", needle=2)
    for box in range(2, 5):
        for nonsense in ("x", -1, 1.5, "1e999", "NaN"):
            with pytest.raises(UserFacingError, match="is no whole number from 0"):
                page.ask(ids.LAB_RUN, *[*form[:box], nonsense, *form[box + 1 :]])


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (LabPrompt("../../etc"), "There is no model"),
        (LabPrompt("demo-llama", length=5000), "5,000 tokens are too many"),
        (LabPrompt("demo-llama", length=3), "3 are too few"),
        (LabPrompt("demo-llama", depth=300), "depth cannot be 300"),
        (LabPrompt("demo-llama", "colour"), "There is no question"),
        (LabPrompt("demo-llama", OWN), "There is no text"),
        (LabPrompt("demo-llama", OWN, text="x"), "There is no question"),
        (LabPrompt("demo-llama", OWN, text="word " * 3000, asked="x"), "reads at most 512"),
        (LabPrompt("demo-llama", OWN, text="a" * 10**6, asked="x"), "The text has 1,000,000 characters"),
    ],
)
def test_what_cannot_be_read_is_told_and_what_was_shown_stays(page: LabPage, prompt: LabPrompt, message: str):
    progress, error, rests, shown, _ = page.follow(ids.LAB_WANTED, asdict(prompt), "me")
    assert (progress, rests, shown) == (None, True, no_update)
    assert message in text_of(error)


def test_the_answer_is_shown_while_it_is_written(page: LabPage, monkeypatch: pytest.MonkeyPatch):
    view = JobView("running", "writing the answer", 9, 10, partial=Written(("·Rhode",), (0.5,)))
    monkeypatch.setattr(page.readings, "follow", lambda prompt, session_id, again: view)
    progress, _, rests, shown, writing = page.follow(ids.LAB_TICK, SHOWN, "me")
    assert "writing the answer" in text_of(progress) and (rests, shown) == (False, no_update)
    assert "The model is writing … ·Rhode 50.0%" in words(writing)


def test_real_filings_are_a_menu_and_another_is_the_next(readings: LabReadings, tmp_path: Path):
    write_folder(tmp_path)
    reading = LabReadings(readings.service, PATIENT, read_filings(tmp_path))
    page = LabPage(reading, LabStudy(tmp_path))
    options, value = page.choose_filings("inc_state", "beta_1993")
    assert [option["value"] for option in options] == ["generated", "alpha_1993", "beta_1993"]
    assert value == "beta_1993"
    assert page.choose_filings("hq_state", "beta_1993") == (options[:2], "generated")
    assert [option["value"] for option in page.choose_filings("ceo_lastname", None)[0]] == ["generated"]
    assert find(page.layout("?model=demo-llama&filing=beta_1993"), value="beta_1993")
    form: list[Any] = ["demo-llama", "inc_state", 90, 50, 1, "alpha_1993", None, None, None, None]
    assert page.ask(ids.LAB_ANOTHER, *form).filing == "beta_1993"
    shown = read(page, page.ask(ids.LAB_RUN, *form))
    found = reading.shown(shown)
    assert found is not None and found.encoded.sample.answer == "Delaware"
    assert len(found.labels) <= 90
    assert "filing=alpha_1993" in str(page.link(shown, None, None, None, None, None))
    gone = LabPrompt("demo-llama", "hq_state", filing="beta_1993")
    assert "does not answer this question" in text_of(page.follow(ids.LAB_WANTED, asdict(gone), "me")[1])


def test_sentences_of_a_text_that_is_far_too_long_are_not_looked_for(views: LabViews):
    assert "The text has 10,000,000 characters" in views.show_sentences("a" * 10**7, None)


@pytest.mark.parametrize("kept", [None, 3, [], {}, {**SHOWN, "seed": "1"}, {**SHOWN, "text": None}])
def test_a_tampered_store_shows_nothing(page: LabPage, views: LabViews, kept: Any):
    assert read_store(LabPrompt, kept) is None
    assert page.follow(ids.LAB_WANTED, kept, "me") == (None, None, True, no_update, "")
    assert views.show_prompt(kept) == ("", "", "")
    assert page.controls(kept, None, None, None) == (no_update,) * 4
    assert set(views.show_method(kept, None, None, None)) == {no_update}
    assert page.link(kept, None, None, None, None, None) is None
    assert views.show_off(ids.LAB_OFF_RUN, kept, None, None, 3, None, "me") == (None, no_update, True)


def test_controls_that_make_no_sense_are_left_to_the_defaults():
    assert parse_view("x", "y", "banana", "many", "loud") == LabView()
    assert parse_view(None, None, None, -3, None) == LabView()


def test_what_is_no_longer_kept_is_read_again(page: LabPage):
    shown = read(page, PROMPT)
    fresh = LabReadings(page.readings.service)
    reading = fresh.shown(shown)
    first = page.readings.shown(shown)
    assert reading is not None and first is not None
    assert reading.answer == first.answer
    assert fresh.rows(reading).positions == page.readings.rows(first).positions
    assert fresh.shown({**shown, "model": "gone"}) is None


class HeldStore(ModelStore):
    """The bundled models, whose loading waits until the test lets it go on."""

    def __init__(self) -> None:
        super().__init__((BUNDLED,))
        self.go_on = threading.Event()
        self.begun = threading.Event()
        self.left = threading.Event()

    def get(self, name: str, progress: Progress = lambda what, done, total: None) -> Any:
        self.begun.set()
        assert self.go_on.wait(60)
        try:
            progress("reading", 1, 2)
        except CancelledError:
            self.left.set()
            raise
        return super().get(name, progress)


def test_reading_is_a_job_that_can_be_left(tmp_path: Path):
    store = HeldStore()
    page = LabPage(LabReadings(LiveService(store), patience=0), LabStudy(tmp_path))
    progress, error, rests, shown, _ = page.follow(ids.LAB_WANTED, SHOWN, "me")
    assert (error, rests, shown) == (None, False, no_update)
    assert "Reading with demo-llama" in text_of(progress)
    assert store.begun.wait(60)
    left = page.follow(ids.cancel_lab(PAGE), SHOWN, "me")
    assert "Cancelled" in text_of(left[0]) and left[2] is True
    store.go_on.set()
    assert store.left.wait(60)


def test_without_a_model_the_page_says_so(tmp_path: Path):
    page = LabPage(LabReadings(LiveService(ModelStore((tmp_path,)))), LabStudy(tmp_path))
    assert "There is no model to use" in text_of(page.layout(""))


def test_without_results_the_study_names_its_command(page: LabPage, tmp_path: Path):
    assert "python scripts/run_study.py all" in text_of(page.layout(""))
    study = LabStudy(tmp_path)
    assert study.menu()[0] == {} and study.choices("accuracy_curve") == ([], None)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "clean.json").write_text("{", encoding="utf-8")
    assert "damaged" in study.menu()[1] or "no table" in study.menu()[1]


def test_the_studys_figures_are_drawn(page: LabPage, tmp_path: Path):
    save_tables(tables(), tmp_path)
    study = LabStudy(tmp_path)
    figures, problem = study.menu()
    assert (list(figures), problem) == (list(FIGURES), "")
    assert find(LabPage(page.readings, study).layout(""), id="lab-choice")
    for key in figures:
        options, first = study.choices(key)
        assert options[0]["value"] == first and options[0]["label"]
        message, figure, style, numbers = study.show(key, first, "dark")
        assert message == FIGURES[key].help and figure.data and style["height"].endswith("px")
        assert "<table" in numbers
    assert study.show("accuracy_curve", "of another figure", None) == (no_update,) * 4
    assert study.show("nothing", "x", None) == (no_update,) * 4


def test_the_studys_tables_are_read_anew_when_they_change(tmp_path: Path):
    save_tables(tables(), tmp_path)
    study = LabStudy(tmp_path)
    assert study.tables() is study.tables()
    save_tables(tables(models=1), tmp_path)
    assert {row["model"] for row in study.tables()["clean"]} == {"base"}
