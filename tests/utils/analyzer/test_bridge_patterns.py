"""The analyzer's forward pass (TransformerLens) against the live one (PyVene)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from tests.fixtures.tiny_models import BUILDERS, save_tiny_model
from utils.analyzer.bridge_patterns import CHUNK, BridgePatterns
from utils.errors import UserFacingError
from utils.forward.attention_capture import capture
from utils.models.loading import load_model


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
    chunks = list(bridge.patterns(sequences))
    assert all(len(chunk.sequences) <= CHUNK for chunk in chunks)
    seen = [
        (tokens, torch.stack([layer[number] for layer in chunk.layers]))
        for chunk in chunks
        for number, tokens in enumerate(chunk.sequences)
    ]
    assert sorted(map(tuple, sequences)) == sorted(tuple(tokens) for tokens, _ in seen)
    for tokens, attention in seen:
        expected = capture(live, tokens).attention
        assert attention.shape == expected.shape
        # These weights are large, and so are the logits that float32 rounds.
        torch.testing.assert_close(attention, expected, atol=1e-5, rtol=0)


def test_a_sequence_longer_than_the_context_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_model("gpt2", tmp_path / "tiny")
    bridge = BridgePatterns(load_model(folder.name, folder))
    with pytest.raises(UserFacingError, match="up to 129 tokens"):
        list(bridge.patterns(_sequences(1, 129)))


def test_the_bridge_is_as_it_was_after_a_forward_that_was_cut_short(folder: Path) -> None:
    source = BridgePatterns(load_model(folder.name, folder))
    [tokens] = _sequences(1, 12)
    ids = torch.tensor([tokens])
    before = source.bridge(ids)
    first, second = (next(iter(source.patterns([tokens]))) for _ in range(2))
    assert torch.equal(source.bridge(ids), before)
    assert all(torch.equal(one, other) for one, other in zip(first.layers, second.layers, strict=True))
    # TransformerLens's own way gives the same patterns.
    _, cache = source.bridge.run_with_cache(ids)
    for layer, pattern in enumerate(first.layers):
        torch.testing.assert_close(pattern, cache["pattern", layer], atol=1e-6, rtol=0)


@pytest.mark.parametrize("bos", [True, False])
def test_the_tokenizer_of_the_bridge_reads_whole_texts(tmp_path: Path, bos: bool) -> None:
    """With a start token the bridge reads the tokenizer from its folder once more, truncation included."""
    folder = save_tiny_model("gpt2", tmp_path / "tiny")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    if not bos:
        tokenizer.bos_token = None
    tokenizer(["a"], truncation=True, max_length=5, padding="max_length")
    tokenizer.save_pretrained(folder)
    read = BridgePatterns(load_model(folder.name, folder)).bridge.tokenizer.backend_tokenizer
    assert read.truncation is None and read.padding is None
    assert len(read.encode("The cat sat on the mat again", add_special_tokens=False).ids) > 5
