"""Heads named by role and rank: how they are written, and which heads they are on a model."""

import pytest

from tests.fixtures.catalogs import make_catalog
from utils.errors import UserFacingError
from utils.heads import Head
from utils.roles.registry import ROLES
from utils.teaching.head_references import HeadReference, in_words, parse_reference, resolve, resolve_all

ONE = HeadReference("induction", 1, 1)
WRITTEN = {
    "induction 1": ONE,
    "first induction head": ONE,
    "the first induction head": ONE,
    "  First  Induction ": ONE,
    "induction head 1": ONE,
    "induction 2-4": HeadReference("induction", 2, 4),
    "first 4 induction heads": HeadReference("induction", 1, 4),
    "all induction heads": HeadReference("induction"),
    "induction all": HeadReference("induction"),
    "third duplicate token head": HeadReference("duplicate_token", 3, 3),
    "second duplicate-token head": HeadReference("duplicate_token", 2, 2),
    "duplicate_token 2": HeadReference("duplicate_token", 2, 2),
    "first first-token head": HeadReference("positional", 1, 1),
    "first token 1": HeadReference("positional", 1, 1),
    "positional 12": HeadReference("positional", 12, 12),
    "all unclassified heads": HeadReference("other"),
    "first other head": HeadReference("other", 1, 1),
    "last unclassified head": HeadReference("other", -1, -1),
}


@pytest.mark.parametrize(("text", "reference"), WRITTEN.items())
def test_references_as_people_write_them(text: str, reference: HeadReference) -> None:
    assert parse_reference(text) == reference
    assert parse_reference(reference) == reference


def test_references_as_mappings() -> None:
    assert parse_reference({"role": "induction", "rank": 1}) == ONE
    assert parse_reference({"role": "previous_token", "rank": "1-3"}) == HeadReference("previous_token", 1, 3)
    assert parse_reference({"role": "first token", "rank": "all"}) == HeadReference("positional")
    assert parse_reference({"role": "diffuse"}) == HeadReference("diffuse")


def test_heads_of_a_ranking() -> None:
    three = parse_reference({"ranking": "wu24", "rank": "1-3"})
    assert three == HeadReference("", 1, 3, "wu24") and str(three) == "the first 3 heads of the wu24 ranking"
    assert str(parse_reference({"ranking": "qrhead", "rank": 2})) == "the second head of the qrhead ranking"
    heads = [(str(Head(1, 0)), 0.9), (str(Head(2, 2)), 0.5), (str(Head(0, 3)), 0.3)]
    rest = [Head(layer, head) for layer in range(3) for head in range(4)]
    scores = {str(head): 0.0 for head in rest} | dict(heads)
    record = {
        "question": "inc_state",
        "successful_samples": 2,
        "head_rankings": [{"head": head, "score": score} for head, score in scores.items()],
    }
    ranked = CATALOG.model_copy(update={"rankings": {"wu24": [record]}})
    assert resolve(three, ranked, "small") == (Head(1, 0), Head(2, 2), Head(0, 3))
    with pytest.raises(
        UserFacingError, match="small has no qrhead ranking, so the second head of the qrhead"
    ):
        resolve(HeadReference("", 2, 2, "qrhead"), ranked, "small")
    with pytest.raises(UserFacingError, match="small has a ranking of 12 heads, so the heads 2 to 13 of"):
        resolve(HeadReference("", 2, 13, "wu24"), ranked, "small")


@pytest.mark.parametrize("role", ROLES)
def test_the_words_of_a_reference_mean_the_same_reference(role: str) -> None:
    for reference in (
        *(HeadReference(role, rank, rank) for rank in range(1, 9)),
        HeadReference(role),
        HeadReference(role, 1, 4),
        HeadReference(role, -1, -1),
    ):
        assert parse_reference(str(reference)) == reference
    assert str(HeadReference(role, 22, 22)).startswith("the 22nd ")
    assert str(HeadReference(role, 112, 112)).startswith("the 112th ")


BAD = [
    "",
    "induction",
    "first",
    "L1H2",
    "magic 1",
    "first magic head",
    "all magic heads",
    "induction 0",
    "induction 4-2",
    "induction 1000",
    "induction -1",
    "x" * 81,
    7,
    None,
    ["induction 1"],
    {"rank": 1},
    {"role": "induction", "rank": 0},
    {"role": "induction", "rank": "first"},
    {"role": "induction", "rank": True},
    {"role": "magic", "rank": 1},
    {"role": "induction", "rank": 1, "layer": 2},
    {"ranking": "wu24"},
    {"ranking": "wu24", "rank": "all"},
    {"ranking": "Wu 24", "rank": 1},
    {"ranking": "wu24", "role": "induction", "rank": 1},
]


@pytest.mark.parametrize("written", BAD, ids=str)
def test_what_names_no_head_says_so(written: object) -> None:
    with pytest.raises(ValueError, match=r"heads?|role|ranks?"):
        parse_reference(written)


CATALOG = make_catalog(
    "small", 3, 4, {"induction": [(Head(2, 1), 0.9), (Head(1, 3), 0.8)], "diffuse": [(Head(0, 0), 0.7)]}
)


def test_a_rank_is_the_place_in_the_catalogs_list() -> None:
    assert resolve(ONE, CATALOG, "small") == (Head(2, 1),)
    assert resolve(HeadReference("induction", 2, 2), CATALOG, "small") == (Head(1, 3),)
    assert resolve(HeadReference("induction", 1, 2), CATALOG, "small") == (Head(2, 1), Head(1, 3))
    assert resolve(HeadReference("induction"), CATALOG, "small") == (Head(2, 1), Head(1, 3))
    assert resolve(HeadReference("induction", -1, -1), CATALOG, "small") == (Head(1, 3),)
    both = (HeadReference("induction"), HeadReference("diffuse", 1, 1), ONE)
    assert resolve_all(both, CATALOG, "small") == {Head(2, 1), Head(1, 3), Head(0, 0)}


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        (HeadReference("induction", 3, 3), "small has 2 induction heads, so the third induction head cannot"),
        (HeadReference("induction", 1, 3), "small has 2 induction heads, so the first 3 induction heads"),
        (HeadReference("diffuse", 2, 2), "small has 1 diffuse head, so"),
        (HeadReference("duplicate_token", -1, -1), "small has no duplicate-token head"),
        (HeadReference("duplicate_token"), "small has no duplicate-token head, so all duplicate-token heads"),
    ],
)
def test_a_model_without_such_a_head_says_so(reference: HeadReference, sentence: str) -> None:
    with pytest.raises(UserFacingError, match=sentence):
        resolve(reference, CATALOG, "small")


def test_a_model_without_a_catalog_says_so() -> None:
    with pytest.raises(
        UserFacingError, match=r"^The first induction head cannot be found: .* no catalog yet"
    ):
        resolve(ONE, None, "small")


def test_several_references_in_words() -> None:
    assert in_words([ONE]) == "the first induction head"
    three = [ONE, HeadReference("diffuse"), HeadReference("positional", 2, 3)]
    assert in_words(three) == ("the first induction head, all diffuse heads and the first-token heads 2 to 3")
