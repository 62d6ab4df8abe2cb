"""The bundled models' tokenizer: bytes, digits one by one, one start token."""

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from retrieval.filings.vocabulary import STATES
from training.recipes import VOCABULARY
from training.tokenizer import (
    BOS,
    corpus_files,
    corpus_texts,
    generated_texts,
    load_or_train_tokenizer,
    token_ids,
    train_tokenizer,
)
from utils.models.sources import BUNDLED


def encode(tokenizer: PreTrainedTokenizerFast, text: str) -> list[str]:
    return list(tokenizer.convert_ids_to_tokens(tokenizer(text, add_special_tokens=False)["input_ids"]))


@pytest.mark.parametrize("text", ["In 1929", "1929", "a12b", "3,456 people", "v2.0", "10 10"])
def test_digits_stand_one_by_one(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    tokens = encode(tokenizer, text)
    digits = [token for token in tokens if any(character.isdigit() for character in token)]
    assert digits == [character for character in text if character.isdigit()]


@pytest.mark.parametrize(
    "text",
    ["The cat  sat.\n\nQuestion: a", "é שלום 👍🏽", "a <b> \u200d\t", "don't .  , stop .", " x ", "\x00"],
)
def test_any_text_comes_back_as_it_was(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert 0 not in ids


def test_the_start_token_is_zero_and_goes_before_a_text(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.bos_token == tokenizer.eos_token == BOS
    assert tokenizer.bos_token_id == tokenizer.eos_token_id == 0
    assert tokenizer("cat")["input_ids"] == [0, *tokenizer("cat", add_special_tokens=False)["input_ids"]]


def test_words_of_the_filings_and_of_the_suggested_prompts_are_whole(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    for word in ("mat", "sat", "incorporated", "headquarters", "state", *STATES[:10]):
        assert encode(tokenizer, f" {word}") == [f"Ġ{word}"]


def test_no_more_tokens_than_the_models_have() -> None:
    many = (f"{a}{b}{c}{d}" for a in "abcdefgh" for b in "ijklmnop" for c in "qrstuvwx" for d in "abcdefgh")
    assert len(train_tokenizer(many)) == VOCABULARY == 4096


def test_the_same_text_gives_the_same_tokenizer(tokenizer: PreTrainedTokenizerFast) -> None:
    assert train_tokenizer(generated_texts(count=150)).get_vocab() == tokenizer.get_vocab()


def test_a_tokenizer_is_kept_and_taken_up_again(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.save_pretrained(tmp_path)
    before = (tmp_path / "tokenizer.json").read_bytes()
    again = load_or_train_tokenizer(tmp_path, None)
    assert again.get_vocab() == tokenizer.get_vocab()
    assert encode(again, "In 1929, don't .") == encode(tokenizer, "In 1929, don't .")
    assert (tmp_path / "tokenizer.json").read_bytes() == before


def test_a_corpus_is_its_text_files_in_order(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "notes.md"):
        (tmp_path / name).write_text(f"text of {name}", encoding="utf-8")
    assert [path.name for path in corpus_files(tmp_path)] == ["a.txt", "b.txt"]
    assert list(corpus_texts(tmp_path)) == ["text of a.txt", "text of b.txt"]
    assert list(corpus_texts(None)) == []


def test_texts_become_one_row_with_an_end_token_after_each(tokenizer: PreTrainedTokenizerFast) -> None:
    texts = ["One day.\n\nA cat sat.\n", "Two."]
    ids = token_ids(tokenizer, texts).tolist()
    ends = [position for position, token in enumerate(ids) if token == 0]
    assert len(ends) == 2 and ends[1] == len(ids) - 1
    assert tokenizer.decode(ids[: ends[0]]) == texts[0]
    assert tokenizer.decode(ids[ends[0] + 1 : -1]) == texts[1]
    assert token_ids(tokenizer, []).tolist() == []


@pytest.mark.parametrize("model", ["demo-gpt2", "demo-llama", "demo-llama-instruct"])
def test_the_bundled_tokenizers_are_of_this_kind(model: str) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(BUNDLED / model)
    assert len(tokenizer) == VOCABULARY and tokenizer.bos_token_id == 0
    assert encode(tokenizer, " in 1929.") == ["Ġin", "Ġ", "1", "9", "2", "9", "."]
    assert encode(tokenizer, "The cat sat on the mat.") == ["The", "Ġcat", "Ġsat", "Ġon", "Ġthe", "Ġmat", "."]
