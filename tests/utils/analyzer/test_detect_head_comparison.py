"""TransformerLens's detect_head and our scores on the same sequences."""

from dataclasses import replace

import pytest
import torch

from tests.fixtures.makers.tiny_models import save_tiny_model
from utils.analyzer.bridge_patterns import BridgePatterns
from utils.analyzer.detect_head_comparison import (
    DETECTORS,
    TOLERANCE,
    compare,
    detect,
    rescaled,
    text_sequences,
)
from utils.errors import UserFacingError
from utils.models.loading import LoadedModel, load_model
from utils.roles.random_heads import random_head_patterns
from utils.roles.scores import role_score, role_target

# With BOS and without one; byte-level and SentencePiece text; a sliding window.
TYPES = ("gpt2", "qwen2", "mistral")


@pytest.fixture(scope="module", params=TYPES)
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LoadedModel, BridgePatterns]:
    folder = save_tiny_model(request.param, tmp_path_factory.mktemp("models") / request.param)
    loaded = load_model(folder.name, folder)
    return loaded, BridgePatterns(loaded)


def test_the_two_agree_after_rescaling(both: tuple[LoadedModel, BridgePatterns]) -> None:
    steps: list[tuple[int, int]] = []
    sequences = text_sequences(*both, count=4, seed=1)
    found = compare(*both, sequences, progress=lambda what, done, total: steps.append((done, total)))
    assert found.sequences == 4 and set(found.largest) == set(DETECTORS)
    assert found.within_tolerance and max(found.largest.values()) <= TOLERANCE
    # They are not the same numbers by being the same computation: float32 leaves its traces.
    assert max(found.largest.values()) > 0
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_sequences_come_back_from_their_text(both: tuple[LoadedModel, BridgePatterns]) -> None:
    loaded, source = both
    habit = source.bridge.cfg.default_prepend_bos
    sequences = text_sequences(loaded, source, 5)
    assert len({sequence.tokens for sequence in sequences}) == 5
    assert sequences == text_sequences(loaded, source, 5) != text_sequences(loaded, source, 5, seed=1)
    for sequence in sequences:
        start = [] if loaded.bos_id is None else [loaded.bos_id]
        read = source.bridge.to_tokens(sequence.text, prepend_bos=bool(start))[0].tolist()
        assert read == list(sequence.tokens)
        body = read[len(start) :]
        half = len(body) // 2
        assert read[: len(start)] == start and body[:half] == body[half:] and len(set(body)) == half >= 3
    assert source.bridge.cfg.default_prepend_bos == habit


def test_a_tokenizer_without_such_sequences_is_refused(both: tuple[LoadedModel, BridgePatterns]) -> None:
    loaded, source = both
    # All tokens but two count as special: too few for a segment.
    poor = replace(loaded, special_ids=frozenset(range(len(loaded.tokenizer) - 2)))
    with pytest.raises(UserFacingError, match=r"0 of 1 sequences .* come back from their text"):
        text_sequences(poor, source, 1)


def test_the_value_of_detect_head_is_a_share_of_all_attention(
    both: tuple[LoadedModel, BridgePatterns],
) -> None:
    loaded, source = both
    [sequence] = text_sequences(loaded, source, 1)
    [chunk] = source.patterns([sequence.tokens])
    attention = torch.stack([layer[0] for layer in chunk.layers])
    n = len(sequence.tokens)
    value = detect(loaded, source, sequence.text, "previous_token_head")
    expected = attention.diagonal(-1, -2, -1).sum(-1) / n
    torch.testing.assert_close(value, expected, atol=1e-6, rtol=0)


def _value(attention: torch.Tensor, looked_at: torch.Tensor) -> torch.Tensor:
    """What detect_head computes ("mul", no exclusions), written by hand."""
    return (attention * looked_at).sum((-2, -1)) / attention.sum((-2, -1))


@pytest.mark.parametrize("start", [[0], []], ids=["bos", "no bos"])
@pytest.mark.parametrize("role", DETECTORS)
def test_rescaling_by_hand(role: str, start: list[int]) -> None:
    tokens = [*start, 5, 6, 7, 8, 9, 5, 6, 7, 8, 9]
    attention = random_head_patterns(len(tokens), 2.0, count=6).view(2, 3, len(tokens), len(tokens)).double()
    looked_at = DETECTORS[role].pattern(torch.tensor([tokens])) > 0
    target = role_target(role, tokens, {0})
    theirs = rescaled(_value(attention, looked_at), attention, looked_at, target)
    ours = role_score(role, attention, tokens, {0})
    torch.testing.assert_close(theirs, ours, atol=1e-7, rtol=0)
    # Unscaled they are far apart, so the test can fail.
    assert float((_value(attention, looked_at) - ours).abs().max()) > 0.01


def test_sequences_on_which_the_two_mean_different_keys_are_refused() -> None:
    tokens = [0, 5, 5, 6, 7, 5, 6]  # an adjacent repeat: detect_head's induction looks at the token itself
    attention = random_head_patterns(7, 2.0, count=1)
    looked_at = DETECTORS["induction"].pattern(torch.tensor([tokens])) > 0
    with pytest.raises(ValueError, match="other keys"):
        rescaled(torch.zeros(1), attention, looked_at, role_target("induction", [0, 5, 6, 7, 5, 6, 7], {0}))
