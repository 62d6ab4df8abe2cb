"""Fetching from the hub: the real client, a hub on this machine, caches as broken downloads leave them."""

import errno
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
from safetensors.torch import load_file, save_file

import utils.hub_download
import utils.transfers
from tests.fake_hub import FakeHub, Repository
from utils.errors import UserFacingError
from utils.hub_cache import Hub, cached
from utils.hub_download import fetch
from utils.hub_errors import hub_error
from utils.model_loading import load_model

NAME = "someone/tiny"
ONE = "model.safetensors"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
NEEDED = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]


@pytest.fixture
def files(tiny_models_folder: Path, tmp_path: Path) -> Path:
    """The model as it is on the hub, with files that nobody needs here."""
    folder = Path(shutil.copytree(tiny_models_folder / "tiny-gpt2", tmp_path / "there"))
    (folder / "pytorch_model.bin").write_bytes(b"could carry code")
    (folder / "modeling_evil.py").write_text("raise SystemExit")
    (folder / "chat_template.jinja").write_text("{{ x }}")
    (folder / "README.md").write_text("# Tiny")
    return folder


@pytest.fixture
def in_shards(files: Path) -> Path:
    """The same with its weights in two files."""
    weights = load_file(files / ONE)
    names = sorted(weights)
    middle = len(names) // 2
    for shard, part in zip(SHARDS, (names[:middle], names[middle:]), strict=True):
        save_file({name: weights[name] for name in part}, files / shard, metadata={"format": "pt"})
    weight_map = {name: SHARDS[index >= middle] for index, name in enumerate(names)}
    (files / f"{ONE}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (files / ONE).unlink()
    return files


@pytest.fixture
def fake(files: Path) -> Iterator[FakeHub]:
    """A hub that has this one model."""
    with FakeHub(**{NAME: Repository(files)}) as server:
        yield server


@pytest.fixture
def hub(fake: FakeHub, tmp_path: Path) -> Hub:
    return Hub(tmp_path / "cache", fake.endpoint)


def refusal(work: Callable[[], object]) -> UserFacingError:
    """The error that `work` must end with, in the form that errors have."""
    with pytest.raises(UserFacingError) as caught:
        work()
    for sentence in (caught.value.message, caught.value.remedy):
        assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 200, sentence
        assert "127.0.0.1" not in sentence and "/tmp" not in sentence
    return caught.value


class TestDownload:
    def test_what_is_needed_comes_and_nothing_else(self, fake: FakeHub, hub: Hub, files: Path) -> None:
        assert cached(NAME, hub) is None
        folder = fetch(NAME, hub)
        assert sorted(path.name for path in folder.iterdir()) == sorted([*NEEDED, ONE])
        assert sorted(fake.fetched()) == sorted([*NEEDED, ONE])
        # The weights come last, when the rest has been looked at.
        assert fake.fetched()[-1] == ONE
        for name in (*NEEDED, ONE):
            assert (folder / name).read_bytes() == (files / name).read_bytes()
        assert load_model(NAME, folder).name == NAME

    def test_the_second_time_nobody_is_asked(self, fake: FakeHub, hub: Hub) -> None:
        folder = fetch(NAME, hub)
        fake.asked.clear()
        assert fetch(NAME, hub) == cached(NAME, hub) == folder
        assert fake.asked == []

    def test_progress_in_bytes_up_to_the_whole(self, hub: Hub, files: Path) -> None:
        told: list[tuple[str, int, int]] = []
        fetch(NAME, hub, lambda what, done, total: told.append((what, done, total)))
        assert [what for what, _, _ in told][:2] == ["looking for the model", "asking the hub"]
        size = (files / ONE).stat().st_size
        weights = [(done, total) for what, done, total in told if total == size]
        assert weights[0][0] == 0 and weights[-1] == (size, size)
        assert [done for done, _ in weights] == sorted(done for done, _ in weights)
        assert all(what == f"downloading {NAME}" for what, _, total in told if total)

    def test_shards(self, in_shards: Path, fake: FakeHub, hub: Hub) -> None:
        folder = fetch(NAME, hub)
        assert set(fake.fetched()) == {*NEEDED, f"{ONE}.index.json", *SHARDS}
        assert load_model(NAME, folder).geometry.n_layers == 3

    def test_a_download_that_breaks_off_goes_on(
        self, fake: FakeHub, hub: Hub, files: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        fake.cut[ONE] = 1
        folder = fetch(NAME, hub)
        assert fake.cut[ONE] == 0
        assert capfd.readouterr() == ("", "")
        assert (folder / ONE).read_bytes() == (files / ONE).read_bytes()

    def test_two_at_once(self, fake: FakeHub, hub: Hub) -> None:
        found: list[Path] = []
        threads = [threading.Thread(target=lambda: found.append(fetch(NAME, hub))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(found) == 3 and len(set(found)) == 1
        assert cached(NAME, hub) == found[0]

    def test_an_older_model_comes_from_the_hubs_own_conversion(
        self, fake: FakeHub, hub: Hub, files: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(files, tmp_path / "converted")
        (files / ONE).unlink()
        title = "Adding `safetensors` variant of this model"
        fake.repositories[NAME].pull_requests = {
            3: ("stranger", title, tmp_path / "nowhere"),
            7: ("SFconvertbot", title, tmp_path / "converted"),
        }
        folder = fetch(NAME, hub)
        assert load_model(NAME, folder).name == NAME
        assert "pytorch_model.bin" not in fake.fetched()
        fake.asked.clear()
        assert fetch(NAME, hub) == folder
        assert fake.asked == []

    def test_no_safetensors(self, fake: FakeHub, hub: Hub, files: Path) -> None:
        (files / ONE).unlink()
        fake.repositories[NAME].pull_requests = {3: ("stranger", "Adding safetensors", files)}
        assert "no weights in the safetensors format" in refusal(lambda: fetch(NAME, hub)).message
        assert fake.fetched() == []

    @pytest.mark.parametrize(
        ("config", "word"),
        [({"model_type": "bert"}, "bert"), ({"quantization_config": {"bits": 4}}, "quantized")],
    )
    def test_what_cannot_be_used_is_refused_before_its_weights_come(
        self, fake: FakeHub, hub: Hub, files: Path, config: dict, word: str
    ) -> None:
        path = files / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
        assert word in refusal(lambda: fetch(NAME, hub)).message
        assert ONE not in fake.fetched()
        # The next time the small files are here: the same sentence, by whoever loads it.
        assert word in refusal(lambda: load_model(NAME, fetch(NAME, hub))).message

    def test_the_check_sees_config_and_parameters_before_the_weights_come(
        self, fake: FakeHub, hub: Hub, files: Path
    ) -> None:
        seen: list[tuple[bool, int]] = []

        def check(folder: Path, parameters: int) -> None:
            seen.append(((folder / "config.json").is_file(), parameters))
            raise UserFacingError("Too large.", "Take another.")

        assert refusal(lambda: fetch(NAME, hub, check=check)).message == "Too large."
        # By the size of the files, where the hub does not count.
        in_file = sum(value.numel() for value in load_file(files / ONE).values())
        assert seen[0][0] and in_file <= seen[0][1] <= 1.05 * in_file
        fake.repositories[NAME].parameters = 77
        refusal(lambda: fetch(NAME, hub, check=check))
        assert seen[1] == (True, 77)
        assert ONE not in fake.fetched()

    def test_a_full_disk_is_seen_before_the_weights_come(
        self, fake: FakeHub, hub: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = shutil.disk_usage("/")
        full = usage._replace(free=10**8)  # pyright: ignore[reportAttributeAccessIssue]
        monkeypatch.setattr(utils.hub_download.shutil, "disk_usage", lambda path: full)
        message = refusal(lambda: fetch(NAME, hub)).message
        assert message == f"The model '{NAME}' is a download of 1 MB, and 100 MB are free on the disk."
        assert ONE not in fake.fetched()


class TestRefusals:
    @pytest.mark.parametrize(
        ("files_only", "answer", "message", "remedy"),
        [
            (False, (401, "RepoNotFound"), "no model named 'someone/tiny' on the hub", "hf auth login"),
            (False, (404, "RepoNotFound"), "no model named 'someone/tiny' on the hub", "Check the name"),
            (True, (401, "GatedRepo"), "gated", "hf auth login"),
            (True, (403, "GatedRepo"), "gated", "accept its terms"),
            (True, (404, ""), "error (404)", "later"),
            (False, (403, ""), "does not let this machine", "hf auth login"),
            (False, (429, ""), "too many requests", "some minutes"),
            (False, (500, ""), "error (500)", "later"),
        ],
    )
    def test_each_has_its_sentence(
        self,
        fake: FakeHub,
        hub: Hub,
        files_only: bool,
        answer: tuple[int, str],
        message: str,
        remedy: str,
    ) -> None:
        if files_only:
            fake.repositories[NAME].refuse = answer
        else:
            fake.repositories[NAME].refuse_all = answer
        error = refusal(lambda: fetch(NAME, hub))
        assert message in error.message and remedy in error.remedy
        # What was wrong may be right later.
        fake.repositories[NAME].refuse = fake.repositories[NAME].refuse_all = None
        assert (fetch(NAME, hub) / ONE).is_file()

    def test_a_wrong_name(self, hub: Hub) -> None:
        assert (
            "no model named 'someone/tyni' on the hub" in refusal(lambda: fetch("someone/tyni", hub)).message
        )

    def test_a_name_that_is_none(self, fake: FakeHub, hub: Hub) -> None:
        for name in ("../x", "a/b/c", "", "a\0b", "x" * 5000):
            assert "cannot be the name" in refusal(lambda name=name: fetch(name, hub)).message
        assert fake.asked == []

    def test_a_wrong_token(self, fake: FakeHub, hub: Hub) -> None:
        fake.repositories[NAME].refuse_all = (401, "")
        fake.headers["X-Error-Message"] = "Invalid credentials in Authorization header"
        error = refusal(lambda: fetch(NAME, hub))
        assert "refused the access token" in error.message

    def test_no_network(self, tmp_path: Path, files: Path) -> None:
        with FakeHub() as gone:
            hub = Hub(tmp_path / "cache", gone.endpoint)
        error = refusal(lambda: fetch(NAME, hub))
        assert (
            error.message
            == f"The model '{NAME}' is not on this machine, and the model hub cannot be reached."
        )
        assert "network connection" in error.remedy

    def test_offline_by_choice(self, hub: Hub, fake: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        assert "HF_HUB_OFFLINE" in refusal(lambda: fetch(NAME, hub)).message
        assert fake.asked == []

    def test_something_else_answers(self, fake: FakeHub, hub: Hub) -> None:
        """A network's log-in page, for example."""
        fake.page = b"<html>Please log in</html>"
        assert "the model hub cannot be reached" in refusal(lambda: fetch(NAME, hub)).message

    def test_a_cache_that_cannot_be_written_to(self, fake: FakeHub, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        error = refusal(lambda: fetch(NAME, Hub(tmp_path / "file" / "cache", fake.endpoint)))
        assert "cannot be written to" in error.message and "HF_HOME" in error.remedy

    def test_a_file_that_the_hub_lacks(self, in_shards: Path, fake: FakeHub, hub: Hub) -> None:
        (in_shards / SHARDS[1]).unlink()
        assert f"its file {SHARDS[1]} is missing" in refusal(lambda: fetch(NAME, hub)).message
        assert not set(SHARDS) & set(fake.fetched())

    def test_a_model_without_a_tokenizer(self, fake: FakeHub, hub: Hub, files: Path) -> None:
        (files / "tokenizer.json").unlink()
        assert "its file tokenizer.json is missing" in refusal(lambda: fetch(NAME, hub)).message

    def test_weights_that_are_damaged_on_the_hub(self, fake: FakeHub, hub: Hub, files: Path) -> None:
        (files / ONE).write_bytes((files / ONE).read_bytes()[:-100])
        assert "damaged" in refusal(lambda: fetch(NAME, hub)).message
        # Tried once more, not for ever.
        assert fake.fetched().count(ONE) == 2

    def test_a_list_of_weights_that_points_elsewhere(self, in_shards: Path, fake: FakeHub, hub: Hub) -> None:
        path = in_shards / f"{ONE}.index.json"
        path.write_text(path.read_text().replace("model-", "../../model-"))
        assert "list of weights" in refusal(lambda: fetch(NAME, hub)).message

    @pytest.mark.parametrize(
        ("error", "word"),
        [
            (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
            (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk is full"),
            (PermissionError(errno.EACCES, "Permission denied"), "cannot be written to"),
            (OSError(errno.EROFS, "Read-only file system"), "cannot be written to"),
            (ConnectionResetError(errno.ECONNRESET, "reset"), "cannot be reached"),
            (TimeoutError(), "cannot be reached"),
            (OSError("Consistency check failed"), "broke off"),
            (ValueError("what nobody foresaw"), "broke off"),
        ],
    )
    def test_errors_of_this_machine(self, error: Exception, word: str) -> None:
        def work() -> None:
            raise hub_error(error, NAME, begun=False)

        assert word in refusal(work).message


class _StopError(Exception):
    pass


class TestCancel:
    def test_what_progress_raises_stops_the_download(
        self, fake: FakeHub, hub: Hub, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(utils.transfers, "_GRACE", 0.05)
        fake.held.add(ONE)
        size = (files / ONE).stat().st_size

        def progress(what: str, done: int, total: int) -> None:
            if total == size:
                raise _StopError

        with pytest.raises(_StopError):
            fetch(NAME, hub, progress)
        assert cached(NAME, hub) is None
        fake.release.set()
        for thread in threading.enumerate():
            if thread.name.startswith("downloading"):
                thread.join(20)
        # It ended by itself, without keeping a part or taking it for whole.
        assert cached(NAME, hub) is None
        assert not list(hub.folder.rglob("*incomplete*"))
        assert (fetch(NAME, hub) / ONE).stat().st_size == size

    @pytest.mark.parametrize("stage", ["looking for the model", "asking the hub", f"downloading {NAME}"])
    def test_at_every_stage(self, hub: Hub, stage: str) -> None:
        def progress(what: str, done: int, total: int) -> None:
            if what == stage:
                raise _StopError

        with pytest.raises(_StopError):
            fetch(NAME, hub, progress)
        assert (fetch(NAME, hub) / ONE).is_file()


def blob_of(path: Path) -> Path:
    return path.resolve()


def cut(path: Path) -> None:
    blob = blob_of(path)
    blob.write_bytes(blob.read_bytes()[:-10])


# What an interrupted or damaged download left.
HALF: dict[str, Callable[[Path], object]] = {
    "no weights": lambda folder: (folder / SHARDS[0]).unlink(),
    "a shard that was not fetched": lambda folder: blob_of(folder / SHARDS[1]).unlink(),
    "a shard cut short": lambda folder: cut(folder / SHARDS[1]),
    "an empty shard": lambda folder: blob_of(folder / SHARDS[0]).write_bytes(b""),
    "an index cut short": lambda folder: cut(folder / f"{ONE}.index.json"),
    "a config cut short": lambda folder: cut(folder / "config.json"),
    "no config": lambda folder: (folder / "config.json").unlink(),
    "a tokenizer cut short": lambda folder: cut(folder / "tokenizer.json"),
    "no tokenizer": lambda folder: (folder / "tokenizer.json").unlink(),
    "an empty snapshot": lambda folder: [path.unlink() for path in folder.iterdir()],
}


class TestHalfDownloaded:
    @pytest.mark.parametrize("damage", HALF.values(), ids=HALF.keys())
    def test_it_is_mended_with_a_network_and_told_without(
        self, in_shards: Path, fake: FakeHub, hub: Hub, damage: Callable[[Path], object]
    ) -> None:
        folder = fetch(NAME, hub)
        whole = {path.name: path.read_bytes() for path in folder.iterdir()}
        damage(folder)
        assert cached(NAME, hub) is None
        with FakeHub() as gone:
            pass
        message = refusal(lambda: fetch(NAME, Hub(hub.cache_dir, gone.endpoint))).message
        assert "the model hub cannot be reached" in message
        if (folder / "config.json").is_file():
            assert "on this machine is incomplete" in message
        fake.asked.clear()
        assert fetch(NAME, hub) == folder
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
        # What was whole is not fetched again; where only its name was gone, nothing is.
        assert len(fake.fetched()) <= 1
        assert cached(NAME, hub) == folder

    def test_a_cache_that_other_tools_made(self, files: Path, tmp_path: Path) -> None:
        """Without the list of files that whole downloads leave, and with the weights of other frameworks."""
        hub = Hub(tmp_path / "cache", "http://127.0.0.1:9")
        repository = tmp_path / "cache" / "models--someone--tiny"
        snapshot = repository / "snapshots" / ("a" * 40)
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("a" * 40)
        (repository / "blobs").mkdir()
        snapshot.mkdir(parents=True)
        for number, path in enumerate(sorted(files.iterdir())):
            blob = repository / "blobs" / f"{number:040d}"
            shutil.copy(path, blob)
            (snapshot / path.name).symlink_to(Path("../../blobs") / blob.name)
        assert fetch(NAME, hub) == snapshot
        assert load_model(NAME, snapshot).name == NAME
        # Weights that may carry code do not make it whole.
        (snapshot / ONE).unlink()
        assert cached(NAME, hub) is None
        assert "incomplete" in refusal(lambda: fetch(NAME, hub)).message

    @pytest.mark.parametrize("content", ["", "b" * 40, "../../../there", "\0", "x" * 100_000])
    def test_a_damaged_reference(self, hub: Hub, fake: FakeHub, content: str) -> None:
        folder = fetch(NAME, hub)
        reference = folder.parents[1] / "refs" / "main"
        reference.write_text(content)
        assert cached(NAME, hub) is None
        assert fetch(NAME, hub) == folder
