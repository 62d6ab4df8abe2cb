"""What the tests of the domain share: a hub with one model, a folder of three, a record of loads."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import utils.model_store
from tests.fake_hub import FakeHub, Repository
from tests.hub_model import NAME
from tests.model_folders import shard
from utils.hub_cache import Hub
from utils.jobs import Progress
from utils.model_loading import LoadedModel, load_model


@pytest.fixture
def files(tiny_models_folder: Path, tmp_path: Path) -> Path:
    """The model as it is on the hub, with files that nobody needs here."""
    folder = Path(shutil.copytree(tiny_models_folder / "tiny-gpt2", tmp_path / "there"))
    (folder / "pytorch_model.bin").write_bytes(b"could carry code")
    (folder / "modeling_evil.py").write_text("raise SystemExit")
    (folder / "chat_template.jinja").write_text("{{ x }}")
    (folder / "README.md").write_text("# Tiny")
    return folder


@pytest.fixture
def in_shards(files: Path) -> Path:
    """The same with its weights in two files."""
    shard(files)
    return files


@pytest.fixture
def fake(files: Path) -> Iterator[FakeHub]:
    """A hub that has this one model."""
    with FakeHub(**{NAME: Repository(files)}) as server:
        yield server


@pytest.fixture
def hub(fake: FakeHub, tmp_path: Path) -> Hub:
    return Hub(tmp_path / "cache", fake.endpoint)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were loaded, in order."""
    names: list[str] = []

    def counted(name: str, folder: Path, device: str, dtype: str, progress: Progress) -> LoadedModel:
        names.append(name)
        return load_model(name, folder, device, dtype, progress)

    monkeypatch.setattr(utils.model_store, "load_model", counted)
    return names


@pytest.fixture
def three(tiny_models_folder: Path, tmp_path: Path) -> Path:
    """A folder of three models, each 200 to 220 kB large."""
    for name in ("a", "b", "c"):
        shutil.copytree(tiny_models_folder / "tiny-gpt2", tmp_path / "three" / name)
    return tmp_path / "three"
