"""One ranking of all heads: a model, a method, a question and a length (docs/METHODS.md, section 3).

The study writes these (`retrieval.rankings.records`), and catalogs hold them.
"""

import itertools
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from utils.catalog.catalog import MethodKey, iso_date
from utils.errors import UserFacingError
from utils.heads import Head, parse_head

TOP_HEADS = 50


def _head_name(text: str) -> str:
    try:
        head = parse_head(text)
    except UserFacingError as error:
        raise ValueError(error.message) from error
    if str(head) != text:
        raise ValueError(f"a head must be written as L1H2. Got {text!r}.")
    return text


HeadName = Annotated[str, AfterValidator(_head_name)]
Count = Annotated[int, Field(ge=0)]


# The fields of a record that say what its scores are to be held against; a method has one of them or none.
CONTROLS = ("span_share", "recency_control", "control")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class RankedHead(_Record):
    """One head's place.

    Attributes:
        head: its name, "L14H31".
        score: mean over the samples that count.
        rank: from 1; heads that tie stand by layer and head.
        std: standard deviation over them.
        count: how many they are.
        max: the largest score of one sample.
    """

    head: HeadName
    score: float
    rank: int = Field(ge=1)
    std: float = Field(ge=0)
    count: Count
    max: float


class RankingRecord(_Record):
    """All heads of a model, ranked by one method on one question at one length.

    Attributes:
        method: a key of `retrieval.rankings.methods.METHODS`.
        model_key: the model's name in the protocol and in files.
        model_name: its name in the menu and in the catalog.
        question: the task's key.
        question_prompt: the question as it is asked.
        total_tokens: the length asked for, in tokens of the prompt; `settings` has what it came to.
        span: where attention counted: "needle", "section" or "answer"; "question" for reasoning heads.
        null_query: what stood in the question's place (QRHead).
        successful_samples: how many samples count: for Wu24 and reasoning those that were answered.
        rouge_threshold: what an answer had to exceed, percent (Wu24, reasoning).
        samples_processed: how many were read.
        samples_skipped: how many were not, since the sentence or the answer was not found in the filing.
        span_share: the span's mean share of the prompt's tokens (summed attention).
        recency_control: the mean score of a head that looks at the last 5 tokens alike (reasoning).
        control: what the scores of any other method are to be held against.
        settings: what is needed to make it again.
        timestamp: the day it was made.
        head_rankings: all heads, best first.
        top_50_heads: the names of the first 50.
    """

    method: MethodKey
    model_key: str
    model_name: str
    question: str
    question_prompt: str
    total_tokens: int = Field(ge=1)
    span: str
    null_query: str | None = None
    successful_samples: Count
    rouge_threshold: float | None = None
    samples_processed: Count
    samples_skipped: Count = 0
    span_share: Annotated[float, Field(ge=0, le=1)] | None = None
    recency_control: float | None = None
    control: float | None = None
    settings: dict[str, JsonValue]
    timestamp: Annotated[str, AfterValidator(iso_date)]
    head_rankings: list[RankedHead] = Field(min_length=1)
    top_50_heads: list[HeadName]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [entry.head for entry in self.head_rankings]
        if len(set(names)) != len(names):
            raise ValueError("head_rankings must name each head once.")
        if [entry.rank for entry in self.head_rankings] != list(range(1, len(names) + 1)):
            raise ValueError("head_rankings must go by rank, from 1.")
        scores = [entry.score for entry in self.head_rankings]
        if any(before < after for before, after in itertools.pairwise(scores)):
            raise ValueError("head_rankings must go by score, the largest first.")
        if self.top_50_heads != names[:TOP_HEADS]:
            raise ValueError("top_50_heads must be the first of head_rankings.")
        if self.successful_samples > self.samples_processed:
            raise ValueError("successful_samples must be at most samples_processed.")
        return self

    @property
    def length(self) -> int:
        """The prompts' length that was asked for, in tokens."""
        return self.total_tokens

    def heads(self) -> list[Head]:
        """All heads, the best first."""
        return [parse_head(entry.head) for entry in self.head_rankings]
