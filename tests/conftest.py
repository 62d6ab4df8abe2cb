"""Fixtures for all tests: tiny random models of every family, saved and loaded once a session."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiny_models import BUILDERS, save_tiny_model
from utils.model_loading import LoadedModel, load_model


@pytest.fixture(scope="session")
def tiny_models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of model folders, tiny-gpt2 and so on. Do not change it: copy what you want to break."""
    folder = tmp_path_factory.mktemp("models")
    for model_type in BUILDERS:
        save_tiny_model(model_type, folder / f"tiny-{model_type}")
    return folder


@pytest.fixture(scope="session")
def loaded_models(tiny_models_folder: Path) -> dict[str, LoadedModel]:
    """The tiny models, loaded, by model type."""
    return {
        model_type: load_model(f"tiny-{model_type}", tiny_models_folder / f"tiny-{model_type}")
        for model_type in BUILDERS
    }


@pytest.fixture(scope="session", params=list(BUILDERS))
def loaded(request: pytest.FixtureRequest, loaded_models: dict[str, LoadedModel]) -> LoadedModel:
    """Each family's tiny model in turn."""
    return loaded_models[request.param]


@pytest.fixture(scope="session")
def tiny_gpt2(loaded_models: dict[str, LoadedModel]) -> LoadedModel:
    """The tiny GPT-2."""
    return loaded_models["gpt2"]


@pytest.fixture(scope="session")
def tiny_llama(loaded_models: dict[str, LoadedModel]) -> LoadedModel:
    """The tiny Llama, with grouped-query attention and heads wider than hidden size / heads."""
    return loaded_models["llama"]


@pytest.fixture
def copied_model(tiny_models_folder: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A function that copies the tiny model of a family into a folder of the test's own, to be broken."""

    def copy(model_type: str) -> Path:
        return Path(shutil.copytree(tiny_models_folder / f"tiny-{model_type}", tmp_path / "model"))

    return copy
