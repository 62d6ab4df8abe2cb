"""Where one head looks from the question's tokens, and how much of that lies on the needle."""

from dataclasses import dataclass

import torch
from torch import Tensor

from retrieval.filings.prompting import EncodedPrompt
from retrieval.rankings.methods import Readings
from retrieval.reading.query_rows import query_rows
from utils.heads import Head
from utils.models.loading import LoadedModel


@dataclass(frozen=True, eq=False)
class QuestionRows:
    """Attention of all heads from the tokens of the question and from the last token of the prompt.

    Attributes:
        positions: the query tokens, in order; the last one is the prompt's last token.
        rows: [layer, head, query, key], keys from the start of the prompt.
        needle: token span of the needle; None where it is not known.
    """

    positions: tuple[int, ...]
    rows: Tensor
    needle: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class HeadLook:
    """One head's attention from the question.

    Attributes:
        head: which one.
        positions: the query tokens; the last one is the prompt's last token.
        rows: [query, key].
        looks: [key], mean over the question's tokens, the prompt's last one left out.
        on_needle: what each query token puts on the needle; None without a needle.
        question_share: its mean over the question's tokens.
        last_share: of the prompt's last token.
        even_share: what attention spread evenly over all that each of the question's tokens can see would put
            there.
    """

    head: Head
    positions: tuple[int, ...]
    rows: Tensor
    looks: Tensor
    on_needle: tuple[float, ...] | None
    question_share: float | None
    last_share: float | None
    even_share: float | None


def rows_of_reading(readings: Readings) -> QuestionRows:
    """The same from what the rankings were read from, without running the prompt again.

    Raises:
        ValueError: the question's or the last token's rows were not read.
    """
    if readings.query_rows is None or readings.last_row is None:
        raise ValueError("the rows of the question and of the last token must have been read.")
    start, end = readings.spans["question"]
    keys = len(readings.ids)
    question = torch.nn.functional.pad(readings.query_rows, (0, keys - readings.query_rows.shape[-1]))
    rows = torch.cat([question, readings.last_row.unsqueeze(2)], dim=2)
    return QuestionRows((*range(start, end), keys - 1), rows, readings.spans.get("needle"))


def read_question_rows(loaded: LoadedModel, encoded: EncodedPrompt) -> QuestionRows:
    """Run the prompt once for the attention of its question.

    Raises:
        UserFacingError: a prompt that the model cannot run.
    """
    start, end = encoded.spans["question"]
    last = len(encoded.ids) - 1
    rows = query_rows(loaded, encoded.ids, start)
    positions = (*range(start, end), last)
    chosen = rows[:, :, [position - start for position in positions]].clone()
    return QuestionRows(positions, chosen, encoded.spans.get("needle"))


def look_of(read: QuestionRows, head: Head) -> HeadLook:
    """One head of it.

    Raises:
        IndexError: the model has no such head.
    """
    rows = read.rows[head.layer, head.head]
    looks = rows[:-1].mean(0)
    if read.needle is None:
        return HeadLook(head, read.positions, rows, looks, None, None, None, None)
    start, end = read.needle
    shares = rows[:, start:end].sum(-1)
    even = torch.tensor([(end - start) / (position + 1) for position in read.positions[:-1]])
    return HeadLook(
        head,
        read.positions,
        rows,
        looks,
        tuple(shares.tolist()),
        float(shares[:-1].mean()),
        float(shares[-1]),
        float(even.mean()),
    )
