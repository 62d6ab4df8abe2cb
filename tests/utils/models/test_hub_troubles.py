"""What the hub refuses, and what broken downloads leave: reported in a sentence, mended where it can be."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest

from tests.fixtures.hub.fake_hub import FakeHub
from tests.fixtures.hub.hub_model import NAME, ONE, SHARDS, refusal
from utils.models.hub_cache import Hub, cached
from utils.models.hub_download import fetch
from utils.models.hub_errors import hub_error
from utils.models.loading import load_model


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
