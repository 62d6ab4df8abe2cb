"""What the study's tests share: the bundled models, loaded once."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from utils.model_loading import LoadedModel, load_model
from utils.model_sources import BUNDLED


@pytest.fixture(scope="session")
def bundled() -> Callable[[str], LoadedModel]:
    """A function that gives a bundled model, loaded when first asked for."""

    @cache
    def load(name: str) -> LoadedModel:
        return load_model(name, BUNDLED / name)

    return load


@pytest.fixture(scope="session")
def exact(loaded: LoadedModel) -> LoadedModel:
    """Each family's tiny model in turn, in float64.

    Their weights are large, so that in float32 another order of the sums changes a pattern by up to 2e-5.
    """
    return replace(loaded, model=copy.deepcopy(loaded.model).double())
