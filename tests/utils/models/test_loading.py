"""Loading: good folders, progress, and what goes beyond the memory or the device."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

import utils.models.loading
import utils.models.memory
from tests.fixtures.gates import StopError
from tests.fixtures.makers.tiny_models import save_tiny_model
from tests.fixtures.model_folders import (
    edit_config,
    edit_weights,
    shard,
)
from utils.errors import UserFacingError
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.models.loading import LoadedModel, load_model, loaded_bytes


def test_a_loaded_model_is_ready_to_run(loaded: LoadedModel) -> None:
    assert loaded.name == loaded.path.name == f"tiny-{loaded.family.model_type}"
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in loaded.model.parameters())
    assert loaded.model.config._attn_implementation == "eager"
    assert not loaded.model.training
    bos = loaded.tokenizer.bos_token_id
    assert bos is not None and loaded.bos_id == (
        bos if loaded.family.model_type not in ("qwen2", "qwen3") else None
    )
    assert loaded.bos_added == loaded.family.starts_with_bos
    assert loaded.special_ids == set(loaded.tokenizer.all_special_ids)
    assert loaded.context_length == 128


def test_half_precision_on_disk_becomes_float32(loaded: LoadedModel, tmp_path: Path) -> None:
    folder = save_tiny_model(loaded.family.model_type, tmp_path / "half")
    edit_config(folder, dtype="float16")
    edit_weights(folder, lambda weights: weights.update({k: v.half() for k, v in weights.items()}))
    half = load_model("half", folder).model.state_dict()
    for name, value in loaded.model.state_dict().items():
        assert half[name].dtype == torch.float32
        assert torch.equal(half[name], value.half().float())


def test_a_tokenizer_without_bos_gives_none(copied_model: Callable[[str], Path]) -> None:
    folder = copied_model("gpt2")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "bos_token"}))
    without = load_model("m", folder)
    assert without.bos_id is None
    assert without.special_ids == {0}


def test_a_tokenizer_that_was_saved_with_truncation_and_padding_reads_whole_texts(tmp_path: Path) -> None:
    folder = save_tiny_model("gpt2", tmp_path / "cut")
    text = "The cat sat on the mat. " * 9
    whole = load_model("m", folder).text_tokenizer.encode(text, add_special_tokens=False).ids
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer(["a", "b"], truncation=True, max_length=20, padding="max_length")
    tokenizer.save_pretrained(folder)
    saved = json.loads((folder / "tokenizer.json").read_text())
    assert saved["truncation"] and saved["padding"]
    cut = load_model("m", folder)
    backend = cut.tokenizer.backend_tokenizer
    for read in (cut.text_tokenizer, backend):
        assert read.truncation is None and read.padding is None
        assert read.encode(text, add_special_tokens=False).ids == whole
        assert read.encode("The", add_special_tokens=False).ids == whole[:1]
    assert cut.tokenizer(text, add_special_tokens=False)["input_ids"] == whole


def test_loading_is_quiet_and_leaves_transformers_settings_alone(
    tiny_models_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = utils.models.loading.transformers_logging
    before = settings.get_verbosity(), settings.is_progress_bar_enabled()
    load_model("tiny-gpt2", tiny_models_folder / "tiny-gpt2")
    assert (settings.get_verbosity(), settings.is_progress_bar_enabled()) == before
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


def test_a_model_in_shards_is_the_same_model(
    copied_model: Callable[[str], Path], tiny_llama: LoadedModel
) -> None:
    folder = copied_model("llama")
    shard(folder)
    weights = load_model("m", folder).model.state_dict()
    assert weights.keys() == tiny_llama.model.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in tiny_llama.model.state_dict().items())


def test_shared_weights_stay_shared_and_count_once(loaded: LoadedModel) -> None:
    model: Any = loaded.model
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert (embedding is head) == bool(model.config.tie_word_embeddings)
    names = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    every = sum(model.get_parameter(name).nbytes for name in names) + sum(b.nbytes for b in model.buffers())
    assert loaded_bytes(loaded) == every - (embedding.nbytes if embedding is head else 0)


def test_a_loaded_model_does_not_hang_on_its_file(copied_model: Callable[[str], Path]) -> None:
    """Weights that stay mapped would change with the file, and end the process where it gets shorter."""
    folder = copied_model("gpt2")
    loaded = load_model("m", folder)
    before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    path = folder / "model.safetensors"
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    with path.open("r+b") as file:
        file.truncate(10)
    assert all(torch.equal(value, before[name]) for name, value in loaded.model.state_dict().items())


def test_progress_tells_each_weight_and_ends_whole(tiny_models_folder: Path) -> None:
    message: list[tuple[str, int, int]] = []
    load_model(
        "m",
        tiny_models_folder / "tiny-gpt2",
        progress=lambda what, done, total: message.append((what, done, total)),
    )
    stages = list(dict.fromkeys(what for what, _, _ in message))
    assert stages == [
        "checking the files",
        "reading the weights",
        "checking the weights",
        "reading the tokenizer",
    ]
    for stage in stages[1:]:
        steps = [(done, total) for what, done, total in message if what == stage]
        total = steps[0][1]
        assert steps == [(done, total) for done in range(total + 1)]
    assert len(message) > 60


def test_a_load_can_be_stopped_at_every_step(
    tiny_models_folder: Path, tiny_gpt2: LoadedModel, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_models_folder / "tiny-gpt2"
    message: list[str] = []
    load_model("m", folder, progress=lambda what, done, total: message.append(what))
    number = torch.get_default_dtype()
    for stop_at in {0, 1, 2, 10, message.index("checking the weights"), len(message) - 2, len(message) - 1}:
        left = iter(range(stop_at))

        def progress(what: str, done: int, total: int, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise StopError

        with pytest.raises(StopError):
            load_model("m", folder, progress=progress)
    assert torch.get_default_dtype() == number
    again = load_model("m", folder).model.state_dict()
    assert all(torch.equal(again[name], value) for name, value in tiny_gpt2.model.state_dict().items())
    assert capfd.readouterr().err == ""


def test_a_model_that_does_not_fit_is_refused_with_both_numbers(
    tiny_models_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utils.models.memory, "free_memory", lambda device: 12_300_000)
    with pytest.raises(UserFacingError) as caught:
        load_model("tiny", tiny_models_folder / "tiny-gpt2")
    assert "needs about 7" in caught.value.message and "12 MB are free" in caught.value.message


@pytest.mark.parametrize(
    ("device", "dtype", "word"),
    [
        ("tpu", "float32", "tpu"),
        ("", "float32", "device"),
        ("cuda:999", "float32", "cuda:999"),
        ("cpu", "float64", "float64"),
        ("cpu", "bfloat16", "On the CPU"),
        ("cpu", "float16", "On the CPU"),
    ],
)
def test_what_cannot_be_had_here_is_refused(
    tiny_models_folder: Path, device: str, dtype: str, word: str
) -> None:
    with pytest.raises(UserFacingError) as caught:
        load_model("m", tiny_models_folder / "tiny-gpt2", device, dtype)
    assert word in caught.value.message
    assert caught.value.remedy.endswith(".")


def test_half_precision_gives_results_in_float32(
    tiny_models_folder: Path, tiny_llama: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where it is allowed; the arithmetic can be had on the CPU too."""
    monkeypatch.setattr(utils.models.loading, "check_device", lambda device, dtype: None)
    half = load_model("m", tiny_models_folder / "tiny-llama", dtype="bfloat16")
    assert {weight.dtype for weight in half.model.parameters()} == {torch.bfloat16}
    ids = [0, 5, 9, 5, 9, 7]
    exact, rough = capture(tiny_llama, ids), capture(half, ids)
    assert rough.attention.dtype == rough.logits.dtype == torch.float32
    assert rough.attention.device.type == "cpu"
    difference = (rough.attention - exact.attention).abs().max()
    assert 0 < difference < 0.2


def test_weights_too_large_for_float16_are_refused_with_the_way_out(
    copied_model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utils.models.loading, "check_device", lambda device, dtype: None)
    folder = copied_model("gpt2")
    edit_weights(folder, lambda weights: weights[sorted(weights)[0]].fill_(1e6))
    assert load_model("m", folder)
    with pytest.raises(UserFacingError, match="bfloat16"):
        load_model("m", folder, dtype="float16")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.2), ("float16", 0.05)])
def test_a_gpu_gives_the_same_patterns(
    tiny_models_folder: Path, tiny_llama: LoadedModel, dtype: str, tolerance: float
) -> None:
    on_gpu = load_model("m", tiny_models_folder / "tiny-llama", "cuda", dtype)
    ids = [0, 5, 9, 5, 9, 7]
    result = capture(on_gpu, ids, [Head(1, 2)])
    expected = capture(tiny_llama, ids, [Head(1, 2)])
    assert result.attention.device.type == "cpu" and result.attention.dtype == torch.float32
    assert (result.attention - expected.attention).abs().max() < tolerance
