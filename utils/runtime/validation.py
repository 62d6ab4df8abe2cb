"""What pydantic found, as a few words for a sentence."""

from pydantic import ValidationError

MAX_CHARACTERS = 200


def what_is_wrong(error: ValidationError) -> str:
    """The first thing that is wrong, on one line: where, and what ("models.0.name: Field required")."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    what = " ".join(first["msg"].removeprefix("Value error, ").rstrip(".").split())
    return f"{f'{where}: ' if where else ''}{what[:MAX_CHARACTERS]}"
