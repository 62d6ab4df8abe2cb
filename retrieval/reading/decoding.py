"""Greedy answers: of many prompts at once with heads ablated, or of one prompt with every step's attention.

Heads are off in the prompt and in all that is written: each step is one forward of
`utils.forward.ablation` with a
key/value cache (docs/METHODS.md, section 4).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from retrieval.reading.query_rows import Advance, Reading, advance, branch, read_on
from retrieval.reading.roomy_cache import give_room
from utils.forward.ablation import AblationMode, check_heads, check_mode, forward_rows
from utils.forward.attention_capture import check_ids
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.models.prompts import end_tokens

# Bounds of one batch; more rows than this gain nothing on a processor (demo-llama, 128 and 192 tokens).
MAX_ROWS = 32
GPU_MAX_ROWS = 128
MAX_TOKENS_LIMIT = 16384
_PADDED = (torch.float32, torch.bfloat16)

# Hears of each token of an answer as it is written: the token, and the probability that the model gave it.
Wrote = Callable[[int, float], None]
# Where an answer ends in the text written so far, in characters; None while it goes on.
Ends = Callable[[str], int | None]


def line_end(text: str) -> int | None:
    """The end of the first line that has text: some models begin their answer on a new line."""
    begin = len(text) - len(text.lstrip())
    end = text.find("\n", begin)
    return None if end < 0 else end


@dataclass(frozen=True)
class Decoded:
    """A greedy answer.

    Attributes:
        ids: what was written, without the token that ended it (the end token, or one that is wholly beyond
            the answer's end).
        text: without special tokens, stripped, up to the answer's end.
        truth_probability: of the true answer's tokens, one after the other; None where they were not given.
    """

    ids: tuple[int, ...]
    text: str
    truth_probability: float | None = None


def greedy_answers(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    heads_by_row: Sequence[Collection[Head]],
    mode: AblationMode = "zero",
    new_tokens: int = 16,
    ends: Ends = line_end,
    truth: Sequence[int] = (),
) -> list[Decoded]:
    """Answer each prompt with its own set of heads ablated, in batches.

    Prompts of one length make batches without padding; in a mixed batch the shorter ones are padded on the
    left, which the mask and the positions leave out.

    Args:
        loaded: the model.
        prompts: token ids, BOS included where the model has one; they may differ in length.
        heads_by_row: the heads that are off, a set a prompt; a set may be empty.
        mode: what is put in their place.
        new_tokens: at most so many tokens; fewer where the model's context ends.
        ends: where an answer ends before that.
        truth: the true answer's tokens, whose probability after each prompt is wanted too; none for not. The
            prompts are then not read again for it.

    Returns:
        One answer a prompt, in the same order.

    Raises:
        UserFacingError: a prompt that the model cannot run, or a head that it does not have.
        ValueError: not as many sets as prompts, or no tokens asked for.
    """
    check_asked(loaded, prompts, heads_by_row, mode, new_tokens)
    answers: dict[int, Decoded] = {}
    longest = max(map(len, prompts), default=0)
    # Padding takes places too: where they run out, only prompts of one length go together. So do they in
    # float16, where the scores of a padding token, all masked, may overflow and make it no number at all.
    mixed = longest + new_tokens <= loaded.context_length and loaded.model.dtype in _PADDED
    for positions in _batches([len(ids) for ids in prompts], max_rows(loaded), mixed):
        rows = [prompts[position] for position in positions]
        written = _decode_batch(
            loaded, rows, [heads_by_row[position] for position in positions], mode, new_tokens, ends, truth
        )
        answers.update(zip(positions, written, strict=True))
    return [answers[position] for position in range(len(prompts))]


def max_rows(loaded: LoadedModel) -> int:
    """At most so many prompts are read at once."""
    return MAX_ROWS if loaded.model.device.type == "cpu" else GPU_MAX_ROWS


def check_asked(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    heads_by_row: Sequence[Collection[Head]],
    mode: AblationMode,
    new_tokens: int,
) -> None:
    """Refuse what cannot be answered; arguments as of `greedy_answers`.

    Raises:
        UserFacingError: a prompt that the model cannot run, or a head that it does not have.
        ValueError: not as many sets as prompts, or no tokens asked for.
    """
    if len(prompts) != len(heads_by_row):
        raise ValueError(f"heads_by_row must have one set a prompt, {len(prompts)}. Got {len(heads_by_row)}.")
    if new_tokens < 1:
        raise ValueError(f"new_tokens must be at least 1. Got {new_tokens}.")
    check_mode(mode)
    for ids, heads in zip(prompts, heads_by_row, strict=True):
        check_ids(loaded, ids)
        check_heads(heads, loaded.geometry, loaded.name)


def greedy_with_rows(
    loaded: LoadedModel,
    ids: Sequence[int],
    new_tokens: int,
    heads: Collection[Head] = (),
    before: Reading | None = None,
    ends: Ends = line_end,
    wrote: Wrote = lambda token, probability: None,
) -> tuple[Decoded, Tensor]:
    """Answer one prompt and keep, for each token w of the answer, where the heads looked when it was chosen.

    The row is that of the token whose logits choose w: for the first, the prompt's last token.

    Args:
        loaded: the model.
        ids: the prompt, BOS included where the model has one.
        new_tokens: at most so many tokens; fewer where the model's context ends.
        heads: heads that are off throughout.
        before: a reading of the prompt with these heads ablated, to its last token, whose row it holds; then
            the prompt is not read again.
        ends: where the answer ends before `new_tokens` are written.
        wrote: called with each token of the answer as it is written, and its probability; an exception from
            it ends the work.

    Returns:
        The answer; and its rows [step, layer, head, key], float32 on the CPU, keys of the prompt and then of
        the answer, zero where there was no key yet. One step a token of the answer.

    Raises:
        UserFacingError: a prompt that the model cannot run, or a head that it does not have.
        ValueError: no tokens asked for.
    """
    if new_tokens < 1:
        raise ValueError(f"new_tokens must be at least 1. Got {new_tokens}.")
    check_ids(loaded, ids)
    reading = before
    if reading is None:
        start = read_on(loaded, ids[:-1], heads=heads) if len(ids) > 1 else None
        reading = read_on(loaded, ids[-1:], start, rows=True, heads=heads)
    if reading.rows is None or reading.ids != tuple(ids):
        raise ValueError("before must be a reading of the prompt, with its last token's row.")
    answer = _Answer(loaded, len(ids), new_tokens, ends)
    steps: list[Tensor] = []
    while True:
        assert reading.rows is not None
        row, token = reading.rows[:, :, -1], int(reading.logits.argmax())
        answer.add(token)
        if len(answer.ids) > len(steps):
            steps.append(row)
            wrote(token, float(reading.logits.double().softmax(-1)[token]))
        if answer.ended:
            break
        reading = read_on(loaded, [answer.ids[-1]], reading, rows=True, heads=heads)
    geometry = loaded.geometry
    rows = torch.zeros(len(steps), geometry.n_layers, geometry.n_heads, len(ids) + max(len(steps) - 1, 0))
    for step, row in enumerate(steps):
        rows[step, :, :, : row.shape[-1]] = row
    return answer.decoded(), rows


def _batches(lengths: Sequence[int], most: int, mixed: bool) -> Iterator[list[int]]:
    """Places of at most so many prompts in batches of like length; of one length only, unless `mixed`."""
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda position: lengths[position]):
        length = lengths[position]
        full = len(batch) == most or (len(batch) + 1) * length > MAX_TOKENS_LIMIT
        if batch and (full or (not mixed and length != lengths[batch[0]])):
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def _decode_batch(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    heads_by_row: Sequence[Collection[Head]],
    mode: AblationMode,
    new_tokens: int,
    ends: Ends,
    truth: Sequence[int],
) -> list[Decoded]:
    device = loaded.model.device
    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, width - len(prompt) :] = 1
    # Without padding there is no mask: the rows are then computed as each would be alone.
    padded = None if bool(mask.all()) else mask.to(device)
    read = advance(loaded, ids.to(device), None, heads_by_row, mode, mask=padded)
    lengths, ends_by_row = list(map(len, prompts)), [ends] * len(prompts)
    return answers_after(loaded, read, lengths, heads_by_row, mode, new_tokens, ends_by_row, truth, padded)


def answers_after(
    loaded: LoadedModel,
    read: Advance,
    lengths: Sequence[int],
    heads_by_row: Sequence[Collection[Head]],
    mode: AblationMode,
    new_tokens: int,
    ends_by_row: Sequence[Ends],
    truth: Sequence[int] = (),
    padded: Tensor | None = None,
    stepped: Callable[[], None] = lambda: None,
) -> list[Decoded]:
    """Answer prompts that are read already, all of them together.

    Args:
        loaded: the model.
        read: the prompts, a row each, to their last tokens; its cache is used up.
        lengths: tokens of each prompt.
        heads_by_row: the heads that are off, as in `read`.
        mode: what is put in their place.
        new_tokens: as of `greedy_answers`.
        ends_by_row: where each answer ends before that.
        truth: as of `greedy_answers`.
        padded: 1 for a token and 0 for padding [row, position]; None without padding.
        stepped: called before each token of the answers but the first; an exception from it ends the work.

    Returns:
        One answer a row.
    """
    answers = [
        _Answer(loaded, length, new_tokens, ends) for length, ends in zip(lengths, ends_by_row, strict=True)
    ]
    going = list(range(len(answers)))
    known = _probabilities(loaded, truth, read, heads_by_row, mode, padded) if truth else None
    step = read
    give_room(step.cache, new_tokens)
    while True:
        tokens = step.logits.argmax(-1)
        for token, row in zip(tokens.tolist(), going, strict=True):
            if not answers[row].ended:
                answers[row].add(token)
        alive = [at for at, row in enumerate(going) if not answers[row].ended]
        if not alive:
            found = [answer.decoded() for answer in answers]
            if known is None:
                return found
            return [
                replace(answer, truth_probability=chance) for answer, chance in zip(found, known, strict=True)
            ]
        cache = step.cache
        # Leaving rows out copies the cache: done when a good part of them has ended.
        if len(alive) <= 0.75 * len(going):
            keep = torch.tensor(alive)
            cache.batch_select_indices(keep.to(loaded.model.device))
            tokens, going = tokens[keep], [going[at] for at in alive]
            padded = None if padded is None else padded[keep.to(padded.device)]
        if padded is not None:
            padded = torch.cat((padded, padded.new_ones(len(padded), 1)), dim=1)
        off = [heads_by_row[row] for row in going]
        stepped()
        step = advance(loaded, tokens[:, None].to(loaded.model.device), cache, off, mode, mask=padded)


def _probabilities(
    loaded: LoadedModel,
    written: Sequence[int],
    read: Advance,
    heads_by_row: Sequence[Collection[Head]],
    mode: AblationMode,
    padded: Tensor | None,
) -> list[float]:
    """Each row's probability of the tokens `written` after what was `read`, one after the other."""
    logits = read.logits[:, None]
    if len(written) > 1:
        inputs: dict[str, Any] = {}
        if padded is not None:
            mask = torch.cat((padded, padded.new_ones(len(padded), len(written) - 1)), dim=1)
            positions = mask.cumsum(1) - 1
            inputs = {"attention_mask": mask, "position_ids": positions[:, padded.shape[1] :]}
        ids = torch.tensor([written[:-1]] * len(heads_by_row), device=loaded.model.device)
        cache = branch(read.cache)
        output = forward_rows(
            loaded, ids, heads_by_row, mode, past_key_values=cache, use_cache=True, **inputs
        )
        logits = torch.cat((logits, output.logits.float().cpu()), dim=1)
    tokens = torch.tensor([list(written)] * len(logits)).unsqueeze(-1)
    return logits.double().softmax(-1).gather(-1, tokens).squeeze(-1).prod(-1).tolist()


class _Answer:
    """One answer in the making: its tokens so far, and whether it has ended."""

    def __init__(self, loaded: LoadedModel, prompt_tokens: int, new_tokens: int, ends: Ends) -> None:
        self._tokenizer = loaded.tokenizer
        self._special = end_tokens(loaded)
        self._ends = ends
        # The last token of all is never read, so it may stand one place beyond the context.
        self._most = min(new_tokens, loaded.context_length - prompt_tokens + 1)
        self.ids: list[int] = []
        self.ended = False

    def add(self, token: int) -> None:
        """Take the token that was chosen, where it does not just end the answer."""
        if token in self._special:
            self.ended = True
            return
        text = self._text([*self.ids, token])
        end = self._ends(text)
        self.ended = end is not None
        if end is None or text[:end].strip() != self._text(self.ids).strip():
            self.ids.append(token)
        self.ended |= len(self.ids) >= self._most

    def decoded(self) -> Decoded:
        """The answer as it stands."""
        text = self._text(self.ids)
        return Decoded(tuple(self.ids), text[: self._ends(text)].strip())

    def _text(self, ids: Sequence[int]) -> str:
        text: Any = self._tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text
