"""The day that stands in files which can be made again."""

import os
from datetime import UTC, datetime

from utils.errors import UserFacingError


def today() -> str:
    """The date (UTC), or that of SOURCE_DATE_EPOCH, by which files are made that can be made again.

    The day and no time: made twice on a day from the same model, two files are the same to the last byte.

    Raises:
        UserFacingError: SOURCE_DATE_EPOCH is set, and to no time.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return datetime.now(UTC).date().isoformat()
    try:
        return datetime.fromtimestamp(int(epoch), UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        raise UserFacingError(
            f"SOURCE_DATE_EPOCH is no time: '{epoch[:40]}'.", "Set it to seconds since 1970, or unset it."
        ) from None
