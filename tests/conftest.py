"""Fixtures for all tests: tiny random models of every family, each saved and loaded once a session."""

import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from scripts.analyze_heads import main as analyze
from tests.hand_built import NAME, save_hand_built
from tests.preset_claims import MODELS, PRESETS
from tests.tiny_models import BUILDERS, save_tiny_model
from utils.live_analysis import LiveService
from utils.model_loading import LoadedModel, load_model
from utils.model_store import ModelStore
from utils.prepared_presets import PreparedPresets

# On models this small more threads are slower, and the suite runs in several processes. The variable is for
# the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two models, tiny-gpt2 and tiny-llama. Do not change it: copy what you want to break."""
    folder = tmp_path_factory.mktemp("models")
    for model_type in ("gpt2", "llama"):
        save_tiny_model(model_type, folder / f"tiny-{model_type}")
    return folder


@pytest.fixture(scope="session")
def tiny_model(
    tiny_models_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], LoadedModel]:
    """A function that gives the tiny model of a family, made and loaded when first asked for."""
    others = tmp_path_factory.mktemp("families")

    @cache
    def load(model_type: str) -> LoadedModel:
        name = f"tiny-{model_type}"
        folder = tiny_models_folder / name
        if not folder.is_dir():
            folder = save_tiny_model(model_type, others / name)
        return load_model(name, folder)

    return load


@pytest.fixture(scope="session", params=list(BUILDERS))
def loaded(request: pytest.FixtureRequest, tiny_model: Callable[[str], LoadedModel]) -> LoadedModel:
    """Each family's tiny model in turn."""
    return tiny_model(request.param)


@pytest.fixture(scope="session")
def tiny_gpt2(tiny_model: Callable[[str], LoadedModel]) -> LoadedModel:
    """The tiny GPT-2."""
    return tiny_model("gpt2")


@pytest.fixture(scope="session")
def tiny_llama(tiny_model: Callable[[str], LoadedModel]) -> LoadedModel:
    """The tiny Llama, with grouped-query attention and heads wider than hidden size / heads."""
    return tiny_model("llama")


@pytest.fixture
def copied_model(tiny_models_folder: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A function that copies the tiny model of a family into a folder of the test's own, to be broken."""

    def copy(model_type: str) -> Path:
        return Path(shutil.copytree(tiny_models_folder / f"tiny-{model_type}", tmp_path / "model"))

    return copy


@pytest.fixture(scope="session")
def service() -> LiveService:
    """The live entry point on the bundled models and their catalogs. Leave its store and its folder alone."""
    return LiveService(ModelStore())


@pytest.fixture(scope="session")
def prepared(service: LiveService) -> PreparedPresets:
    """The presets that come with the project, each computed when first asked for."""
    return PreparedPresets(PRESETS, service, MODELS)


@pytest.fixture(scope="session")
def built_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model whose heads are known by construction and, in `catalogs`, its catalog."""
    folder = tmp_path_factory.mktemp("built")
    save_hand_built(folder / NAME)
    assert analyze(["--model", str(folder / NAME), "--output", str(folder / "catalogs")]) == 0
    return folder
