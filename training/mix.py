"""The rows that the bundled models learn from: prose, repeated segments, word lists, filings, pairs, chats.

A row is BOS and up to `context - 1` more tokens, with a loss weight for each token as a target. What nobody
could predict (the first pass of a random segment) weighs nothing; answers weigh more.
"""

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from retrieval.filings import generated
from training import chat
from training.recipes import Mix
from utils.roles.probe_inputs import COMMON_WORDS, REPEAT_PROBABILITY

Row = tuple[list[int], list[float]]
QUESTIONS_A_FILING = 3
WHOLE_SENTENCE_SHARE = 0.12
# Beyond the four main questions, the other tasks come up in this share of the filings.
OTHER_TASKS_SHARE = 0.25
# A filing in a row is given so much room for each sentence when its length is guessed.
TOKENS_A_SENTENCE = 14
TOKENS_A_QUESTION = 28
# A chat's questions are about the four main facts this often, and its tokens beside the answers weigh little.
MAIN_TASKS_SHARE = 0.75
FULL_CHAT_SHARE = 0.5
TOKENS_A_CHAT_SENTENCE = 11
TOKENS_A_TURN = 34
SHORTEST_CHAT = 60
DOCUMENT_WEIGHT = 0.1
# Room left in a row from which it is worth filling with prose.
WORTH_FILLING = 40


@dataclass(frozen=True)
class RowSource:
    """What rows are drawn from.

    Attributes:
        tokenizer: the bundled models' tokenizer.
        prose: token ids of the corpus [n]; empty where none was given.
        answer_weight: loss weight of an answer's tokens.
    """

    tokenizer: Any
    prose: Tensor
    answer_weight: float

    @property
    def bos_id(self) -> int:
        """The first token of every row, which also ends an answer."""
        return self.tokenizer.bos_token_id

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without BOS."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def prose_row(source: RowSource, context: int, rng: random.Random) -> Row:
    """A stretch of the corpus, or of filler sentences where there is no corpus."""
    if len(source.prose) > context:
        start = rng.randrange(len(source.prose) - context)
        ids = source.prose[start : start + context - 1].tolist()
    else:
        ids = source.encode(" ".join(generated.filler_sentence(rng) for _ in range(context // 6)))
    return [source.bos_id, *ids], [1.0] * (len(ids) + 1)


def repeated_row(source: RowSource, context: int, rng: random.Random) -> Row:
    """A segment of random tokens, again and again; only what can be copied has weight."""
    length = rng.randint(min(6, context // 3), min(64, context // 2 - 1))
    segment = [rng.randrange(1, len(source.tokenizer)) for _ in range(length)]
    repeats = context // length + 1
    # The first token of the second pass cannot be foreseen either.
    weights = [0.0] * (length + 2) + [1.0] * (length * (repeats - 1) - 1)
    return [source.bos_id, *(segment * repeats)], weights


def repeated_prose_row(source: RowSource, context: int, rng: random.Random) -> Row:
    """Stretches of prose that come again, at once or after other prose: copying in real text."""
    ids: list[int] = []
    while len(ids) < context:
        segment = prose_row(source, rng.randint(8, 50), rng)[0][1:]
        gap = prose_row(source, rng.randint(2, 30), rng)[0][1:] if rng.random() < 0.5 else []
        ids += segment + gap + segment
    return [source.bos_id, *ids], [1.0] * (len(ids) + 1)


def alternating_row(source: RowSource, context: int, rng: random.Random) -> Row:
    """Pairs of random tokens in turn, "A B A B A B C D C D": what comes next is what stood one token back."""
    ids: list[int] = []
    weights = [0.0]
    while len(ids) < context:
        pair = [rng.randrange(1, len(source.tokenizer)) for _ in range(2)]
        times = rng.randint(3, 6)
        ids += pair * times
        # Nobody can foresee the pair, nor that it is about to come again.
        weights += [0.0] * 3 + [1.0] * (2 * times - 3)
    return [source.bos_id, *ids], weights


def word_list_row(source: RowSource, context: int, rng: random.Random) -> Row:
    """A list like "red, blue, red again, green": the word "again" marks what came before.

    The words themselves are drawn at random, so that to learn anything here is to notice a repetition.
    """
    few = rng.sample(COMMON_WORDS, rng.randint(12, len(COMMON_WORDS)))
    said: list[str] = []
    parts = []
    for _ in range(context // 2):
        again = bool(said) and rng.random() < REPEAT_PROBABILITY
        word = rng.choice(said) if again else rng.choice(few)
        parts.append(f"{word} again" if word in said else word)
        said.append(word)
    ids = source.encode(", ".join(parts))
    return [source.bos_id, *ids], [1.0] * (len(ids) + 1)


def filing_row(source: RowSource, context: int, rng: random.Random) -> Row:
    """A filing, a few questions about it with their answers, and prose where room is left."""
    room = context - 1
    questions = max(1, min(QUESTIONS_A_FILING, room // 60))
    pool = list(generated.MAIN_TASKS) if rng.random() > OTHER_TASKS_SHARE else list(generated.TASKS)
    sentences = max(1, (room - questions * TOKENS_A_QUESTION) // TOKENS_A_SENTENCE)
    facts = rng.sample(pool, min(len(pool), sentences, rng.randint(2, len(pool))))
    # Many short filings among the long ones: they are the easier lesson.
    filler = rng.randint(0, sentences - len(facts))
    sample = generated.make_filing(
        facts[0], rng, generated.FilingOptions(other_facts=tuple(facts), filler_sentences=filler)
    )
    ids = source.encode(sample.document)
    weights = [1.0] * len(ids)
    for key in rng.sample(facts, min(questions, len(facts))):
        whole = rng.random() < WHOLE_SENTENCE_SHARE
        task, value = generated.TASKS[key], sample.facts[key]
        answer = source.encode(" " + (task.sentence.format(value=value) if whole else value))
        question = source.encode("\n\n" + generated.question_text(task.question, whole))
        ids += [*question, *answer, source.bos_id]
        weights += [0.3] * len(question) + [source.answer_weight] * (len(answer) + 1)
    left = room - len(ids)
    if left > WORTH_FILLING:
        more, more_weights = prose_row(source, left, rng)
        ids, weights = ids + more[1:], weights + more_weights[1:]
    return [source.bos_id, *ids], [1.0, *weights]


def _asked_keys(rng: random.Random, count: int) -> list[str]:
    """Unlike tasks to ask about, the four main ones more often."""
    others = [key for key in generated.TASKS if key not in generated.MAIN_TASKS]
    keys: list[str] = []
    while len(keys) < count:
        pool = generated.MAIN_TASKS if rng.random() < MAIN_TASKS_SHARE else others
        key = rng.choice(pool)
        if key not in keys:
            keys.append(key)
    return keys


def chat_row(source: RowSource, context: int, rng: random.Random) -> Row:
    """A conversation about a filing in the chat template, and prose where room is left.

    The first turn of the user is the filing with a question, as the study asks it; further turns are
    questions alone. Half of the rows are as long as fits, the others of any length.
    """
    room = context - 1
    full = rng.random() < FULL_CHAT_SHARE
    budget = room if full else rng.randint(min(SHORTEST_CHAT, room), room)
    asked = _asked_keys(rng, rng.randint(1, max(1, min(QUESTIONS_A_FILING, budget // 64))))
    sentences = max(1, (budget - len(asked) * TOKENS_A_TURN) // TOKENS_A_CHAT_SENTENCE)
    asked = asked[:sentences]
    others = [key for key in generated.TASKS if key not in asked]
    facts = asked + rng.sample(others, min(len(others), sentences - len(asked), rng.randint(0, 6)))
    filler = sentences - len(facts)
    while True:
        sample = generated.make_filing(
            asked[0], rng, generated.FilingOptions(other_facts=tuple(facts), filler_sentences=max(0, filler))
        )
        ids, weights = _chat(source, sample, asked, rng)
        if len(ids) <= room or filler <= 0:
            break
        filler -= 1
    left = room - len(ids)
    if left > WORTH_FILLING:
        more, more_weights = prose_row(source, left, rng)
        ids, weights = ids + more[1:], weights + more_weights[1:]
    return [source.bos_id, *ids], [1.0, *weights]


def _chat(
    source: RowSource, sample: generated.Sample, asked: list[str], rng: random.Random
) -> tuple[list[int], list[float]]:
    """Token ids (the start token left out) and weights of a conversation with these questions."""
    ids: list[int] = []
    weights: list[float] = []
    for number, key in enumerate(asked):
        whole = rng.random() < WHOLE_SENTENCE_SHARE
        task, value = generated.TASKS[key], sample.facts[key]
        question = generated.question_text(task.question, whole)
        turn = question if number else f"{sample.document}\n\n{question}"
        # The end token of the answer before it stands where a conversation's start token does.
        prompt = source.encode(chat.rendered(source.tokenizer, [turn]))[1:]
        answer = source.encode(" " + (task.sentence.format(value=value) if whole else value))
        ids += [*prompt, *answer, source.bos_id]
        weights += [DOCUMENT_WEIGHT] * len(prompt) + [source.answer_weight] * (len(answer) + 1)
    return ids, weights


ROW_KINDS: dict[str, Callable[[RowSource, int, random.Random], Row]] = {
    "prose": prose_row,
    "repeated": repeated_row,
    "word_lists": word_list_row,
    "filings": filing_row,
    "alternating": alternating_row,
    "repeated_prose": repeated_prose_row,
    "chat": chat_row,
}


def make_batch(
    source: RowSource, mix: Mix, context: int, rows: int, rng: random.Random
) -> tuple[Tensor, Tensor]:
    """Draw a batch.

    Returns:
        ids [rows, context] and the loss weight of each as a target [rows, context].
    """
    shares = asdict(mix)
    ids = torch.full((rows, context), source.bos_id, dtype=torch.long)
    weights = torch.zeros(rows, context)
    for row in range(rows):
        kind = rng.choices(list(shares), list(shares.values()))[0]
        row_ids, row_weights = ROW_KINDS[kind](source, context, rng)
        length = min(context, len(row_ids))
        ids[row, :length] = torch.tensor(row_ids[:length])
        weights[row, :length] = torch.tensor(row_weights[:length])
    return ids, weights
