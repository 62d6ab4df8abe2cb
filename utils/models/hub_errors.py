"""What went wrong between this machine and the model hub, in one sentence."""

import errno
import logging
from json import JSONDecodeError

from httpx2 import HTTPError
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from utils.errors import UserFacingError

logger = logging.getLogger(__name__)

_HERE = "choose a model that is already on this machine"
_LOG_IN = "hf auth login"
# The last two: something answers that is no hub, such as the log-in page of a network.
_OUT_OF_REACH = (
    HTTPError,
    LocalEntryNotFoundError,
    ConnectionError,
    TimeoutError,
    FileMetadataError,
    JSONDecodeError,
)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def hub_error(error: Exception, name: str, begun: bool) -> UserFacingError:
    """The sentence for what a request to the hub, or a download from it, raised.

    Args:
        error: what was raised.
        name: the model.
        begun: whether a part of the model is in the cache.
    """
    logger.info("the hub and %s: %s", name, error)
    # The library asks the cache when the hub refuses, and then tells of the cache first.
    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    lacking = (
        f"The copy of the model '{name}' on this machine is incomplete"
        if begun
        else f"The model '{name}' is not on this machine"
    )
    if isinstance(error, OfflineModeIsEnabled):
        return UserFacingError(
            f"{lacking}, and HF_HUB_OFFLINE forbids to fetch it.",
            f"Let the operator start the app without HF_HUB_OFFLINE, or {_HERE}.",
        )
    if isinstance(error, GatedRepoError):
        return UserFacingError(
            f"The model '{name}' is gated: its owner grants access first.",
            f"Let the operator accept its terms on its page of the hub and log in once with: {_LOG_IN}.",
        )
    if isinstance(error, RepositoryNotFoundError):
        return UserFacingError(
            f"There is no model named '{name}' on the hub, or it is private.",
            f"Check the name, upper and lower case too; for a private model log in with: {_LOG_IN}.",
        )
    if isinstance(error, HfHubHTTPError):
        return _of_status(error.response.status_code, name)
    if isinstance(error, _OUT_OF_REACH):
        return UserFacingError(
            f"{lacking}, and the model hub cannot be reached.",
            f"Check the network connection and try again, or {_HERE}.",
        )
    number = error.errno if isinstance(error, OSError) else None
    if number in _FULL:
        return UserFacingError(
            f"The disk is full: the model '{name}' cannot be fetched.", f"Free some space, or {_HERE}."
        )
    if number in _FORBIDDEN:
        return UserFacingError(
            f"The model '{name}' cannot be kept: the cache of models cannot be written to.",
            f"Let the operator set HF_HOME to a folder that can be written to, or {_HERE}.",
        )
    logger.warning("fetching %s failed", name, exc_info=error)
    return UserFacingError(
        f"The download of the model '{name}' broke off.",
        f"Try again: files that have arrived are kept. Or {_HERE}.",
    )


def _of_status(status: int, name: str) -> UserFacingError:
    if status == 401:
        return UserFacingError("The model hub refused the access token.", f"Log in again with: {_LOG_IN}.")
    if status == 403:
        return UserFacingError(
            f"The model hub does not let this machine have the model '{name}'.",
            f"Log in with an account that may: {_LOG_IN}. Or {_HERE}.",
        )
    if status == 429:
        return UserFacingError(
            "The model hub gets too many requests from here.", f"Try again in some minutes, or {_HERE}."
        )
    return UserFacingError(
        f"The model hub answered with an error ({status}).", f"Try again later, or {_HERE}."
    )
