"""All checkpoints of a training as the browser needs them, so that the slider asks the server nothing."""

from typing import Any, TypedDict

from components.formation.curves import accuracy_figure, loss_figure, place_of, score_figure
from utils.formation.frames import frame_at
from utils.formation.history import History
from utils.formation.story import million
from utils.roles.registry import ROLES

DECIMALS = 3
FIGURES = {"loss": loss_figure, "accuracy": accuracy_figure, "scores": score_figure}


class FilmRole(TypedDict):
    """A role as the grid draws it."""

    name: str
    letter: str
    light: str
    dark: str


class Film(TypedDict):
    """What `assets/formation.js` draws from.

    Keys:
        model: its name.
        tokens: of each checkpoint.
        labels: the same in words.
        messages: a sentence a checkpoint.
        shares: where each checkpoint stands on the figures' time axis.
        roles: those that the log scores.
        heads: names of all heads, layer by layer.
        cells: [checkpoint][head]: (number in `roles`, score) of the roles that it passes, the main one first.
        best: [checkpoint][role]: (heads that pass, best head, its score).
        pointed: for each head the tokens from which a scaffold pointed it at its target; None for the others.
        figures: {theme: {name: figure}}.
    """

    model: str
    tokens: list[int]
    labels: list[str]
    messages: list[str]
    shares: list[float]
    roles: list[FilmRole]
    heads: list[str]
    cells: list[list[list[tuple[int, float]]]]
    best: list[list[tuple[int, str, float]]]
    pointed: list[int | None]
    figures: dict[str, dict[str, Any]]


def film(history: History) -> Film:
    """A training as data for the browser."""
    frames = [frame_at(history, index) for index in range(len(history.checkpoints))]
    keys = [role.role for role in frames[0].roles]
    number = {key: position for position, key in enumerate(keys)}
    heads = [entry.head for entry in frames[0].heads]
    pointed = {
        head: scaffold.start
        for scaffold in reversed(history.scaffolds)
        for those in scaffold.heads.values()
        for head in those
    }
    return Film(
        model=history.model,
        tokens=list(history.tokens),
        labels=[f"{million(tokens)} tokens" for tokens in history.tokens],
        messages=[frame.sentence for frame in frames],
        shares=[round(place_of(history, index), 5) for index in range(len(frames))],
        roles=[
            FilmRole(
                name=ROLES[key].display_name,
                letter=ROLES[key].letter,
                light=ROLES[key].color,
                dark=ROLES[key].color_dark,
            )
            for key in keys
        ],
        heads=[str(head) for head in heads],
        cells=[
            [[(number[role], round(score, DECIMALS)) for role, score in entry.roles] for entry in frame.heads]
            for frame in frames
        ],
        best=[
            [(role.passing, str(role.best), round(role.score, DECIMALS)) for role in frame.roles]
            for frame in frames
        ],
        pointed=[pointed.get(head) for head in heads],
        figures={
            theme: {name: draw(history, theme).to_plotly_json() for name, draw in FIGURES.items()}
            for theme in ("light", "dark")
        },
    )
