"""The glossary: a row for all that the page names, short and plain."""

import re

import pytest

from components.terms import GLOSSARY, terms_of
from retrieval.rankings.methods import METHODS
from utils.effects.measures import MEASURES
from utils.forward.ablation import ABLATION_MODES
from utils.glossary.term import GROUPS, Term
from utils.roles.registry import ROLES

# What the page's figures and texts name besides roles, measures, methods and modes.
NAMED = (
    "head layer query key residual_stream attention_pattern logit probability loss random_control interval "
    "effect_map chance resting bos token position temperature top_k grouped_query_attention window "
    "catalog_score live_score threshold spread retrieval_head unlisted_active little_evidence scaffold "
    "heatmap head_grid head_view position_view continuation training_curves repeated_accuracy role active"
).split()


def sentences(text: str) -> int:
    """Sentences of a text; the dot of a number or of "et al." ends none."""
    return len(re.findall(r"[.!?](?=\s+[A-Z“]|$)", text))


@pytest.mark.parametrize("key", [*ROLES, *MEASURES, *METHODS, *ABLATION_MODES, *NAMED])
def test_all_that_the_page_names_has_a_row(key: str) -> None:
    assert GLOSSARY[key].plain


@pytest.mark.parametrize("term", GLOSSARY.values(), ids=list(GLOSSARY))
def test_contract_of_a_term(term: Term) -> None:
    assert GLOSSARY[term.key] == term and re.fullmatch(r"[a-z0-9_]+", term.key)
    assert term.group in GROUPS
    assert 1 <= sentences(term.plain) <= 2 and sentences(term.more) <= 2
    assert 20 <= len(term.plain) <= 240 and len(term.more) <= 240 and len(term.term) <= 50
    for text in (term.plain, term.more):
        assert text == text.strip() and "  " not in text
        assert not text or ((text[0].isupper() or text[0] == "“") and text.endswith("."))
        # Plain text: it may stand anywhere.
        assert not re.search("[<>`*_]", text)
    assert not term.see or re.match(r"[A-Z][\w ]+? (et al\. |and \w+ )?(19|20)\d\d, [A-Z]", term.see)


def test_plain_texts_are_plain() -> None:
    """No word that itself needs the glossary's technical line."""
    hard = re.compile(r"softmax|entropy|logarithm|vector|Jaccard|cross-entropy|uniform|nats", re.IGNORECASE)
    assert [term.key for term in GLOSSARY.values() if hard.search(term.plain)] == []


def test_each_term_is_named_once() -> None:
    assert len({term.term.casefold() for term in GLOSSARY.values()}) == len(GLOSSARY)


def test_groups_hold_all_terms_in_order() -> None:
    message = [term for group in GROUPS for term in terms_of(group)]
    assert len(message) == len(GLOSSARY) and set(message) == set(GLOSSARY.values())
    assert all(terms_of(group) for group in GROUPS)
    assert {term.key for term in terms_of("roles")} >= set(ROLES)
    assert terms_of("retrieval")[0].key == "needle"
    with pytest.raises(KeyError):
        terms_of("nothing")


def test_roles_are_told_in_their_own_words() -> None:
    for key, role in ROLES.items():
        assert (GLOSSARY[key].term, GLOSSARY[key].plain) == (role.display_name, role.description)


def test_the_thresholds_in_words_are_the_registrys() -> None:
    for role in ROLES.values():
        if role.measured:
            assert f"{role.display_name.split(' (')[0].lower()} {role.threshold}" in (
                GLOSSARY["threshold"].more.lower()
            )


def test_the_glossary_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        GLOSSARY["token"] = GLOSSARY["bos"]  # pyright: ignore[reportIndexIssue]
