"""The lab's prompt with needle and question marked, and the model's answer token by token."""

from collections.abc import Sequence
from typing import Any

from dash import html

from components.attributes import aria, data
from retrieval.lab.reading import LabReading, Written

# A longer prompt is shown around its needle and at its ends: nobody reads ten thousand tokens here.
MAX_TOKENS_LIMIT = 1500
_AROUND = 250
_START = 60
MAX_SENTENCES = 400


def shown_places(
    length: int, spans: Sequence[tuple[int, int]], most: int = MAX_TOKENS_LIMIT
) -> list[tuple[int, int]]:
    """Which tokens of a prompt are shown, as ranges [start, end) in order: all, or those around some spans.

    Args:
        length: tokens of the prompt.
        spans: what must be seen with its surroundings.
        most: tokens up to which all are shown.
    """
    if length <= most:
        return [(0, length)]
    wanted = [(0, _START), (length - _AROUND, length)]
    wanted += [(max(0, start - _AROUND // 2), min(length, end + _AROUND // 2)) for start, end in spans]
    ranges: list[tuple[int, int]] = []
    for start, end in sorted(wanted):
        if ranges and start <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
        else:
            ranges.append((start, end))
    return ranges


def prompt_text(reading: LabReading) -> html.P:
    """The prompt: a span a token, the needle in a `mark`, its answer underlined, the question in a frame."""
    spans = reading.encoded.spans
    needle, answer, question = (spans.get(name, (0, 0)) for name in ("needle", "answer", "question"))
    parts: list[Any] = []
    last = 0
    for start, end in shown_places(len(reading.labels), [span for span in (needle, question) if span[1]]):
        if start > last:
            parts.append(html.Em(f" … {start - last:,} tokens … ", className="hs-hint"))
        position = start
        while position < end:
            for name, (left, right), make in (
                ("needle", needle, html.Mark),
                ("question", question, html.Span),
            ):
                if left <= position < right:
                    inside = [_token(reading, at, answer) for at in range(position, min(right, end))]
                    tag = html.Span(name, className="hs-lab-tag")
                    parts.append(make([tag, *inside], className=f"hs-lab-{name}"))
                    position = min(right, end)
                    break
            else:
                parts.append(_token(reading, position, answer))
                position += 1
        last = end
    return html.P(parts, className="hs-lab-prompt")


def _token(reading: LabReading, position: int, answer: tuple[int, int]) -> html.Span:
    label = reading.labels[position]
    # The text is read as a text: a token's own space is a space, its line break breaks the line.
    text = (" " + label[1:] if label.startswith("·") else label).replace("⏎", "⏎\n")
    classes = "hs-lab-answer" if answer[0] <= position < answer[1] else None
    return html.Span(text, className=classes, **data(t=str(position)))


def prompt_facts(reading: LabReading) -> html.P:
    """How long the prompt is, and where its needle stands."""
    total, context = len(reading.labels), reading.context_length
    message = f"{total:,} tokens of the {context:,} that {reading.prompt.model} reads."
    needle = reading.encoded.spans.get("needle")
    if needle is not None:
        share = (needle[1] - needle[0]) / total
        message += f" The needle: tokens {needle[0]} to {needle[1] - 1}, {share:.0%} of the prompt."
    return html.P(f"{message} {reading.note}".strip(), className="hs-hint")


def verdict(right: bool | None) -> str:
    """Whether an answer is right, in a word; "" where the truth is not known."""
    return {True: "✓ right", False: "✗ wrong", None: ""}[right]


def answer_view(reading: LabReading) -> list[Any]:
    """The answer beside the true one, and each of its tokens with the probability that the model gave it."""
    truth = reading.encoded.sample.answer
    text = reading.answer.text
    message: list[Any] = [
        "The model answers ",
        html.Strong(html.Bdi(f"“{text}”" if text else "nothing")),
        f" ({verdict(reading.right)}). " if reading.right is not None else ". ",
    ]
    if truth:
        # One's own text need not hold the answer that one gives.
        says = "The text says " if "answer" in reading.encoded.spans else "The true answer is "
        message += [says, html.Strong(html.Bdi(f"“{truth}”")), "."]
    return [html.P(message, className="hs-sentence", role="status"), written_tokens(reading.written)]


def writing_view(written: Written) -> list[Any]:
    """The answer while it is being written."""
    return [html.P("The model is writing …", className="hs-sentence"), written_tokens(written)]


def written_tokens(written: Written) -> html.Ol:
    """The answer's tokens, each with the probability that the model gave it."""
    items = [
        html.Li(
            [
                html.Bdi(label, className="hs-token-text"),
                html.Span(className="hs-lab-bar", style={"--share": f"{chance:.4f}"}, **aria(hidden="true")),
                html.Small(f"{chance:.1%}"),
            ],
            className="hs-lab-written",
        )
        for label, chance in zip(written.labels, written.chances, strict=True)
    ]
    return html.Ol(
        items,
        className="hs-lab-answer-tokens",
        **aria(label="The answer's tokens with their probabilities"),
    )


def sentence_list(text: str, spans: Sequence[tuple[int, int]], chosen: int | None) -> list[Any]:
    """The sentences of the visitor's text as buttons; `assets/lab.js` keeps which one was pressed.

    Args:
        text: the text.
        spans: where its sentences stand.
        chosen: the number of the one that is the needle.
    """
    if not spans:
        return [html.P("There is no text yet.", className="hs-hint")]
    items = [
        html.Li(
            html.Button(
                html.Bdi(text[start:end]),
                className="hs-lab-sentence",
                **data(sentence=str(index)),
                **aria(pressed="true" if index == chosen else "false"),
            )
        )
        for index, (start, end) in enumerate(spans[:MAX_SENTENCES])
    ]
    more: list[Any] = []
    if len(spans) > MAX_SENTENCES:
        more = [html.P(f"Only the first {MAX_SENTENCES} sentences are listed.", className="hs-hint")]
    return [html.Ol(items, className="hs-lab-sentences"), *more]
