"""Lesson files, and what the page shows when a step is opened by its link."""

import re
from pathlib import Path

import pytest

from tests.fixtures.catalogs import make_catalog
from utils.errors import UserFacingError
from utils.heads import Head
from utils.links.page_state import PageState
from utils.teaching.lesson_acts import ACTS, Act
from utils.teaching.lessons import (
    LESSONS_FOLDER,
    Lesson,
    LessonSet,
    Step,
    begins_anew,
    load_lessons,
    state_at,
)
from utils.teaching.presets import PresetSet, load_presets

CATALOG = make_catalog(
    "small", 3, 4, {"induction": [(Head(2, 1), 0.9), (Head(1, 3), 0.8)], "diffuse": [(Head(0, 0), 0.7)]}
)
PRESET = (
    "title: P\nprompt: From the preset\nhead: diffuse 1\nablate: diffuse 1\ntarget: a\nview: effects\n"
    "question: Why?\n"
)
GOOD = """\
title: Good
order: 1
steps:
  - text: One
    prompt: First prompt
    act: run
  - text: Two
    act: {choose_head: induction 1}
    at: head-grid
  - text: Three
    act: {ablate: all induction heads}
    effect: {token: a, at_least: 0.2}
  - text: Four
    act: {ablate: diffuse 1}
    target: cat
  - text: Five
    act: {open_view: positions}
  - text: Six
    act: clear
  - text: Seven
    preset: p
    act: answer
    question: What?
    answer: That.
  - text: Eight
"""


@pytest.fixture
def presets(tmp_path: Path) -> PresetSet:
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "p.yaml").write_text(PRESET, encoding="utf-8")
    return load_presets(tmp_path / "presets")


def load(folder: Path, presets: PresetSet, **files: str) -> LessonSet:
    folder = folder / "lessons"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return load_lessons(folder, presets=presets)


def good(folder: Path, presets: PresetSet) -> Lesson:
    return load(folder, presets, good=GOOD).get("good")


def test_the_lessons_that_come_with_headscope_are_good() -> None:
    presets = load_presets()
    found = load_lessons(presets=presets)
    assert found.problems == () and found.notes == ()
    assert [lesson.title for lesson in found.lessons[:3]] == [
        "What a head does",
        "Induction: finding patterns",
        "Which heads matter?",
    ]
    assert len(found.lessons) == len(list(LESSONS_FOLDER.glob("*.yaml")))
    for lesson in found.lessons:
        assert 6 <= len(lesson.steps) <= 12
        assert begins_anew(lesson.steps[0])


def test_the_readme_tells_of_every_field_and_act() -> None:
    message = (LESSONS_FOLDER / "README.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in message.splitlines() if line.startswith("| `")]
    names = {name.partition(":")[0] for name in re.findall("`(.+?)`", " ".join(rows))}
    assert names == {*Lesson.model_fields, *Step.model_fields, *ACTS}


def test_a_step_opened_by_its_link_looks_as_if_the_ones_before_were_done(
    tmp_path: Path, presets: PresetSet
) -> None:
    lesson = good(tmp_path, presets)

    def at(number: int) -> PageState:
        state, problems = state_at(lesson, number, presets, "small", CATALOG)
        assert problems == []
        assert (state.lesson, state.step, state.model) == ("good", number, "small")
        return state

    induction = {Head(2, 1), Head(1, 3)}
    assert at(1).prompt == "First prompt" and at(1).ablated == frozenset() and at(1).head is None
    assert at(2).head is None
    assert at(3).head == Head(2, 1) and at(3).ablated == frozenset()
    assert at(4).ablated == induction and at(4).target == "cat" and at(3).target is None
    assert at(5).ablated == {*induction, Head(0, 0)} and at(5).view is None
    assert at(6).view == "positions"
    assert at(7) == PageState(
        model="small",
        prompt="From the preset",
        head=Head(0, 0),
        ablated=frozenset(),
        mode="zero",
        target="a",
        view="next",
        lesson="good",
        step=7,
    )
    assert at(8).prompt == "From the preset"
    assert lesson.step(8).act == Act("read")


def test_what_the_model_lacks_is_said_once(tmp_path: Path, presets: PresetSet) -> None:
    lesson = good(tmp_path, presets)
    state, problems = state_at(lesson, 8, presets, "small", None)
    assert len(problems) == 3 and all("no catalog yet" in problem for problem in problems)
    assert state.prompt == "From the preset" and state.head is None


@pytest.mark.parametrize("number", [0, 9, -1])
def test_a_step_that_there_is_not(tmp_path: Path, presets: PresetSet, number: int) -> None:
    with pytest.raises(UserFacingError, match=rf"has no step {number}\. Its steps are numbered 1 to 8\."):
        state_at(good(tmp_path, presets), number, presets, "small", CATALOG)


BAD = {
    "no steps": ("title: A\n", "line 1: steps: Field required"),
    "empty steps": ("title: A\nsteps: []\n", "line 2: steps: "),
    "no text": ("title: A\nsteps:\n  - text: a\n  - act: run\n", "line 4: steps.2.text: Field required"),
    "no act": ("title: A\nsteps:\n  - text: a\n    act: dance\n", "line 4: steps.1.act: 'dance' is no act"),
    "no part": ("title: A\nsteps:\n  - text: a\n    at: ceiling\n", "line 4: steps.1.at: 'ceiling' is no"),
    "unknown key": ("title: A\nsteps:\n  - text: a\n\n    colour: b\n", "line 5: steps.1.colour: "),
    "key twice": ("title: A\nsteps:\n  - text: a\n    text: b\n", "line 4: text: stands twice"),
    "preset and prompt": (
        "title: A\nsteps:\n  - text: a\n    preset: p\n    prompt: b\n",
        "line 5: steps.1.prompt: a step begins with a preset or with a prompt",
    ),
    "question without answering": (
        "title: A\nsteps:\n  - text: a\n    question: b\n    act: run\n",
        "line 4: steps.1.question: a step with a question has the act answer",
    ),
    "answering nothing": (
        "title: A\nsteps:\n  - text: a\n  - text: b\n    act: answer\n",
        "line 4: steps.2: a step with the act answer needs a question",
    ),
    "effect of nothing": (
        "title: A\nsteps:\n  - text: a\n    effect: {}\n",
        "line 4: steps.1.effect: only a step with the act ablate",
    ),
    "no such preset": (
        "title: A\nsteps:\n  - text: a\n  - text: b\n    preset: q\n",
        "step 2 begins with the preset “q”, which there is not",
    ),
}


@pytest.mark.parametrize(("text", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_named_with_its_line_and_the_others_load(
    tmp_path: Path, presets: PresetSet, text: str, reason: str
) -> None:
    found = load(tmp_path, presets, good=GOOD, bad=text)
    assert [lesson.key for lesson in found.lessons] == ["good"]
    (problem,) = found.problems
    assert problem.startswith(f"Lesson bad.yaml was skipped: {reason}")


def test_a_missing_folder_and_a_missing_lesson(tmp_path: Path, presets: PresetSet) -> None:
    found = load_lessons(tmp_path / "mine", presets=presets)
    assert found.problems == ("The lessons folder mine is missing; check --lessons.",)
    with pytest.raises(UserFacingError, match="There is no lesson here"):
        found.get("x")
    with pytest.raises(UserFacingError, match=r"no lesson named “x”\. Choose one of: good\."):
        load(tmp_path, presets, good=GOOD).get("x")


def test_the_operators_lesson_stands_in_the_place_of_another(tmp_path: Path, presets: PresetSet) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "good.yaml").write_text("title: My own\nsteps: [{text: a}]\n", encoding="utf-8")
    load(tmp_path, presets, good=GOOD)
    found = load_lessons(tmp_path / "lessons", mine, presets=presets)
    assert found.get("good").title == "My own" and "stands in the place" in found.notes[0]
