"""The error that a user sees."""

from utils.errors import UserFacingError


def test_it_reads_as_message_and_remedy() -> None:
    error = UserFacingError("The prompt is empty.", "Type a sentence.")
    assert (error.message, error.remedy) == ("The prompt is empty.", "Type a sentence.")
    assert str(error) == "The prompt is empty. Type a sentence."
