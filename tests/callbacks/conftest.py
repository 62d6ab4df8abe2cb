"""What the callbacks' tests share: the model whose heads are known by construction, with its catalog."""

from pathlib import Path

import pytest

from callbacks.guide import Guide
from tests.hand_built import NAME
from utils.lessons import load_lessons
from utils.live_analysis import LiveService
from utils.model_store import ModelStore
from utils.prepared_presets import PreparedPresets
from utils.presets import load_presets


@pytest.fixture(scope="session")
def built_service(built_folder: Path) -> LiveService:
    """The live entry point on that model, loaded."""
    service = LiveService(ModelStore((built_folder / NAME,)), built_folder / "catalogs")
    service.store.get(NAME)
    return service


PRESET = """
title: One
prompt: abc abc abc
head: induction 1
ablate: all induction heads
target: a
look_for: the letter that came next
question: What comes next?
answer: The letter that followed it before.
cover: [prediction]
effect: {at_least: 0.1}
"""
LESSON = """
title: A lesson
about: Heads.
steps:
  - {text: Read., at: prompt, preset: one}
  - {text: Choose., act: {choose_head: induction 1}, at: head-grid}
  - {text: Off., act: {ablate: all induction heads}}
  - {text: On., act: clear}
  - {text: Think., act: answer, question: "Why?", answer: Because.}
  - {text: Hover., act: hover_token}
  - {text: Wake., act: {wake: induction}, prompt: "the cat sat on a mat. the cat s"}
  - {text: Look., act: {open_view: effects}}
"""


def guide_of(service: LiveService, folder: Path) -> Guide:
    """One preset and one lesson on the hand-built model."""
    (folder / "presets").mkdir()
    (folder / "lessons").mkdir()
    (folder / "presets" / "one.yaml").write_text(PRESET, encoding="utf-8")
    (folder / "lessons" / "first.yaml").write_text(LESSON, encoding="utf-8")
    presets = load_presets(folder / "presets")
    lessons = load_lessons(folder / "lessons", presets=presets)
    assert (presets.problems, lessons.problems) == ((), ())
    return Guide(service, PreparedPresets(presets, service, [NAME]), lessons)
