"""The app as a whole, without a browser: its command line, its layout, what it imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from app import Settings, build_parser, create_app, main
from components import ids


def ids_in(component) -> list:
    return [part.id for part in component._traverse() if getattr(part, "id", None) is not None]


def test_every_id_in_the_layout_is_there_once():
    found = ids_in(create_app().layout)
    assert len(found) == len(set(found))
    assert {ids.MODEL, ids.PROMPT, ids.RUN, ids.BERTVIZ, ids.HEATMAP} <= set(found)


def test_the_app_does_not_import_transformer_lens():
    code = "import sys, app; app.create_app(); print('transformer_lens' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split()[-1] == "False"


def test_nothing_is_asked_of_another_host():
    page = create_app().server.test_client().get("/").text
    assert "https://" not in page
    assert "http://" not in page


def test_the_operators_limits_hold():
    app = create_app(Settings(models=("demo-llama",)))
    menu = next(part for part in app.layout._traverse() if getattr(part, "id", None) == ids.MODEL)
    assert [option["value"] for option in menu.options] == ["demo-llama"]


def test_no_model_at_all_is_told(tmp_path: Path):
    layout = str(create_app(Settings(models=("no-such-model",))).layout)
    assert "There is no model to use" in layout


def test_a_bad_example_is_named_and_skipped(tmp_path: Path):
    (tmp_path / "bad.yaml").write_text("title: [", encoding="utf-8")
    layout = str(create_app(Settings(examples=tmp_path)).layout)
    assert "bad.yaml" in layout
    assert str(tmp_path) not in layout


@pytest.mark.parametrize(
    "arguments", [["--port", "0"], ["--port", "x"], ["--max-tokens", "999"], ["--nonsense"]]
)
def test_bad_usage_ends_with_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_options_that_the_readme_names_are_there():
    told = build_parser().format_help()
    for option in ("--host", "--port", "--model-dir", "--models", "--examples", "--max-tokens"):
        assert option in told
