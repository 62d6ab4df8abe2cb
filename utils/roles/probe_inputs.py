"""The seeded inputs that heads are measured on, as token ids (docs/METHODS.md, section 1, "Probe inputs")."""

import random
from collections.abc import Callable, Collection
from typing import Any

SEGMENT_LENGTH = 25
WORD_LIST_LENGTH = 16
REPEAT_PROBABILITY = 0.4

COMMON_WORDS = tuple(
    "red blue green white black yellow brown grey dog cat horse cow bird fish sheep bear tree flower "
    "stone river hill road house door table chair bread milk apple cheese king queen boy girl mother "
    "father sun moon rain snow".split()
)

NATURAL_SENTENCES = (
    "The old man walked slowly down the road until he came to a small white house.",
    "When the rain stopped, the children ran out into the garden to look for snails.",
    "She put the letter in her pocket and did not say a word about it.",
    "There was once a king who had three sons, and the youngest was thought to be a fool.",
    "In the middle of the night a loud knock came at the door.",
    "The farmer brought his sheep home before the storm came over the hills.",
    "Nobody knew where the river began, though many people had tried to find out.",
    "After supper the whole family sat round the fire and told stories.",
    "A little bird with a broken wing lay under the hedge.",
    "He asked his mother for some bread and cheese, because he had a long way to go.",
    "The ship sailed at dawn with forty men and a cargo of wool.",
    "My grandmother kept her buttons in a tin box on the highest shelf.",
    "Far away in the north, where winter lasts most of the year, lived a great white bear.",
    "The teacher wrote three numbers on the board and asked which was the largest.",
    "If you go through the wood, keep to the path and do not talk to strangers.",
    "They found the boat at last, half full of water and tied to an old post.",
    "The town has a market on Tuesday, and people come from every village near it.",
    "Her hands were cold, but she would not wear the gloves that he had given her.",
    "The cook was angry with the boy for letting the soup boil over.",
    "Early in spring the first flowers push up through the snow.",
    "Two friends were travelling together when they met a stranger on the bridge.",
    "The clock in the tower struck seven, and the shops began to open.",
    "I have never seen anything so strange in all my life, said the rabbit.",
    "Every evening the fisherman mended his nets and looked out over the quiet sea.",
)


def _words_as_ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _repeated(tokenizer: Any, rng: random.Random, special: set[int]) -> list[int]:
    """25 random tokens, none twice, and the same 25 again."""
    # Fewer distinct tokens than this only in a toy vocabulary: then the segment is as long as the
    # vocabulary allows.
    vocabulary = [i for i in range(len(tokenizer)) if i not in special]
    segment = rng.sample(vocabulary, min(SEGMENT_LENGTH, len(vocabulary)))
    return segment + segment


def word_list(rng: random.Random, length: int = WORD_LIST_LENGTH) -> str:
    """A comma-separated list of common words, each with probability 0.4 one that came before."""
    words: list[str] = []
    for _ in range(length):
        if words and rng.random() < REPEAT_PROBABILITY:
            words.append(rng.choice(words))
        else:
            words.append(rng.choice(COMMON_WORDS))
    return ", ".join(words)


def _word_list_ids(tokenizer: Any, rng: random.Random, special: set[int]) -> list[int]:
    return _words_as_ids(tokenizer, word_list(rng))


# One row a probe set: how one sequence is drawn. `natural` takes its sentences in order instead.
_DRAW: dict[str, Callable[[Any, random.Random, set[int]], list[int]]] = {
    "repeated": _repeated,
    "word_lists": _word_list_ids,
}
PROBE_NAMES = (*_DRAW, "natural")
# Of these the first tokens alone are an input of the same kind; a repeated sequence without its end is not.
_OPEN_ENDED = ("natural", "word_lists")


def probe_sequences(
    name: str,
    tokenizer: Any,
    bos_id: int | None,
    special_ids: Collection[int] = (),
    seed: int = 0,
    count: int = 50,
    context_length: int | None = None,
) -> list[list[int]]:
    """The token id sequences of one probe set.

    Args:
        name: one of `PROBE_NAMES`.
        tokenizer: a Hugging Face tokenizer.
        bos_id: put first where the model is given a BOS token, else None.
        special_ids: ids that no random segment may hold; also those that the model has no row for.
        seed: the same seed gives the same sequences.
        count: how many; `natural` has its 24 sentences whatever the count.
        context_length: sentences and word lists end there; None for their full length.

    Raises:
        ValueError: no such probe set.
    """
    if name not in PROBE_NAMES:
        raise ValueError(f"probe set must be one of {', '.join(PROBE_NAMES)}. Got {name!r}.")
    bos = [] if bos_id is None else [bos_id]
    if name == "natural":
        sequences = [bos + _words_as_ids(tokenizer, text) for text in NATURAL_SENTENCES]
    else:
        rng = random.Random(f"{name}-{seed}")
        special = set(special_ids)
        sequences = [bos + _DRAW[name](tokenizer, rng, special) for _ in range(count)]
    return [ids[:context_length] for ids in sequences] if name in _OPEN_ENDED else sequences
