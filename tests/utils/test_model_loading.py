"""Loading: good folders, every kind of bad folder, progress, and what goes beyond the memory."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import utils.model_loading
import utils.model_memory
from tests.tiny_models import save_tiny_model
from utils.attention_capture import capture
from utils.errors import UserFacingError
from utils.heads import Head
from utils.model_loading import LoadedModel, load_model, loaded_bytes


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def only_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def layers_key(folder: Path) -> str:
    return "n_layer" if "gpt2" in (folder / "config.json").read_text() else "num_hidden_layers"


def shard(folder: Path) -> list[Path]:
    """Part the weights into two files with an index; returns the files."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names, files = sorted(weights), []
    middle = len(names) // 2
    for number, part in enumerate((names[:middle], names[middle:]), start=1):
        files.append(folder / f"model-{number:05d}-of-00002.safetensors")
        save_file({name: weights[name] for name in part}, files[-1], metadata={"format": "pt"})
    weight_map = {name: files[index >= middle].name for index, name in enumerate(names)}
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return files


def edit_index(folder: Path, change: Callable[[str], object]) -> None:
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"] = {key: change(name) for key, name in index["weight_map"].items()}
    path.write_text(json.dumps(index))


# What is done to the folder, and a word that the sentence must have.
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (shutil.rmtree, "missing"),
    "a file in its place": (lambda f: (shutil.rmtree(f), f.write_text("x")), "missing"),
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "broken json": (lambda f: (f / "config.json").write_text('{"model_type": '), "config.json"),
    "json of another kind": (lambda f: (f / "config.json").write_text("[1, 2]"), "config.json"),
    "config not in utf-8": (lambda f: (f / "config.json").write_bytes(b'{"\xff": 1}'), "config.json"),
    "deeply nested config": (lambda f: (f / "config.json").write_text("[" * 100_000), "config.json"),
    "config with a wrong type": (lambda f: edit_config(f, vocab_size="many"), "do not fit"),
    "unknown family": (lambda f: edit_config(f, model_type="bert"), "bert"),
    "no family": (lambda f: edit_config(f, model_type=None), "no model type"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no weights"),
    "pickled weights alone": (only_pickle, "PyTorch's own format"),
    "truncated weights": (lambda f: truncate(f / "model.safetensors"), "damaged"),
    "empty weights": (lambda f: (f / "model.safetensors").write_bytes(b""), "damaged"),
    "index without its shards": (
        lambda f: (f / "model.safetensors").rename(f / "model.safetensors.index.json"),
        "damaged",
    ),
    "weights of another shape": (lambda f: edit_config(f, vocab_size=77), "do not fit"),
    "a weight missing": (lambda f: edit_weights(f, lambda w: w.pop(sorted(w)[3])), "lacks 1 of its weights"),
    "a layer missing": (lambda f: edit_config(f, **{layers_key(f): 6}), "of its weights"),
    "a weight not a number": (
        lambda f: edit_weights(f, lambda w: w[sorted(w)[3]].fill_(float("nan"))),
        "not numbers",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
    "broken tokenizer": (lambda f: truncate(f / "tokenizer.json"), "tokenizer"),
    "json that is no tokenizer": (lambda f: (f / "tokenizer.json").write_text('{"a": 1}'), "tokenizer"),
    "tokenizer with more tokens than the model": (
        lambda f: (f / "tokenizer.json").write_text(
            (f / "tokenizer.json").read_text(encoding="utf-8").replace('": 319', '": 4000'), encoding="utf-8"
        ),
        "4000",
    ),
    "huge config": (lambda f: edit_config(f, padding="x" * 2_000_000), "config.json"),
    "config that is a link to itself": (
        lambda f: ((f / "config.json").unlink(), (f / "config.json").symlink_to(f / "config.json")),
        "config.json",
    ),
    "quantized weights": (
        lambda f: edit_config(f, quantization_config={"quant_method": "gptq"}),
        "quantized",
    ),
    "a million layers": (
        lambda f: edit_config(f, **{layers_key(f): 1_000_000}),
        "do not fit",
    ),
    "a billion tokens": (lambda f: edit_config(f, vocab_size=10**9), "do not fit"),
    "a negative number of tokens": (lambda f: edit_config(f, vocab_size=-5), "do not fit"),
    "a weight file elsewhere": (
        lambda f: (shard(f), edit_index(f, lambda name: f"../../{name}")),
        "model.safetensors.index.json",
    ),
    "a weight file by its full path": (
        lambda f: (shard(f), edit_index(f, lambda name: str(f / name))),
        "model.safetensors.index.json",
    ),
    "a weight file with a strange name": (
        lambda f: (shard(f), edit_index(f, lambda name: f"\0{name}")),
        "model.safetensors.index.json",
    ),
    "a pickle in the list of weights": (
        lambda f: (shard(f), edit_index(f, lambda name: "pytorch_model.bin")),
        "model.safetensors.index.json",
    ),
    "a list of weights of another kind": (
        lambda f: (shard(f), edit_index(f, lambda name: 7)),
        "model.safetensors.index.json",
    ),
    "a shard missing": (lambda f: shard(f)[-1].unlink(), "00002-of-"),
    "a shard cut short": (lambda f: truncate(shard(f)[-1]), "00002-of-"),
    "code of its own": (
        lambda f: (
            (f / "evil.py").write_text("raise SystemExit('code from the folder was run')"),
            edit_config(
                f, model_type="evil", auto_map={"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}
            ),
        ),
        "evil",
    ),
}


def test_a_loaded_model_is_ready_to_run(loaded: LoadedModel) -> None:
    assert loaded.name == loaded.path.name == f"tiny-{loaded.family.model_type}"
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in loaded.model.parameters())
    assert loaded.model.config._attn_implementation == "eager"
    assert not loaded.model.training
    bos = loaded.tokenizer.bos_token_id
    assert bos is not None and loaded.bos_id == (bos if loaded.family.prepend_bos else None)
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


@pytest.mark.parametrize("model_type", ["gpt2", "llama"])
@pytest.mark.parametrize(("break_folder", "word"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_folder_gives_one_sentence(
    copied_model: Callable[[str], Path],
    capfd: pytest.CaptureFixture[str],
    model_type: str,
    break_folder: Callable[[Path], object],
    word: str,
) -> None:
    folder = copied_model(model_type)
    break_folder(folder)
    with pytest.raises(UserFacingError) as caught:
        load_model("mine", folder)
    assert word in caught.value.message
    for sentence in (caught.value.message, caught.value.remedy):
        assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 200
        assert str(folder) not in sentence
    # What transformers has to say goes to our log, not to the console.
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


def test_loading_is_quiet_and_leaves_transformers_settings_alone(
    tiny_models_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = utils.model_loading.transformers_logging
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


def test_a_list_of_weights_cannot_reach_another_folder(
    copied_model: Callable[[str], Path], tmp_path: Path
) -> None:
    """Also where the file it names is there and would load."""
    folder = copied_model("gpt2")
    for path in shard(folder):
        path.rename(tmp_path / path.name)
    edit_index(folder, lambda name: f"../{name}")
    with pytest.raises(UserFacingError, match="list of weights"):
        load_model("m", folder)


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
    told: list[tuple[str, int, int]] = []
    load_model(
        "m",
        tiny_models_folder / "tiny-gpt2",
        progress=lambda what, done, total: told.append((what, done, total)),
    )
    stages = list(dict.fromkeys(what for what, _, _ in told))
    assert stages == [
        "checking the files",
        "reading the weights",
        "checking the weights",
        "reading the tokenizer",
    ]
    for stage in stages[1:]:
        steps = [(done, total) for what, done, total in told if what == stage]
        total = steps[0][1]
        assert steps == [(done, total) for done in range(total + 1)]
    assert len(told) > 60


class _StopError(Exception):
    pass


def test_a_load_can_be_stopped_at_every_step(
    tiny_models_folder: Path, tiny_gpt2: LoadedModel, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_models_folder / "tiny-gpt2"
    told: list[str] = []
    load_model("m", folder, progress=lambda what, done, total: told.append(what))
    number = torch.get_default_dtype()
    for stop_at in {0, 1, 2, 10, told.index("checking the weights"), len(told) - 2, len(told) - 1}:
        left = iter(range(stop_at))

        def progress(what: str, done: int, total: int, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise _StopError

        with pytest.raises(_StopError):
            load_model("m", folder, progress=progress)
    assert torch.get_default_dtype() == number
    again = load_model("m", folder).model.state_dict()
    assert all(torch.equal(again[name], value) for name, value in tiny_gpt2.model.state_dict().items())
    assert capfd.readouterr().err == ""


def test_a_model_that_does_not_fit_is_refused_with_both_numbers(
    tiny_models_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utils.model_memory, "free_memory", lambda device: 12_300_000)
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
    monkeypatch.setattr(utils.model_loading, "check_device", lambda device, dtype: None)
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
    monkeypatch.setattr(utils.model_loading, "check_device", lambda device, dtype: None)
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
