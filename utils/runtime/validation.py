"""What pydantic found, as a few words for a sentence."""

from pydantic import ValidationError

MAX_CHARACTERS = 200
MAX_NAME = 40


def what_is_wrong(error: ValidationError) -> str:
    """The first thing that is wrong, on one line: where, and what ("models.0.name: Field required").

    What cannot be printed, of a name in the file for example, is made visible.
    """
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part)[:MAX_NAME] for part in first["loc"])
    what = " ".join(first["msg"].removeprefix("Value error, ").rstrip(".").split())
    line = f"{f'{where[:MAX_CHARACTERS]}: ' if where else ''}{what[:MAX_CHARACTERS]}"
    return "".join(character if character.isprintable() else "�" for character in line)
