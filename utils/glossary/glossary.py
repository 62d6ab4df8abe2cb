"""The words of the page, from the field's terms to plain ones: a row a term.

The help dialog, the small explanations beside figures and the study take their texts from here. Roles are
told in the words of their own registry.
"""

from collections.abc import Mapping
from types import MappingProxyType

from utils.glossary.basics import BASICS
from utils.glossary.experiments import EXPERIMENTS
from utils.glossary.term import GROUPS, OLSSON, WANG, XIAO, Term
from utils.roles.registry import ROLES

# How each role is scored, and which paper it is from.
_ROLE_FACTS = {
    "previous_token": (
        "Score: attention on the token one back, mean over all tokens from the third on.",
        WANG,
    ),
    "induction": (
        "Score: attention on what followed earlier copies of the token, mean over the tokens that have one "
        "far enough back.",
        OLSSON,
    ),
    "duplicate_token": (
        "Score: attention on earlier copies of the token, mean over the tokens that have one.",
        WANG,
    ),
    "positional": (
        "Score: attention on the first token (an attention sink), mean over all tokens from the third on.",
        XIAO,
    ),
    "diffuse": (
        "Score: how even the attention is, entropy by the largest that is possible there, mean over all "
        "tokens from the third on.",
        "",
    ),
    "other": ("No score of its own: every score lies below its role's threshold.", ""),
}


def _by_key() -> dict[str, Term]:
    roles = [
        Term(key, "roles", role.display_name, role.description, *_ROLE_FACTS[key])
        for key, role in ROLES.items()
    ]
    terms: dict[str, Term] = {}
    for term in (*BASICS, *roles, *EXPERIMENTS):
        if term.key in terms:
            raise ValueError(f"the glossary has {term.key!r} twice")
        terms[term.key] = term
    return terms


GLOSSARY: Mapping[str, Term] = MappingProxyType(_by_key())


def terms_of(group: str) -> tuple[Term, ...]:
    """The terms of a group, in the order in which they are best read.

    Raises:
        KeyError: no such group.
    """
    if group not in GROUPS:
        raise KeyError(group)
    return tuple(term for term in GLOSSARY.values() if term.group == group)
