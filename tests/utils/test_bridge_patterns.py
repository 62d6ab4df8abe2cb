"""The analyzer's forward pass (TransformerLens) against the live one (PyVene)."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tests.tiny_models import BUILDERS, save_tiny_model
from utils.attention_capture import capture
from utils.bridge_patterns import CHUNK, BridgePatterns
from utils.errors import UserFacingError
from utils.model_loading import load_model


def _sequences(count: int, length: int) -> list[Sequence[int]]:
    generator = torch.Generator().manual_seed(length)
    return [torch.randint(1, 300, (length,), generator=generator).tolist() for _ in range(count)]


@pytest.fixture(scope="module", params=BUILDERS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(request.param, tmp_path_factory.mktemp("models") / request.param)


def test_patterns_equal_the_live_ones(folder: Path) -> None:
    live = load_model(folder.name, folder)
    bridge = BridgePatterns(load_model(folder.name, folder))
    # More than one chunk, and more than one length.
    sequences = [*_sequences(CHUNK + 2, 20), *_sequences(3, 9), *_sequences(1, 20)]
    seen = list(bridge.patterns(sequences))
    assert sorted(map(tuple, sequences)) == sorted(tuple(tokens) for tokens, _ in seen)
    for tokens, attention in seen:
        expected = capture(live, tokens).attention
        assert attention.shape == expected.shape
        # These weights are large, and so are the logits that float32 rounds.
        torch.testing.assert_close(attention, expected, atol=1e-5, rtol=0)


def test_a_sequence_longer_than_the_context_is_refused(folder: Path) -> None:
    bridge = BridgePatterns(load_model(folder.name, folder))
    with pytest.raises(UserFacingError, match="up to 129 tokens"):
        list(bridge.patterns(_sequences(1, 129)))
