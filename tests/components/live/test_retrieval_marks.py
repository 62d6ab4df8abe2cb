"""Retrieval heads on the live page: a letter on the grid, a line and a table in the head's detail."""

import re
from html import unescape

from components.live.head_detail import facts_view
from components.live.head_map import head_grid
from components.plain_html import to_html
from utils.catalog.rankings import RetrievalFact
from utils.heads import Head
from utils.live.head_reading import Reading
from utils.roles.activity import CellRole


def cells(text: str) -> dict[str, str]:
    """The label of each cell of the grid, by head."""
    labels = [unescape(label) for label in re.findall('<button[^>]*aria-label="([^"]*)"', text)]
    return {label.split(" ")[1].rstrip(","): label for label in labels}


def test_the_grid_marks_retrieval_heads_beside_their_roles():
    roles = {Head(0, 1): [CellRole("induction", 0.8, True)]}
    marked = cells(to_html(head_grid(2, 3, roles, None, (), (Head(0, 1), Head(1, 2)))))
    assert marked["L0H1"].startswith("IR L0H1, Induction") and "number 1 by QRHead" in marked["L0H1"]
    assert marked["L1H2"].startswith("R L1H2") and "number 2" in marked["L1H2"]
    assert marked["L0H0"].startswith("· L0H0") and "retrieval" not in marked["L0H0"]
    plain = to_html(head_grid(2, 3, roles, None, ()))
    assert "Retrieval" not in plain and cells(plain)["L0H1"].startswith("I L0H1")


def test_the_detail_tells_each_methods_rank_with_what_chance_would_score():
    facts = [
        RetrievalFact("summed_attention", 3, 64, 0.51, 0.02, 0.08),
        RetrievalFact("qrhead", 12, 64, 0.1, 0.01, None),
    ]
    reading = Reading((), (), 0.5, 0.5, None, "It does something.")
    html = to_html(facts_view([], reading, 64, facts, "/lab?v=1&head=L0H0"))
    message = " ".join(unescape(re.sub("<[^>]+>", " ", html)).split())
    assert "rank 3 of 64 by Summed attention, 12 by QRHead." in message
    assert "3 of 64 0.510 0.020 0.080" in message and "12 of 64 0.100 0.010 –" in message
    assert (
        "By chance: what attention spread evenly over the prompt (Summed attention) would score." in message
    )
    without = to_html(facts_view([], reading, 64, facts[1:]))
    assert "rank 12 of 64 by QRHead." in without and "By chance" not in without
    assert 'href="/lab?v=1&amp;head=L0H0"' in html
    assert "retrieval" not in to_html(facts_view([], reading, 64)).lower()
