"""Any address opens a page; what is wrong in it is told, a sentence each."""

import random
from collections.abc import Callable
from urllib.parse import quote, urlencode

from retrieval.lab import state as lab_state
from tests.fixtures.nasty import text
from utils.compare import links as compare_links
from utils.compare.links import CompareState
from utils.links import page_links

KEYS = (
    "model prompt head off mode pos target against view map preset lesson step question truth method k depth "
    "length seed first second fit"
).split()
# Of a sentence.
LONGEST = 500
MODELS = ["demo-gpt2", "demo-llama"]
FIRST = CompareState("demo-gpt2", "one", "demo-llama", "two")


def query(rng: random.Random) -> str:
    pairs = [(rng.choice(KEYS), text(rng)) for _ in range(rng.randrange(6))]
    if rng.random() < 0.3:
        # As it stands, with half characters and all.
        return "?" + "&".join(f"{key}={value}" for key, value in pairs)
    safe = [(key, value.encode("utf-8", "surrogatepass")) for key, value in pairs]
    other = quote(text(rng), errors="replace")
    return rng.choice(("?", "")) + (urlencode(safe) if rng.random() < 0.7 else other)


def test_every_link_is_read(amount: Callable[[int, int], int]) -> None:
    rng, told = random.Random(3), 0
    for _ in range(amount(200, 1_000)):
        link = query(rng)
        for problems in (
            page_links.from_query(link)[1],
            lab_state.from_query(link, MODELS)[1],
            compare_links.from_query(link, MODELS, FIRST)[1],
        ):
            told += len(problems)
            assert all("\n" not in each and len(each) < LONGEST for each in problems), link
    assert told
