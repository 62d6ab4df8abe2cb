"""Probe inputs: the sequences of docs/METHODS.md, section 1, from a seed."""

import random

import pytest

from utils.models.loading import LoadedModel
from utils.roles.probe_inputs import (
    COMMON_WORDS,
    NATURAL_SENTENCES,
    PROBE_NAMES,
    REPEAT_PROBABILITY,
    SEGMENT_LENGTH,
    probe_sequences,
    word_list,
)


def sequences(loaded: LoadedModel, name: str, seed: int = 0, count: int = 20) -> list[list[int]]:
    return probe_sequences(name, loaded.tokenizer, loaded.bos_id, loaded.special_ids, seed, count)


@pytest.mark.parametrize("name", PROBE_NAMES)
def test_contract_of_a_probe_set(loaded: LoadedModel, name: str) -> None:
    found = sequences(loaded, name)
    assert len(found) == (len(NATURAL_SENTENCES) if name == "natural" else 20)
    assert found == sequences(loaded, name)
    for ids in found:
        assert loaded.bos_id is None or ids[0] == loaded.bos_id
        assert not set(ids[loaded.bos_id is not None :]) & loaded.special_ids
        assert all(0 <= i < len(loaded.tokenizer) for i in ids)
    without = probe_sequences(name, loaded.tokenizer, None, loaded.special_ids, 0, 20)
    assert without == [ids[loaded.bos_id is not None :] for ids in found]
    if name != "natural":
        assert sequences(loaded, name, seed=1) != found
        # More sequences of one seed begin with the same ones.
        assert sequences(loaded, name, count=5) == found[:5]


def test_repeated_is_a_segment_without_repetition_and_the_same_again(tiny_gpt2: LoadedModel) -> None:
    for ids in sequences(tiny_gpt2, "repeated", count=50):
        first, second = ids[1 : 1 + SEGMENT_LENGTH], ids[1 + SEGMENT_LENGTH :]
        assert first == second and len(set(first)) == SEGMENT_LENGTH == 25


def test_random_segments_avoid_the_special_ids(tiny_gpt2: LoadedModel) -> None:
    special = set(range(200))
    for ids in probe_sequences("repeated", tiny_gpt2.tokenizer, 0, special, 0, 50):
        assert not set(ids[1:]) & special


def test_a_toy_vocabulary_gives_shorter_segments(tiny_gpt2: LoadedModel) -> None:
    special = set(range(10, len(tiny_gpt2.tokenizer)))
    (ids,) = probe_sequences("repeated", tiny_gpt2.tokenizer, None, special, 0, 1)
    assert sorted(ids[:10]) == list(range(10)) and ids[:10] == ids[10:]


def test_word_lists_are_common_words_with_commas_of_which_some_come_again(tiny_gpt2: LoadedModel) -> None:
    rng = random.Random(1)
    again = drawn = 0
    for _ in range(300):
        words = word_list(rng).split(", ")
        assert set(words) <= set(COMMON_WORDS)
        again += sum(word in words[:i] for i, word in enumerate(words))
        drawn += len(words) - 1
    # With probability 0.4 one that came before, and now and then one by chance.
    assert REPEAT_PROBABILITY == 0.4 and 0.4 < again / drawn < 0.6
    decoded = [str(tiny_gpt2.tokenizer.decode(ids[1:])) for ids in sequences(tiny_gpt2, "word_lists")]
    assert all(set(text.split(", ")) <= set(COMMON_WORDS) for text in decoded)


def test_the_words_are_distinct_and_plain() -> None:
    assert len(set(COMMON_WORDS)) == len(COMMON_WORDS) >= 40
    assert all(word.isalpha() and word.islower() for word in COMMON_WORDS)


def test_the_natural_sentences_are_at_least_twenty_and_varied(tiny_gpt2: LoadedModel) -> None:
    assert len(set(NATURAL_SENTENCES)) == len(NATURAL_SENTENCES) >= 20
    assert len({text.split()[0] for text in NATURAL_SENTENCES}) >= 15
    found = sequences(tiny_gpt2, "natural", seed=5, count=3)
    assert [tiny_gpt2.tokenizer.decode(ids[1:]) for ids in found] == list(NATURAL_SENTENCES)


def test_an_unknown_set_is_refused_with_the_list(tiny_gpt2: LoadedModel) -> None:
    with pytest.raises(ValueError, match=r"repeated, word_lists, natural\. Got 'poems'"):
        probe_sequences("poems", tiny_gpt2.tokenizer, 0)


def test_sentences_and_word_lists_end_with_the_context(tiny_gpt2: LoadedModel) -> None:
    def drawn(name: str, context: int | None) -> list[list[int]]:
        return probe_sequences(name, tiny_gpt2.tokenizer, 0, {0}, 0, 5, context)

    for name in ("natural", "word_lists"):
        whole = drawn(name, None)
        assert max(map(len, whole)) > 30
        assert drawn(name, 30) == [ids[:30] for ids in whole]
        assert drawn(name, 10_000) == whole
    # Half of a repeated sequence repeats nothing.
    assert drawn("repeated", 30) == drawn("repeated", None)
