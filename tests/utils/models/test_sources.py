"""From names to places: the operator's folders, the list of allowed names, and what a script's user names."""

import os
import shutil
from pathlib import Path

import pytest

from tests.fixtures.hub.fake_hub import FakeHub, Repository
from tests.fixtures.makers.tiny_models import save_tiny_model
from tests.fixtures.model_folders import FOLDER_NAMES
from utils.catalog.catalog import catalog_path
from utils.errors import UserFacingError
from utils.models.hub_cache import Hub, is_hub_name
from utils.models.sources import BUNDLED, REAL_MODEL, ModelSource, find_model, find_sources, load_source

HUB_NAMES = ("gpt2", "EleutherAI/pythia-70m", "Qwen/Qwen2.5-0.5B", "a", "x" * 96)
NO_HUB_NAMES = (
    "",
    ".",
    "..",
    "../x",
    "/etc",
    "a/b/c",
    "a/",
    "/a",
    "a--b",
    "a..b",
    "a\\b",
    "a b",
    "a\0b",
    "a\nb",
    "gpt2.git",
    "~/x",
    "http://x",
    "é",
    "x" * 97,
    "x" * 100_000,
)


def test_the_real_model_leads(tmp_path: Path, tiny_models_folder: Path) -> None:
    for name in ("a-model", REAL_MODEL, "demo-llama"):
        shutil.copytree(tiny_models_folder / "tiny-gpt2", tmp_path / name)
    sources, problems = find_sources([tiny_models_folder, tmp_path], None)
    assert list(sources) == [REAL_MODEL, "tiny-gpt2", "tiny-llama", "a-model", "demo-llama"]
    assert problems == []


def test_without_the_real_model_the_small_ones_are_shown_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(BUNDLED / "demo-gpt2", tmp_path / "demo-gpt2")
    (tmp_path / REAL_MODEL).mkdir()
    (tmp_path / REAL_MODEL / "README.md").write_text("its card", encoding="utf-8")
    monkeypatch.setattr("utils.models.sources.BUNDLED", tmp_path)
    found, problems = find_sources((tmp_path,), None)
    assert list(found) == ["demo-gpt2"]
    (problem,) = problems
    assert REAL_MODEL in problem.message and "make model" in problem.remedy
    # A class that is locked to other models need not hear of it.
    assert find_sources((tmp_path,), ["demo-gpt2"])[1] == []


def test_the_bundled_models_are_known_as_such(tiny_models_folder: Path) -> None:
    sources, _ = find_sources([BUNDLED, tiny_models_folder], None)
    assert next(iter(sources)) == REAL_MODEL
    assert sources[REAL_MODEL].kind == "bundled"
    assert sources["tiny-gpt2"].kind == "folder"
    assert find_model(REAL_MODEL) == sources[REAL_MODEL]


def test_problems_are_told_and_the_rest_goes_on(tmp_path: Path, tiny_models_folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copytree(tiny_models_folder / "tiny-gpt2", tmp_path / "twin" / "tiny-gpt2")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    folders = [
        tmp_path / "nowhere",
        tmp_path / "empty",
        tmp_path / "loop",
        tiny_models_folder,
        tmp_path / "twin",
        tiny_models_folder,
    ]
    sources, problems = find_sources(folders, ["tiny-gpt2", "../typo"])
    assert list(sources) == ["tiny-gpt2"]
    assert sources["tiny-gpt2"].folder == tiny_models_folder / "tiny-gpt2"
    said = [str(problem) for problem in problems]
    parts = ["nowhere does not exist", "no model in it", "loop does not exist", "two models", "'../typo'"]
    assert len(said) == len(parts)
    for part, sentence in zip(parts, said, strict=True):
        assert part in sentence


def test_allowed_names_that_no_folder_has_are_models_of_the_hub(tiny_models_folder: Path) -> None:
    allowed = ["gpt2", "tiny-llama", "EleutherAI/pythia-70m", "gpt2", "tiny-gpt2"]
    sources, problems = find_sources([tiny_models_folder], allowed)
    assert problems == []
    assert {name: source.kind for name, source in sources.items()} == {
        "tiny-gpt2": "folder",
        "tiny-llama": "folder",
        "gpt2": "hub",
        "EleutherAI/pythia-70m": "hub",
    }
    assert list(sources) == ["tiny-gpt2", "tiny-llama", "gpt2", "EleutherAI/pythia-70m"]
    assert sources["gpt2"].folder is None


def test_without_a_list_of_allowed_names_there_is_no_way_to_the_hub(tiny_models_folder: Path) -> None:
    sources, _ = find_sources([tiny_models_folder], None)
    assert list(sources) == ["tiny-gpt2", "tiny-llama"]
    assert find_sources([tiny_models_folder], []) == ({}, [])


@pytest.mark.parametrize("name", HUB_NAMES)
def test_names_that_the_hub_may_have(name: str) -> None:
    assert is_hub_name(name)
    assert find_model(name) == ModelSource(name, "hub")


@pytest.mark.parametrize("name", NO_HUB_NAMES, ids=lambda name: ascii(name[:12]))
def test_names_that_the_hub_cannot_have(name: str) -> None:
    assert not is_hub_name(name)
    sources, problems = find_sources([], [name])
    assert sources == {} and len(problems) == 1
    assert len(problems[0].message) < 200
    # To a script's user these may also be folders.
    if not os.path.isdir(name):
        with pytest.raises(UserFacingError) as caught:
            find_model(name)
        for part in ("neither a bundled model", "nor a folder", "nor the name of a model on the hub"):
            assert part in caught.value.message
        assert len(caught.value.message) < 200
        assert "demo-gpt2" in caught.value.remedy


def test_a_folder_goes_before_the_hub_and_a_bundled_model_before_both(
    tiny_models_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_models_folder / "tiny-gpt2", tmp_path / "gpt2")
    shutil.copytree(tiny_models_folder / "tiny-gpt2", tmp_path / "demo-llama")
    monkeypatch.chdir(tmp_path)
    assert find_model("gpt2") == ModelSource("gpt2", "folder", Path("gpt2"))
    assert find_model("./demo-llama").kind == "folder"
    assert find_model("demo-llama").kind == "bundled"
    assert find_model(".").name == tmp_path.name
    sources, _ = find_sources([tmp_path], ["gpt2"])
    assert sources["gpt2"].kind == "folder"


def test_names_that_would_share_a_catalog(tiny_models_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_models_folder / "tiny-gpt2", tmp_path / "someone--tiny")
    sources, problems = find_sources([tmp_path], ["someone/tiny", "someone--tiny"])
    assert list(sources) == ["someone--tiny"]
    assert [problem.message for problem in problems] == [
        "The models 'someone--tiny' and 'someone/tiny' would share one catalog; 'someone--tiny' is used."
    ]


def test_a_script_loads_what_it_found(tmp_path: Path) -> None:
    folder = save_tiny_model("gpt2", tmp_path / "there")
    message: list[str] = []

    def progress(what: str, done: int, total: int) -> None:
        message.append(what)

    assert load_source(find_model(str(folder)), progress=progress).name == "there"
    assert "downloading someone/tiny" not in message
    with FakeHub(**{"someone/tiny": Repository(folder)}) as fake:
        hub = Hub(tmp_path / "cache", fake.endpoint)
        loaded = load_source(find_model("someone/tiny"), progress=progress, hub=hub)
    assert loaded.name == "someone/tiny" and loaded.family.model_type == "gpt2"
    assert "downloading someone/tiny" in message


def test_folders_of_any_name_are_in_the_menu_with_catalogs_of_their_own(tmp_path: Path) -> None:
    for name in FOLDER_NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}", encoding="utf-8")
    sources, problems = find_sources((tmp_path,), None)
    assert sorted(sources) == sorted(FOLDER_NAMES) and not problems
    assert all(source.folder == tmp_path / name for name, source in sources.items())
    paths = {catalog_path(name, tmp_path) for name in FOLDER_NAMES}
    assert len(paths) == len(FOLDER_NAMES) and {path.parent for path in paths} == {tmp_path}
    for name in FOLDER_NAMES:
        assert find_model(str(tmp_path / name)).name == name
