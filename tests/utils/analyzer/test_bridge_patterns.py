"""The analyzer's forward pass (TransformerLens) against the live one (PyVene)."""

import gc
import json
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

import utils.analyzer.bridge_patterns
from tests.fixtures.makers.tiny_models import BUILDERS, save_tiny_model
from tests.fixtures.model_folders import edit_config, edit_weights
from utils.analyzer.bridge_patterns import CHUNK, BridgePatterns
from utils.analyzer.catalog_building import AnalysisOptions, analyze
from utils.errors import UserFacingError
from utils.forward.attention_capture import Capture, capture
from utils.heads import Head
from utils.models.loading import load_model

_BIAS = "attention.query_key_value.bias"


def _without_added_tokens(tokenizer: Any) -> Tokenizer:
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    # Its one special token becomes a token like any other, with a name that nobody looks for.
    vocabulary = backend["model"]["vocab"]
    vocabulary["Ġzzzz"] = vocabulary.pop("<|endoftext|>")
    return Tokenizer.from_str(json.dumps(backend | {"added_tokens": []}))


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


def test_a_config_that_transformerlens_reads_otherwise_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_model("gpt2", tmp_path / "unusual")
    edit_config(folder, scale_attn_weights=False)
    with pytest.raises(UserFacingError) as caught:
        BridgePatterns(load_model(folder.name, folder))
    assert "reads the config.json of unusual otherwise than transformers does" in caught.value.message
    assert caught.value.message.count(". ") == 0


def test_patterns_that_differ_are_refused_for_every_family(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `is_causal: false` where TransformerLens masks what comes later all the same."""

    def other(*arguments: Any) -> Capture:
        found = capture(*arguments)
        return replace(found, attention=found.attention.flip(-1))

    monkeypatch.setattr(utils.analyzer.bridge_patterns, "capture", other)
    with pytest.raises(UserFacingError, match=r"differs by up to [01]\.\d{3}\. "):
        BridgePatterns(load_model(folder.name, folder))


def test_whatever_fails_inside_transformerlens_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_tiny_model("gpt_neox", tmp_path / "biased")
    edit_weights(folder, lambda weights: [weights.pop(name) for name in list(weights) if _BIAS in name])
    edit_config(folder, attention_bias=False)
    model = load_model("unbiased", folder)
    assert capture(model, [1, 2]).attention.isfinite().all()
    with pytest.raises(UserFacingError) as caught:
        BridgePatterns(model)
    assert "cannot run unbiased (AssertionError: “assert isinstance(qkv_bias" in caught.value.message
    assert "memory" not in str(caught.value) and "\n" not in str(caught.value)


def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> BridgePatterns:
    """A tiny model in TransformerLens whose forward raises `error`."""
    folder = save_tiny_model("gpt2", tmp_path / "tiny")
    source = BridgePatterns(load_model(folder.name, folder))

    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(source.bridge, "run_with_hooks", fail)
    return source


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("a size\nof a tensor"), "RuntimeError: “a size of a tensor”"),
        (OSError(2, "No such file"), "FileNotFoundError: “[Errno 2] No such file”"),
        (TypeError(), "TypeError: “raise error”"),
        (ValueError("x" * 500), f"ValueError: “{'x' * 80}…”"),
    ],
)
def test_what_fails_in_its_forward_is_one_sentence_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    source = failing(tmp_path, monkeypatch, error)
    with pytest.raises(UserFacingError) as caught:
        list(source.patterns([[1, 2]]))
    assert said in caught.value.message


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory")],
)
def test_too_little_memory_is_not_blamed_on_transformerlens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    source = failing(tmp_path, monkeypatch, error)
    with pytest.raises(type(error)):
        list(source.patterns([[1, 2]]))


def test_a_tokenizer_without_special_tokens_stays_as_it_is(tmp_path: Path) -> None:
    """The bridge adds one to what it is handed, beyond the vocabulary of the model."""
    folder = save_tiny_model("gpt2", tmp_path / "plain")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    plain = PreTrainedTokenizerFast(tokenizer_object=_without_added_tokens(tokenizer))
    plain.save_pretrained(folder)
    loaded = load_model(folder.name, folder)
    assert loaded.bos_id is None and not loaded.special_ids
    length = len(loaded.tokenizer)
    source = BridgePatterns(loaded)
    assert len(loaded.tokenizer) == length and loaded.tokenizer.eos_token is None
    assert len(source.bridge.tokenizer) > length
    found = analyze(loaded, source.patterns, AnalysisOptions(sequences=5)).catalog
    assert found.settings.bos_id is None and found.settings.special_ids == []


@pytest.mark.parametrize("model_type", ["gpt2", "llama", "qwen2"])
def test_a_tokenizer_longer_than_the_embedding_is_analyzed_as_if_it_were_not(
    tmp_path: Path, model_type: str
) -> None:
    folder = save_tiny_model(model_type, tmp_path / "longer")
    options = AnalysisOptions(sequences=5)
    plain = load_model(folder.name, folder)
    expected = analyze(plain, BridgePatterns(plain).patterns, options).catalog
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    tokenizer.save_pretrained(folder)
    longer = load_model(folder.name, folder)
    # Also where it is no special token, which alone would keep it from being drawn.
    longer = replace(longer, special_ids=plain.special_ids)
    assert len(longer.tokenizer) == longer.model.config.vocab_size + 1
    found = analyze(longer, BridgePatterns(longer).patterns, options).catalog
    assert found.all_scores == expected.all_scores


def test_a_test_sentence_that_needs_a_missing_row_is_one_sentence(tmp_path: Path) -> None:
    folder = save_tiny_model("gpt2", tmp_path / "longer")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["garden"])
    tokenizer.save_pretrained(folder)
    longer = load_model(folder.name, folder)
    with pytest.raises(UserFacingError, match="test input holds “garden”, a token of the tokenizer"):
        analyze(longer, BridgePatterns(longer).patterns, AnalysisOptions(sequences=5))
    with pytest.raises(UserFacingError, match="test sentence holds “garden”"):
        capture(longer, [1, 2], [Head(0, 0)], "mean")


def test_a_model_is_freed_with_its_bridge(tmp_path: Path) -> None:
    """The analyzer loads it twice where it ranks heads too, and there may be room for one alone."""
    folder = save_tiny_model("gpt2", tmp_path / "tiny")
    loaded = load_model(folder.name, folder)
    gone = weakref.ref(loaded.model)
    BridgePatterns(loaded)
    del loaded
    gc.collect()
    assert gone() is None
