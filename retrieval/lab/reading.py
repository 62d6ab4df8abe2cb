"""The retrieval lab's one entry point: a prompt on a model in, all that the page shows out.

    prompt -> sample -> tokens -> answer and rankings        (read_lab, once a prompt)
                               -> where a head looks          (lab_rows)
                               -> the answer without heads    (lab_ablation)

Rankings are those of the study: the same methods, the same readings (`ranking_methods`, `rank`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from torch import Tensor

from retrieval.filings.grading import is_right
from retrieval.filings.prompting import EncodedPrompt, encode_sample, usual_stem
from retrieval.filings.real import RealFiling
from retrieval.lab.progress import TokenProgress
from retrieval.lab.rows import QuestionRows, rows_of_reading
from retrieval.lab.samples import (
    check_own,
    generated_sample,
    needle_note,
    own_sample,
    real_sample,
    suitable_length,
)
from retrieval.lab.state import LabPrompt
from retrieval.rankings.methods import METHODS, RankingMethod, RankingOptions, Readings
from retrieval.rankings.ranking import READ_STEPS, read_sample, sample_scores
from retrieval.reading.decoding import Decoded
from utils.models.loading import LoadedModel
from utils.models.prompts import token_label
from utils.runtime.jobs import Progress

RANK_STEP = "ranking the heads"


@dataclass(frozen=True, eq=False)
class PromptRanking:
    """One method's ranking on one prompt.

    Attributes:
        scores: [layer, head]; None where the method cannot be used here.
        problem: why it cannot, or why the study would not count this prompt; "" for nothing.
        control: what the scores are to be measured against, in a sentence; "" for nothing.
    """

    scores: Tensor | None
    problem: str = ""
    control: str = ""


@dataclass(frozen=True)
class Written:
    """An answer as far as it is written.

    Attributes:
        labels: what each of its tokens is shown as.
        chances: the probability of each when it was written.
    """

    labels: tuple[str, ...] = ()
    chances: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class LabReading:
    """What a model makes of a prompt, all heads on.

    Attributes:
        prompt: what was asked for, its length filled in.
        encoded: the prompt in tokens, with its spans.
        labels: what each of its tokens is shown as.
        context_length: most tokens that the model reads.
        note: what the visitor should know about the needle, "" for nothing.
        answer: what the model writes.
        written: its tokens and their probabilities.
        right: whether the answer is the true one; None where that is not known.
        rankings: by method.
    """

    prompt: LabPrompt
    encoded: EncodedPrompt
    labels: tuple[str, ...]
    context_length: int
    note: str
    answer: Decoded
    written: Written
    right: bool | None
    rankings: Mapping[str, PromptRanking]


def resolve(prompt: LabPrompt, loaded: LoadedModel) -> LabPrompt:
    """The prompt with the length that it has where none was asked for."""
    if prompt.own or prompt.length is not None:
        return prompt
    return replace(prompt, length=suitable_length(loaded, prompt.question))


def encode_lab(
    loaded: LoadedModel, prompt: LabPrompt, filings: Mapping[str, RealFiling] = MappingProxyType({})
) -> EncodedPrompt:
    """The prompt as the model reads it; a real filing is one of `filings`.

    Raises:
        UserFacingError: a prompt that cannot be made, or that is too long for the model.
    """
    if not prompt.own:
        real = prompt.real
        sample = real_sample(prompt, loaded, filings) if real else generated_sample(prompt, loaded)
        return encode_sample(loaded, sample, usual_stem(loaded, prompt.question))
    check_own(prompt, loaded.context_length)
    return encode_sample(loaded, own_sample(prompt))


def read_lab(
    loaded: LoadedModel,
    prompt: LabPrompt,
    progress: Progress = lambda what, done, total: None,
    publish: Callable[[Written], None] = lambda written: None,
    filings: Mapping[str, RealFiling] = MappingProxyType({}),
) -> tuple[LabReading, QuestionRows]:
    """Let the model read a prompt and answer it, and rank its heads.

    Args:
        loaded: the model.
        prompt: what it reads.
        progress: called after each layer, in tokens times layers; an exception from it ends the work with
            the step.
        publish: called with the answer after each of its tokens.
        filings: the real filings that there are, by name.

    Returns:
        What was read, which is small; and the attention of the question, which need not be.

    Raises:
        UserFacingError: as `encode_lab`.
    """
    prompt = resolve(prompt, loaded)
    progress(READ_STEPS[0], 0, 0)
    encoded = encode_lab(loaded, prompt, filings)
    options = RankingOptions()
    # Read: the prompt, the null query's end, and the answer, which may turn out shorter.
    tokens = len(encoded.ids) + len(encoded.null_ids) - encoded.shared + options.new_tokens
    meter = TokenProgress(progress, loaded.geometry.n_layers * tokens, READ_STEPS[0])
    written = Written()

    def wrote(token: int, probability: float) -> None:
        nonlocal written
        written = Written((*written.labels, token_label(loaded, token)), (*written.chances, probability))
        publish(written)
        meter.step(READ_STEPS[-1])

    with meter.listening(loaded):
        readings = read_sample(loaded, encoded, tuple(METHODS), options, meter.step, wrote)
    meter.step(RANK_STEP)
    answer = readings.answer
    truth = encoded.sample.answer
    reading = LabReading(
        prompt=prompt,
        encoded=encoded,
        labels=tuple(token_label(loaded, token) for token in encoded.ids),
        context_length=loaded.context_length,
        note=needle_note(prompt, encoded.sample),
        answer=answer,
        written=written,
        right=is_right(answer.text, truth) if truth else None,
        rankings=MappingProxyType(
            {key: _ranking(method, readings, encoded, options) for key, method in METHODS.items()}
        ),
    )
    return reading, rows_of_reading(readings)


def _ranking(
    method: RankingMethod, readings: Readings, encoded: EncodedPrompt, options: RankingOptions
) -> PromptRanking:
    sample = sample_scores(method.key, readings, options)
    if sample.scores is None:
        return PromptRanking(None, f"{sample.problem} Choose the sentence that holds the answer.")
    problem = sample.problem
    if problem and not encoded.sample.answer:
        problem = "Without a true answer nobody can tell whether the study would count this prompt here."
    return PromptRanking(sample.scores, problem, method.comment(readings, sample.details))
