"""Heads named by what they do: "the first induction head", not L1H2.

A preset or a lesson that names heads like this stays true when a model is trained again, and holds for models
that the author never saw. The rank is the place in the catalog's list of the role, or in its ranking of
retrieval heads by a method, from 1.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator

from utils.catalog.catalog import Catalog
from utils.catalog.rankings import catalog_rankings
from utils.errors import UserFacingError
from utils.heads import Head
from utils.roles.registry import MAX_HEADS, ROLES

LAST = -1
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_EXAMPLES = '"induction 1", "first induction head", "first 4 induction heads" or "all induction heads"'


@dataclass(frozen=True)
class HeadReference:
    """Some heads of a role or of a ranking, by their places in the catalog's list.

    Attributes:
        role: the role's key; "" for heads of a ranking.
        first: place of the first of them, from 1; -1 for the last head of the list.
        last: place of the last of them; None for the end of the list.
        ranking: the ranking method's key; "" for heads of a role.
    """

    role: str
    first: int = 1
    last: int | None = None
    ranking: str = ""

    @property
    def single(self) -> bool:
        """Whether it names one head."""
        return self.first == self.last

    def __str__(self) -> str:
        """In words, to follow "without": "the first 4 induction heads"."""
        if self.ranking:
            which = f"of the {self.ranking.replace('_', ' ')} ranking"
            if self.single:
                return f"the {_ordinal(self.first)} head {which}"
            if self.first == 1:
                return f"the first {self.last} heads {which}"
            return f"the heads {self.first} to {self.last} {which}"
        role = role_words(self.role)
        if self.first == LAST:
            return f"the last {role} head"
        if self.single:
            return f"the {_ordinal(self.first)} {role} head"
        if self.last is None:
            return f"all {role} heads" if self.first == 1 else f"the {role} heads from number {self.first} on"
        if self.first == 1:
            return f"the first {self.last} {role} heads"
        return f"the {role} heads {self.first} to {self.last}"


def role_words(role: str) -> str:
    """What a head of this role is called in a sentence: "induction", "first-token", "unclassified"."""
    name = next(iter(ROLES[role].names), role)
    return name.replace("_", "-").replace(" ", "-")


def _ordinal(number: int) -> str:
    if number <= len(_ORDINALS):
        return _ORDINALS[number - 1]
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"


def parse_reference(written: Any) -> HeadReference:
    """Read a reference, as a text or as a mapping with `role` and `rank` (a number, "2-4" or "all").

    With `ranking`, a method's key, in place of `role` they are heads of the catalog's ranking by it.

    Texts are "induction 2", "induction 2-4", "second induction head", "last induction head", "first 4
    induction heads" and "all induction heads"; a role is its key or its words.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(written, HeadReference):
        return written
    if isinstance(written, Mapping):
        of = next((key for key in ("role", "ranking") if key in written), "")
        if of == "ranking" and set(written) == {"ranking", "rank"}:
            return _ranked(str(written["ranking"]), str(written["rank"]))
        if of != "role" or set(written) - {"role", "rank"}:
            raise ValueError(
                "a head is named by role and rank, like {role: induction, rank: 1}, by a ranking, like "
                f"{{ranking: wu24, rank: 1-3}}, or {_EXAMPLES}"
            )
        return _reference(_role(str(written["role"])), str(written.get("rank", "all")))
    if not isinstance(written, str) or len(written) > 80:
        raise ValueError(f"a head is named by role and rank, like {_EXAMPLES}")
    text = " ".join(written.replace("_", " ").replace("-token", " token").split()).casefold()
    text = re.sub(r" ?\bheads?$", "", text.removeprefix("the "))
    name, _, number = text.rpartition(" ")
    if re.fullmatch(r"\d+(-\d+)?|all", number):
        return _reference(_role(re.sub(r" heads?$", "", name)), number)
    amount = re.fullmatch(r"first (\d+) (.+)", text)
    if amount:
        return _reference(_role(amount[2]), f"1-{amount[1]}")
    start, _, rest = text.partition(" ")
    if start == "all":
        return _reference(_role(rest), "all")
    if start == "last":
        return HeadReference(_role(rest), LAST, LAST)
    if start in _ORDINALS and rest.replace("-", " ") in _role_names():
        return _reference(_role(rest), str(_ORDINALS.index(start) + 1))
    raise ValueError(f"{written[:40]!r} names no heads; write {_EXAMPLES}")


def _role_names() -> dict[str, str]:
    """The roles' keys by what people write for them."""
    return {name: key for key, role in ROLES.items() for name in (key.replace("_", " "), *role.names)}


def _role(name: str) -> str:
    text = " ".join(name.replace("_", " ").replace("-", " ").split()).casefold()
    names = _role_names()
    if text not in names:
        raise ValueError(f"{name[:40]!r} is no role; choose one of {', '.join(ROLES)}")
    return names[text]


def _reference(role: str, rank: str) -> HeadReference:
    if rank.strip().casefold() == "all":
        return HeadReference(role)
    match = re.fullmatch(r"([0-9]{1,3})(?:\s*-\s*([0-9]{1,3}))?", rank.strip())
    if match is None:
        raise ValueError(f"the rank must be a number from 1, a range like 1-4, or all. Got {rank[:20]!r}")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last:
        raise ValueError(f"ranks count from 1 upwards. Got {rank[:20]!r}")
    return HeadReference(role, first, last)


def _ranked(method: str, rank: str) -> HeadReference:
    """Heads of a ranking, which has all heads of the model: so many of them have to be named."""
    places = _reference("", rank)
    if not re.fullmatch(r"[a-z0-9_]{1,40}", method) or places.last is None:
        raise ValueError(f"heads of a ranking are written {{ranking: wu24, rank: 1-3}}. Got {method[:20]!r}")
    return HeadReference("", places.first, places.last, method)


def _one_head(written: Any) -> HeadReference:
    reference = parse_reference(written)
    if not reference.single:
        raise ValueError(f"it must name one head, not {reference}")
    return reference


def _several(written: Any) -> tuple[HeadReference, ...]:
    items = written if isinstance(written, Sequence) and not isinstance(written, str) else [written]
    if not items or len(items) > 4 * MAX_HEADS:
        raise ValueError(f"it must name from 1 to {4 * MAX_HEADS} heads or groups of heads")
    return tuple(parse_reference(item) for item in items)


# As fields of a record read from a file.
OneHead = Annotated[HeadReference, BeforeValidator(_one_head)]
SomeHeads = Annotated[tuple[HeadReference, ...], BeforeValidator(_several)]


def resolve(reference: HeadReference, catalog: Catalog | None, model: str) -> tuple[Head, ...]:
    """The heads that a reference stands for on a model, best first; never empty.

    Raises:
        UserFacingError: the model has no catalog, or its catalog does not list so many heads.
    """
    if catalog is None:
        raise UserFacingError(
            f"{str(reference).capitalize()} cannot be found: the heads of {model} have no catalog yet.",
            "Analyze this model first, or choose one that has a catalog.",
        )
    if reference.ranking:
        return _resolve_ranked(reference, catalog, model)
    category = catalog.categories.get(reference.role)
    listed = [Head(entry.layer, entry.head) for entry in category.top_heads] if category else []
    if reference.first == LAST and listed:
        return (listed[-1],)
    last = len(listed) if reference.last is None else reference.last
    if reference.first > len(listed) or last > len(listed) or not listed:
        kind = f"{role_words(reference.role)} head"
        has = f"{len(listed)} {kind}{'s' if len(listed) > 1 else ''}" if listed else f"no {kind}"
        raise UserFacingError(
            f"{model} has {has}, so {reference} cannot be shown.", "Choose another model for this."
        )
    return tuple(listed[reference.first - 1 : last])


def _resolve_ranked(reference: HeadReference, catalog: Catalog, model: str) -> tuple[Head, ...]:
    ranking = catalog_rankings(catalog).get(reference.ranking)
    listed = () if ranking is None else ranking.order
    if not listed or (reference.last or 0) > len(listed):
        has = f"a ranking of {len(listed)} heads" if listed else f"no {reference.ranking} ranking"
        raise UserFacingError(
            f"{model} has {has}, so {reference} cannot be shown.", "Choose another model for this."
        )
    return listed[reference.first - 1 : reference.last]


def resolve_all(references: Sequence[HeadReference], catalog: Catalog | None, model: str) -> frozenset[Head]:
    """All heads that some references stand for.

    Raises:
        UserFacingError: as `resolve`.
    """
    return frozenset(head for reference in references for head in resolve(reference, catalog, model))


def in_words(references: Sequence[HeadReference]) -> str:
    """Several references in one phrase: "the first induction head and all duplicate-token heads"."""
    names = [str(reference) for reference in references]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
