import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from callbacks.serving.settings import Settings, build_parser, parse_settings, rows

ROOT = Path(__file__).resolve().parents[3]


def read(*argv: str, **variables: str) -> Settings:
    return parse_settings(
        build_parser(), argv, {f"HEADSCOPE_{key}": value for key, value in variables.items()}
    )


def test_an_option_goes_before_its_variable_and_both_before_the_default():
    assert read() == Settings(prepare=True)
    assert read(PORT="9000", MODELS="a, b").models == ("a", "b")
    assert read("--port", "9001", PORT="9000").port == 9001
    assert read(PREPARE="no").prepare is False and read("--no-prepare", PREPARE="yes").prepare is False
    assert read("--model-dir", "x", "--model-dir", "y").model_dirs == (Path("x"), Path("y"))
    assert read(MODEL_DIRS="x,y").model_dirs == (Path("x"), Path("y"))
    assert read("--pages", "words", "live").pages == ("glossary", "live")
    assert read("--memory", "1.5").memory == 1_500_000_000
    assert read(ALLOWED_HOSTS="Lab.example").allowed_hosts == ("lab.example",)
    assert read("--prefix", "/lab/headscope/").prefix == "/lab/headscope" and read(PREFIX="/").prefix == ""
    assert read("--metrics").metrics and read(METRICS="yes").metrics and not read().metrics


@pytest.mark.parametrize(
    "variables",
    [
        {"PORT": "x"},
        {"PORT": "70000"},
        {"MEMORY": "nan"},
        {"PREPARE": "maybe"},
        {"PAGES": "live,nonsense"},
        {"ALLOWED_HOSTS": "lab.example:80"},
        {"EMBED_IN": "*; script-src *"},
        {"PREFIX": "headscope"},
        {"PREFIX": "//evil.example"},
        {"PREFIX": "/../x"},
        {"CACHE": "http://127.0.0.1"},
    ],
)
def test_a_bad_variable_is_named_and_ends_with_status_2(variables, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        read(**variables)
    assert ended.value.code == 2
    assert f"HEADSCOPE_{next(iter(variables))}: " in capsys.readouterr().err


def test_the_readme_has_every_setting():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for option, variable, meaning in rows():
        assert f"| `{option}` | `{variable}` | {meaning} |" in readme, option


def test_make_serve_takes_every_setting():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    named = re.search(r"^SETTINGS := (.*)$", makefile, flags=re.MULTILINE)
    assert named and named[1].split() == [field.name.upper() for field in fields(Settings)]


@pytest.mark.skipif(shutil.which("make") is None, reason="There is no make here.")
def test_make_serve_takes_settings_from_its_command_line_alone():
    # What it would do, and every variable that it knows.
    told = subprocess.run(
        ["make", "--dry-run", "--print-data-base", "serve", "MODELS=demo-gpt2,demo-llama", "HOST=0.0.0.0"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PREFIX": "/usr/local", "PORT": "9000"},
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    given = dict(re.findall(r"^serve: HEADSCOPE_(\w+) := (.*)$", told, flags=re.MULTILINE))
    assert given == {"MODELS": "demo-gpt2,demo-llama", "HOST": "0.0.0.0"}
