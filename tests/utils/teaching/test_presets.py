"""Preset files: good ones load, a bad one is named with its line and skipped; what one opens on a model."""

import re
from pathlib import Path

import pytest

from tests.fixtures.catalogs import make_catalog
from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_MODES
from utils.heads import Head
from utils.links.page_state import VIEWS, PageState
from utils.models.sources import REAL_MODEL
from utils.roles.registry import ROLES
from utils.teaching.head_references import HeadReference
from utils.teaching.presets import (
    FIRST_PROMPT,
    PRESETS_FOLDER,
    Preset,
    PresetSet,
    choose_model,
    load_presets,
    open_preset,
)

GOOD = "title: Good\nprompt: A good prompt\n"
FULL = """\
title: Full
model: demo-gpt2
prompt: The cat sat. The cat
order: 3
roles: [induction, duplicate_token]
head: {role: induction, rank: 2}
ablate:
  - all induction heads
  - duplicate_token 1
mode: mean
target: sat
against: ran
position: 4
view: effects
compare_with: The dog ran.
look_for: The line.
question: What will it be?
answer: This.
cover: [heatmap, bertviz]
effect: {token: sat, at_least: 0.2}
shows:
  - {from: cat, at: sat, at_least: 0.5}
"""


def write(folder: Path, **files: str | bytes) -> None:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / f"{name}.yaml").write_bytes(data)


def read(folder: Path, text: str) -> Preset:
    write(folder, one=text)
    found = load_presets(folder)
    assert found.problems == ()
    return found.presets[0]


def test_the_presets_that_come_with_headscope_are_good() -> None:
    found = load_presets()
    assert found.problems == () and found.notes == ()
    assert len(found.presets) == len(list(PRESETS_FOLDER.glob("*.yaml"))) >= 12
    # The first visit shows the first of the model at hand.
    assert found.presets[0].model == (REAL_MODEL,)
    assert next(p for p in found.presets if "demo-gpt2" in p.model).prompt == FIRST_PROMPT
    assert len({preset.title for preset in found.presets}) == len(found.presets)


def test_the_readme_tells_of_every_field() -> None:
    message = (PRESETS_FOLDER / "README.md").read_text(encoding="utf-8")
    rows = " ".join(line.split("|")[1] for line in message.splitlines() if line.startswith("| `"))
    assert set(re.findall("`(.+?)`", rows)) == set(Preset.model_fields)
    assert all(f"`{key}`" in message for key in (*ROLES, *VIEWS, *ABLATION_MODES))


def test_a_title_and_a_prompt_are_enough(tmp_path: Path) -> None:
    preset = read(tmp_path, GOOD)
    assert (preset.key, preset.folder, preset.order) == ("one", tmp_path.name, 100)
    opened = open_preset(preset, "small", None)
    assert opened.asked == opened.revealed
    assert opened.asked == PageState(
        model="small", prompt="A good prompt", ablated=frozenset(), mode="zero", view="next", preset="one"
    )
    assert opened.problems == () and not opened.asks


def test_everything_that_a_preset_can_say(tmp_path: Path) -> None:
    preset = read(tmp_path, FULL)
    assert preset.model == ("demo-gpt2",) and preset.effect_token == "sat"
    assert preset.head == HeadReference("induction", 2, 2)
    assert preset.ablated_words == "all induction heads and the first duplicate-token head"
    assert preset.shows[0].source == "cat"
    write(tmp_path, one=FULL.replace("model: demo-gpt2", "model: [a/b, c]"))
    assert load_presets(tmp_path).presets[0].model == ("a/b", "c")


CATALOG = make_catalog(
    "small",
    3,
    4,
    {"induction": [(Head(2, 1), 0.9), (Head(1, 3), 0.8)], "duplicate_token": [(Head(0, 0), 0.7)]},
)


def test_before_the_reveal_nothing_is_off_and_no_view_gives_it_away(tmp_path: Path) -> None:
    opened = open_preset(read(tmp_path, FULL), "small", CATALOG)
    assert opened.asks and opened.problems == ()
    assert opened.revealed == PageState(
        model="small",
        prompt="The cat sat. The cat",
        head=Head(1, 3),
        ablated=frozenset({Head(2, 1), Head(1, 3), Head(0, 0)}),
        mode="mean",
        position=4,
        target="sat",
        against="ran",
        view="effects",
        preset="one",
    )
    assert opened.asked.ablated == frozenset() and opened.asked.view == "next"
    assert opened.asked.head == Head(1, 3)


def test_what_a_model_does_not_have_is_said_and_the_rest_is_shown(tmp_path: Path) -> None:
    preset = read(tmp_path, FULL.replace("rank: 2", "rank: 3"))
    opened = open_preset(preset, "small", CATALOG)
    (problem,) = opened.problems
    assert problem.startswith("small has 2 induction heads, so the third induction head cannot be shown.")
    assert opened.revealed.head is None and opened.revealed.prompt == preset.prompt
    (problem,) = open_preset(preset, "small", None).problems
    assert "the heads of small have no catalog yet" in problem


def test_small_orders_come_first_then_names(tmp_path: Path) -> None:
    write(
        tmp_path,
        b="title: B\nprompt: b\norder: 2\n",
        a="title: A\nprompt: a\n",
        c="title: C\nprompt: c\norder: -1\n",
        d="title: D\nprompt: d\norder: 2\n",
    )
    (tmp_path / "notes.txt").write_text("no preset", encoding="utf-8")
    assert [preset.title for preset in load_presets(tmp_path).presets] == ["C", "B", "D", "A"]


BAD: dict[str, tuple[str | bytes, str]] = {
    "no yaml": ("title: A\nprompt: [1, 2\n", "line 3: "),
    "bad indentation": ("title: A\nprompt: b\n  order: : 2\n", "line 3: "),
    "tab": ("title: A\n\tprompt: b\n", "line 2: "),
    "no prompt": ("title: A\n", "line 1: prompt: Field required"),
    "unknown key": ("title: A\nprompt: b\ncolour: red\n", "line 3: colour: "),
    "key twice": ("title: A\nprompt: b\ntitle: C\n", "line 3: title: stands twice"),
    "own key": ("title: A\nprompt: b\nkey: c\n", "line 3: key: "),
    "order in words": ("title: A\nprompt: b\n\norder: first\n", "line 4: order: "),
    "order without end": ("title: A\nprompt: b\norder: .inf\n", "line 3: order: "),
    "title is no text": ("title: 2024-01-02\nprompt: b\n", "line 1: title: "),
    "no such date": ("title: 2024-13-45\nprompt: b\n", "line 1: "),
    "empty title": ("prompt: b\ntitle: ''\n", "line 2: title: "),
    "title too long": (f"prompt: b\ntitle: {'x' * 81}\n", "line 2: title: "),
    "list": ("- a\n- b\n", "line 1: it must hold title: and prompt:"),
    "empty": ("", "line 1: it must hold title: and prompt:"),
    "two documents": ("title: A\nprompt: b\n---\ntitle: C\n", "line 3: "),
    "python object": ("title: !!python/object/apply:os.getcwd []\nprompt: b\n", "line 1: "),
    "no utf-8": (b"title: A\nprompt: \xff\xfe\n", "line 2: it is not UTF-8"),
    "control character": ("title: A\nprompt: a\x00b\n", "line 2: "),
    "lone surrogate": ('title: A\nprompt: "a\\ud800b"\n', "line 2: prompt: "),
    "a thousand brackets": ("[" * 5000, "line 1: "),
    "enormous": (GOOD + "#" * 100_000, "it has more than 100,000 bytes"),
    "a list in itself": ("title: A\nprompt: b\nroles: &r [*r]\n", "line 3: roles: "),
    "no such role": (GOOD + "roles: [magic]\n", "line 3: roles: 'magic' is no role; choose from previous"),
    "no such view": (GOOD + "view: sideways\n", "line 3: view: 'sideways' is no view"),
    "no such mode": (GOOD + "mode: half\n", "line 3: mode: "),
    "no such part": (GOOD + "question: a\ncover: [ceiling]\n", "line 4: cover: 'ceiling' is no part of"),
    "head by its name": (GOOD + "head: L1H2\n", "line 3: head: 'L1H2' names no heads; write"),
    "several heads": (GOOD + "head: all induction heads\n", "line 3: head: it must name one head, not all"),
    "no rank": (GOOD + "head:\n  role: induction\n  rank: -1\n", "line 3: head: the rank must be"),
    "no heads": (GOOD + "ablate: []\n", "line 3: ablate: it must name from 1"),
    "answer without question": (GOOD + "answer: Yes.\n", "line 3: answer: it needs a question before it"),
    "cover without question": (GOOD + "cover: heatmap\n", "line 3: cover: it needs a question before it"),
    "effect of nothing": (GOOD + "target: a\neffect: {}\n", "line 4: effect: it needs heads to switch off"),
    "effect on nothing": (GOOD + "ablate: diffuse 1\neffect: {}\n", "line 4: effect: it needs a token"),
    "effect too large": (
        GOOD + "ablate: diffuse 1\ntarget: a\neffect:\n  at_least: 2\n",
        "line 6: effect.at_least: ",
    ),
    "looks without a head": (GOOD + "shows: [{from: a, at: b}]\n", "line 3: shows: it needs a head"),
    "looks nowhere": (
        GOOD + "head: diffuse 1\nshows:\n  - {from: a, at: b}\n  - {from: a}\n",
        "line 6: shows.2.at: Field required",
    ),
    "negative position": (GOOD + "position: -1\n", "line 3: position: "),
}


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_named_with_its_line_and_the_others_load(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    write(tmp_path, good=GOOD, bad=content)
    found = load_presets(tmp_path)
    assert [preset.title for preset in found.presets] == ["Good"]
    (problem,) = found.problems
    assert problem.startswith(f"Preset bad.yaml was skipped: {reason}")
    assert problem.endswith(".") and "\n" not in problem and str(tmp_path) not in problem


def test_what_cannot_be_opened_is_skipped_too(tmp_path: Path) -> None:
    write(tmp_path, good=GOOD)
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / f"{'n' * 81}.yaml").write_text(GOOD, encoding="utf-8")
    found = load_presets(tmp_path)
    assert len(found.presets) == 1 and len(found.problems) == 3
    assert "folder.yaml was skipped: Is a directory." in found.problems[0]
    assert "gone.yaml was skipped: No such file or directory." in found.problems[1]
    assert "its name must be plain text of at most 80 characters." in found.problems[2]


def test_a_missing_folder_is_a_problem_and_no_error(tmp_path: Path) -> None:
    assert load_presets(tmp_path / "mine") == PresetSet(
        (), ("The presets folder mine is missing; check --examples.",)
    )
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    assert load_presets(tmp_path / "file").problems == (
        "The presets folder file cannot be read (Not a directory); check --examples.",
    )


def test_an_empty_folder_is_no_problem(tmp_path: Path) -> None:
    assert load_presets(tmp_path) == PresetSet()


def test_the_operators_preset_stands_in_the_place_of_another_and_is_named(tmp_path: Path) -> None:
    write(tmp_path / "shipped", a="title: A\nprompt: a\n", b="title: B\nprompt: b\n")
    write(tmp_path / "mine", b="title: My B\nprompt: b\n", c="title: C\nprompt: c\n")
    found = load_presets(tmp_path / "shipped", tmp_path / "mine")
    assert [(preset.key, preset.title, preset.folder) for preset in found.presets] == [
        ("a", "A", "shipped"),
        ("b", "My B", "mine"),
        ("c", "C", "mine"),
    ]
    assert found.problems == ()
    assert found.notes == ("Preset b.yaml of the folder mine stands in the place of the one in shipped.",)
    # A bad file of the operator's takes nothing away, and a folder given twice is one folder.
    write(tmp_path / "mine", b="title: My B\n")
    found = load_presets(tmp_path / "shipped", tmp_path / "mine", tmp_path / "mine")
    assert found.get("b").title == "B" and len(found.problems) == 1 and found.notes == ()


def test_a_preset_is_found_by_its_key(tmp_path: Path) -> None:
    write(tmp_path, a=GOOD, größe=GOOD)
    found = load_presets(tmp_path)
    assert found.get("größe").key == "größe"
    with pytest.raises(UserFacingError, match=r"no preset named “\.\./a”\. Choose one of: a, größe\."):
        found.get("../a")
    with pytest.raises(UserFacingError, match=r"There is no preset here"):
        PresetSet().get("a")


def test_text_stays_as_it_is_written(tmp_path: Path) -> None:
    prompt = 'two\\n\\nlines </script> "שלום" 👍'
    write(tmp_path, a=f"title: T\nprompt: '{prompt}'\n", b='title: U\nprompt: "a\\n\\nb"\n')
    first, second = load_presets(tmp_path).presets
    assert first.prompt == prompt and second.prompt == "a\n\nb"


def test_the_model_to_open_on() -> None:
    models = ["one", "two", "three"]
    assert choose_model((), "T", "two", models) == "two"
    assert choose_model((), "T", None, models) == "one"
    assert choose_model(("three", "two"), "T", "two", models) == "two"
    assert choose_model(("three", "two"), "T", "one", models) == "three"
    assert choose_model(("gone", "two"), "T", None, models) == "two"
    with pytest.raises(UserFacingError, match="“T” is made for gone or lost, which is not here"):
        choose_model(("gone", "lost"), "T", "one", models)
    with pytest.raises(UserFacingError, match="not here"):
        choose_model((), "T", None, [])
