"""How a request is refused: a sentence for who asked, one line in the log, no trace."""

import logging

from flask import Response

logger = logging.getLogger(__name__)
MAX_CHARACTERS = 200


def refuse(status: int, sentence: str, detail: str = "") -> Response:
    """The answer.

    Args:
        status: of HTTP.
        sentence: what is wrong, for everyone.
        detail: what the log says besides; whatever a stranger may have sent of it stays on one line.
    """
    line = "".join(character if character.isprintable() else "?" for character in detail[:MAX_CHARACTERS])
    logger.warning("refused with %d: %s%s", status, sentence, f" ({line})" if line else "")
    return Response(f"{sentence}\n", status, mimetype="text/plain", headers={"Cache-Control": "no-store"})
