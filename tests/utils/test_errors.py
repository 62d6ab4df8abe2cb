"""The error that a user sees."""

import pickle

from utils.errors import UserFacingError
from utils.models.files import DamagedFileError


def test_it_reads_as_message_and_remedy() -> None:
    error = UserFacingError("The prompt is empty.", "Type a sentence.")
    assert (error.message, error.remedy) == ("The prompt is empty.", "Type a sentence.")
    assert str(error) == "The prompt is empty. Type a sentence."


def test_it_comes_whole_from_a_worker_process() -> None:
    for error in (UserFacingError("No.", "Yes."), DamagedFileError("a.json", "No.", "Yes.")):
        back = pickle.loads(pickle.dumps(error))
        assert isinstance(back, UserFacingError)
        assert (back.message, back.remedy) == ("No.", "Yes.")
