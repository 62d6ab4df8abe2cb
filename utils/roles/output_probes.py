"""The seeded inputs that output roles are measured on: texts of which it is known what comes next.

docs/METHODS.md, section 1. Only those that the model gets right count, but for plain sentences.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from utils.roles.probe_inputs import probe_sequences

# How many sentences with names, and how many repetitions.
OUTPUT_SEQUENCES = 40
FIRST_NAMES = tuple(
    "Mary John Tom James Sarah Peter Anna David Lucy Mark Emma Paul Alice Jack Jane Bob Kate Sam Rose Max "
    "Laura Ben Lily Adam Ruth Simon Grace Frank Helen George".split()
)
PLACES = ("store", "park", "school", "garden", "station", "market", "beach", "office")
THINGS = ("drink", "book", "ring", "ball", "letter", "key", "basket", "present")
# The form of Wang et al. 2022: two names, one of them again, and the other one is to come.
TEMPLATES = (
    "When {one} and {two} went to the {place}, {again} gave a {thing} to",
    "Then, {one} and {two} went to the {place}. {again} gave a {thing} to",
    "When {one} and {two} got a {thing} at the {place}, {again} decided to give it to",
    "After {one} and {two} went to the {place}, {again} handed a {thing} to",
    "Then, {one} and {two} were working at the {place}. {again} decided to give a {thing} to",
)
REPEATING_SENTENCES = (
    "The king gave the boy a golden ring, and the boy took the golden ring home.",
    "A dog chased a cat, and then the cat chased the dog round the house.",
    "She bought apples at the market because the apples there were sweet.",
    "My brother has a boat, and on Sundays we take the boat out on the lake.",
    "The teacher asked a question, but nobody could answer the question.",
    "When the snow melted, the river rose, and the snow was soon forgotten.",
    "He wrote a letter to his mother, and his mother answered the letter.",
    "The old bridge was closed, so they built a new bridge beside it.",
    "Tom told Anna a story, and Anna told the story to her friends.",
    "The farmer sold his horse, though the horse was the best that he had.",
    "There was a hole in the roof, and the rain came through the hole.",
    "The music stopped, and without the music nobody wanted to dance.",
    "In the garden stood a tree, and under the tree an old bench.",
    "The doctor said that the medicine was new, but the medicine helped.",
    "They climbed the mountain in a day and slept on top of the mountain.",
    "A man with a red hat sat down, and the wind took the hat away.",
    "The train was late, and when the train came it was full.",
    "The children found a key, but no door in the house fitted the key.",
    "The baker made bread at night, so that the bread was fresh in the morning.",
    "London is large, and those who know London say it is never quiet.",
)
PROBE_NAMES = ("names", "completions", "repeated_words")


@dataclass(frozen=True)
class OutputProbe:
    """One input of a probe set.

    Attributes:
        ids: token ids, BOS included where the model is given one.
        answer: the token that should come next; None where the input counts whatever the model expects.
    """

    ids: tuple[int, ...]
    answer: int | None


def name_sentence(rng: random.Random) -> tuple[str, str]:
    """A sentence with two names, one of them twice, without its last word; and that word, the other name."""
    answer, subject = rng.sample(FIRST_NAMES, 2)
    one, two = rng.sample((answer, subject), 2)
    text = rng.choice(TEMPLATES).format(
        one=one, two=two, again=subject, place=rng.choice(PLACES), thing=rng.choice(THINGS)
    )
    return text, answer


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def output_probes(
    name: str,
    tokenizer: Any,
    bos_id: int | None,
    special_ids: Collection[int] = (),
    seed: int = 0,
    count: int = OUTPUT_SEQUENCES,
    context_length: int | None = None,
) -> list[OutputProbe]:
    """The inputs of one probe set; arguments as of `probe_inputs.probe_sequences`.

    `names` has sentences of the form of Wang et al. 2022, `completions` 25 random tokens and the first 24 of
    them again, `repeated_words` plain sentences in which a word comes twice, the same for every seed. Inputs
    that the context cuts are left out.

    Raises:
        ValueError: no such probe set.
    """
    bos = [] if bos_id is None else [bos_id]
    probes: list[OutputProbe] = []
    if name == "names":
        rng = random.Random(f"{name}-{seed}")
        for _ in range(count):
            text, answer = name_sentence(rng)
            probes.append(OutputProbe((*bos, *_ids(tokenizer, text)), _ids(tokenizer, " " + answer)[0]))
    elif name == "completions":
        for ids in probe_sequences("repeated", tokenizer, bos_id, special_ids, seed, count):
            probes.append(OutputProbe(tuple(ids[:-1]), ids[-1]))
    elif name == "repeated_words":
        probes = [OutputProbe((*bos, *_ids(tokenizer, text)), None) for text in REPEATING_SENTENCES[:count]]
    else:
        raise ValueError(f"probe set must be one of {', '.join(PROBE_NAMES)}. Got {name!r}.")
    return [probe for probe in probes if context_length is None or len(probe.ids) <= context_length]
