"""The words of the page, from the field's terms to plain ones: one row per term.

The help dialog and the small explanations beside figures take their texts from here. Roles and ranking
methods are explained in the words of their own registries.
"""

from collections.abc import Iterator, Mapping

from retrieval.rankings.methods import METHODS
from utils.glossary.basics import BASICS
from utils.glossary.experiments import EXPERIMENTS, RETRIEVAL
from utils.glossary.term import GROUPS, Term
from utils.roles.registry import ROLES


def _rows() -> dict[str, Term]:
    roles = [
        Term(key, "roles", role.display_name, role.description, role.scoring, role.source)
        for key, role in ROLES.items()
    ]
    terms: dict[str, Term] = {}
    methods = [method.word for method in METHODS.values()]
    for term in (*BASICS, *roles, *EXPERIMENTS, *methods, *RETRIEVAL):
        if term.key in terms:
            raise ValueError(f"the glossary has {term.key!r} twice")
        terms[term.key] = term
    return terms


class _Glossary(Mapping[str, Term]):
    """All terms by key; those of registries are read from their rows as they are now."""

    def __getitem__(self, key: str) -> Term:
        return _rows()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(_rows())

    def __len__(self) -> int:
        return len(_rows())


GLOSSARY: Mapping[str, Term] = _Glossary()


def terms_of(group: str) -> tuple[Term, ...]:
    """The terms of a group, in the order in which they are best read.

    Raises:
        KeyError: no such group.
    """
    if group not in GROUPS:
        raise KeyError(group)
    return tuple(term for term in GLOSSARY.values() if term.group == group)
