"""A small study as its tables, by hand: two related models of 4 x 5 heads, one of 2 x 5."""

from itertools import product
from typing import Any

from study.tables import COLUMNS, Row

METHODS = ("wu24", "qrhead")
QUESTIONS = ("inc_state", "inc_year")
TASKS = (*QUESTIONS, "hq_city")
# Name, layers, heads a layer, lengths.
MODELS = (("base", 4, 5, (128, 192)), ("base-instruct", 4, 5, (128, 192)), ("org/other", 2, 5, (128,)))
KS = (0, 2, 5)
N = 25


def row(table: str, **values: Any) -> Row:
    """A row of a table with all its columns; those that are not given are null."""
    unknown = set(values) - set(COLUMNS[table])
    assert not unknown, unknown
    return {name: values.get(name) for name in COLUMNS[table]}


def tables(
    drop: float = 0.6, random_drop: float = 0.1, single: float = 0.0, models: int = len(MODELS)
) -> dict[str, list[Row]]:
    """The tables of a study.

    Args:
        drop: by how much the top 5 heads lower the accuracy from 0.9; the top 2 by half of it.
        random_drop: the same for random heads.
        single: by how much head L0H0 lowers it by itself; no other head does anything.
        models: how many of the models.
    """
    made: dict[str, list[Row]] = {name: [] for name in COLUMNS}
    for model, layers, heads, lengths in MODELS[:models]:
        for length in lengths:
            base = {"model": model, "length": length}
            _tops(made, base, layers, heads)
            for question in QUESTIONS:
                asked = {**base, "question": question}
                made["clean"].append(
                    row(
                        "clean",
                        **asked,
                        n_layers=layers,
                        n_heads=heads,
                        n=N,
                        accuracy=0.9,
                        low=0.72,
                        high=0.97,
                    )
                )
                _single(made, asked, layers, heads, single)
                for method in METHODS:
                    _ablations(made, {**asked, "method": method}, layers * heads, drop, random_drop)
    _claim(made)
    return made


def _between(value: float, low: float = 0.1) -> dict[str, float]:
    return {"low": round(value - low, 6), "high": round(value + low, 6)}


def _ablations(
    made: dict[str, list[Row]], asked: dict[str, Any], total: int, drop: float, random_drop: float
) -> None:
    question = asked["question"]
    for k in KS:
        share = k / total
        strength = {0: 0.0, 2: 0.5, 5: 1.0}[k]
        own, luck = round(0.9 - drop * strength, 6), round(0.9 - random_drop * strength, 6)
        common = {**asked, "k": k, "share": share, "n": N}
        made["accuracy"].append(
            row(
                "accuracy",
                **common,
                condition="within",
                source=question,
                draws=1,
                accuracy=own,
                **_between(own),
            )
        )
        for control in ("random_uniform", "random_layer_matched"):
            made["accuracy"].append(
                row(
                    "accuracy",
                    **common,
                    condition=control,
                    of="within",
                    source=question,
                    draws=5,
                    accuracy=luck,
                    **_between(luck),
                    draw_low=luck - 0.2,
                    draw_high=luck + 0.05,
                )
            )
            if k:
                made["differences"].append(
                    row(
                        "differences",
                        **common,
                        of="within",
                        source=question,
                        control=control,
                        draws=5,
                        tested=own,
                        random=luck,
                        difference=round(own - luck, 6),
                        **_between(own - luck),
                        below=own - luck + 0.1 < 0,
                    )
                )
        if not k:
            continue
        for condition in ("shared", "global"):
            made["accuracy"].append(
                row("accuracy", **common, condition=condition, draws=1, accuracy=own, **_between(own))
            )
        for source in QUESTIONS:
            change = round((own if source == question else luck) - 0.9, 6)
            made["transfer"].append(
                row(
                    "transfer",
                    **common,
                    source=source,
                    clean=0.9,
                    accuracy=round(0.9 + change, 6),
                    change=change,
                    **_between(change),
                )
            )


def _single(
    made: dict[str, list[Row]], asked: dict[str, Any], layers: int, heads: int, single: float
) -> None:
    for layer, head in product(range(layers), range(heads)):
        change = -single if (layer, head) == (0, 0) else 0.0
        made["single_heads"].append(
            row(
                "single_heads",
                **asked,
                layer=layer,
                head=f"L{layer}H{head}",
                n=N,
                clean=0.9,
                accuracy=0.9 + change,
                change=change,
                **_between(change),
            )
        )


def _tops(made: dict[str, list[Row]], base: dict[str, Any], layers: int, heads: int) -> None:
    """Layer 1 for states and cities, layer 2 for years; Wu24 from head 0 on, QRHead from head 3 on."""
    k = layers * heads // 5
    for number, method in enumerate(METHODS):
        for task in TASKS:
            layer = min(1 + (task == "inc_year"), layers - 1)
            names = [f"L{layer}H{(head + 3 * number) % heads}" for head in range(k)]
            made["tops"].append(
                row(
                    "tops",
                    **base,
                    method=method,
                    task=task,
                    n_layers=layers,
                    n_heads=heads,
                    k=k,
                    heads=names,
                    scores=[1 - 0.1 * place for place in range(k)],
                    samples=100,
                    unscored=0,
                    mean_depth=layer / (layers - 1),
                )
            )


def _claim(made: dict[str, list[Row]]) -> None:
    rows = [
        found
        for found in made["differences"]
        if (found["model"], found["method"], found["length"]) == ("base", "wu24", 128)
        and found["k"] == 5
        and found["control"] == "random_layer_matched"
    ]
    below = sum(found["below"] for found in rows)
    kept = (
        "model",
        "method",
        "length",
        "k",
        "control",
        "question",
        "n",
        "difference",
        "low",
        "high",
        "below",
    )
    for found in rows:
        made["claim"].append(
            row(
                "claim",
                **{name: found[name] for name in kept},
                share=0.25,
                questions_below=below,
                questions_needed=2,
                holds=below >= 2,
            )
        )
