"""How often random heads pass the live check (docs/METHODS.md, section 1, "Active")."""

from collections.abc import Collection, Sequence

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tests.fixtures.activity import activities, heads_of_one_layer
from utils.catalog.catalog import CATALOG_FOLDER, Catalog, load_catalog
from utils.live.service import LiveService
from utils.models.prompts import tokenize_prompt
from utils.models.sources import BUNDLED
from utils.roles.random_heads import LOGIT_STDS, MAX_ACTIVE, RANDOM_HEADS, random_head_patterns
from utils.roles.registry import ROLES

# 27 to 30 tokens with the bundled tokenizer; words come again in each, as they do in any text of this length.
PROMPTS = (
    "The old woman took her basket and went down to the river. "
    "When she came to the river, she put the basket on a stone.",
    "My brother has a dog and a cat. The dog sleeps by the fire, and the cat sleeps on the bed.",
    "It was a cold day, and the snow lay deep upon the hills, so the children stayed in the house "
    "and told stories until the evening.",
)
# Random heads with small logits spread their attention: they are diffuse, by right.
JUDGED = [key for key, role in ROLES.items() if role.measured and not role.by_output and key != "diffuse"]


def _share_active(
    role: str, tokens: Sequence[int], special_ids: Collection[int], logit_std: float, seed: int
) -> float:
    """Share of 200 random heads that are active, each judged as a head listed with the role's threshold."""
    patterns = random_head_patterns(len(tokens), logit_std, RANDOM_HEADS, seed)
    listed = {role: heads_of_one_layer(RANDOM_HEADS, ROLES[role].threshold)}
    entries = activities(patterns[None], tokens, listed, special_ids)[role]
    return sum(entry.is_active for entry in entries) / RANDOM_HEADS


@pytest.fixture(scope="module")
def prompts() -> list[list[int]]:
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(BUNDLED / "demo-gpt2" / "tokenizer.json"))
    return [[0, *tokenizer(text, add_special_tokens=False)["input_ids"]] for text in PROMPTS]


def test_the_prompts_have_20_to_60_tokens(prompts: list[list[int]]) -> None:
    assert all(20 <= len(tokens) <= 60 for tokens in prompts)


@pytest.mark.parametrize("role", JUDGED)
@pytest.mark.parametrize("logit_std", LOGIT_STDS)
def test_random_heads_are_hardly_ever_active(prompts: list[list[int]], role: str, logit_std: float) -> None:
    """200 heads on each prompt; the share over the three prompts is known to within a point."""
    shares = [
        _share_active(role, tokens, {0}, logit_std, seed=number)
        for number, tokens in enumerate(prompts, start=10 * int(logit_std))
    ]
    assert sum(shares) / len(shares) <= MAX_ACTIVE


@pytest.mark.parametrize("role", JUDGED)
@pytest.mark.parametrize("number", range(len(PROMPTS)))
def test_no_single_prompt_lets_random_heads_through(prompts: list[list[int]], role: str, number: int) -> None:
    shares = [
        _share_active(role, prompts[number], {0}, logit_std, seed=100 + number) for logit_std in LOGIT_STDS
    ]
    assert sum(shares) / len(shares) <= MAX_ACTIVE


@pytest.mark.parametrize("role", ["induction", "duplicate_token"])
def test_the_margin_of_015_alone_would_not_do(role: str) -> None:
    """Where three positions count, random heads pass it too often; the term for few positions holds."""
    tokens = [0, *range(10, 16), 12, 13, 14]
    patterns = random_head_patterns(len(tokens), 4.0, RANDOM_HEADS, seed=0)
    entries = activities(patterns[None], tokens, {role: heads_of_one_layer(RANDOM_HEADS, 0.0)})[role]
    by_chance = [entry for entry in entries if entry.live >= (entry.chance or 0) + 0.15]
    assert len(by_chance) / RANDOM_HEADS > MAX_ACTIVE
    assert sum(entry.is_active for entry in entries) / RANDOM_HEADS <= MAX_ACTIVE


def test_random_patterns_are_causal_probabilities_of_their_seed() -> None:
    patterns = random_head_patterns(9, 2.0, count=5, seed=3)
    assert patterns.shape == (5, 9, 9)
    torch.testing.assert_close(patterns.sum(-1), torch.ones(5, 9))
    assert bool((patterns.triu(1) == 0).all())
    assert torch.equal(patterns, random_head_patterns(9, 2.0, count=5, seed=3))
    assert not torch.equal(patterns, random_head_patterns(9, 2.0, count=5, seed=4))


def test_larger_logits_make_sharper_heads() -> None:
    largest = [float(random_head_patterns(30, std, seed=1)[:, -1].amax(-1).mean()) for std in LOGIT_STDS]
    assert largest == sorted(largest)
    assert largest[0] < 0.3 < 0.6 < largest[-1]


def _committed() -> list[Catalog]:
    return [load_catalog(path) for path in sorted(CATALOG_FOLDER.glob("*.json"))]


def test_random_heads_stay_inactive_on_the_suggested_prompts(service: LiveService) -> None:
    """Each catalog in head_categories/, each role, each prompt: under 5% of 600 random heads."""
    store, passing = service.store, []
    for catalog in _committed():
        loaded = store.get(catalog.model_name)
        for role in JUDGED:
            for text in catalog.categories[role].suggested_prompts:
                tokens = tokenize_prompt(loaded, text).ids
                shares = [
                    _share_active(role, tokens, loaded.special_ids, logit_std, seed=int(1000 * logit_std))
                    for logit_std in LOGIT_STDS
                ]
                if sum(shares) / len(shares) >= MAX_ACTIVE:
                    passing.append((catalog.model_name, role, text, shares))
    assert passing == []


def test_each_suggested_prompt_activates_its_roles_top_head(service: LiveService) -> None:
    """Each catalog in head_categories/, by the live forward; every role with heads suggests something."""
    inactive = []
    for catalog in _committed():
        for role, category in catalog.categories.items():
            if not ROLES[role].measured:
                continue
            if category.top_heads and not category.suggested_prompts:
                inactive.append((catalog.model_name, role, "no prompt"))
            for text in category.suggested_prompts:
                (entry, *_) = service.analyze(catalog.model_name, text).listed[role]
                if not entry.is_active:
                    inactive.append((catalog.model_name, role, text))
    assert inactive == []
