"""Loading: good folders, every kind of bad folder, and the menu of models."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import utils.model_loading
from tests.tiny_models import BUILDERS, save_tiny_model
from utils.errors import UserFacingError
from utils.model_loading import LoadedModel, ModelStore, load_model


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
    "a layer missing": (
        lambda f: (
            edit_config(f, num_hidden_layers=6)
            if "llama" in (f / "config.json").read_text()
            else edit_config(f, n_layer=6)
        ),
        "of its weights",
    ),
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


def test_a_loaded_model_is_ready_to_run(loaded: LoadedModel, tiny_models_folder: Path) -> None:
    model_type = loaded.family.model_type
    assert (loaded.name, loaded.path) == (f"tiny-{model_type}", tiny_models_folder / f"tiny-{model_type}")
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in loaded.model.parameters())
    assert loaded.model.config._attn_implementation == "eager"
    assert not loaded.model.training
    assert loaded.bos_id == 0
    assert loaded.special_ids == {0}
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


@pytest.mark.parametrize("model_type", BUILDERS)
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


class TestModelStore:
    def test_names_from_a_folder_of_models_and_from_one_model(self, tiny_models_folder: Path) -> None:
        assert ModelStore([tiny_models_folder]).names() == ["tiny-gpt2", "tiny-llama"]
        assert ModelStore([tiny_models_folder / "tiny-llama"]).names() == ["tiny-llama"]

    def test_the_first_demo_model_leads(self, tmp_path: Path, tiny_models_folder: Path) -> None:
        for name in ("a-model", "demo-gpt2", "demo-llama"):
            shutil.copytree(tiny_models_folder / "tiny-gpt2", tmp_path / name)
        store = ModelStore([tiny_models_folder, tmp_path])
        assert store.names() == ["demo-gpt2", "tiny-gpt2", "tiny-llama", "a-model", "demo-llama"]
        assert store.problems == ()

    def test_a_model_is_loaded_once(self, tiny_models_folder: Path) -> None:
        store = ModelStore([tiny_models_folder])
        assert store.get("tiny-llama") is store.get("tiny-llama")
        assert store.get("tiny-llama").name == "tiny-llama"
        assert store.get("tiny-gpt2").family.model_type == "gpt2"

    def test_a_model_is_loaded_once_for_threads_at_once(
        self, tiny_models_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loads: list[str] = []

        def counted(name: str, folder: Path) -> LoadedModel:
            loads.append(name)
            return load_model(name, folder)

        monkeypatch.setattr(utils.model_loading, "load_model", counted)
        store = ModelStore([tiny_models_folder])
        start = threading.Barrier(4)
        got: list[LoadedModel] = []

        def work() -> None:
            start.wait()
            got.append(store.get("tiny-gpt2"))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert loads == ["tiny-gpt2"]
        assert len(got) == 4 and all(model is got[0] for model in got)

    @pytest.mark.parametrize("name", ["nope", "", ".", "..", "../tiny-gpt2", "/etc", "tiny-gpt2/", "x\0y"])
    def test_an_unknown_name_gets_the_real_ones(self, tiny_models_folder: Path, name: str) -> None:
        with pytest.raises(UserFacingError) as caught:
            ModelStore([tiny_models_folder]).get(name)
        assert "tiny-gpt2, tiny-llama" in caught.value.remedy

    def test_only_allowed_models_can_be_had(self, tiny_models_folder: Path) -> None:
        store = ModelStore([tiny_models_folder], allowed=["tiny-llama"])
        assert store.names() == ["tiny-llama"]
        with pytest.raises(UserFacingError) as caught:
            store.get("tiny-gpt2")
        assert caught.value.remedy == "Choose one of: tiny-llama."

    def test_problems_are_told_and_the_rest_goes_on(self, tmp_path: Path, tiny_models_folder: Path) -> None:
        (tmp_path / "empty").mkdir()
        shutil.copytree(tiny_models_folder / "tiny-gpt2", tmp_path / "twin" / "tiny-gpt2")
        store = ModelStore(
            [
                tmp_path / "nowhere",
                tmp_path / "empty",
                tiny_models_folder,
                tmp_path / "twin",
                tiny_models_folder,
            ],
            allowed=["tiny-gpt2", "typo"],
        )
        assert store.names() == ["tiny-gpt2"]
        assert store.get("tiny-gpt2").path == tiny_models_folder / "tiny-gpt2"
        said = [str(problem) for problem in store.problems]
        assert len(said) == 4
        for part, sentence in zip(
            ["nowhere does not exist", "no model", "two models", "'typo'"], said, strict=True
        ):
            assert part in sentence

    def test_a_broken_model_is_listed_and_can_be_mended(
        self, tmp_path: Path, tiny_models_folder: Path
    ) -> None:
        folder = tmp_path / "mine"
        shutil.copytree(tiny_models_folder / "tiny-gpt2", folder)
        (folder / "config.json").rename(folder / "away")
        store = ModelStore([tmp_path])
        assert store.names() == ["mine"]
        with pytest.raises(UserFacingError, match=r"no config\.json"):
            store.get("mine")
        (folder / "away").rename(folder / "config.json")
        assert store.get("mine").name == "mine"
