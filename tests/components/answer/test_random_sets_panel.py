"""The panel of random sets: what it says from many different sets and from few."""

from dataclasses import replace
from types import MappingProxyType

from components.answer.random_sets_panel import random_body, random_figure, random_sentence
from tests.fixtures.reading_trees import find, words_of
from utils.effects.measures import MEASURES
from utils.effects.random_sets import RandomComparison, RandomSets, contrast
from utils.heads import Head


def comparison(distinct: int, draws: int = 40) -> RandomComparison:
    """`draws` random sets of which so many differ; the second of them does as much as the tested heads."""
    sets = tuple((Head(0, index % distinct),) for index in range(draws))
    effects = [-0.4 if index % distinct == 1 else -0.01 for index in range(draws)]
    return RandomComparison(
        heads=(Head(3, 1),),
        kind="layer-matched",
        seed=0,
        mode="zero",
        position=4,
        target=7,
        other=8,
        clean_probability=0.5,
        random=RandomSets(sets, 0),
        contrasts=MappingProxyType({measure: contrast(measure, -0.3, effects, sets) for measure in MEASURES}),
    )


def test_many_different_sets_have_an_interval() -> None:
    found = comparison(30)
    message = random_sentence(found, "Mary")
    assert (
        "L3H1 changes “Mary” by -30.0 points. 30 different random sets of 1 head from the same layers"
        in message
    )
    assert "95% of the 40 draws" in message and "1 of them does as much in that direction." in message
    assert "1 of 30" in words_of(random_body(found, "Mary", "light"))
    assert len(random_figure(found.contrasts["probability"], "dark").to_dict()["layout"]["shapes"]) == 1


def test_few_different_sets_have_no_percentage() -> None:
    for distinct in (2, 3, 19):
        found = comparison(distinct)
        message = random_sentence(found, "Mary")
        assert f"{distinct} different random sets" in message and "between -40.0 and -1.0 points" in message
        assert "too few to say how rare that is" in message
        shown = words_of(random_body(found, "Mary", "light"))
        assert "%" not in message and "%" not in shown and f"1 of {distinct}" in shown
        assert not random_figure(found.contrasts["probability"], "light").to_dict()["layout"].get("shapes")


def test_a_single_other_set_is_told_as_one() -> None:
    found = comparison(1)
    message = random_sentence(found, "Mary")
    assert "The only other set of 1 head from the same layers changes it by -1.0 points: not as" in message
    strong = replace(
        found,
        contrasts=MappingProxyType({"probability": contrast("probability", -0.3, [-0.4], ["only"])}),
    )
    assert "as much or more in that direction" in random_sentence(strong, "Mary")


def test_the_table_has_four_columns() -> None:
    body = random_body(comparison(30), "Mary", "light")
    (table,) = find(body, "hs-random-table")
    assert len(find(table, scope="col")) == 4
