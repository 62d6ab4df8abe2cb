"""The lab's filings: generated or real, of a chosen length, the needle at a chosen depth; or one's own text.

One's own text is asked about in the same prompt as the filings (`datasets.build_prompt`). Its needle is a
sentence that the visitor points at, or the first one that holds the answer that they typed; without either
the sample lacks the spans "needle" and "answer", as a real filing may.
"""

import random
import re
from collections.abc import Mapping

from retrieval.filings.generated import (
    FilingOptions,
    Sample,
    build_prompt,
    make_filing,
    make_filings_of_length,
)
from retrieval.filings.prompting import count_tokens, encode_sample, usual_stem
from retrieval.filings.real import RealFiling, window_sample
from retrieval.filings.sentences import APOSTROPHES, joins_words, sentences, unspaced
from retrieval.filings.tasks import TASKS
from retrieval.lab.state import LONGEST_ANSWER, LONGEST_QUESTION, LONGEST_TEXT, MAX_SEED, LabPrompt
from utils.errors import UserFacingError
from utils.models.loading import LoadedModel
from utils.models.prompts import check_characters, max_characters
from utils.wording import excerpt

# Tokens that an answer may have.
NEW_TOKENS = 24
# Tokens of a prompt where none are asked for, by the real model's answers to ten filings each (seeds 1-10).
# At 512 it is right about the state of incorporation in 8, the year in 10, the employees in 8, the state of
# the headquarters in 7, the registrant in 7, the city in 9. It is poor at the other three questions whatever
# the length: the chief executive's name 3 (5 at 256, 0 at 128), the full-time employees 6 at 256 (0 at 128),
# the holders of record 3 (1 at 256).
MAX_SUITABLE = 512
SUITABLE = {"ceo_lastname": 256, "full_time_employees": 256}
_THOUSANDS = re.compile("(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_LONG_NUMBER = re.compile("(?<![0-9.,])[0-9]{4,18}(?![0-9])")


def suitable_length(loaded: LoadedModel, question: str) -> int:
    """Tokens of a prompt where none are asked for: what small models still answer well.

    At most three eighths of the context: the bundled models answer less and less well from there on (their
    cards).

    Args:
        loaded: the model.
        question: the question's key.
    """
    return min(SUITABLE.get(question, MAX_SUITABLE), loaded.context_length * 3 // 8)


def longest(loaded: LoadedModel) -> int:
    """Most tokens of a prompt, so that there is room for an answer."""
    return loaded.context_length - NEW_TOKENS


def generated_sample(prompt: LabPrompt, loaded: LoadedModel) -> Sample:
    """A filing with its question, at most as long as asked for and as near to it as whole sentences allow.

    Args:
        prompt: question, length, depth and seed. With the seed the facts are given; another length or depth
            puts the same facts into other filler.
        loaded: the model, whose tokens are counted.

    Raises:
        UserFacingError: no such question, or a depth, number or length that cannot be.
    """
    length = _checked_length(prompt, loaded)
    options = FilingOptions(depth=prompt.depth / 100)
    return make_filings_of_length(
        prompt.question,
        1,
        f"lab-{prompt.seed}",
        length,
        lambda text: count_tokens(loaded, text),
        options,
    )[0]


def real_sample(prompt: LabPrompt, loaded: LoadedModel, filings: Mapping[str, RealFiling]) -> Sample:
    """What stands around the fact in a real filing, as long as asked for as near as whole words allow.

    Args:
        prompt: question, name of the filing, length and depth.
        loaded: the model, whose tokens are counted.
        filings: those that there are, by name.

    Raises:
        UserFacingError: no such filing, one that does not answer the question, or as `generated_sample`.
    """
    filing = filings.get(prompt.filing)
    if filing is None:
        some = "Choose one of the menu." if filings else "The operator can add a folder with --filings."
        raise UserFacingError(f"There is no filing {excerpt(prompt.filing)} here.", some)
    length = _checked_length(prompt, loaded)
    return window_sample(
        filing, prompt.question, length, prompt.depth / 100, lambda text: count_tokens(loaded, text)
    )


def _checked_length(prompt: LabPrompt, loaded: LoadedModel) -> int:
    """Tokens of the plain prompt: those asked for, less what template and stem put around it.

    Raises:
        UserFacingError: as `generated_sample`.
    """
    if prompt.question not in TASKS:
        raise UserFacingError(
            f"There is no question {excerpt(prompt.question)}.", f"Choose one of: {', '.join(TASKS)}."
        )
    for what, value, most in (("depth", prompt.depth, 100), ("filing's number", prompt.seed, MAX_SEED)):
        if not 0 <= value <= most:
            raise UserFacingError(f"The {what} cannot be {value:,}.", f"Choose a number from 0 to {most:,}.")
    length = suitable_length(loaded, prompt.question) if prompt.length is None else prompt.length
    if length > longest(loaded):
        raise UserFacingError(
            f"{length:,} tokens are too many for {loaded.name}, which reads {loaded.context_length:,} with "
            "the answer.",
            f"Choose a length up to {longest(loaded):,}.",
        )
    bare = make_filing(prompt.question, random.Random(0), FilingOptions((), 0))
    encoded = encode_sample(loaded, bare, usual_stem(loaded, prompt.question))
    return length - (len(encoded.ids) - count_tokens(loaded, bare.prompt))


def check_own(prompt: LabPrompt, context: int | None = None) -> None:
    """Refuse a visitor's text, question or answer that is too long to be tokenized.

    Args:
        prompt: what was typed.
        context: most tokens that the model reads; None where the model is not loaded yet.

    Raises:
        UserFacingError: one of them has too many characters.
    """
    most = LONGEST_TEXT if context is None else min(LONGEST_TEXT, max_characters(context))
    check_characters(prompt.text, most, "text")
    check_characters(prompt.asked, LONGEST_QUESTION, "question")
    check_characters(prompt.answer, LONGEST_ANSWER, "answer")


def own_sample(prompt: LabPrompt) -> Sample:
    """The visitor's text and question as a sample.

    Raises:
        UserFacingError: no text, no question, too much of either, half a character, or a needle that is no
            sentence of the text.
    """
    check_own(prompt)
    document, question, answer = prompt.text.strip(), " ".join(prompt.asked.split()), prompt.answer.strip()
    for what, text in (("text", document), ("question", question), ("answer", answer)):
        _check_encoding(what, text)
    if not document:
        raise UserFacingError(
            "There is no text to ask about.", "Paste a filing, or choose one of the generated filings."
        )
    if not question:
        raise UserFacingError("There is no question.", "Type what the model should find in the text.")
    whole, question_span = build_prompt(document, question)
    spans = {
        "section": (0, len(document)),
        "question": question_span,
        **_fact(document, answer, prompt.needle),
    }
    positions = sentences(document)
    depth = None
    if "needle" in spans:
        depth = positions.index(spans["needle"]) / max(1, len(positions) - 1)
    return Sample(task=prompt.question, prompt=whole, answer=answer, facts={}, spans=spans, depth=depth)


def own_sentences(document: str) -> list[tuple[int, int]]:
    """Where the sentences of a visitor's text stand, to choose the needle from.

    Raises:
        UserFacingError: the text is too long.
    """
    check_characters(document, LONGEST_TEXT, "text")
    return sentences(document)


def _check_encoding(what: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserFacingError(
            f"Character {error.start + 1} of the {what} is half of a character (a lone surrogate).",
            "Delete it, or type it again.",
        ) from None


def _fact(document: str, answer: str, needle: int | None) -> dict[str, tuple[int, int]]:
    """The spans of the needle and of the answer in it, as far as they can be known."""
    positions = sentences(document)
    if needle is not None and needle >= len(positions):
        raise UserFacingError(
            f"The text has no sentence {needle + 1}.", f"Choose one from 1 to {len(positions)}."
        )
    among = positions if needle is None else [positions[needle]]
    if answer:
        # Folding case character by character keeps every position; the search for a fixed text is linear.
        folded = _fold_case(document)
        forms = [_fold_case(form) for form in _number_forms(answer)]
        for start, end in among:
            found = [span for form in forms if (span := _whole_word(folded, form, start, end))]
            if found:
                return {"needle": (start, end), "answer": min(found)}
    return {} if needle is None else {"needle": positions[needle]}


def _number_forms(answer: str) -> list[str]:
    """The answer as it is typed, and with its numbers without and with commas: "1234", "1,234"."""
    plain = _THOUSANDS.sub("", answer)
    commas = _LONG_NUMBER.sub(lambda number: f"{int(number[0]):,}", plain)
    return list(dict.fromkeys((answer, plain, commas)))


def _fold_case(text: str) -> str:
    """A text of the same length in which the forms of a letter are one, as re.IGNORECASE has it.

    So are those of an apostrophe.
    """
    if text.isascii():
        return text.lower()
    return "".join(_fold_character(character) for character in text)


def _fold_character(character: str) -> str:
    if character in APOSTROPHES:
        return "'"
    # The way through upper case joins forms that lower case alone keeps apart.
    folded = character.upper().lower()
    return folded if len(folded) == 1 else character.lower()[0]


def _whole_word(text: str, word: str, start: int, end: int) -> tuple[int, int] | None:
    """Where `word` stands in text[start:end] as a whole word: "1" is no answer in "1921" or in "1,200"."""
    at = text.find(word, start, end)
    while at >= 0:
        after = at + len(word)
        before_it, behind_it = text[max(0, at - 2) : at][::-1], text[after : after + 2]
        if not (_goes_on(word[0], before_it) or _goes_on(word[-1], behind_it)):
            return at, after
        at = text.find(word, at + 1, end)
    return None


def _goes_on(edge: str, beside: str) -> bool:
    """Whether a word goes on beyond its character `edge`, by the two characters beside it, nearest first."""
    if unspaced(edge):
        return False
    return joins_words(beside[:1]) or (
        edge.isdigit() and len(beside) == 2 and beside[0] in ".," and beside[1].isdigit()
    )


def needle_note(prompt: LabPrompt, sample: Sample) -> str:
    """What a visitor should know about the needle of a real filing or their own text, "" for nothing."""
    if prompt.real:
        many = sample.distractors
        some = "1 other sentence names" if many == 1 else f"{many} other sentences name"
        return f"{some} another value of the same kind." if many else ""
    if not prompt.own:
        return ""
    if "needle" not in sample.spans:
        if prompt.answer.strip():
            return (
                f"The answer {excerpt(prompt.answer.strip())} stands in no sentence of the text, so there is "
                "no needle: choose the sentence that holds it."
            )
        return "There is no needle yet: choose the sentence that holds the answer, or type the answer."
    if "answer" not in sample.spans and prompt.answer.strip():
        return "The chosen sentence does not hold the answer word for word."
    return ""
