import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from study.figures.overlap import model_comparison, scored_heads
from study.figures.style import picked
from study.findings.for_all import for_all
from study.findings.limits import NOTHING_TO_LOSE, RANDOM_HURTS, STAND_INS, TOO_FEW, singles, why_not
from study.findings.models import answered, models_alike
from study.findings.published import published
from study.findings.questions import alike_within
from study.findings.real_filings import real_filings
from study.findings.report import findings, write_findings
from study.findings.rules import (
    Setting,
    above_chance,
    all_effects,
    difference_of,
    effects,
    interval,
    mean_of,
    mean_of_same,
    more_than_chance,
    pair_kinds,
    points,
    settings_of,
    shared,
)
from study.findings.state import missing
from study.tables.columns import Row, save_tables
from study.tables.intervals import Interval, share_interval
from tests.fixtures.hand_made_tables import tables
from utils.errors import UserFacingError

BASE = Setting("base", 128)


def test_difference_of_two_estimates() -> None:
    # The squared distances to the ends that matter are added (Zou and Donner 2008).
    found = difference_of(Interval(0.5, 0.2, 0.7), Interval(0.1, -0.5, 0.5))
    ends = (0.4 - (0.3**2 + 0.4**2) ** 0.5, 0.4 + (0.2**2 + 0.6**2) ** 0.5)
    assert (found.mean, found.low, found.high) == pytest.approx((0.4, *ends))


def test_mean_of_estimates_narrows_with_their_number() -> None:
    one = Interval(-0.5, -0.6, -0.4)
    found = mean_of([one] * 4)
    assert (found.mean, found.low, found.high) == pytest.approx((-0.5, -0.55, -0.45))
    assert mean_of_same([one] * 4) == one
    for mean in (mean_of, mean_of_same):
        with pytest.raises(ValueError, match="no estimates"):
            mean([])


def test_above_chance_is_the_upper_tail_of_random_overlaps() -> None:
    # 2 of 10 twice: both in common happens once in C(10, 2) = 45 cases (2.2%), one in common in 16 of 45.
    assert above_chance("ab", "ab", 10)
    assert not above_chance("ab", "bc", 10)
    assert not above_chance("ab", "ab", 9)  # once in 36


def test_two_chances_for_what_tops_share() -> None:
    top = picked(tables()["tops"], model="base", length=128, method="wu24", task="inc_state")[0]
    one = {**top, "heads": ["L1H0", "L1H1", "L1H2", "L1H3"]}
    found = shared(one, {**top, "heads": ["L1H0", "L1H1", "L1H2", "L1H4"]})
    assert found.overlap == 3 / 5
    # 4 of 5 heads of one layer twice: 3 in common at least, and all 4 once in 5.
    assert found.layer_chance == pytest.approx(0.8 * 3 / 5 + 0.2)
    assert found.above
    assert not found.above_layers
    spread = {**top, "heads": ["L0H0", "L1H0", "L2H0", "L3H0"]}
    assert shared(spread, spread).above_layers  # once in 5^4


def test_an_interval_without_width_is_widened() -> None:
    row = {"change": -1.0, "low": -1.0, "high": -1.0, "n": 50, "units": 25}
    # The upper end of Wilson's interval for 0 of 25.
    assert interval(row, "change").high == pytest.approx(-1 + share_interval(0, 25).high)
    assert interval(row, "change").low == -1
    other = {"change": -0.5, "low": -0.6, "high": -0.4, "n": 25, "units": 25}
    assert interval(other, "change") == Interval(-0.5, -0.6, -0.4)


def test_pairs_of_questions_by_kind() -> None:
    kinds = pair_kinds(["inc_state", "hq_state", "inc_year", "hq_city"])
    assert kinds == {
        "two states": [("inc_state", "hq_state")],
        "two numbers": [],
        "a state and a number": [("inc_state", "inc_year"), ("hq_state", "inc_year")],
    }


def test_points_are_whole_and_never_minus_zero() -> None:
    assert points(Interval(-0.001, -0.254, 0.1)) == "+0 [-25, +10]"


def test_effects_are_read_at_the_claims_share_of_the_heads() -> None:
    (state, year) = effects(tables(), BASE, "wu24")
    assert (state.question, year.question) == ("inc_state", "inc_year")
    assert (state.k, state.clean, state.tested, state.random) == (5, 0.9, 0.3, 0.8)
    assert state.against.mean == pytest.approx(-0.5)
    assert state.change.mean == pytest.approx(-0.6)
    assert not state.random_hurts  # 0.8 + 0.1 is not below 0.9
    made = tables()
    for row in made["claim"]:
        row["share"] = 0.1
    assert effects(made, BASE, "wu24")[0].k == 2
    assert effects({**made, "claim": []}, BASE, "wu24")[0].k == 5


def test_a_sound_effect_is_told_as_one() -> None:
    text = findings(tables(drop=0.6))
    assert "The claim fixed beforehand **holds**, for 2 of 2 questions (2 needed)" in text
    assert "same layers do, in all 20 cases" in text
    assert (
        "| Wu24 | incorporation state | 90% | 30% | 80% (60% to 85%) | 80% | -60 [-70, -50] | -50 [-60, -40] "
        "|" in text
    )
    assert "Not for:" not in text


def test_an_effect_that_is_not_there_is_told_as_one() -> None:
    text = findings(tables(drop=0.15))
    assert "The claim fixed beforehand **does not hold**, for 0 of 2 questions (2 needed)" in text
    assert "same layers do, in 0 of 20 cases" in text
    assert "Not for:" in text


def test_a_control_from_other_layers_is_told_as_weak() -> None:
    weak = tables(drop=0.6)
    for row in weak["accuracy"]:
        if row["condition"] == "random_layer_matched" and row["question"] == "inc_state" and row["k"] == 5:
            row["short"] = 4
    state, year = weak["claim"]
    state.update(same_layers=0.2, counts=False)
    for row in (state, year):
        row.update(questions_counted=1, holds=False)
    text = findings(weak)
    assert "Its control is weak for 1 of 2 questions" in text
    assert "The claim fixed beforehand **does not hold**, for 1 of 2 questions (2 needed)" in text
    assert "| incorporation state | 25 | 30% | 80% | -50 [-60, -40] | 20% | no |" in text
    assert "20% to 100% of the random heads are from the same layers" in text
    assert "| incorporation year | 5 | -50 [-60, -40] | yes | 0 of 5 |" in text
    assert "| incorporation state | 5 | -50" not in text.split("half of the random heads")[1]
    assert "control is weak" not in findings(tables(drop=0.6))


def test_questions_that_differ_are_told_so() -> None:
    uneven = tables()
    for row in uneven["transfer"]:
        if row["question"] == "inc_year":
            row.update(change=0.0, low=-0.05, high=0.05)
    text = findings(uneven)
    assert "*Do equal numbers of ablated heads hurt questions equally?* No: by Wu24 at 128 tokens" in text
    assert "from -60 [-70, -50] points (incorporation state) to +0 [-5, +5] (incorporation year)" in text
    assert "hurt questions equally?* No inequality is shown: " in findings(tables())


def test_categories_are_compared_by_the_interval_of_their_difference() -> None:
    uneven = tables()
    for row in uneven["differences"]:
        if row["question"] == "inc_year":
            row.update(difference=0.0, low=-0.05, high=0.05, below=False)
    text = findings(uneven)
    assert "of 10 rankings 10 hurt state questions more, 0 number questions more" in text
    assert "Not always: by Wu24 at 128 tokens states minus numbers is -50 [-61, -39] points" in text
    assert "; of 10 rankings 0 hurt" in findings(tables())
    assert "No difference is shown: by Wu24" in findings(tables())


@pytest.mark.parametrize(
    ("alike", "said"),
    [
        (True, "Yes, though mostly not more than lying in the same layers explains: 10 of 10 pairs"),
        (False, "No: 0 of 10 pairs"),
    ],
)
def test_states_and_numbers_share_heads_or_not(alike: bool, said: str) -> None:
    made = tables()
    for row in made["tops"]:
        if row["task"] == "inc_year":
            (state,) = picked(
                made["tops"], **{n: row[n] for n in ("model", "length", "method")}, task="inc_state"
            )
            layer = 0 if row["n_layers"] == 2 else 3
            row["heads"] = state["heads"] if alike else [f"L{layer}H{head}" for head in range(row["k"])]
    assert said in findings(made)


def test_why_an_effect_is_missing() -> None:
    (effect, _) = effects(tables(drop=0.15), BASE, "wu24")
    assert why_not(effect, None).short == TOO_FEW

    def changed(**values: Any) -> str:
        return why_not(replace(effect, **values), None).short

    assert changed(clean=0.3) == NOTHING_TO_LOSE
    assert changed(change=Interval(-0.02, -0.1, 0.06)) == STAND_INS
    assert changed(random_hurts=True) == RANDOM_HURTS


def test_a_head_that_carries_everything_is_named() -> None:
    made = tables(drop=0.15, single=0.8)
    single = singles(made, BASE, "inc_state")
    assert single is not None
    assert (single.worst, single.alone, single.carries) == ("L0H0", ("L0H0",), True)
    text = findings(made)
    lines = [line for line in text.splitlines() if line.startswith("| base, 128 tokens") and "L0H0: " in line]
    assert len(lines) == len(set(lines)) == 2  # one a question
    assert "Most answers hang on one head: without L0H0 alone 10% are right." in text
    assert "most answers hang on it" in text
    assert "No head is shown to matter by itself." in findings(tables(drop=0.15))


def test_where_no_head_takes_an_answer_away_none_is_the_strongest() -> None:
    made = tables()
    for row in made["single_heads"]:
        row.update(change=0.0, low=-0.3, high=0.3)
    rows = [line for line in findings(made).splitlines() if line.startswith("| base, 128 tokens")]
    assert any(line.endswith("| 0 | none | – |") for line in rows)


def test_heads_that_are_needed_only_together_stand_in_for_each_other() -> None:
    made = tables(drop=0.05)
    for row in list(picked(made["transfer"], k=5)):
        if row["source"] == row["question"]:
            made["transfer"].append({**row, "k": 9, "share": 0.45, "change": -0.8, "low": -0.9, "high": -0.7})
    effect = effects(made, BASE, "wu24")[0]
    message = why_not(effect, singles(made, BASE, "inc_state"))
    assert message.short == STAND_INS
    assert "With the top 9 off answers are lost (-80 [-90, -70])" in message.message


def test_heads_of_all_questions_stand_beside_each_ones_own() -> None:
    made = tables()
    for row in made["accuracy"]:
        if row["condition"] == "global" and row["model"] == "base":
            row["accuracy"] = 0.5
    section = for_all(made)
    assert section is not None
    own = picked(made["accuracy"], model="base", method="wu24", condition="within", k=5)[0]["accuracy"]
    wanted = f"| base, 128 tokens | Wu24 | 5 | 90% | {own:.0%} | {own:.0%} | 50% | – | – |"
    assert wanted in section.lines
    assert "50% of the answers are right without the top 5 heads by mean score" in section.short
    # With a control it is said whether the effect is beyond it.
    for row in list(picked(made["differences"], model="base", control="random_layer_matched", k=5)):
        made["differences"].append({**row, "of": "global", "difference": -0.4, "low": -0.6, "high": -0.2})
    again = for_all(made)
    assert again is not None and again.short.startswith("Yes: by Wu24")
    assert "for 2 of 2 questions" in again.short
    made["accuracy"] = [row for row in made["accuracy"] if row["condition"] != "global"]
    assert for_all(made) is None


def test_base_and_tuned_models_are_paired_by_name_and_unlike_shapes_by_depth() -> None:
    section = models_alike(tables())
    assert section.short.startswith(
        "The tops of base and base-instruct overlap by 1.00 by Wu24 (6 of 6 pairs above chance, "
    )
    row = next(line for line in section.lines if line.startswith("| base, org/other | Wu24"))
    assert row.startswith("| base, org/other | Wu24 | – | – | – | – | – | 0.")


def test_a_large_model_is_not_called_small() -> None:
    made = tables()
    assert "are small" in findings(made)
    for row in made["clean"]:
        row["n_heads"] = 100
    assert "are small" not in findings(made)


def test_the_same_tables_give_the_same_file_and_are_not_changed(tmp_path: Path) -> None:
    made = tables()
    before = copy.deepcopy(made)
    save_tables(made, tmp_path)
    path = write_findings(tmp_path)
    first = path.read_bytes()
    assert first.decode("utf-8") == findings(made)
    assert write_findings(tmp_path).read_bytes() == first
    assert made == before


def test_a_study_without_ablations_says_what_to_run() -> None:
    with pytest.raises(UserFacingError, match=r"run_study\.py ablate"):
        findings({name: [] for name in tables()})


def test_a_claim_is_open_while_questions_are_missing() -> None:
    made = tables()
    for row in made["claim"]:
        row.update(questions_counted=1, holds=False, questions_missing=2)
    text = findings(made)
    assert "The claim fixed beforehand **is open**, for 1 of 2 questions" in text
    assert "for at least 2 of 4 questions" in text and "Not run yet: 2 of the 4 questions." in text


def test_accuracy_without_the_stem_stands_beside() -> None:
    made = tables()
    bare = [{**row, "stem": False, "accuracy": 0.4} for row in made["clean"][:2]]
    made["clean"][2]["units"] = 5
    section = answered({**made, "clean": [*made["clean"], *bare]})
    assert any("| 25 of 5 companies |" in line for line in section.lines)
    assert "The stem makes +50 points of that in the mean over 2 questions" in section.short
    row = next(line for line in section.lines if line.startswith("| base, 128 tokens | incorporation state"))
    assert row.endswith("| 25 | 90% [72%, 97%] | 80% | 40% [72%, 97%] |")
    assert "without the stem" not in str(answered(made).lines)


def with_real(made: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """The study with its first setting's effects on real filings too, and with heads from the other kind."""
    moved: dict[str, list[Row]] = {name: list(rows) for name, rows in made.items()}
    for name in ("clean", "differences", "accuracy", "transfer"):
        here = picked(made[name], model="base", length=128)
        moved[name] += [{**row, "data": "real", "ranked_on": "real"} if name == "transfer" else
                        {**row, "data": "real"} for row in here]  # fmt: skip
    for name, other in (("differences", {"of": "across_data"}), ("transfer", {})):
        for data, ranked_on in (("real", "generated"), ("generated", "real")):
            moved[name] += [
                {**row, "data": data, **(other or {"ranked_on": ranked_on})}
                for row in picked(made[name], model="base", length=128)
                if row["source"] == row["question"]
            ]
    moved["progress"].append(
        {"model": "base", "length": 128, "data": "real", "portion": "single", "done": 1, "questions": 4}
    )
    return moved


def test_real_filings_have_a_section_with_both_transfers() -> None:
    section = real_filings(with_real(tables()))
    assert section is not None
    for name in ("ranked and ablated on real filings", "ranked on generated filings, ablated on real ones",
                 "ranked on real filings, ablated on generated ones"):  # fmt: skip
        assert f"{name}: 4 of 4" in section.short
    row = (
        "| 128 tokens of real filings | Wu24 | incorporation state | 25 | – | 90% | 30% | 80% | -60 [-70, "
        "-50] | -50 [-60, -40] |"
    )
    assert row in section.lines
    assert any(
        line.startswith("| 128 tokens | Wu24 | incorporation state | 25 | – |") for line in section.lines
    )
    assert real_filings(tables()) is None
    bare = {**tables(), "progress": with_real(tables())["progress"]}
    unrun = real_filings(bare)
    assert unrun is not None and unrun.short == "Nothing was run on real filings yet."


def test_random_heads_that_help_make_no_effect_of_heads_that_do_nothing() -> None:
    made = with_real(tables())
    for row in picked(made["transfer"], data="real", ranked_on="real"):
        row.update(change=0.0, low=-0.1, high=0.1, clean=0.5)
    section = real_filings(made)
    assert section is not None
    assert "ranked and ablated on real filings: 0 of 4;" in section.short
    assert "raise what is right: incorporation state (Wu24) from 50% to 80%; " in section.short
    assert "raise what is right" not in str(real_filings(with_real(tables())))
    found = all_effects(made)[Setting("base", 128, "real"), "wu24"]
    assert [(effect.shown, effect.against.high < 0) for effect in found] == [(False, True)] * 2


def test_heads_without_a_score_are_not_told_as_common_or_early() -> None:
    made = tables()
    for row in picked(made["tops"], model="base", length=128, method="wu24"):
        row.update(heads=["L3H1", "L0H0", "L0H1", "L0H2"], unscored=3)
        if row["task"] == "inc_state":
            made["tops"].append({**row, "task": "hq_state"})
    assert [str(head) for head in scored_heads(made["tops"][-1])] == ["L3H1"]
    row = next(
        line for line in alike_within(made).lines if line.startswith("| base, 128 tokens | Wu24 | states")
    )
    assert "| 1 of 1: L3H1 |" in row
    text = "\n".join(published(made).lines)
    assert "base, 128 tokens, Wu24 1.00 (75% of the tops unscored)" in text
    assert "unscored" not in "\n".join(published(tables()).lines)


def test_rankings_without_any_scored_head_are_told_of() -> None:
    made = tables()
    for row in picked(made["tops"], method="wu24"):
        row.update(unscored=row["k"], mean_depth=None)
    text = findings(made)
    assert any(
        line.startswith("| base, base-instruct | Wu24 | 1.00") and line.endswith("| – |")
        for line in text.splitlines()
    )
    figure = model_comparison(made, {"method": "wu24"}, "light").to_dict()
    assert not [trace for trace in figure["data"] if trace["type"] == "scatter"]


def test_more_differences_than_chance_gives() -> None:
    # One of twelve at the 5% level comes in 46% of cases by chance, three of twelve in 2%.
    assert not more_than_chance(1, 12)
    assert more_than_chance(3, 12)
    assert not more_than_chance(0, 0)


def test_heads_of_other_data_are_not_taken_for_a_questions_own() -> None:
    made = with_real(tables())
    own = effects(made, BASE, "wu24")
    made["transfer"] += [{**row, "ranked_on": "real", "change": 0.5} for row in tables()["transfer"]]
    assert effects(made, BASE, "wu24") == own


def test_published_values_stand_beside_ours() -> None:
    section = published(tables())
    row = next(line for line in section.lines if line.startswith("| base, 128 tokens"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[4].startswith("at least 20.0%")  # all four recorded scores of 20 are above 0.1
    assert "0.10 to 0.35" in section.short and "0.37 to 0.51" in section.short
    # Heads 0 to 3 and 3, 4, 0, 1 of a layer: three of five. Two tasks of three have one layer.
    assert (cells[1], cells[2]) == ("0.60", "Wu24 0.33, QRHead 0.33")
    assert "Wu et al. (2024): with the top 20 of 1,024" in "".join(section.lines)


def test_one_question_alone_is_not_compared() -> None:
    made = tables()
    for name in ("clean", "accuracy", "differences", "transfer", "single_heads", "claim"):
        made[name] = picked(made[name], question="inc_state")
    text = findings(made)
    assert "hurt questions equally?* No two questions of one setting were ablated yet." in text
    assert "Not both kinds of question were ablated." in text


def test_what_is_missing_is_told() -> None:
    assert missing(tables()) is None
    section = missing(with_real(tables()))
    assert section is not None
    assert "| base | 128 tokens of real filings | single (1 of 4 questions done) |" in section.lines
    assert section.short.startswith("1 of 4 cells are done")
    assert "## What is not run yet" in findings(with_real(tables()))


def test_toy_models_are_told_of_in_short(tmp_path: Path) -> None:
    save_tables(tables(), tmp_path / "results")
    save_tables(tables(), tmp_path / "results-demo")
    text = write_findings(tmp_path / "results", tmp_path / "results-demo").read_text(encoding="utf-8")
    assert "## What the toy models add" in text and "../results-demo/FINDINGS.md" in text
    assert "What the toy models add" not in write_findings(tmp_path / "results").read_text(encoding="utf-8")
    nothing = write_findings(tmp_path / "results", tmp_path / "none").read_text(encoding="utf-8")
    assert "What the toy models add" not in nothing


def test_all_settings_are_looked_at() -> None:
    made = tables()
    assert len(settings_of(made)) == 5
    assert len(all_effects(made)) == 10
