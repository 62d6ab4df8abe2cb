"""Example files: good ones load, a bad one is named with its line and skipped."""

from pathlib import Path

import pytest

from utils.examples import EXAMPLES_FOLDER, FIRST_PROMPT, load_examples

GOOD = "title: Good\nprompt: A good prompt\n"


def write(folder: Path, **files: str | bytes) -> None:
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / f"{name}.yaml").write_bytes(data)


def test_the_examples_that_come_with_headscope_are_good() -> None:
    found = load_examples()
    assert found.problems == ()
    assert len(found.examples) == len(list(EXAMPLES_FOLDER.glob("*.yaml"))) >= 4
    assert found.examples[0].prompt == FIRST_PROMPT
    assert len({example.title for example in found.examples}) == len(found.examples)


def test_small_orders_come_first_then_names(tmp_path: Path) -> None:
    write(
        tmp_path,
        b="title: B\nprompt: b\norder: 2\n",
        a="title: A\nprompt: a\n",
        c="title: C\nprompt: c\norder: -1\n",
        d="title: D\nprompt: d\norder: 2\n",
    )
    (tmp_path / "notes.txt").write_text("no example", encoding="utf-8")
    assert [example.title for example in load_examples(tmp_path).examples] == ["C", "B", "D", "A"]


BAD: dict[str, tuple[str | bytes, str]] = {
    "no yaml": ("title: A\nprompt: [1, 2\n", "line 3: "),
    "bad indentation": ("title: A\nprompt: b\n  order: : 2\n", "line 3: "),
    "tab": ("title: A\n\tprompt: b\n", "line 2: "),
    "no prompt": ("title: A\n", "line 1: prompt: Field required"),
    "unknown key": ("title: A\nprompt: b\ncolour: red\n", "line 3: colour: "),
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
}


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_named_with_its_line_and_the_others_load(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    write(tmp_path, good=GOOD, bad=content)
    found = load_examples(tmp_path)
    assert [example.title for example in found.examples] == ["Good"]
    (problem,) = found.problems
    assert problem.startswith(f"Example bad.yaml was skipped: {reason}")
    assert problem.endswith(".") and "\n" not in problem and str(tmp_path) not in problem


def test_what_cannot_be_opened_is_skipped_too(tmp_path: Path) -> None:
    write(tmp_path, good=GOOD)
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    found = load_examples(tmp_path)
    assert len(found.examples) == 1 and len(found.problems) == 2
    assert "folder.yaml was skipped: Is a directory." in found.problems[0]
    assert "gone.yaml was skipped: No such file or directory." in found.problems[1]


def test_a_missing_folder_is_a_problem_and_no_error(tmp_path: Path) -> None:
    found = load_examples(tmp_path / "mine")
    assert found.examples == ()
    assert found.problems == ("The examples folder mine is missing; check --examples.",)


def test_an_empty_folder_is_no_problem(tmp_path: Path) -> None:
    assert load_examples(tmp_path) == type(load_examples(tmp_path))(())


def test_text_stays_as_it_is_written(tmp_path: Path) -> None:
    prompt = 'two\\n\\nlines </script> "שלום" 👍'
    write(tmp_path, a=f"title: T\nprompt: '{prompt}'\n", b='title: U\nprompt: "a\\n\\nb"\n')
    first, second = load_examples(tmp_path).examples
    assert first.prompt == prompt and second.prompt == "a\n\nb"
