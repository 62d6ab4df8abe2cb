"""The one error family that is shown to a user as it stands."""


class UserFacingError(Exception):
    """Something went wrong that the user can mend.

    Args:
        message: one plain sentence saying what is wrong.
        remedy: one plain sentence saying what to do, naming the real options.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} {remedy}")
        self.message = message
        self.remedy = remedy

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """What pickle calls to make it again: a worker process hands its errors over so."""
        return UserFacingError, (self.message, self.remedy)
