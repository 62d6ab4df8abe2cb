"""Where a worker of a Ray cluster finds its model."""

from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.rankings.methods import RankingOptions
from study.ablation.runners import with_model
from study.ablation.tasks import RankTask
from study.data.models import ModelRef
from utils.models import sources


def task(where: str) -> RankTask:
    model = ModelRef("real", where, "cpu", "float32")
    return RankTask(model, "inc_state", 256, (), (), RankingOptions(), True, {}, {})


def test_a_model_that_was_not_sent_along_is_taken_from_the_senders_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, sender = tmp_path / "here", tmp_path / "sender"
    monkeypatch.setattr(sources, "BUNDLED", here)
    for folder in (here / "sent", sender / "sent", sender / "unpacked"):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"model_type": "llama"}')
    # Of an unpacked model git knows the README alone.
    (here / "unpacked").mkdir()
    (here / "unpacked" / "README.md").write_text("A model.")
    assert with_model(task("sent"), sender) == task("sent")
    assert with_model(task("unpacked"), sender) == replace(
        task("unpacked"), model=ModelRef("real", str(sender / "unpacked"), "cpu", "float32")
    )
    assert with_model(task("owner/of-the-hub"), sender) == task("owner/of-the-hub")
