"""What the tests of the command lines share."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import utils.models.sources
from utils.models.hub_cache import Hub


@pytest.fixture(scope="session")
def models(tiny_models_folder: Path) -> Path:
    """The folder of tiny-gpt2 and tiny-llama, under a name that fits into command lines."""
    return tiny_models_folder


@pytest.fixture
def use_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that puts the hub at this address, and an empty cache, in the place of the usual ones."""

    def use(endpoint: str) -> None:
        monkeypatch.setattr(utils.models.sources, "Hub", partial(Hub, tmp_path / "hub", endpoint))

    return use
