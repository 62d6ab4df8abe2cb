"""The menu of models: names, one load for many who ask, what is kept and what is dropped."""

import shutil
import threading
import weakref
from pathlib import Path

import pytest
import torch

import utils.models.memory
import utils.models.store
from tests.fixtures.gates import PATIENCE, Gate, in_threads
from tests.fixtures.hub.fake_hub import FakeHub, Repository
from tests.fixtures.makers.tiny_models import save_tiny_model
from utils.errors import UserFacingError
from utils.forward.attention_capture import capture
from utils.models.files import check_folder
from utils.models.hub_cache import Hub
from utils.models.loading import LoadedModel, load_model, loaded_bytes
from utils.models.memory import need_of_folder
from utils.models.sources import ModelSource
from utils.models.store import ModelStore


def test_names_from_a_folder_of_models_and_from_one_model(tiny_models_folder: Path) -> None:
    assert ModelStore([tiny_models_folder]).names() == ["tiny-gpt2", "tiny-llama"]
    assert ModelStore([tiny_models_folder / "tiny-llama"]).names() == ["tiny-llama"]


def test_a_store_of_one_source(tiny_models_folder: Path) -> None:
    store = ModelStore.of(ModelSource("mine", "folder", tiny_models_folder / "tiny-llama"))
    assert store.names() == ["mine"] and store.problems == ()
    assert store.get("mine").name == "mine" and store.get("mine").family.model_type == "llama"
    with pytest.raises(UserFacingError, match="Choose one of: mine"):
        store.get("tiny-llama")
    with pytest.raises(UserFacingError, match="tpu"):
        ModelStore.of(store.source("mine"), device="tpu")


def test_a_model_is_loaded_once(tiny_models_folder: Path, loads: list[str]) -> None:
    store = ModelStore([tiny_models_folder])
    assert not store.is_loaded("tiny-llama")
    assert store.get("tiny-llama") is store.get("tiny-llama")
    assert store.is_loaded("tiny-llama") and not store.is_loaded("tiny-gpt2")
    assert store.get("tiny-llama").name == "tiny-llama"
    assert store.get("tiny-gpt2").family.model_type == "gpt2"
    assert loads == ["tiny-llama", "tiny-gpt2"]


def test_a_model_is_loaded_once_for_threads_at_once(tiny_models_folder: Path, loads: list[str]) -> None:
    store = ModelStore([tiny_models_folder])
    got: list[LoadedModel] = []
    in_threads(4, lambda: got.append(store.get("tiny-gpt2")))
    assert loads == ["tiny-gpt2"]
    assert len(got) == 4 and all(model is got[0] for model in got)


@pytest.mark.parametrize(
    "name", ["nope", "", ".", "..", "../tiny-gpt2", "/etc", "tiny-gpt2/", "x\0y", "gpt2", "a/b", "x" * 5000]
)
def test_an_unknown_name_gets_the_real_ones(tiny_models_folder: Path, name: str) -> None:
    store = ModelStore([tiny_models_folder])
    for ask in (store.get, store.source, store.is_here):
        with pytest.raises(UserFacingError) as caught:
            ask(name)
        assert "tiny-gpt2, tiny-llama" in caught.value.remedy
        assert len(caught.value.message) < 200
    assert not store.is_loaded(name)


def test_only_allowed_models_can_be_had(tiny_models_folder: Path) -> None:
    store = ModelStore([tiny_models_folder], allowed=["tiny-llama"])
    assert store.names() == ["tiny-llama"]
    with pytest.raises(UserFacingError) as caught:
        store.get("tiny-gpt2")
    assert caught.value.remedy == "Choose one of: tiny-llama."


def test_a_broken_model_is_listed_and_can_be_mended(tmp_path: Path, tiny_models_folder: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(tiny_models_folder / "tiny-gpt2", folder)
    (folder / "config.json").rename(folder / "away")
    store = ModelStore([tmp_path])
    assert store.names() == ["mine"]
    with pytest.raises(UserFacingError, match=r"no config\.json"):
        store.get("mine")
    (folder / "away").rename(folder / "config.json")
    assert store.get("mine").name == "mine"


def test_the_device_is_checked_at_once(tiny_models_folder: Path) -> None:
    with pytest.raises(UserFacingError, match="cuda:999"):
        ModelStore([tiny_models_folder], device="cuda:999")


def need_of(folder: Path) -> int:
    """Bytes that the store makes room for before it loads this model."""
    weights = check_folder(folder.name, folder)
    return need_of_folder(folder.name, folder, weights.parameters, "float32", weights.largest)


class TestMemoryBudget:
    def test_what_was_used_longest_ago_is_dropped(self, three: Path, loads: list[str]) -> None:
        store = ModelStore([three])
        size = loaded_bytes(store.get("a"))
        need = need_of(three / "a")
        assert need > size
        dropped: list[str] = []
        store = ModelStore([three], memory_budget=size + need)
        store.when_dropped(dropped.append)
        store.get("a")
        store.get("b")
        assert dropped == []
        store.get("a")
        store.get("c")
        assert dropped == ["b"]
        assert [name for name in store.names() if store.is_loaded(name)] == ["a", "c"]
        assert loads == ["a", "a", "b", "c"]
        store.get("b")
        assert dropped == ["b", "a"]

    def test_a_model_beyond_the_budget_is_kept_alone(self, three: Path) -> None:
        store = ModelStore([three], memory_budget=0)
        a = store.get("a")
        assert store.get("a") is a
        store.get("b")
        assert not store.is_loaded("a") and store.is_loaded("b")

    def test_one_in_use_goes_on_and_then_its_memory_is_free(self, three: Path) -> None:
        store = ModelStore([three], memory_budget=0)
        a = store.get("a")
        before = capture(a, [0, 5, 9])
        weight = weakref.ref(next(iter(a.model.parameters())))
        store.get("b")
        assert torch.equal(capture(a, [0, 5, 9]).attention, before.attention)
        assert weight() is not None
        del a
        assert weight() is None
        again = store.get("a")
        assert torch.equal(capture(again, [0, 5, 9]).attention, before.attention)

    def test_room_is_made_where_memory_and_not_the_budget_is_short(
        self, three: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = ModelStore([three], memory_budget=10**12)
        need = need_of(three / "a")
        size = loaded_bytes(load_model("a", three / "a"))

        def free(device: str) -> int:
            # As if there were room for one.
            return need - size * sum(store.is_loaded(name) for name in "abc")

        monkeypatch.setattr(utils.models.store, "free_memory", free)
        monkeypatch.setattr(utils.models.memory, "free_memory", free)
        store.get("a")
        store.get("b")
        assert not store.is_loaded("a") and store.is_loaded("b")

    def test_a_model_that_does_not_fit_is_refused_and_the_app_goes_on(
        self, three: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = ModelStore([three])
        store.get("b")
        monkeypatch.setattr(utils.models.memory, "free_memory", lambda device: 1_000_000)
        with pytest.raises(UserFacingError, match="1 MB are free"):
            store.get("a")
        assert store.is_loaded("b")
        monkeypatch.undo()
        assert store.get("a").name == "a"


class TestHubModels:
    def test_only_those_that_are_named(self, tiny_models_folder: Path, tmp_path: Path) -> None:
        folder = save_tiny_model("llama", tmp_path / "there")
        with FakeHub(**{"someone/tiny": Repository(folder), "someone/other": Repository(folder)}) as fake:
            hub = Hub(tmp_path / "cache", fake.endpoint)
            store = ModelStore([tiny_models_folder], ["someone/tiny", "tiny-gpt2"], hub=hub)
            assert store.names() == ["tiny-gpt2", "someone/tiny"]
            assert store.problems == ()
            with pytest.raises(UserFacingError):
                store.get("someone/other")
            assert fake.asked == []
            assert not store.is_here("someone/tiny")
            assert fake.asked == []
            message: list[str] = []
            loaded = store.get("someone/tiny", lambda what, done, total: message.append(what))
            assert loaded.name == "someone/tiny" and loaded.family.model_type == "llama"
            assert "downloading someone/tiny" in message and "reading the tokenizer" in message
            assert store.is_here("someone/tiny")
        # The hub has gone: another process finds the model in the cache.
        again = ModelStore([tiny_models_folder], ["someone/tiny"], hub=hub)
        assert again.is_here("someone/tiny")
        assert again.get("someone/tiny").path == loaded.path

    def test_a_download_does_not_keep_others_from_loading(self, three: Path, tmp_path: Path) -> None:
        folder = save_tiny_model("llama", tmp_path / "there")
        with FakeHub(tiny=Repository(folder)) as fake:
            fake.held.add("model.safetensors")
            store = ModelStore([three], ["a", "tiny"], hub=Hub(tmp_path / "cache", fake.endpoint))
            gate = Gate("downloading tiny")
            gate.opened.set()
            thread = threading.Thread(target=store.get, args=("tiny", gate))
            thread.start()
            assert gate.reached.wait(PATIENCE)
            assert store.get("a").name == "a"
            assert not store.is_loaded("tiny")
            fake.release.set()
            thread.join(PATIENCE)
            assert store.is_loaded("tiny")

    def test_what_would_not_fit_is_not_downloaded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = save_tiny_model("llama", tmp_path / "there")
        with FakeHub(tiny=Repository(folder, parameters=8_030_000_000)) as fake:
            store = ModelStore([], ["tiny"], hub=Hub(tmp_path / "cache", fake.endpoint))
            monkeypatch.setattr(utils.models.memory, "free_memory", lambda device: 12 * 10**9)
            with pytest.raises(UserFacingError) as caught:
                store.get("tiny")
            assert "needs about 32.2 GB" in caught.value.message
            assert "12.0 GB are free" in caught.value.message
            assert "model.safetensors" not in fake.fetched()
