"""Lessons: a YAML file each, an ordered list of steps that complete when the student does the thing.

A step has a text, the part of the page that it points at, and the act that completes it; it may bring a
preset or a prompt of its own. Its number is part of the link that opens it (`?lesson=induction&step=3`), so a
step opened by a link must look as if the steps before it had been done: `state_at` works that out. How far a
student has come is kept in the browser alone.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from utils.catalog.catalog import Catalog
from utils.errors import UserFacingError
from utils.heads import Head
from utils.links.page_parts import PAGE_PARTS
from utils.links.page_state import PageState
from utils.teaching.head_references import resolve_all
from utils.teaching.lesson_acts import Act, parse_act
from utils.teaching.presets import (
    Effect,
    ModelNames,
    PresetSet,
    Prompt,
    Text,
    TokenText,
    known_key,
    open_preset,
)
from utils.teaching.yaml_records import Record, find_record, read_folders
from utils.wording import excerpt

LESSONS_FOLDER = Path(__file__).resolve().parents[2] / "lessons"
MAX_STEPS = 30


class Step(Record):
    """One step of a lesson.

    Attributes:
        text: what the student reads.
        at: key of the part of the page that it points at.
        act: what completes it.
        preset: key of a preset that the step begins with.
        prompt: a prompt that the step begins with, instead of a preset.
        target: the token to watch.
        question: what to think about; the act is then "answer".
        answer: what is shown after it.
        effect: what ablating heads in this step does (only with the act "ablate").
    """

    text: Text
    at: Annotated[str, known_key(tuple(PAGE_PARTS), "part of the page")] | None = None
    act: Annotated[Act, BeforeValidator(parse_act)] = Act("read")
    preset: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    prompt: Prompt | None = None
    target: TokenText | None = None
    question: Text | None = None
    answer: Text | None = None
    effect: Effect | None = None

    @field_validator("prompt")
    @classmethod
    def _not_both(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("preset") is not None:
            raise ValueError("a step begins with a preset or with a prompt, not with both")
        return value

    @field_validator("question", "answer")
    @classmethod
    def _asked_by_an_answer(cls, value: str | None, info: ValidationInfo) -> str | None:
        act = info.data.get("act")
        if value is not None and isinstance(act, Act) and act.kind != "answer":
            raise ValueError("a step with a question has the act answer")
        return value

    @model_validator(mode="after")
    def _answers_something(self) -> Self:
        if self.act.kind == "answer" and self.question is None:
            raise ValueError("a step with the act answer needs a question")
        return self

    @field_validator("effect")
    @classmethod
    def _of_switching_off(cls, value: Effect | None, info: ValidationInfo) -> Effect | None:
        act = info.data.get("act")
        if value is not None and isinstance(act, Act) and act.kind != "ablate":
            raise ValueError("only a step with the act ablate has an effect")
        return value


class Lesson(Record):
    """One lesson, as its file has it.

    Attributes:
        title: what the list of lessons shows.
        about: what it teaches, in one sentence.
        order: place in the list, small numbers first.
        model: the model or models that it is made for, the first one preferred; none: any.
        steps: in the order in which they are done.
    """

    title: str = Field(min_length=1, max_length=80)
    about: Text | None = None
    order: int = 100
    model: ModelNames = ()
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_STEPS)]

    def step(self, number: int) -> Step:
        """The step of this number, from 1.

        Raises:
            UserFacingError: there is no such step.
        """
        if not 1 <= number <= len(self.steps):
            raise UserFacingError(
                f"The lesson “{self.title}” has no step {number}.",
                f"Its steps are numbered 1 to {len(self.steps)}.",
            )
        return self.steps[number - 1]


@dataclass(frozen=True)
class LessonSet:
    """The lessons of some folders.

    Attributes:
        lessons: in the order of the list.
        problems: one sentence for each file that was skipped.
        notes: one sentence for each lesson of the operator's that stands in the place of another.
    """

    lessons: tuple[Lesson, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def get(self, key: str) -> Lesson:
        """The lesson that a link names.

        Raises:
            UserFacingError: there is none of this name.
        """
        return find_record(self.lessons, key, "lesson")


def load_lessons(*folders: Path, presets: PresetSet) -> LessonSet:
    """Read the lessons of some folders, by default those that come with HeadScope; never raises.

    Args:
        *folders: of two lessons of one name the one in the later folder stands.
        presets: those that lessons may begin a step with; a lesson that names another is skipped.
    """
    read = read_folders(folders or (LESSONS_FOLDER,), Lesson, "lesson", "--lessons")
    keys = {preset.key for preset in presets.presets}
    problems, lessons = list(read.problems), []
    for lesson in sorted(read.records, key=lambda lesson: (lesson.order, lesson.key)):
        unknown = [
            (number, step.preset)
            for number, step in enumerate(lesson.steps, 1)
            if step.preset is not None and step.preset not in keys
        ]
        if unknown:
            number, key = unknown[0]
            problems.append(
                f"Lesson {lesson.key}.yaml was skipped: step {number} begins with the preset "
                f"{excerpt(key or '')}, which there is not."
            )
        else:
            lessons.append(lesson)
    return LessonSet(tuple(lessons), tuple(problems), read.notes)


def begins_anew(step: Step) -> bool:
    """Whether a step brings a text of its own, so that the page is to be set as `state_at` says."""
    return step.preset is not None or step.prompt is not None


def state_at(
    lesson: Lesson, number: int, presets: PresetSet, model: str, catalog: Catalog | None
) -> tuple[PageState, list[str]]:
    """What the page shows when a step is opened by its link: as if all steps before it had been done.

    Args:
        lesson: the lesson.
        number: the step, from 1.
        presets: those that steps begin with.
        model: the model's name.
        catalog: the model's catalog, in which heads are looked up; None where it has none.

    Returns:
        The state, and a sentence for each thing that this model does not have.

    Raises:
        UserFacingError: no such step, or no such preset.
    """
    lesson.step(number)
    state = PageState(model=model, ablated=frozenset())
    problems: list[str] = []
    for position, step in enumerate(lesson.steps[:number], 1):
        if step.preset is not None:
            opened = open_preset(presets.get(step.preset), model, catalog)
            problems += opened.problems
            # A lesson asks and switches off by its own steps.
            state = replace(opened.asked, ablated=frozenset(), preset=None)
        elif step.prompt is not None:
            state = PageState(model=model, prompt=step.prompt, ablated=frozenset())
        if step.target is not None:
            state = replace(state, target=step.target)
        if position < number:
            try:
                state = _after(state, step.act, model, catalog)
            except UserFacingError as error:
                problems.append(str(error))
    state = replace(state, lesson=lesson.key, step=number)
    return state, list(dict.fromkeys(problems))


def _after(state: PageState, act: Act, model: str, catalog: Catalog | None) -> PageState:
    """The state after an act that changes it."""
    if act.kind == "choose_head":
        (head,) = resolve_all(act.heads, catalog, model)
        return replace(state, head=head)
    if act.kind == "ablate":
        off: frozenset[Head] = resolve_all(act.heads, catalog, model)
        return replace(state, ablated=(state.ablated or frozenset()) | off)
    if act.kind == "clear":
        return replace(state, ablated=frozenset())
    if act.kind == "open_view":
        return replace(state, view=act.value)
    return state
