"""Prompts: what becomes tokens, what is refused, and what the labels show."""

import copy
import random
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import AutoTokenizer

from tests.fixtures.makers.tiny_models import build_gpt2, build_tokenizer
from utils.errors import UserFacingError
from utils.forward.attention_capture import capture
from utils.models.limits import DEFAULT_MAX_TOKENS, MAX_TOKENS_LIMIT
from utils.models.loading import LoadedModel, load_model, unknown_tokens
from utils.models.prompts import (
    TokenizedPrompt,
    count_tokens,
    token_label,
    token_of_text,
    token_text,
    tokenize_prompt,
)

HARD = {
    "html": "<b>bold</b> & <script>alert(1)</script>",
    "script end": "</script><script>x</script>",
    "chinese": "公司在上海。成立于1921年！是吗？",
    "japanese": "本社は東京です。トヨタ、「はい」。",
    "hindi": "यह दिल्ली में है।",
    "arabic": "أين المقر؟ في القاهرة، مصر.",
    "emoji": "👍🏽 👨\u200d👩\u200d👧 ok",
    "right to left": "שלום עולם \u202eabc\u202c مرحبا",
    "combining": "e\u0301a\u0300 Z\u0351\u036b\u0343\u036a",
    "typed special": "a <|endoftext|> b",
    "lines and tabs": "a\n\n\tb\r\nc",
    "other spaces": "a\u00a0b\u2003c\u2028d",
    "nothing visible": "\u200b\u200d\ufeff",
    "nul": "a\0b",
    "one letter": "a",
    "surrounding spaces": "  a  ",
    "last code point": "\U0010ffff \ufffd",
}


def typed(loaded: LoadedModel, prompt: TokenizedPrompt) -> list[int]:
    """The ids of what was typed: all but the start token, where the model is given one."""
    return list(prompt.ids[loaded.bos_id is not None :])


def as_the_model_gets_it(loaded: LoadedModel, text: str) -> str:
    """The text after what the tokenizers of two families do to every text."""
    if loaded.family.model_type == "qwen2":  # composes letters with their marks
        return unicodedata.normalize("NFC", text)
    # Mistral's puts a space before the first word, unless one stands there: then that is lost.
    return text.removeprefix(" ") if loaded.family.model_type == "mistral" else text


def filling(loaded: LoadedModel, tokens: int) -> str:
    """A text of this many tokens, start token included; one letter a token, as in every tiny tokenizer."""
    return "x" * (tokens + 1 - count_tokens(loaded, "x"))


@pytest.mark.parametrize("text", HARD.values(), ids=HARD.keys())
def test_hard_text_is_taken_as_it_stands(loaded: LoadedModel, text: str) -> None:
    prompt = tokenize_prompt(loaded, text, limit=128)
    assert prompt.text == text
    assert loaded.tokenizer.decode(typed(loaded, prompt)) == as_the_model_gets_it(loaded, text)
    assert len(prompt.ids) == len(prompt.labels) == len(prompt.special) == count_tokens(loaded, text)
    started = loaded.bos_id is not None
    assert not started or (prompt.ids[0] == loaded.bos_id and prompt.labels[0] == loaded.tokenizer.bos_token)
    assert prompt.special == (*[True] * started, *[False] * (len(prompt.ids) - started))
    assert all(prompt.labels)
    assert all(character.isprintable() for label in prompt.labels for character in label)
    assert capture(loaded, prompt.ids).logits.isfinite().all()


def test_labels_show_what_is_there(tiny_gpt2: LoadedModel) -> None:
    assert tokenize_prompt(tiny_gpt2, "The cat sat").labels[:3] == ("<|endoftext|>", "The", "·cat")
    assert "".join(tokenize_prompt(tiny_gpt2, "a\n\tb <|endoftext|>").labels[1:]) == "a⏎⇥b·<|endoftext|>"
    assert "".join(tokenize_prompt(tiny_gpt2, "é").labels[1:]) == "⟨C3⟩⟨A9⟩"
    assert tokenize_prompt(tiny_gpt2, "\0").labels[1:] == ("⟨U+0000⟩",)


def with_tokens(loaded: LoadedModel, tokens: list[str], decoder: object) -> LoadedModel:
    """The same model with a word list for a tokenizer, to see labels of tokens that the tiny one lacks."""
    tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token=tokens[0]))
    tokenizer.decoder = decoder  # pyright: ignore[reportAttributeAccessIssue]
    return replace(loaded, text_tokenizer=tokenizer)


def copied_tokenizers(loaded: LoadedModel) -> LoadedModel:
    """The same model with tokenizers that the test may change."""
    tokenizer, text_tokenizer = copy.deepcopy(loaded.tokenizer), copy.deepcopy(loaded.text_tokenizer)
    return replace(loaded, tokenizer=tokenizer, text_tokenizer=text_tokenizer)


def test_labels_of_whole_and_of_broken_characters_in_byte_level_tokens(tiny_gpt2: LoadedModel) -> None:
    # As byte-level BPE writes them: "é", a lone combining acute, a right-to-left override, half of an emoji
    # after a space, a soft hyphen in a word, an empty token.
    tokens = ["<bos>", "Ã©", "Ìģ", "âĢ®", "ĠðŁĳ", "aÂŃb", ""]
    loaded = with_tokens(tiny_gpt2, tokens, decoders.ByteLevel())
    labels = [token_label(loaded, i) for i in range(1, 7)]
    assert labels == ["é", "◌\u0301", "⟨U+202E⟩", "·⟨F0⟩⟨9F⟩⟨91⟩", "a⟨U+00AD⟩b", "⟨6⟩"]
    assert token_label(loaded, 99) == "⟨99⟩"
    texts = [token_text(loaded, i) for i in (*range(1, 7), 99)]
    assert texts == ["é", "\u0301", "\u202e", " ⟨F0⟩⟨9F⟩⟨91⟩", "a\u00adb", "", "⟨99⟩"]


def test_labels_in_a_sentencepiece_vocabulary(tiny_llama: LoadedModel) -> None:
    decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    loaded = with_tokens(tiny_llama, ["<unk>", "▁the", "cat", "<0xE2>", "<0x0A>", "é"], decoder)
    assert [token_label(loaded, i) for i in range(1, 6)] == ["·the", "cat", "⟨E2⟩", "⏎", "é"]
    assert [token_text(loaded, i) for i in range(1, 6)] == [" the", "cat", "⟨E2⟩", "\n", "é"]


def test_labels_of_a_space_alone_and_of_a_long_token(tiny_gpt2: LoadedModel, tiny_llama: LoadedModel) -> None:
    long = "x" * 200
    byte_level = with_tokens(tiny_gpt2, ["<bos>", "Ġ", "ĠĠĠ", long], decoders.ByteLevel())
    pieces = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    sentencepiece = with_tokens(tiny_llama, ["<unk>", "▁", "▁▁▁", long], pieces)
    plain = with_tokens(tiny_gpt2, ["<bos>", " ", "   ", long], decoders.Fuse())
    for loaded in (byte_level, sentencepiece, plain):
        assert [token_label(loaded, token) for token in (1, 2, 3)] == ["·", "···", long]


def test_labels_of_whole_characters_of_other_scripts(tiny_gpt2: LoadedModel) -> None:
    texts = ["上海", "東京", "दिल्ली", "القاهرة"]
    decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    loaded = with_tokens(tiny_gpt2, ["<unk>", *(f"▁{text}" for text in texts)], decoder)
    assert [token_label(loaded, token) for token in (1, 2, 3, 4)] == [f"·{text}" for text in texts]


def test_labels_of_a_models_own_special_tokens_and_bytes(loaded: LoadedModel) -> None:
    labels = {loaded.text_tokenizer.id_to_token(i): token_label(loaded, i) for i in loaded.special_ids}
    assert labels and all(label == written for written, label in labels.items())
    shown = "".join(tokenize_prompt(loaded, "Zé the\n\tcat").labels[loaded.bos_id is not None :])
    assert shown.removeprefix("·") == "Z⟨C3⟩⟨A9⟩·the⏎⇥cat"


def test_tokens_added_to_a_vocabulary_are_shown_as_the_rest_is(
    tiny_model: Callable[[str], LoadedModel],
) -> None:
    # Gemma's tokenizer has runs of spaces among its added tokens, Pythia's too, each in its own writing.
    for model_type, written in (("gemma2", "▁▁▁"), ("gpt_neox", "   ")):
        loaded = copied_tokenizers(tiny_model(model_type))
        for tokenizer in (loaded.text_tokenizer, loaded.tokenizer.backend_tokenizer):
            tokenizer.add_tokens([AddedToken(written, normalized=False)])
            tokenizer.add_special_tokens([AddedToken("<a▁b>", normalized=False)])
        spaces, special = (loaded.text_tokenizer.token_to_id(text) for text in (written, "<a▁b>"))
        assert spaces is not None and special is not None
        loaded = replace(loaded, special_ids=loaded.special_ids | {special})
        assert [token_label(loaded, token) for token in (spaces, special)] == ["···", "<a▁b>"]


def test_text_of_a_special_token_is_not_the_special_token(loaded: LoadedModel) -> None:
    for token in loaded.special_ids:
        written = loaded.text_tokenizer.id_to_token(token)
        assert written is not None
        ids = typed(loaded, tokenize_prompt(loaded, written))
        assert token not in ids and len(ids) > 2
        # The model's own tokenizer, used elsewhere, would have made it one.
        assert loaded.tokenizer(written, add_special_tokens=False)["input_ids"] == [token]


def test_a_model_without_bos_gets_none(tiny_gpt2: LoadedModel) -> None:
    loaded = replace(tiny_gpt2, bos_id=None)
    prompt = tokenize_prompt(loaded, "The cat")
    assert prompt.ids == tokenize_prompt(tiny_gpt2, "The cat").ids[1:]
    assert prompt.special == (False,) * len(prompt.ids)
    assert count_tokens(loaded, "The cat") == len(prompt.ids)
    with pytest.raises(UserFacingError) as caught:
        tokenize_prompt(loaded, "a" * 70, 64)
    assert "start token" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The prompt is empty."),
        (" ", "The prompt has only spaces in it."),
        (" \n\t\u00a0 ", "The prompt has only spaces in it."),
        ("ab\ud83dcd", "Character 3 of the prompt is half of a character (a lone surrogate)."),
        ("\udc00", "Character 1 of the prompt is half of a character (a lone surrogate)."),
    ],
)
def test_what_cannot_be_a_prompt_is_refused(loaded: LoadedModel, text: str, message: str) -> None:
    with pytest.raises(UserFacingError) as caught:
        tokenize_prompt(loaded, text)
    assert caught.value.message == message
    assert caught.value.remedy.endswith(".")
    str(caught.value).encode()  # can be shown and logged


def test_the_cap_is_exact_and_says_what_to_cut(loaded: LoadedModel) -> None:
    assert DEFAULT_MAX_TOKENS == 128
    start = filling(loaded, 64)
    assert len(tokenize_prompt(loaded, start, 64).ids) == 64
    with pytest.raises(UserFacingError) as caught:
        tokenize_prompt(loaded, start + "zqzq", 64)
    included = ", the start token included" if loaded.bos_id is not None else ""
    assert caught.value.message == f"The prompt has 68 tokens and the limit is 64{included}."
    assert caught.value.remedy == "Cut the last 4 tokens, from “zqzq” on."
    assert len(tokenize_prompt(loaded, start + "zqzq", limit=68).ids) == 68


def test_cutting_where_it_says_makes_it_fit(loaded: LoadedModel) -> None:
    text = "One day a little girl went to the park and saw 12 big red dogs, a cat, two owls and her mother."
    limit = count_tokens(loaded, text) - 20
    with pytest.raises(UserFacingError) as caught:
        tokenize_prompt(loaded, text, limit)
    quoted = caught.value.remedy.split("“")[1].split("…")[0]
    assert text.count(quoted) == 1
    # The space before the quoted word is part of its token.
    assert len(tokenize_prompt(loaded, text[: text.index(quoted)].rstrip(), limit).ids) == limit


def test_the_context_of_the_model_is_a_limit_too(loaded: LoadedModel) -> None:
    assert loaded.context_length < MAX_TOKENS_LIMIT
    with pytest.raises(UserFacingError, match="the limit is 128"):
        tokenize_prompt(loaded, filling(loaded, 129), limit=MAX_TOKENS_LIMIT)
    assert len(tokenize_prompt(loaded, filling(loaded, 128), limit=MAX_TOKENS_LIMIT).ids) == 128


def test_a_quoted_place_has_nothing_invisible_in_it(loaded: LoadedModel) -> None:
    with pytest.raises(UserFacingError) as caught:
        tokenize_prompt(loaded, filling(loaded, 64) + "\u202e\nabc</script>", 64)
    assert "“⟨U+202E⟩⏎abc</script>”" in caught.value.remedy


def test_count_never_raises(loaded: LoadedModel) -> None:
    for text in (*HARD.values(), "\ud83d", "a\udc00b", "\ud83d\ude00", " ", "x" * 5000, "\ufeff\ufeff"):
        assert count_tokens(loaded, text) > (loaded.bos_id is not None)
    assert count_tokens(loaded, "") == count_tokens(loaded, None) == 0
    assert count_tokens(loaded, "\ud83d\ude00") == count_tokens(loaded, "😀")


def test_threads_at_once_tokenize_alike(loaded: LoadedModel) -> None:
    texts = [t for t in HARD.values()]
    expected = {text: tokenize_prompt(loaded, text, 128).ids for text in texts}
    wrong: list[object] = []

    def work(seed: int) -> None:
        for text in random.Random(seed).choices(texts, k=100):
            try:
                # The shared tokenizer of transformers changes its own settings at each call.
                loaded.tokenizer(text, split_special_tokens=bool(seed % 2))
                if tokenize_prompt(loaded, text, 128).ids != expected[text]:
                    wrong.append(text)
            except UserFacingError as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


class Unread:
    """A tokenizer that must not be asked."""

    def encode(self, *args: object, **kwargs: object) -> None:
        raise AssertionError("a text was tokenized")


def test_a_text_with_far_too_many_characters_is_refused_before_it_is_tokenized(loaded: LoadedModel) -> None:
    unread = replace(loaded, text_tokenizer=Unread())
    with pytest.raises(UserFacingError) as caught:
        tokenize_prompt(unread, "a" * 10**7)
    assert str(caught.value) == (
        "The prompt has 10,000,000 characters and at most 12,800 are read. "
        "Use a shorter prompt, or a part of this one."
    )
    # The model's context counts too.
    with pytest.raises(UserFacingError, match="at most 12,800 are read"):
        tokenize_prompt(unread, "a" * 12_801, limit=MAX_TOKENS_LIMIT)
    # Just below the answer is the one in tokens.
    with pytest.raises(UserFacingError, match="tokens and the limit is 64"):
        tokenize_prompt(loaded, "a" * 6_400, 64)
    # A word of the box beside the prediction.
    assert token_of_text(unread, "a" * 101) is None


def _with_added_token(folder: Path, token: str, special: bool) -> LoadedModel:
    """The model of a folder after a token was added to its tokenizer, and not to its embedding."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    if special:
        tokenizer.add_special_tokens({"pad_token": token})
    else:
        tokenizer.add_tokens([token])
    tokenizer.save_pretrained(folder)
    loaded = load_model("longer", folder)
    assert len(loaded.tokenizer) == loaded.model.config.vocab_size + 1
    return loaded


@pytest.mark.parametrize("model_type", ["gpt2", "llama"])
def test_a_tokenizer_with_a_padding_token_more_than_the_model(
    copied_model: Callable[[str], Path], tiny_model: Callable[[str], LoadedModel], model_type: str
) -> None:
    longer = _with_added_token(copied_model(model_type), "<pad>", special=True)
    assert unknown_tokens(longer) == {320} <= longer.special_ids
    # Typed, it is text like any other.
    for text in ("The cat sat", "a <pad> b"):
        prompt = tokenize_prompt(longer, text)
        expected = tokenize_prompt(tiny_model(model_type), text)
        assert (prompt.ids, prompt.labels) == (expected.ids, expected.labels)
        assert capture(longer, prompt.ids).logits.shape[-1] == 320


def test_a_prompt_that_needs_a_missing_row_is_one_sentence(copied_model: Callable[[str], Path]) -> None:
    longer = _with_added_token(copied_model("gpt2"), "<note>", special=False)
    assert tokenize_prompt(longer, "The cat sat").ids
    with pytest.raises(UserFacingError) as caught:
        tokenize_prompt(longer, "The <note> cat")
    assert caught.value.message == (
        "The prompt holds “<note>”, a token of the tokenizer that longer has no embedding for."
    )
    assert count_tokens(longer, "The <note> cat") == 5
    # It is no token whose probability could be watched.
    assert token_of_text(longer, "<note>") != 320


def test_a_tokenizer_shorter_than_the_embedding_works(tmp_path: Path) -> None:
    folder = tmp_path / "padded"
    with torch.random.fork_rng():
        build_gpt2(384).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    padded = load_model("padded", folder)
    assert unknown_tokens(padded) == frozenset()
    prompt = tokenize_prompt(padded, "The cat sat")
    assert capture(padded, prompt.ids).logits.shape[-1] == 384
    assert token_label(padded, 383) == "⟨383⟩"


def test_a_start_token_without_a_row_is_refused_at_load(copied_model: Callable[[str], Path]) -> None:
    folder = copied_model("gpt2")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    tokenizer.save_pretrained(folder)
    with pytest.raises(UserFacingError, match="numbers its tokens up to 320"):
        load_model("m", folder)
