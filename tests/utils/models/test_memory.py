"""What a model takes and what is free: the estimate against the real thing, and limits of all kinds."""

import json
from pathlib import Path

import psutil
import pytest

import utils.models.memory
from utils.errors import UserFacingError
from utils.models.files import read_weight_files
from utils.models.loading import LoadedModel, loaded_bytes
from utils.models.memory import (
    WORK_SCRATCH,
    WORK_TOKENS,
    cgroup_left,
    check_memory,
    free_memory,
    memory_need,
    need_of_folder,
    size_text,
)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "1 MB"),
        (1, "1 MB"),
        (1_600_000, "2 MB"),
        (999_000_000, "999 MB"),
        (1_449_000_000, "1.4 GB"),
        (32_120_000_000, "32.1 GB"),
    ],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert size_text(size) == text


def test_the_estimate_is_the_weights_and_the_work(loaded: LoadedModel) -> None:
    weights = read_weight_files(loaded.name, loaded.path)
    own = sum(weight.numel() for weight in loaded.model.parameters())
    assert weights.parameters == own
    assert weights.largest == max(weight.numel() for weight in loaded.model.parameters())
    geometry = loaded.geometry
    patterns = 4 * geometry.n_layers * geometry.n_heads * WORK_TOKENS**2
    logits = 4 * loaded.model.config.vocab_size * WORK_TOKENS
    estimate = need_of_folder(loaded.name, loaded.path, own, "float32", weights.largest)
    assert estimate == 4 * (own + weights.largest) + 2 * (patterns + logits) + WORK_SCRATCH
    assert estimate > loaded_bytes(loaded)
    half = need_of_folder(loaded.name, loaded.path, own, "bfloat16", weights.largest)
    assert estimate - half == 2 * (own + weights.largest)


def test_llama_3_8b_as_the_issue_has_it() -> None:
    class Config:
        model_type = "llama"
        num_hidden_layers = 32
        num_attention_heads = 32
        num_key_value_heads = 8
        hidden_size = 4096
        head_dim = None
        vocab_size = 128_256

    parameters, embedding = 8_030_261_248, 128_256 * 4096
    assert 32e9 < memory_need(Config(), parameters, "float32", embedding) < 36e9
    assert 16e9 < memory_need(Config(), parameters, "bfloat16", embedding) < 19e9


@pytest.mark.parametrize(
    "change",
    [{"vocab_size": 10**12}, {"vocab_size": "many"}, {"n_layer": 10**9}, {"n_head": 0}, {"n_head": "x"}],
)
def test_an_absurd_config_is_no_estimate(tiny_gpt2: LoadedModel, tmp_path: Path, change: dict) -> None:
    config = json.loads((tiny_gpt2.path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | change), encoding="utf-8")
    with pytest.raises(UserFacingError, match="do not fit"):
        need_of_folder("m", tmp_path, 50_000, "float32")


def test_refused_with_both_numbers_or_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utils.models.memory, "free_memory", lambda device: 12 * 10**9)
    with pytest.raises(UserFacingError) as caught:
        check_memory("big", 32 * 10**9, "cpu")
    assert caught.value.message == "The model 'big' needs about 32.0 GB of memory, and 12.0 GB are free."
    with pytest.raises(UserFacingError, match=r"memory on cuda:1, and 13\.0 GB"):
        check_memory("big", 32 * 10**9, "cuda:1", evictable=10**9)
    check_memory("big", 32 * 10**9, "cpu", evictable=20 * 10**9)
    check_memory("small", 12 * 10**9, "cpu")


def test_what_is_free_is_not_more_than_there_is() -> None:
    assert 0 < free_memory("cpu") <= psutil.virtual_memory().total


class TestControlGroups:
    """Trees of files as Linux shows them, version 2 and version 1."""

    @staticmethod
    def make(folder: Path, limit: str, used: str, stat: str, version: int = 2) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        names = (
            ("memory.max", "memory.current")
            if version == 2
            else (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
            )
        )
        (folder / names[0]).write_text(limit + "\n")
        (folder / names[1]).write_text(used + "\n")
        (folder / "memory.stat").write_text(stat)

    @staticmethod
    def own(tmp_path: Path, text: str) -> Path:
        path = tmp_path / "own"
        path.write_text(text)
        return path

    def test_a_limit_and_what_can_be_given_back(self, tmp_path: Path) -> None:
        self.make(tmp_path / "app", "1000", "700", "anon 1\nfile 500\ninactive_file 200\n")
        assert cgroup_left(tmp_path, self.own(tmp_path, "0::/app\n")) == 500

    def test_the_lowest_limit_on_the_way_up_holds(self, tmp_path: Path) -> None:
        self.make(tmp_path / "outer", "400", "300", "inactive_file 0\n")
        self.make(tmp_path / "outer" / "inner", "9000", "10", "inactive_file 0\n")
        assert cgroup_left(tmp_path, self.own(tmp_path, "0::/outer/inner\n")) == 100

    def test_in_a_container_the_own_group_is_the_root(self, tmp_path: Path) -> None:
        self.make(tmp_path, "1000", "100", "inactive_file 0\n")
        assert cgroup_left(tmp_path, self.own(tmp_path, "0::/system.slice/some.scope\n")) == 900

    def test_no_limit(self, tmp_path: Path) -> None:
        self.make(tmp_path / "app", "max", "700", "inactive_file 200\n")
        assert cgroup_left(tmp_path, self.own(tmp_path, "0::/app\n")) is None

    def test_version_1(self, tmp_path: Path) -> None:
        self.make(tmp_path / "memory" / "app", "1000", "700", "cache 1\ntotal_inactive_file 50\n", version=1)
        self.make(tmp_path / "memory", "9223372036854771712", "800", "total_inactive_file 50\n", version=1)
        assert cgroup_left(tmp_path, self.own(tmp_path, "9:cpu:/x\n4:hugetlb,memory:/app\n0::/\n")) == 350

    def test_over_the_limit_nothing_is_left(self, tmp_path: Path) -> None:
        self.make(tmp_path / "app", "1000", "1700", "inactive_file 0\n")
        assert cgroup_left(tmp_path, self.own(tmp_path, "0::/app\n")) == 0

    @pytest.mark.parametrize("text", ["", "nonsense\n", "0::\n", "0::/gone\n", "a:b\n"])
    def test_where_there_is_nothing_to_read(self, tmp_path: Path, text: str) -> None:
        assert cgroup_left(tmp_path / "cgroup", self.own(tmp_path, text)) is None
        assert cgroup_left(tmp_path / "cgroup", tmp_path / "missing") is None

    def test_damaged_files_set_no_limit(self, tmp_path: Path) -> None:
        self.make(tmp_path / "app", "lots", "700", "inactive_file 0\n")
        self.make(tmp_path / "other", "1000", "700", "inactive_file")
        assert cgroup_left(tmp_path, self.own(tmp_path, "0::/app\n")) is None
        assert cgroup_left(tmp_path, self.own(tmp_path, "0::/other\n")) == 300

    def test_the_limit_counts_where_it_is_lower(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(utils.models.memory, "cgroup_left", lambda: 5)
        assert free_memory("cpu") == 5
        monkeypatch.setattr(utils.models.memory, "cgroup_left", lambda: 2**62)
        assert free_memory("cpu") <= psutil.virtual_memory().total
