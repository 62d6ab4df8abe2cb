"""The four rankings written straight from METHODS.md, section 3, with loops over single numbers.

`attention` is a nested list or a tensor [layer, head, query, key] of one whole forward; nothing of the
project's own is used.
"""

import math
from collections.abc import Sequence
from typing import Any

Table = list[list[float]]


def summed_attention(attention: Any, span: tuple[int, int]) -> Table:
    """Sum over j in the span of A[last, j]."""
    return [[sum(float(head[-1][j]) for j in range(*span)) for head in layer] for layer in attention]


def wu24(
    rows: Sequence[Any],
    written: Sequence[int],
    prompt: Sequence[int],
    needle: tuple[int, int],
    count: bool = False,
) -> Table:
    """`rows`, one a step: [layer][head][key], of the token whose logits chose that step's token."""
    layers, heads = len(rows[0]), len(rows[0][0])
    table = []
    for layer in range(layers):
        line = []
        for head in range(heads):
            copied = []
            for row, token in zip(rows, written, strict=True):
                keys = [float(value) for value in row[layer][head]]
                place = keys.index(max(keys))
                if needle[0] <= place < needle[1] and prompt[place] == token:
                    copied.append(token)
            line.append((len(copied) if count else len(set(copied))) / (needle[1] - needle[0]))
        table.append(line)
    return table


def qrhead(
    query_rows: Any,
    null_rows: Any,
    span: tuple[int, int],
    shared: int,
    calibrate: bool = True,
    remove_outliers: bool = True,
) -> Table:
    """`query_rows` and `null_rows`: [layer][head][query][key]."""
    table = []
    for layer in range(len(query_rows)):
        line = []
        for head in range(len(query_rows[layer])):
            of_query, of_null = query_rows[layer][head], null_rows[layer][head]
            scores = []
            for j in range(shared):
                score = sum(float(row[j]) for row in of_query) / len(of_query)
                if calibrate:
                    score -= sum(float(row[j]) for row in of_null) / len(of_null)
                scores.append(score)
            inside = scores[span[0] : span[1]]
            if remove_outliers and len(inside) >= 2 and len(set(inside)) > 1:
                mean = sum(inside) / len(inside)
                std = math.sqrt(sum((score - mean) ** 2 for score in inside) / (len(inside) - 1))
                inside = [score for score in inside if score > mean - 2 * std]
            line.append(sum(inside))
        table.append(line)
    return table


def reasoning(
    rows: Sequence[Any], prompt_tokens: int, question: tuple[int, int], per_step: bool = True
) -> Table:
    """`rows` as in `wu24`."""
    layers, heads = len(rows[0]), len(rows[0][0])
    table = []
    for layer in range(layers):
        line = []
        for head in range(heads):
            total = 0.0
            for row in rows:
                keys = [float(value) for value in row[layer][head]]
                best = sorted(range(len(keys)), key=lambda j: (-keys[j], j))[:5]
                total += sum(keys[j] for j in best if j >= prompt_tokens)
                total += 0.5 * sum(keys[j] for j in best if question[0] <= j < question[1])
            line.append(total / len(rows) if per_step else total)
        table.append(line)
    return table
