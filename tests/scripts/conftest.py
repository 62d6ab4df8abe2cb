"""What the tests of the command lines share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def models(tiny_models_folder: Path) -> Path:
    """The folder of tiny-gpt2 and tiny-llama, under a name that fits into command lines."""
    return tiny_models_folder
