"""Fetching from the hub: the real client, a hub on this machine."""

import json
import shutil
import threading
from pathlib import Path

import pytest
from safetensors.torch import load_file

import utils.models.hub_download
import utils.models.hub_transfer
from tests.fixtures.hub.fake_hub import FakeHub
from tests.fixtures.hub.hub_model import NAME, NEEDED, ONE, SHARDS, refusal
from utils.errors import UserFacingError
from utils.models.hub_cache import Hub, cached
from utils.models.hub_download import fetch
from utils.models.loading import load_model


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
        text: list[tuple[str, int, int]] = []
        fetch(NAME, hub, lambda what, done, total: text.append((what, done, total)))
        assert [what for what, _, _ in text][:2] == ["looking for the model", "asking the hub"]
        size = (files / ONE).stat().st_size
        weights = [(done, total) for what, done, total in text if total == size]
        assert weights[0][0] == 0 and weights[-1] == (size, size)
        assert [done for done, _ in weights] == sorted(done for done, _ in weights)
        assert all(what == f"downloading {NAME}" for what, _, total in text if total)

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
        monkeypatch.setattr(utils.models.hub_download.shutil, "disk_usage", lambda path: full)
        message = refusal(lambda: fetch(NAME, hub)).message
        assert message == f"The model '{NAME}' is a download of 1 MB, and 100 MB are free on the disk."
        assert ONE not in fake.fetched()


class _StopError(Exception):
    pass


class TestCancel:
    def test_what_progress_raises_stops_the_download(
        self, fake: FakeHub, hub: Hub, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(utils.models.hub_transfer, "_GRACE", 0.05)
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
