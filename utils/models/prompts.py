"""From typed text to the tokens that the model reads, and to the labels that people read."""

import codecs
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from utils.errors import UserFacingError
from utils.models.limits import DEFAULT_MAX_TOKENS
from utils.models.loading import LoadedModel
from utils.models.tokenizer_panics import panics_explained

# A text with more characters than this for each token that it may have is refused before it is tokenized,
# which takes a second for each million of them. Few tokens are longer than 20 characters.
CHARACTERS_PER_TOKEN = 100

_EXCERPT = 24  # characters of the prompt quoted in an error
_SHOWN = {" ": "·", "\n": "⏎", "\t": "⇥"}
# Control, format (among them the marks that reverse a line) and separators other than the space: invisible,
# or able to disturb what stands beside them.
_INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class TokenizedPrompt:
    """A prompt as the model reads it; the three tuples have one entry a token, BOS included.

    Attributes:
        text: what was typed, unchanged.
        ids: token ids.
        labels: what the token strip shows (`token_label`).
        special: whether the token is a special one, which no typed text can make.
        start_added: whether the first token was put there although the tokenizer by itself would not.
    """

    text: str
    ids: tuple[int, ...]
    labels: tuple[str, ...]
    special: tuple[bool, ...]
    start_added: bool = False


def max_characters(tokens: int) -> int:
    """The most characters of a text that may have so many tokens.

    >>> max_characters(64)
    6400
    """
    return tokens * CHARACTERS_PER_TOKEN


def check_characters(text: str, limit: int, what: str = "prompt") -> None:
    """Refuse a text that is too long to be tokenized; for every text of a user, before anything reads it.

    Args:
        text: what was typed, pasted or sent.
        limit: most characters, from `max_characters` where a number of tokens is the limit.
        what: what it is called in a sentence.

    Raises:
        UserFacingError: it has more characters.
    """
    if len(text) > limit:
        raise UserFacingError(
            f"The {what} has {len(text):,} characters and at most {limit:,} are read.",
            f"Use a shorter {what}, or a part of this one.",
        )


def tokenize_prompt(loaded: LoadedModel, text: str, limit: int = DEFAULT_MAX_TOKENS) -> TokenizedPrompt:
    """Tokenize `text`, with BOS in front where the model is given one.

    The text of a special token ("<|endoftext|>") is text like any other.

    Args:
        loaded: the model.
        text: what was typed.
        limit: most tokens, BOS included; the model's context is the limit where it is smaller.

    Raises:
        UserFacingError: nothing but white space, half a character (a lone surrogate), over the limit in
            tokens or, far beyond it, in characters, a token that the model has no row for, or a text on
            which the tokenizer gives up.
    """
    if not text.strip():
        empty = "The prompt is empty." if not text else "The prompt has only spaces in it."
        raise UserFacingError(empty, "Type a sentence, or choose an example.")
    if half := _SURROGATE.search(text):
        raise UserFacingError(
            f"Character {half.start() + 1} of the prompt is half of a character (a lone surrogate).",
            "Delete it, or type it again.",
        )
    limit = min(limit, loaded.context_length)
    check_characters(text, max_characters(limit))
    with panics_explained():
        encoding = loaded.text_tokenizer.encode(text, add_special_tokens=False)
    prefix = () if loaded.bos_id is None else (loaded.bos_id,)
    ids = (*prefix, *encoding.ids)
    if len(ids) > limit:
        # The first character of the first token that is too much.
        start = encoding.offsets[max(limit - len(prefix), 0)][0]
        raise UserFacingError(
            f"The prompt has {len(ids)} tokens and the limit is {limit}"
            f"{', the start token included' if prefix else ''}.",
            f"Cut the last {len(ids) - limit} tokens, from “{_excerpt(text[start:])}” on.",
        )
    check_rows(loaded, ids)
    return TokenizedPrompt(
        text=text,
        ids=ids,
        labels=tuple(token_label(loaded, token) for token in ids),
        special=tuple(token in loaded.special_ids for token in ids),
        start_added=loaded.bos_added,
    )


def check_rows(loaded: LoadedModel, ids: Sequence[int], what: str = "prompt") -> None:
    """Refuse a text that needs a token which was added to the tokenizer, but not to the model.

    Raises:
        UserFacingError: the model has no row for one of `ids`; the first is named.
    """
    rows: int = loaded.model.config.vocab_size
    missing = next((token for token in ids if token >= rows), None)
    if missing is not None:
        raise UserFacingError(
            f"The {what} holds “{token_label(loaded, missing)}”, a token of the tokenizer that "
            f"{loaded.name} has no embedding for.",
            "Leave it out, or resize the model's embeddings to its tokenizer and save it again.",
        )


def count_tokens(loaded: LoadedModel, text: str | None) -> int:
    """How many tokens `tokenize_prompt` would make of `text`, BOS included; 0 for nothing.

    Raises:
        UserFacingError: the tokenizer gives up on it.
    """
    if not text:
        return 0
    # A lone surrogate, which the tokenizer cannot take, is counted as the replacement character.
    clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    with panics_explained():
        count = len(loaded.text_tokenizer.encode(clean, add_special_tokens=False).ids)
    return count + (loaded.bos_id is not None)


def token_label(loaded: LoadedModel, token: int) -> str:
    """How one token is shown: its own text, with what cannot be seen made visible.

    A space is "·", a newline "⏎", a tab "⇥", bytes that are no whole character "⟨E2⟩", another
    invisible character "⟨U+200D⟩"; a combining mark at the start stands on a dotted circle. Never empty. It
    may hold any other character, "<" among them: escape it for HTML.
    """
    label = "".join(_visible(character) for character in token_text(loaded, token))
    if label and unicodedata.category(label[0]).startswith("M"):
        label = "◌" + label
    return label or f"⟨{token}⟩"


def token_text(loaded: LoadedModel, token: int) -> str:
    """The text of one token as it stands in a prompt, spaces and newlines as they are; for data.

    Bytes that are no whole character are "⟨E2⟩", an id beyond the vocabulary is "⟨50300⟩".
    """
    written = loaded.text_tokenizer.id_to_token(token)
    if written is None:  # embedding matrices are often padded beyond the vocabulary
        return f"⟨{token}⟩"
    byte_level = _is_byte_level(loaded)
    # An added token is written as it is read; in SentencePiece's vocabularies all but the special ones have
    # their spaces written like the rest.
    if token in loaded.special_ids or (byte_level and token in loaded.tokenizer.added_tokens_decoder):
        return written
    if byte_level:
        return _from_byte_level(written).decode("utf-8", _SHOW_BYTES)
    if len(written) == 6 and written.startswith("<0x"):  # SentencePiece's single bytes
        return bytes([int(written[3:5], 16)]).decode("utf-8", _SHOW_BYTES)
    return written.replace("▁", " ")


def _visible(character: str) -> str:
    if character in _SHOWN:
        return _SHOWN[character]
    if unicodedata.category(character) in _INVISIBLE:
        return f"⟨U+{ord(character):04X}⟩"
    return character


def _excerpt(text: str) -> str:
    """The first characters of `text` on one line, what is invisible in them made visible."""
    start = text[:_EXCERPT].strip() or text[:_EXCERPT]
    shown = "".join(character if character == " " else _visible(character) for character in start)
    return shown + ("…" if len(text) > _EXCERPT else "")


def _is_byte_level(loaded: LoadedModel) -> bool:
    decoder = loaded.text_tokenizer.decoder
    return decoder is not None and b"ByteLevel" in decoder.__getstate__()


@cache
def _byte_of_character() -> dict[str, int]:
    """The alphabet in which byte-level BPE (GPT-2) writes the 256 byte values as printable characters.

    The printable characters of Latin-1 stand for their own code; the other bytes, in order, are the
    characters from U+0100 on.
    """
    own = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


def _from_byte_level(written: str) -> bytes:
    table = _byte_of_character()
    return b"".join(bytes([table[c]]) if c in table else c.encode() for c in written)


_SHOW_BYTES = "headscope.show-bytes"


def _show_bytes(error: UnicodeError) -> tuple[str, int]:
    """A decoding error handler: the bytes that are no whole character, as ⟨E2⟩⟨82⟩."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(f"⟨{byte:02X}⟩" for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_SHOW_BYTES, _show_bytes)


MAX_LOOKALIKES = 3


def lookalike_sentence(prompt: TokenizedPrompt) -> str:
    """Says which tokens look alike but are different ones ("The" and " The"); "" where none do."""
    by_text: dict[str, dict[int, str]] = defaultdict(dict)
    for token, label, special in zip(prompt.ids, prompt.labels, prompt.special, strict=True):
        text = label.strip("·").casefold()
        if text and not special:
            by_text[text][token] = label
    alike = [list(labels.values()) for labels in by_text.values() if len(labels) > 1][:MAX_LOOKALIKES]
    if not alike:
        return ""
    message = "; ".join(" and ".join(f"“{label}”" for label in labels) for labels in alike)
    return (
        f"{message} look alike but are different tokens for the model (· is a space), so they do not repeat."
    )


def token_of_text(loaded: LoadedModel, text: str | None) -> int | None:
    """The token that a watched text stands for: its first token as a new word, or as it is written.

    None for an empty text, or one that cannot be a token of the model.
    """
    if not text or len(text) > max_characters(1) or not text.strip():
        return None
    clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    encode = loaded.text_tokenizer.encode
    try:
        with panics_explained():
            word = encode(" " + clean.strip("·").lstrip(), add_special_tokens=False).ids
            plain = encode(clean.strip("·"), add_special_tokens=False).ids
    except UserFacingError:
        return None
    choices = [ids for ids in (word, plain) if len(ids) == 1] or [word]
    token = choices[0][0] if choices[0] else None
    return token if token is not None and token < loaded.model.config.vocab_size else None


def end_tokens(loaded: LoadedModel) -> frozenset[int]:
    """The tokens with which the model ends a text: by its generation settings, else its tokenizer's."""
    settings = loaded.model.generation_config
    ends: Any = settings.eos_token_id if settings is not None else None
    if ends is None:
        ends = loaded.tokenizer.eos_token_id
    if ends is None:
        return frozenset()
    return frozenset([ends] if isinstance(ends, int) else ends)
