"""The ways to rank retrieval heads, one row each (docs/METHODS.md, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from retrieval.rankings.scores import (
    copied_tokens,
    qrhead_score,
    reasoning_score,
    recency_control,
    summed_attention,
    wu24_score,
)
from utils.catalog.ranking_record import CONTROLS
from utils.errors import UserFacingError
from utils.glossary.term import WU, ZHANG, Term
from utils.heads import Head

if TYPE_CHECKING:
    # They bring torch and transformers along, for which whoever asks for the methods' names would wait.
    from torch import Tensor

    from retrieval.reading.decoding import Decoded

SpanName = Literal["needle", "section", "answer"]
QuerySpan = Literal["text", "line"]
Wu24Rule = Literal["distinct", "count"]
ReasoningRule = Literal["normalised", "published"]
# What has to be read for a method: the last prompt token's row, the question's rows and the null query's, the
# answer with the rows of its steps.
Need = Literal["last", "question", "null", "answer"]


@dataclass(frozen=True)
class RankingOptions:
    """The choices that docs/METHODS.md leaves.

    Attributes:
        span: where attention counts, for summed attention and QRHead.
        query_span: QRHead's query tokens, the question's "text" or its whole "line" with "Question:".
        calibrate: whether QRHead subtracts the null query's attention.
        remove_outliers: whether QRHead leaves out keys far below the span's mean.
        wu24_rule: "distinct" tokens copied, or "count" of steps at which one was.
        reasoning_rule: "normalised" (divided by steps, mean over all counted samples) or "published" (not
            divided, mean over samples with a positive score).
        rouge_threshold: percent of the answer's words that the output must exceed, for Wu24 and reasoning.
        new_tokens: most tokens of an answer.

    Raises:
        UserFacingError: a choice that there is not.
    """

    span: SpanName = "needle"
    query_span: QuerySpan = "text"
    calibrate: bool = True
    remove_outliers: bool = True
    wu24_rule: Wu24Rule = "distinct"
    reasoning_rule: ReasoningRule = "normalised"
    rouge_threshold: float = 50.0
    new_tokens: int = 24

    def __post_init__(self) -> None:
        choices = {
            "span": SpanName,
            "query_span": QuerySpan,
            "wu24_rule": Wu24Rule,
            "reasoning_rule": ReasoningRule,
        }
        for name, choice in choices.items():
            if (value := getattr(self, name)) not in get_args(choice):
                raise UserFacingError(
                    f"'{str(value)[:40]}' is no {name} for rankings.",
                    f"Choose one of: {', '.join(get_args(choice))}.",
                )
        if not 0 <= self.rouge_threshold < 100:
            raise UserFacingError(
                f"rouge_threshold must be a percentage below 100. Got {self.rouge_threshold}.",
                "The usual one is 50.",
            )
        if self.new_tokens < 1:
            raise UserFacingError(
                f"new_tokens must be at least 1. Got {self.new_tokens}.", "The usual number is 24."
            )

    @property
    def query_name(self) -> str:
        """The name of QRHead's query span in an `EncodedPrompt`."""
        return "question" if self.query_span == "text" else "question_line"


@dataclass(frozen=True, eq=False)
class Readings:
    """What a model made of one prompt, as far as the methods asked for it; what was not is None.

    Attributes:
        ids: the prompt's tokens.
        spans: token spans by name; see `EncodedPrompt`.
        shared: length of the prefix that the prompt shares with the null prompt.
        last_row: attention of the last prompt token [layer, head, key].
        query_rows: of the question's tokens [layer, head, query, key].
        null_rows: of the null query's tokens.
        written: the model's greedy answer.
        answer_rows: of the tokens whose logits chose it [step, layer, head, key].
        rouge: ROUGE-1 recall of the expected answer in it, percent.
    """

    ids: tuple[int, ...]
    spans: Mapping[str, tuple[int, int]]
    shared: int
    last_row: Tensor | None = None
    query_rows: Tensor | None = None
    null_rows: Tensor | None = None
    written: Decoded | None = None
    answer_rows: Tensor | None = None
    rouge: float | None = None

    @property
    def answer(self) -> Decoded:
        """The greedy answer.

        Raises:
            ValueError: no method asked for it.
        """
        if self.written is None:
            raise ValueError("the answer was not read: no method asked for it.")
        return self.written


Score = Callable[[Readings, RankingOptions], "Tensor | None"]
Details = Callable[[Readings, RankingOptions], dict[str, Any]]


@dataclass(frozen=True)
class RankingMethod:
    """One way to rank heads.

    Attributes:
        key: its name in files and options.
        name: its name for people.
        source: the paper.
        explanation: what it does, for students.
        needs: what has to be read for it.
        score: a sample's scores [layer, head], from its readings alone; None where the prompt lacks a span
            that it needs.
        spans: which spans it needs, by the options; attention counts in the first.
        options: names of the options that it goes by.
        word: its row of the glossary, by whose term figures and tables call it.
        control: the one of its details that its scores are to be held against, averaged in its records;
            None for none. It has the name of a record's field (`ranking_record.CONTROLS`).
        chance: what it is that scores so, in words that go on "what ... would score"; "" without a control.
        comment: what the details come to, in a sentence for the lab; "" for nothing.
        details: what else is worth telling of a sample: numbers, texts and heads, by name.
        gated: whether only samples count in whose output the answer is (ROUGE).
        only_positive: whether a head's mean is over the samples in which it scored.

    Raises:
        ValueError: its word has another key, or no record could hold its control.
    """

    key: str
    name: str
    source: str
    explanation: str
    needs: frozenset[Need]
    score: Score
    spans: Callable[[RankingOptions], tuple[str, ...]]
    options: tuple[str, ...]
    word: Term
    control: str | None = None
    chance: str = ""
    comment: Callable[[Readings, Mapping[str, Any]], str] = field(default=lambda readings, details: "")
    details: Details = field(default=lambda readings, options: {})
    gated: bool = False
    only_positive: Callable[[RankingOptions], bool] = field(default=lambda options: False)

    def __post_init__(self) -> None:
        if self.word.key != self.key:
            raise ValueError(f"the word of {self.key} must have its key. Got {self.word.key!r}.")
        if self.control is not None and self.control not in CONTROLS:
            raise ValueError(f"control must be one of {', '.join(CONTROLS)}. Got {self.control!r}.")
        if bool(self.chance) != (self.control is not None):
            raise ValueError(f"{self.key} must have both control and chance, or neither.")


def methods_named(keys: Iterable[str]) -> list[RankingMethod]:
    """The rows of these methods, each once.

    Raises:
        UserFacingError: there is no such method; those that there are are named.
    """
    rows = []
    for key in dict.fromkeys(keys):
        if key not in METHODS:
            raise UserFacingError(
                f"There is no ranking method '{key[:40]}'.", f"Choose among: {', '.join(METHODS)}."
            )
        rows.append(METHODS[key])
    return rows


def missing_spans(spans: Collection[str], method: RankingMethod, options: RankingOptions) -> list[str]:
    """The spans that the method needs and the prompt has not."""
    return [name for name in method.spans(options) if name not in spans]


def _summed(readings: Readings, options: RankingOptions) -> Tensor | None:
    if readings.last_row is None or options.span not in readings.spans:
        return None
    return summed_attention(readings.last_row, readings.spans[options.span])


def _span_share(readings: Readings, options: RankingOptions) -> dict[str, Any]:
    start, end = readings.spans[options.span]
    return {"span_share": (end - start) / len(readings.ids)}


def _even_attention(readings: Readings, details: Mapping[str, Any]) -> str:
    share = details["span_share"]
    return f"Even attention over the prompt would score {share:.3f}, the needle's share of it."


def _recency_comment(readings: Readings, details: Mapping[str, Any]) -> str:
    control = details["recency_control"]
    return f"A head that looks at the last five tokens alike would score {control:.3f} (recency control)."


def _copies_comment(readings: Readings, details: Mapping[str, Any]) -> str:
    copied = details["copied"]
    steps, tokens = sum(bool(heads) for heads in copied), len(readings.answer.ids)
    heads = len({head for step in copied for head in step})
    by = f", by {heads} {'head' if heads == 1 else 'heads'}" if steps else ""
    return (
        f"Of the answer's {tokens} {'token' if tokens == 1 else 'tokens'} {steps or 'none'} "
        f"{'was' if steps < 2 else 'were'} copied from the needle{by}."
    )


def _copied(readings: Readings) -> Tensor:
    assert readings.answer_rows is not None
    return copied_tokens(readings.answer_rows, readings.answer.ids, readings.ids, readings.spans["needle"])


def _wu24(readings: Readings, options: RankingOptions) -> Tensor | None:
    if readings.answer_rows is None or "needle" not in readings.spans:
        return None
    needle, written = readings.spans["needle"], readings.answer.ids
    return wu24_score(_copied(readings), written, needle, options.wu24_rule == "count")


def _copied_by(readings: Readings, options: RankingOptions) -> dict[str, Any]:
    steps = [[Head(layer, head) for layer, head in step.nonzero().tolist()] for step in _copied(readings)]
    return {"rouge": readings.rouge, "output": readings.answer.text, "copied": steps}


def _qrhead(readings: Readings, options: RankingOptions) -> Tensor | None:
    if readings.query_rows is None or readings.null_rows is None or options.span not in readings.spans:
        return None
    return qrhead_score(
        readings.query_rows,
        readings.null_rows,
        readings.spans[options.span],
        readings.shared,
        options.calibrate,
        options.remove_outliers,
    )


def _reasoning(readings: Readings, options: RankingOptions) -> Tensor | None:
    if readings.answer_rows is None:
        return None
    normalised = options.reasoning_rule == "normalised"
    return reasoning_score(readings.answer_rows, len(readings.ids), readings.spans["question"], normalised)


def _recency(readings: Readings, options: RankingOptions) -> dict[str, Any]:
    steps = len(readings.answer.ids)
    normalised = options.reasoning_rule == "normalised"
    control = recency_control(steps, len(readings.ids), readings.spans["question"], normalised)
    return {"rouge": readings.rouge, "output": readings.answer.text, "recency_control": control}


_METHOD_ROWS = (
    RankingMethod(
        "summed_attention",
        "Summed attention",
        "The simplest measure; the studies use it as the baseline.",
        "Just before the model answers, how much of a head's attention lies on the sentence with the fact? "
        "It asks where a head looks, not what comes of it: a head that looks at this sentence whatever the "
        "question scores as high. For numbers the first thing written is often a space or a digit, so the "
        "last word of the prompt says little.",
        frozenset({"last"}),
        _summed,
        lambda options: (options.span,),
        ("span",),
        details=_span_share,
        comment=_even_attention,
        word=Term(
            "summed_attention",
            "retrieval",
            "Summed attention",
            "Ranks heads by how much the last token looks at the needle. Simple, but the answer may be "
            "fetched at another moment.",
            "The sum of attention from the final prompt token over the span, mean over samples.",
        ),
        control="span_share",
        chance="attention spread evenly over the prompt",
    ),
    RankingMethod(
        "wu24",
        "Retrieval score (Wu24)",
        "Wu et al. 2024, Retrieval Head Mechanistically Explains Long-Context Factuality.",
        "While the model writes its answer, does the head look most at just that word of the fact's sentence "
        "which is being written? Then it is counted as copying the word. The score is the share of the "
        "sentence that it copied. Only answers that are right, or nearly so, count.",
        frozenset({"answer"}),
        _wu24,
        lambda options: ("needle",),
        ("wu24_rule", "rouge_threshold", "new_tokens"),
        details=_copied_by,
        comment=_copies_comment,
        gated=True,
        word=Term(
            "wu24",
            "retrieval",
            "Wu24 (retrieval score)",
            "Ranks heads by how often they look at the very token that the model is writing, in the needle: "
            "they copy.",
            "Share of the needle's tokens copied while decoding greedily, over samples that were answered.",
            WU,
        ),
    ),
    RankingMethod(
        "qrhead",
        "QRHead",
        "Zhang et al. 2025, Query-Focused Retrieval Heads Improve Long-Context Reasoning and Re-ranking.",
        "How much do the words of the question look at the sentence with the fact? The same is measured with "
        "“N/A” in the question's place and taken away, so that what remains is due to this question. A head "
        "that always looks there scores about 0.",
        frozenset({"question", "null"}),
        _qrhead,
        lambda options: (options.span, options.query_name),
        ("span", "query_span", "calibrate", "remove_outliers"),
        word=Term(
            "qrhead",
            "retrieval",
            "QRHead (query-focused retrieval)",
            "Ranks heads by how much the question makes the model look at the needle, beyond what an empty "
            "question does.",
            "Attention from the question's tokens minus that from the null query “N/A”.",
            ZHANG,
        ),
    ),
    RankingMethod(
        "reasoning",
        "Reasoning heads",
        "The studies' measure of heads that build on what is written already.",
        "While the model writes its answer, how much does a head look back at its own words, and (half "
        "counted) at the question? A head that merely looks at the last five words scores too: the recency "
        "control beside it says how much. It needs answers of several tokens.",
        frozenset({"answer"}),
        _reasoning,
        lambda options: ("question",),
        ("reasoning_rule", "rouge_threshold", "new_tokens"),
        details=_recency,
        comment=_recency_comment,
        gated=True,
        only_positive=lambda options: options.reasoning_rule == "published",
        word=Term(
            "reasoning",
            "retrieval",
            "Reasoning head",
            "Ranks heads by how much they look back at the words of the answer so far and at the question, "
            "while the model writes.",
            "Over the 5 keys with most attention: generated tokens count in full, question tokens by half.",
        ),
        control="recency_control",
        chance="attention spread evenly over the last five tokens",
    ),
)
METHODS: dict[str, RankingMethod] = {row.key: row for row in _METHOD_ROWS}


def method_name(key: str) -> str:
    """A ranking method's name as figures and tables write it; a method without a row goes by its key."""
    return METHODS[key].word.term if key in METHODS else key


def short_method_name(key: str) -> str:
    """The name where there is little room: without what stands in brackets."""
    return method_name(key).split(" (")[0]
