"""Rows: tokens with weights in step, and weight only where it teaches."""

import random
from dataclasses import replace

import pytest
import torch

from retrieval.filings.generated import MAIN_TASKS, SENTENCE_PROMPT, TASKS
from training.chat import with_chat_template
from training.mix import ROW_KINDS, RowSource, make_batch, repeated_row
from training.recipes import Mix
from training.tokenizer import BOS, load_tokenizer
from utils.models.sources import BUNDLED

CONTEXTS = [32, 64, 160, 256, 512]


@pytest.mark.parametrize("kind", ROW_KINDS)
@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("corpus", [True, False], ids=["prose", "generated text alone"])
def test_contract_of_a_row(
    source: RowSource, generated_only: RowSource, kind: str, context: int, corpus: bool
) -> None:
    chosen = source if corpus else generated_only
    for seed in range(5):
        ids, weights = ROW_KINDS[kind](chosen, context, random.Random(seed))
        assert len(ids) == len(weights) and ids[0] == 0
        assert all(0 <= token < len(chosen.tokenizer) for token in ids)
        assert min(weights) >= 0 and any(weights[1:context])
        assert (ids, weights) == ROW_KINDS[kind](chosen, context, random.Random(seed))
        assert ids != ROW_KINDS[kind](chosen, context, random.Random(seed + 1000))[0]


@pytest.mark.parametrize("context", CONTEXTS)
def test_what_has_weight_in_a_repeated_row_can_be_copied(source: RowSource, context: int) -> None:
    """Each such token follows a token that stood before the same one earlier, a fixed distance back."""
    for seed in range(20):
        ids, weights = repeated_row(source, context, random.Random(seed))
        length = next(n for n in range(1, context) if ids[1 + n :] == ids[1 : len(ids) - n])
        weighted = [position for position, weight in enumerate(weights) if weight]
        # The first pass cannot be foreseen, nor that the second one begins.
        assert weighted == list(range(length + 2, len(ids)))
        assert len(ids) > context
        for position in weighted:
            assert ids[position] == ids[position - length]
            assert ids[position - 1] == ids[position - 1 - length]
        assert set(weights) == {0.0, 1.0}


def test_what_has_weight_in_an_alternating_row_stood_one_token_back(source: RowSource) -> None:
    for seed in range(20):
        ids, weights = ROW_KINDS["alternating"](source, 64, random.Random(seed))
        weighted = [position for position, weight in enumerate(weights) if weight]
        assert len(weighted) >= 20
        for position in weighted:
            assert ids[position] == ids[position - 2] and ids[position - 1] == ids[position - 3]
        # Of each pair's run just the first three tokens have none: two new ones and the first repetition.
        gaps = [position for position, weight in enumerate(weights) if not weight][1:]
        assert len(gaps) % 3 == 0
        assert all(gaps[i + 2] == gaps[i] + 2 for i in range(0, len(gaps), 3))


def test_in_a_word_list_again_follows_just_what_came_before(source: RowSource) -> None:
    repeats = 0
    for seed in range(10):
        ids, weights = ROW_KINDS["word_lists"](source, 128, random.Random(seed))
        said: list[str] = []
        for part in source.tokenizer.decode(ids[1:]).split(", "):
            word, _, again = part.partition(" ")
            assert again == ("again" if word in said else "")
            repeats += word in said
            said.append(word)
        assert set(weights) == {1.0}
    assert repeats > 50


@pytest.mark.parametrize("context", [160, 256, 512])
def test_the_weighted_answers_of_a_filing_are_its_answers(source: RowSource, context: int) -> None:
    answers_seen = sentences_seen = 0
    for seed in range(30):
        ids, weights = ROW_KINDS["filings"](source, context, random.Random(seed))
        heavy = [position for position, weight in enumerate(weights) if weight == source.answer_weight]
        runs: list[list[int]] = []
        for position in heavy:
            if runs and runs[-1][-1] == position - 1:
                runs[-1].append(position)
            else:
                runs.append([position])
        text = source.tokenizer.decode(ids[1 : runs[0][0]])
        document = text.split("\n\nQuestion:")[0]
        asked = 0
        for run in runs:
            # An answer ends with the end token, which is learnt with it.
            assert ids[run[-1]] == source.bos_id and source.bos_id not in [ids[p] for p in run[:-1]]
            answer = source.tokenizer.decode([ids[position] for position in run[:-1]])
            before = source.tokenizer.decode(ids[1 : run[0]])
            question = before.rsplit("Question: ", 1)[1]
            assert answer.startswith(" ")
            (task,) = [task for task in TASKS.values() if task.question == question.split("\n")[0]]
            if question.endswith("Answer in one sentence:"):
                sentences_seen += 1
                start, end = task.sentence.split("{value}")
                assert answer[1:].startswith(start) and answer.endswith(end)
                value = answer[1 + len(start) : len(answer) - len(end)]
            else:
                assert question.endswith("Answer in one word:")
                value = answer[1:]
            message = [wording.replace("{value}", value) for wording in task.needles]
            message = [wording.partition("{first}")[2].strip() or wording for wording in message]
            assert any(wording in document for wording in message)
            asked += 1
            # A question is no riddle, but it is not nothing either.
            assert weights[run[0] - 1] == pytest.approx(0.3)
        answers_seen += asked
        assert 1 <= asked <= 3
    assert answers_seen >= 30 and sentences_seen


@pytest.mark.parametrize("context", [160, 256, 512])
def test_the_weighted_answers_of_a_chat_are_its_answers(source: RowSource, context: int) -> None:
    """A row is what the chat template renders, and its heavy tokens are the answers, none of them cut off."""
    # Rows are measured in the bundled models' tokens, which are longer than those of the tests' tokenizer.
    source = replace(source, tokenizer=load_tokenizer(BUNDLED / "demo-llama"))
    chatting = with_chat_template(source.tokenizer)
    asked: list[str] = []
    lengths = []
    for seed in range(60):
        ids, weights = ROW_KINDS["chat"](source, context, random.Random(seed))
        heavy = [position for position, weight in enumerate(weights) if weight == source.answer_weight]
        assert heavy[-1] < context
        lengths.append(heavy[-1] + 1)
        text = source.tokenizer.decode(ids[: heavy[-1] + 1])
        turns = text.removeprefix(BOS).removesuffix(BOS).split(BOS)
        messages: list[dict[str, str]] = []
        for turn in turns:
            said, answer = turn.removeprefix("User:\n").split("\n\nAssistant: ")
            messages += [{"role": "user", "content": said}, {"role": "assistant", "content": answer}]
        assert chatting.apply_chat_template(messages, tokenize=False) == text
        assert chatting(text, add_special_tokens=False)["input_ids"] == ids[: heavy[-1] + 1]
        answers = "".join(f" {answer['content']}{BOS}" for answer in messages[1::2])
        assert source.tokenizer.decode([ids[position] for position in heavy]) == answers
        document = messages[0]["content"].split("\n\nQuestion: ")[0]
        for user, answer in zip(messages[::2], messages[1::2], strict=True):
            question = user["content"].rsplit("Question: ", 1)[1].split("\n")[0]
            (task,) = [task for task in TASKS.values() if task.question == question]
            before, after = task.sentence.split("{value}")
            value = answer["content"]
            if user["content"].endswith(SENTENCE_PROMPT):
                value = value.removeprefix(before).removesuffix(after)
            assert value in document
            asked.append(task.key)
        assert len(set(turns)) == len(turns) <= 3
    main = sum(key in MAIN_TASKS for key in asked) / len(asked)
    assert 0.6 < main < 0.9 and set(asked) == set(TASKS)
    # Of any length, many of them as long as fits.
    assert min(lengths) < context / 2 and sum(length > 0.85 * context for length in lengths) > 20


def test_a_batch_is_rows_cut_or_filled_to_the_context(source: RowSource) -> None:
    mix = Mix(prose=0.2, repeated=0.2, word_lists=0.2, filings=0.2, alternating=0.2)
    for context in CONTEXTS:
        ids, weights = make_batch(source, mix, context, 12, random.Random(1))
        assert ids.shape == weights.shape == (12, context)
        assert ids.dtype == torch.long and bool((ids[:, 0] == source.bos_id).all())
        again = make_batch(source, mix, context, 12, random.Random(1))
        assert torch.equal(ids, again[0]) and torch.equal(weights, again[1])


@pytest.mark.parametrize("kind", ROW_KINDS)
def test_a_mix_of_one_kind_holds_that_kind_alone_and_nothing_weighs_beyond_it(
    source: RowSource, kind: str
) -> None:
    shares = dict.fromkeys(("prose", "repeated", "word_lists", "filings"), 0.0) | {kind: 1.0}
    ids, weights = make_batch(source, Mix(**shares), 64, 3, random.Random(5))
    rng = random.Random(5)
    for row in range(3):
        rng.choices(list(ROW_KINDS), [1.0] * len(ROW_KINDS))  # the draw that chooses the kind
        row_ids, row_weights = ROW_KINDS[kind](source, 64, rng)
        length = min(64, len(row_ids))
        assert ids[row, :length].tolist() == row_ids[:length]
        assert weights[row, :length].tolist() == pytest.approx(row_weights[:length])
        assert not bool(weights[row, length:].any())
