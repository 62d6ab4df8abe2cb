"""Tokenizers that give up: a panic of the Rust library is no `Exception`, so nothing else would answer it.

A tokenizer.json may split texts by any pattern, `(a+)+$` among them, which takes exponential time on some
texts; the library then panics.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from utils.errors import UserFacingError

logger = logging.getLogger(__name__)


@contextmanager
def panics_explained() -> Iterator[None]:
    """Tokenize in this block.

    Raises:
        UserFacingError: the tokenizer panicked.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        # The class cannot be imported: each Rust library makes one of its own.
        if type(error).__name__ != "PanicException":
            raise
        logger.warning("a tokenizer panicked: %s", str(error)[:200])
        raise UserFacingError(
            "The model's tokenizer gives up on this text.", "Type another text, or choose another model."
        ) from None
