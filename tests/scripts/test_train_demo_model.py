"""The command line that trains and evaluates the bundled models, on a model of two layers."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers.utils import logging as transformers_logging

from retrieval.filings.generated import MAIN_TASKS
from scripts import train_demo_model
from scripts.train_demo_model import main
from tests.training.conftest import PROSE, build_tiny
from training.recipes import LOG_RECIPES, RECIPES, VOCABULARY, Mix, Recipe, Stage
from training.tokenizer import generated_texts, load_tokenizer, train_tokenizer
from utils.models.loading import load_model
from utils.roles.registry import pattern_roles

TINY = Recipe(
    name="tiny",
    build=partial(build_tiny, VOCABULARY),
    stages=(Stage(1.0, 64, Mix(prose=0.4, repeated=0.2, word_lists=0.2, filings=0.2)),),
    learning_rate=1e-2,
    tokens=1024,
    tokens_a_step=256,
    log_points=2,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A tiny recipe beside the real ones; the process's settings are as before afterwards."""
    monkeypatch.setitem(RECIPES, "tiny", TINY)
    threads, verbosity = torch.get_num_threads(), transformers_logging.get_verbosity()
    yield
    torch.set_num_threads(threads)
    transformers_logging.set_verbosity(verbosity)
    transformers_logging.enable_progress_bar()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder of checkpoints that has a tokenizer already."""
    train_tokenizer(generated_texts(count=150)).save_pretrained(tmp_path / "work" / "tokenizer")
    return tmp_path / "work"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "book.txt").write_text(PROSE, encoding="utf-8")
    return tmp_path / "corpus"


def run(*arguments: str | Path) -> int:
    return main([*map(str, arguments), "--threads", "1"])


def test_it_trains_on_generated_text_alone_and_what_it_writes_can_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tokenizer is learnt too, from less text than usual.
    monkeypatch.setattr("training.tokenizer.generated_texts", partial(generated_texts, 150))
    work, output = tmp_path / "work", tmp_path / "models"
    assert run("tiny", "--work", work, "--output", output, "--stop-after", "300") == 0
    assert not output.exists() and (work / "tiny" / "checkpoint.pt").exists()
    assert run("tiny", "--work", work, "--output", output) == 0
    assert {path.name for path in (output / "tiny").iterdir()} >= {
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "training_log.jsonl",
    }
    loaded = load_model("tiny", output / "tiny")
    assert loaded.bos_id == 0 and loaded.geometry.n_layers == 2
    stored = json.loads((output / "tiny" / "config.json").read_text(encoding="utf-8"))
    assert stored["dtype"] == "float16"
    log = (output / "tiny" / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["tokens"] for line in log][-1] == 1024
    capsys.readouterr()

    assert run("--evaluate", output / "tiny") == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"best_heads", "repeated_accuracy", "filing_accuracy"}
    assert set(printed["best_heads"]) == set(pattern_roles())
    assert all(set(best) == {"head", "score"} for best in printed["best_heads"].values())
    assert set(printed["filing_accuracy"]) == set(MAIN_TASKS)
    # The card has the same figures.
    card = (output / "tiny" / "README.md").read_text(encoding="utf-8")
    for role, best in printed["best_heads"].items():
        assert f"| {role} | {best['head']} | {best['score']:.2f} |" in card
    assert f"random sequences: {printed['repeated_accuracy']:.1%}" in card
    assert "children's books" not in card


def test_with_prose_it_prints_the_loss_and_the_baselines(
    work: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held_out = tmp_path / "valid.txt"
    held_out.write_text(PROSE[: len(PROSE) // 3], encoding="utf-8")
    output = tmp_path / "models"
    options = ("--work", work, "--output", output, "--corpus", corpus, "--prose", held_out)
    assert run("tiny", *options, "--tokens", "512", "--seed", "5") == 0
    capsys.readouterr()
    assert run("--evaluate", output / "tiny", "--prose", held_out, "--prose-train", corpus) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {"prose_loss", "unigram_loss", "bigram_loss"} <= set(printed)
    assert 0 < printed["bigram_loss"] < printed["unigram_loss"]
    card = (output / "tiny" / "README.md").read_text(encoding="utf-8")
    assert f"{printed['prose_loss']:.3f} nats a token" in card
    assert f"unigram counts {printed['unigram_loss']:.3f}" in card
    assert "512 tokens in batches of" in card and "seed 5" in card
    assert run("--evaluate", output / "tiny", "--prose", held_out) == 0
    assert "unigram_loss" not in json.loads(capsys.readouterr().out)


BAD_USAGE = {
    "nothing to do": ((), "name a model to train, or --evaluate DIR"),
    "both at once": (("tiny", "--evaluate", "x"), "name a model to train, or --evaluate DIR"),
    "no such recipe": (("huge",), "invalid choice: 'huge'"),
    "no such option": (("tiny", "--fast"), "unrecognized arguments: --fast"),
    "no corpus": (("tiny", "--corpus", "nowhere"), "--corpus: no .txt files in nowhere"),
    "no prose": (("tiny", "--prose", "nowhere.txt"), "--prose: nowhere.txt is no file"),
    "train without prose": (("--evaluate", "x", "--prose-train", "."), "--prose-train"),
    "no tokens": (("tiny", "--tokens", "0"), "--tokens: must be a whole number from 1. Got '0'"),
    "words": (("tiny", "--stop-after", "soon"), "--stop-after: must be a whole number from 1. Got 'soon'"),
    "no threads": (("tiny", "--threads", "-1"), "--threads: must be a whole number"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_USAGE.values(), ids=BAD_USAGE.keys())
def test_bad_usage_exits_2_and_says_why(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_that_holds_no_model_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert run("--evaluate", folder) == 1
        captured = capsys.readouterr()
        assert captured.out == "" and len(captured.err.splitlines()) == 1
        assert captured.err.startswith("train_demo_model: ")


def test_a_model_without_a_start_token_cannot_be_evaluated(
    tmp_path: Path, tiny_models_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "no-bos"
    folder.mkdir()
    for path in (tiny_models_folder / "tiny-gpt2").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    del config["bos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    assert run("--evaluate", folder) == 1
    assert "no-bos has no start token" in capsys.readouterr().err


def test_a_checkpoint_of_another_recipe_is_one_line(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--work", work, "--output", tmp_path / "models", "--stop-after", "200")
    assert run("tiny", *options) == 0
    another = Recipe("tiny", partial(build_tiny, VOCABULARY, 1), TINY.stages, 1e-2, 1024, tokens_a_step=256)
    monkeypatch.setitem(RECIPES, "tiny", another)
    capsys.readouterr()
    assert run("tiny", *options) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("train_demo_model: ") and "another shape" in last


def test_of_some_trainings_the_log_alone_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.tokenizer.generated_texts", partial(generated_texts, 150))
    # In so few tokens a filing is longer than the tiny model's context.
    monkeypatch.setattr("training.evaluate.filing_accuracy", lambda *arguments: {})
    small = replace(TINY, name="small", build=partial(build_tiny, 300, 1), vocabulary=300)
    monkeypatch.setitem(LOG_RECIPES, "small", small)
    work, output = tmp_path / "work", tmp_path / "models"
    assert run("small", "--work", work, "--output", output) == 0
    assert not output.exists()
    log = (work / "small" / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(log[-1])["tokens"] == 1024
    # A tokenizer of its own size, beside that of the bundled models.
    assert len(load_tokenizer(work / "tokenizer-300")) == 300


def test_an_interrupt_says_how_to_go_on(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train_demo_model, "train", interrupt)
    assert run("tiny", "--work", work) == 130
    assert "the same command goes on from the last checkpoint" in capsys.readouterr().err
