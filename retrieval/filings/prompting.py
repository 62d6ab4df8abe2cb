"""From a sample to the tokens that a model reads, and to where everything in the prompt stands in tokens.

A model with a chat template gets the prompt as its user's message, any other gets it as it is. QRHead's null
prompt ("N/A" in the question's place; docs/METHODS.md, section 3) is made beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from retrieval.filings.generated import NULL_QUERY, Sample, null_prompt
from retrieval.filings.tasks import TASKS
from utils.errors import UserFacingError
from utils.models import prompts
from utils.models.loading import LoadedModel
from utils.models.tokenizer_panics import panics_explained

# What stands before the question on its line; `datasets.build_prompt` puts it there.
_QUESTION_MARK = "Question: "

# Some chat templates write today's date into the prompt: with another day the same filing would be another
# prompt. They get this one, which is what Llama's own template falls back to.
CHAT_DATE = datetime(2024, 7, 26)

# The toy models that learned the bare prompt of generated filings (training/recipes.py).
TRAINED_ON_FILINGS = ("demo-gpt2", "demo-llama", "demo-llama-instruct")

Span = tuple[int, int]


@dataclass(frozen=True)
class EncodedPrompt:
    """A prompt as the model reads it. Spans are token positions [start, end), BOS counted.

    Attributes:
        sample: what it was made from.
        text: what is tokenized: the prompt, within the chat template where the model has one.
        ids: token ids, BOS included where the model is given one.
        spans: "section", "needle", "answer" (the last two may lack in real filings), "question" (its text)
            and "question_line" (with "Question:" before it, without the answer prompt).
        null_ids: the same prompt with "N/A" in the question's place.
        null_spans: its "question" and "question_line".
        shared: how many leading tokens both prompts have in common.
    """

    sample: Sample
    text: str
    ids: tuple[int, ...]
    spans: dict[str, Span]
    null_ids: tuple[int, ...]
    null_spans: dict[str, Span]
    shared: int


def uses_chat_template(loaded: LoadedModel) -> bool:
    """Whether the model is asked in its own chat format."""
    return loaded.tokenizer.chat_template is not None


def chat_date(loaded: LoadedModel) -> str | None:
    """The day that the model's chat template is given where it asks for today's; None where it does not."""
    # One template, or several by name.
    return CHAT_DATE.date().isoformat() if "strftime_now" in str(loaded.tokenizer.chat_template) else None


def count_tokens(loaded: LoadedModel, text: str) -> int:
    """How many tokens the model gets for a plain text, BOS counted, also where the text is empty.

    For `datasets.make_filings_of_length`.
    """
    return prompts.count_tokens(loaded, text) or int(loaded.bos_id is not None)


def learned_bare_prompt(loaded: LoadedModel) -> bool:
    """Whether a model was trained on these very prompts, to write one word: a stem confuses it."""
    return loaded.name in TRAINED_ON_FILINGS


def stem_of(task_key: str, stem: bool = True) -> str:
    """How the answer to a task's question begins, for `encode_sample`; "" where none is wanted or known.

    Study and lab both take it from here: what a head does is measured on the same prompt in both.
    """
    return TASKS[task_key].stem if stem and task_key in TASKS else ""


def usual_stem(loaded: LoadedModel, task_key: str) -> str:
    """The stem that a model gets where no protocol decides; "" for one that learned the bare prompt."""
    return stem_of(task_key, not learned_bare_prompt(loaded))


def encode_sample(loaded: LoadedModel, sample: Sample, stem: str = "") -> EncodedPrompt:
    """Tokenize a sample's prompt and its null prompt for this model.

    Args:
        loaded: the model.
        sample: the filing and its question.
        stem: how the answer begins (`stem_of`): the assistant's turn starts with it, or the text after the
            answer prompt where the model has no chat template. The model writes what follows.

    Raises:
        UserFacingError: the prompt is longer than the model's context, a filing holds the text of a special
            token that a chat model would take for the token itself, the chat template changes what it is
            given, a token that the model has no row for, no text, or half a character in it.
    """
    start = sample.spans["question"][0]
    text, ids, spans = _encode(loaded, sample.prompt, _with_line(sample.spans), stem)
    null_end = start + len(NULL_QUERY)
    null_spans = _with_line({"question": (start, null_end)})
    _, null_ids, null_spans = _encode(loaded, null_prompt(sample), null_spans, stem)
    pairs = enumerate(zip(ids, null_ids, strict=False))
    shared = next((at for at, (one, other) in pairs if one != other), min(len(ids), len(null_ids)))
    return EncodedPrompt(sample, text, ids, spans, null_ids, null_spans, shared)


def spans_in_tokens(offsets: Sequence[Span], spans: Mapping[str, Span], before: int = 0) -> dict[str, Span]:
    """Character spans as token spans; a token that lies across an edge belongs to the span.

    Args:
        offsets: which characters each token stands for, [start, end).
        spans: what is looked for, in the same characters.
        before: tokens that go before the first of `offsets`.

    Returns:
        The spans that at least one token belongs to.
    """
    found = {}
    for name, (start, end) in spans.items():
        inside = [at for at, (left, right) in enumerate(offsets) if left < end and right > start]
        if inside:
            found[name] = (inside[0] + before, inside[-1] + 1 + before)
    return found


def _with_line(spans: Mapping[str, Span]) -> dict[str, Span]:
    start, end = spans["question"]
    return {**spans, "question_line": (start - len(_QUESTION_MARK), end)}


def _encode(
    loaded: LoadedModel, prompt: str, spans: Mapping[str, Span], stem: str
) -> tuple[str, tuple[int, ...], dict[str, Span]]:
    """The text that is tokenized, its ids, and the prompt's character spans as token spans in them."""
    if not prompt.strip() or any("\ud800" <= character <= "\udfff" for character in prompt):
        prompts.tokenize_prompt(loaded, prompt)  # says what is wrong with it
    if not uses_chat_template(loaded):
        # The text of a special token is text like any other here.
        text = f"{prompt} {stem}" if stem else prompt
        with panics_explained():
            encoding = loaded.text_tokenizer.encode(text, add_special_tokens=False)
        first = () if loaded.bos_id is None else (loaded.bos_id,)
        ids = (*first, *encoding.ids)
        _check_length(loaded, len(ids))
        prompts.check_rows(loaded, ids, "filing")
        return text, ids, spans_in_tokens(encoding.offsets, spans, len(first))
    text, shift = _in_template(loaded, prompt)
    text += stem
    # The template writes its special tokens, BOS among them, as text.
    with panics_explained():
        encoding = loaded.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
    for token, (left, right) in zip(encoding.ids, encoding.offsets, strict=True):
        if token in loaded.special_ids and left < shift + len(prompt) and right > shift:
            raise UserFacingError(
                f"The filing holds the text {text[left:right]}, a special token of {loaded.name}.",
                "Take it out of the filing.",
            )
    ids = tuple(encoding.ids)
    _check_length(loaded, len(ids))
    prompts.check_rows(loaded, ids, "chat prompt")
    moved = {name: (start + shift, end + shift) for name, (start, end) in spans.items()}
    return text, ids, spans_in_tokens(encoding.offsets, moved)


def _dated_template(loaded: LoadedModel) -> str | None:
    """The chat template with a clock that stands still; None where it asks for no date.

    transformers turns a function that is handed to a template into text, so the template gets a macro of the
    same name as the clock's.
    """
    if chat_date(loaded) is None:
        return None
    # "%-d" is glibc's "%d" without the zero.
    codes = {f"%{code}": CHAT_DATE.strftime(f"%{code}") for code in "aAbBcdHIjmMpSuUVwWxXyYzZ"}
    codes |= {f"%-{code}": codes[f"%{code}"].lstrip("0") or "0" for code in "dHIjmMS"}
    filters = "".join(f" | replace({code!r}, {text!r})" for code, text in codes.items())
    # What follows a block on its line is the template's own: a newline there would be lost without this one.
    macro = f"{{% macro strftime_now(format) %}}{{{{ format{filters} }}}}{{% endmacro %}}\n"
    return macro + loaded.tokenizer.get_chat_template()


def _in_template(loaded: LoadedModel, prompt: str) -> tuple[str, int]:
    """The prompt as the user's message in the model's chat format, and at which character of it it begins."""
    messages = [{"role": "user", "content": prompt}]
    try:
        rendered: Any = loaded.tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=True,
            chat_template=_dated_template(loaded),
        )
    except Exception as error:  # a template is a program of its own: it may raise anything
        raise UserFacingError(
            f"The chat template of {loaded.name} cannot be used ({type(error).__name__}).",
            "Correct chat_template in the model's folder, or take it out to ask without one.",
        ) from error
    # Some templates strip the message.
    for cached in (prompt, prompt.strip()):
        if (position := rendered.rfind(cached)) >= 0:
            return rendered, position - prompt.index(cached)
    raise UserFacingError(
        f"The chat template of {loaded.name} changes the text that it is given.",
        "Correct chat_template in the model's folder, or take it out to ask without one.",
    )


def _check_length(loaded: LoadedModel, tokens: int) -> None:
    if tokens > loaded.context_length:
        raise UserFacingError(
            f"The filing and its question are {tokens} tokens and {loaded.name} reads at most "
            f"{loaded.context_length}.",
            "Choose a shorter filing, or a model with a longer context.",
        )
