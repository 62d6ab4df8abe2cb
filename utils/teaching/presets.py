"""Presets: what an instructor prepares for a class, a YAML file each (docs in `Preset`).

A preset opens the live page on a prompt, a head and heads to switch off, says what to look for and asks a
question before it shows what happens: predict, then see. Its heads are named by role and rank
(`head_references`), so that it stays true when a model is trained again. Its key, by which a link opens it
(`?preset=golden-ring`), is the file's name. The smallest preset is a title and a prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from utils.catalog.catalog import Catalog
from utils.errors import UserFacingError
from utils.forward.ablation import AblationMode
from utils.links.page_parts import PAGE_PARTS
from utils.links.page_state import VIEWS, PageState
from utils.roles.registry import ROLES
from utils.teaching.head_references import OneHead, SomeHeads, in_words, resolve, resolve_all
from utils.teaching.yaml_records import Record, find_record, read_folders

PRESETS_FOLDER = Path(__file__).resolve().parents[2] / "examples"
# What the page shows on a first visit where there is no preset at all.
FIRST_PROMPT = "The king gave the boy a golden ring, and the boy took the golden"
# An effect that a preset speaks of lowers the token's probability by this much at least.
MIN_EFFECT = 0.1


def known_key(options: Sequence[str], what: str) -> BeforeValidator:
    """A validator of one key, or of several, of a registry."""

    def check(value: Any) -> Any:
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is not None and item not in options:
                raise ValueError(f"{str(item)[:40]!r} is no {what}; choose from {', '.join(options)}")
        return value

    return BeforeValidator(check)


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


TokenText = Annotated[str, Field(min_length=1, max_length=40)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Prompt = Annotated[str, Field(min_length=1, max_length=4000)]
ModelNames = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=120)], ...], BeforeValidator(_one_or_more)
]
RoleKeys = Annotated[tuple[str, ...], known_key(tuple(ROLES), "role"), BeforeValidator(_one_or_more)]
PartKeys = Annotated[
    tuple[str, ...], known_key(tuple(PAGE_PARTS), "part of the page"), BeforeValidator(_one_or_more)
]
ViewKey = Annotated[str, known_key(tuple(VIEWS), "view")]


class Effect(Record):
    """What ablating the preset's heads does, as a claim that can be checked.

    Attributes:
        token: the token whose probability changes; default: the preset's `target`.
        at_least: its probability falls by this much at least, and by more than with random heads.
    """

    token: TokenText | None = None
    at_least: float = Field(default=MIN_EFFECT, ge=0, le=1)


class Look(Record):
    """How much of its attention the preset's head gives to a word, as a claim that can be checked.

    Attributes:
        source: text of the token that it looks from (`from` in the file); the last one of that text.
        at: text of the token that it looks at; all of that text count together.
        at_least: the share of its attention is this at least.
        at_most: and this at most.
    """

    source: TokenText = Field(alias="from")
    at: TokenText
    at_least: float = Field(default=0.0, ge=0, le=1)
    at_most: float = Field(default=1.0, ge=0, le=1)


class Preset(Record):
    """One preset, as its file has it.

    Attributes:
        title: what the menu shows.
        prompt: the text.
        order: place in the menu, small numbers first.
        model: the model or models that it is made for, the first one preferred; none: any.
        roles: keys of the roles that it shows.
        head: the head to look at, for example "induction 1".
        ablate: the heads to switch off at the reveal, for example "first 4 induction heads".
        mode: "zero" or "mean" ablation.
        target: the token to watch.
        against: a second token, for the logit difference.
        position: whose prediction is shown, counted as on the token strip; default: the last.
        view: the page's view at the reveal.
        compare_with: a second prompt to compare with.
        look_for: what to look for.
        question: what to think about before the reveal.
        answer: what is shown at the reveal.
        cover: parts of the page that would give the answer away; they are covered until the reveal.
        effect: what ablating the heads does.
        shows: where its head looks.
    """

    title: str = Field(min_length=1, max_length=80)
    prompt: Prompt
    order: int = 100
    model: ModelNames = ()
    roles: RoleKeys = ()
    head: OneHead | None = None
    ablate: SomeHeads = ()
    mode: AblationMode = "zero"
    target: TokenText | None = None
    against: TokenText | None = None
    position: int | None = Field(default=None, ge=0, le=100_000)
    view: ViewKey | None = None
    compare_with: Prompt | None = None
    look_for: Text | None = None
    question: Text | None = None
    answer: Text | None = None
    cover: PartKeys = ()
    effect: Effect | None = None
    shows: tuple[Look, ...] = ()

    @field_validator("answer", "cover")
    @classmethod
    def _needs_a_question(cls, value: Any, info: ValidationInfo) -> Any:
        if value and info.data.get("question") is None:
            raise ValueError("it needs a question before it")
        return value

    @field_validator("effect")
    @classmethod
    def _needs_heads_and_a_token(cls, value: Effect | None, info: ValidationInfo) -> Effect | None:
        if value is not None and not info.data.get("ablate"):
            raise ValueError("it needs heads to switch off (ablate)")
        if value is not None and value.token is None and info.data.get("target") is None:
            raise ValueError("it needs a token (here, or as target)")
        return value

    @field_validator("shows")
    @classmethod
    def _needs_a_head(cls, value: Any, info: ValidationInfo) -> Any:
        if value and info.data.get("head") is None:
            raise ValueError("it needs a head that looks there (head)")
        return value

    @property
    def effect_token(self) -> str | None:
        """The text of the token whose probability the preset is about."""
        return (self.effect.token if self.effect else None) or self.target

    @property
    def ablated_words(self) -> str:
        """The heads that it switches off, in words; "" for none."""
        return in_words(self.ablate)


@dataclass(frozen=True)
class PresetSet:
    """The presets of some folders.

    Attributes:
        presets: in menu order.
        problems: one sentence for each file that was skipped.
        notes: one sentence for each preset of the operator's that stands in the place of another.
    """

    presets: tuple[Preset, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def get(self, key: str) -> Preset:
        """The preset that a link names.

        Raises:
            UserFacingError: there is none of this name.
        """
        return find_record(self.presets, key, "preset")


def load_presets(*folders: Path) -> PresetSet:
    """Read the presets of some folders, by default those that come with HeadScope; never raises.

    Args:
        *folders: of two presets of one name the one in the later folder stands, so the operator's come last.
    """
    read = read_folders(folders or (PRESETS_FOLDER,), Preset, "preset", "--examples")
    presets = sorted(read.records, key=lambda preset: (preset.order, preset.key))
    return PresetSet(tuple(presets), read.problems, read.notes)


@dataclass(frozen=True)
class OpenPreset:
    """A preset as the page shows it on one model.

    Attributes:
        preset: the preset.
        model: the model.
        asked: what the page shows before the reveal: nothing is off.
        revealed: what it shows afterwards. The same as `asked` where nothing is asked.
        problems: a sentence for each thing in the preset that this model does not have.
    """

    preset: Preset
    model: str
    asked: PageState
    revealed: PageState
    problems: tuple[str, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether there is a question to answer before the reveal."""
        return self.preset.question is not None


def choose_model(preset_models: Sequence[str], title: str, shown: str | None, models: Sequence[str]) -> str:
    """The model to open a preset or a lesson on: the one on show if it is made for it, else its first one.

    Args:
        preset_models: the models that it is made for; none: any.
        title: its title, for the sentence.
        shown: the model that the page shows.
        models: the models that may be used.

    Raises:
        UserFacingError: it is made for models that are not here, or there is no model at all.
    """
    fitting = [name for name in preset_models or models if name in models]
    if shown in fitting:
        return str(shown)
    if not fitting:
        raise UserFacingError(
            f"“{title}” is made for {' or '.join(preset_models) or 'a model'}, which is not here.",
            "Choose another one.",
        )
    return fitting[0]


def open_preset(preset: Preset, model: str, catalog: Catalog | None) -> OpenPreset:
    """Work out what the page shows for a preset on a model; nothing is computed with the model.

    Args:
        preset: the preset.
        model: the model's name.
        catalog: the model's catalog, in which the heads are looked up; None where it has none.
    """
    problems: list[str] = []
    head, off = None, frozenset()
    try:
        head = resolve(preset.head, catalog, model)[0] if preset.head else None
        off = resolve_all(preset.ablate, catalog, model)
    except UserFacingError as error:
        problems.append(str(error))
    revealed = PageState(
        model=model,
        prompt=preset.prompt,
        head=head,
        ablated=off,
        mode=preset.mode,
        position=preset.position,
        target=preset.target,
        against=preset.against,
        view=preset.view or next(iter(VIEWS)),
        preset=preset.key,
    )
    asked = revealed
    if preset.question is not None:
        asked = replace(revealed, ablated=frozenset(), view=next(iter(VIEWS)))
    return OpenPreset(preset, model, asked, revealed, tuple(problems))
