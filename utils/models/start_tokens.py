"""Which token goes first: what sinks rest on, and what the model saw at the start of documents in training.

By docs/METHODS.md, section 6: the convention of the family, else the habit of the tokenizer, else nothing; or
what a catalog names, whose analysis compared the candidates by their loss (`analyzer/start_losses.py`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from utils.catalog.catalog import Catalog, catalog_path, check_fit, load_catalog
from utils.errors import UserFacingError
from utils.models.families import HeadGeometry, ModelFamily
from utils.models.files import WeightFile, weights_digest
from utils.models.tokenizer_panics import panics_explained

# The token between documents in the pretraining of many models, by the name that they share.
DOCUMENT_SEPARATOR = "<|endoftext|>"


@dataclass(frozen=True)
class StartToken:
    """The token that every prompt of a model starts with.

    Attributes:
        id: its id; None where nothing is put first.
        by_tokenizer: whether the tokenizer puts it there by itself.
        open_question: whether neither convention nor tokenizer decides, so that candidates may be compared.
    """

    id: int | None
    by_tokenizer: bool
    open_question: bool


def start_token(family: ModelFamily, tokenizer: PreTrainedTokenizerFast) -> StartToken:
    """The token that goes first by convention or by habit."""
    habit = tokenizers_habit(tokenizer)
    bos: Any = tokenizer.bos_token_id
    if family.starts_with_bos and bos is not None:
        return StartToken(bos, habit == bos, open_question=False)
    return StartToken(habit, habit is not None, open_question=habit is None)


def tokenizers_habit(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """The special token that a tokenizer puts before a text by itself; None where it puts none."""
    with panics_explained():
        first, *rest = tokenizer("a")["input_ids"] or [None]
    return first if rest and first in tokenizer.all_special_ids else None


def start_candidates(tokenizer: PreTrainedTokenizerFast) -> list[int | None]:
    """What may go first where that is an open question: nothing, and each special token that could."""
    separator = tokenizer.get_vocab().get(DOCUMENT_SEPARATOR)
    named: list[Any] = [tokenizer.bos_token_id, tokenizer.eos_token_id, separator]
    return [None, *dict.fromkeys(token for token in named if token is not None)]


def start_of_catalog(
    name: str, folder: Path, geometry: HeadGeometry, weights: tuple[WeightFile, ...]
) -> tuple[int | None] | None:
    """The start token that a model's catalog chose, in a tuple; None where there is no choice of a catalog.

    Args:
        name: the model's name.
        folder: where the catalogs are.
        geometry: the model's heads.
        weights: its weight files: a catalog made with others does not count.
    """
    try:
        catalog = load_catalog(catalog_path(name, folder))
        check_fit(catalog, geometry.n_layers, geometry.n_heads, lambda: weights_digest(weights))
    except UserFacingError:
        return None
    return chosen_start(catalog)


def chosen_start(catalog: Catalog) -> tuple[int | None] | None:
    """As `start_of_catalog`, of a catalog that is known to fit."""
    return (catalog.settings.bos_id,) if catalog.settings.start_losses else None
