"""What the real language model shows: the analyzer's catalog of it, the live page's words, exact ablation."""

import random

import pytest
import torch

from components.live.head_detail import describe_roles
from retrieval.filings.generated import FilingOptions, make_filing
from utils.analyzer.start_losses import start_loss
from utils.forward.ablation import AblationMode
from utils.forward.attention_capture import capture
from utils.forward.mean_activations import mean_head_outputs
from utils.heads import Head
from utils.live.analysis import LiveAnalysis
from utils.live.head_facts import cell_roles, role_facts, sink_share
from utils.live.service import LiveService
from utils.models.families import output_projection
from utils.models.sources import REAL_MODEL
from utils.roles.probe_inputs import NATURAL_SENTENCES
from utils.roles.registry import ROLES, measured_roles

CONTENT_ROLES = ("induction", "duplicate_token", "previous_token")
HEADS = [Head(layer, head) for layer in range(30) for head in range(9)]
PROMPTS = (
    *NATURAL_SENTENCES[:6],
    "The cat sat on the mat. The cat sat on the",
    "When Mary and John went to the store, John gave a drink to",
    "The password is lemon purple seven. Please type the password: lemon purple",
    "red, blue, green, red, yellow, blue, red, white, green, blue",
    "1 2 3 4 5 6 7 8 9",
    "A A A A A A A A",
    "A B A B A B A B",
    "Hi",
    "one two",
    "Why?",
    "   spaces   before   and   after   ",
    "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return",
    "<html><body>cat</body></html>",
    "$x^2 + y^2 = z^2$",
    "Der Hund bellt, und der Hund schläft.",
    "我喜欢猫。我喜欢狗。",
    "مرحبا بالعالم، مرحبا",
    "नमस्ते दुनिया नमस्ते",
    "🙂🙃🙂🙃🙂",
    "To be, or not to be, that is the question: to be, or not to be",
    "I am. You are. I am. You are. I",
    "ALL CAPITALS AND ALL CAPITALS AGAIN",
    "supercalifragilisticexpialidocious supercalifragilisticexpialidocious",
    make_filing("inc_state", random.Random(1), FilingOptions(filler_sentences=1)).document[:200],
)


@pytest.fixture(scope="module")
def analyses(service: LiveService) -> list[LiveAnalysis]:
    assert len(PROMPTS) == len(set(PROMPTS)) == 30
    return [service.analyze(REAL_MODEL, prompt) for prompt in PROMPTS]


def test_the_start_token_is_the_best_of_the_candidates(service: LiveService) -> None:
    loaded, catalog = service.store.get(REAL_MODEL), service.catalog(REAL_MODEL)
    assert catalog is not None and catalog.settings.start_losses is not None
    losses = {candidate.bos_id: candidate.loss for candidate in catalog.settings.start_losses}
    assert loaded.bos_id == min(losses, key=losses.__getitem__) == 0 and loaded.bos_added
    assert None in losses and loaded.tokenizer.bos_token_id in losses
    assert start_loss(loaded, 0) == pytest.approx(losses[0], abs=1e-4)
    prompt = service.tokenize(REAL_MODEL, "The cat")
    assert prompt.labels[0] == "<|endoftext|>" and prompt.special[0] and prompt.start_added


def test_content_roles_lead_and_resting_is_no_role(service: LiveService) -> None:
    catalog = service.catalog(REAL_MODEL)
    assert catalog is not None and catalog.sink_share is not None
    analysis = service.analyze(REAL_MODEL, PROMPTS[0])
    best = catalog.categories["induction"].top_heads[0]
    facts = role_facts(analysis, Head(best.layer, best.head))
    words = describe_roles(facts, sink_share(analysis, Head(best.layer, best.head)))
    assert words.startswith("In the catalog: primarily induction")
    assert "rests on the first token where nothing repeats" in words
    for role in ("induction", "duplicate_token"):
        for entry in catalog.categories[role].top_heads:
            head = Head(entry.layer, entry.head)
            words = describe_roles(role_facts(analysis, head), sink_share(analysis, head))
            assert "primarily first token" not in words
    # Far more heads rest on the first token than have it for a role of their own.
    resting = sum(share >= 0.4 for row in catalog.sink_share for share in row)
    assert (
        resting > len(catalog.carrying_heads["positional"]) > len(catalog.categories["positional"].top_heads)
    )


@pytest.mark.parametrize("number", range(30))
def test_the_words_the_table_and_the_cards_about_a_head_agree(
    analyses: list[LiveAnalysis], number: int
) -> None:
    analysis = analyses[number]
    catalog = analysis.catalog
    assert catalog is not None
    cells = cell_roles(analysis)
    thresholds = {role: limits.threshold for role, limits in catalog.settings.thresholds.items()}
    for head in HEADS:
        facts = {fact.role: fact for fact in role_facts(analysis, head)}
        carried = [role for role, fact in facts.items() if fact.carries]
        # The table, by the catalog's own numbers.
        for role, fact in facts.items():
            assert fact.carries == (catalog.all_scores[role][head.layer][head.head] >= thresholds[role])
            assert not fact.active or fact.carries
            assert bool(fact.reason) == fact.carries
        # The grid and the sentence name the same roles in the same order, content before rest and spread.
        shown = [cell.key for cell in cells.get(head, [])]
        assert sorted(shown) == sorted(carried)
        words = describe_roles(list(facts.values()), sink_share(analysis, head))
        if not shown:
            assert words.startswith("No catalogued role")
            continue
        assert not any(role in CONTENT_ROLES for role in shown[1:]) or shown[0] in CONTENT_ROLES
        names = [ROLES[role].display_name.lower() for role in shown]
        assert [words.index(name) for name in names] == sorted(words.index(name) for name in names)
        for cell in cells[head]:
            assert (cell.active, cell.live) == (facts[cell.key].active, facts[cell.key].live or 0.0)
        # The cards.
        for role in measured_roles():
            listed = [entry for entry in analysis.listed[role] if entry.head == head]
            assert bool(listed) == facts[role].listed
            if listed and facts[role].carries:
                assert (listed[0].is_active, listed[0].reason) == (facts[role].active, facts[role].reason)
            assert (
                head not in [entry.head for entry in analysis.unlisted[role].heads] or not facts[role].carries
            )
    below_all = [
        head
        for head in HEADS
        if all(
            catalog.all_scores[role][head.layer][head.head] < thresholds[role] for role in measured_roles()
        )
    ]
    assert set(HEADS) - set(cells) == set(below_all)
    assert len(below_all) == len(catalog.categories["other"].top_heads)


def test_each_suggested_prompt_makes_the_roles_top_head_active(service: LiveService) -> None:
    catalog = service.catalog(REAL_MODEL)
    assert catalog is not None
    for role in measured_roles():
        prompts = catalog.categories[role].suggested_prompts
        assert prompts, role
        for prompt in prompts:
            (best, *_) = service.analyze(REAL_MODEL, prompt).listed[role]
            assert best.is_active, (role, prompt, best.reason)


def test_patterns_are_those_of_the_plain_model(analyses: list[LiveAnalysis]) -> None:
    analysis = analyses[6]
    with torch.inference_mode():
        plain = analysis.loaded.model(torch.tensor([analysis.prompt.ids]), output_attentions=True)
    assert len(plain.attentions) == 30
    # A plain forward of fewer than 16 tokens rounds otherwise (`forward/joined_forwards.py`).
    torch.testing.assert_close(
        analysis.attention, torch.stack([layer[0] for layer in plain.attentions]), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(analysis.logits, plain.logits[0, -1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("mode", ["zero", "mean"])
def test_ablation_is_that_of_a_hook_by_hand(analyses: list[LiveAnalysis], mode: AblationMode) -> None:
    analysis = analyses[8]
    loaded, ids = analysis.loaded, analysis.prompt.ids
    off = (Head(17, 4), Head(18, 6), Head(3, 0))
    width = loaded.geometry.head_dim
    fill = mean_head_outputs(loaded) if mode == "mean" else torch.zeros(30, 9, width)

    def replaced(head: Head):
        def hook(module, inputs):
            changed = inputs[0].clone()
            changed[..., head.head * width : (head.head + 1) * width] = fill[head]
            return (changed, *inputs[1:])

        return hook

    handles = [
        output_projection(loaded.model, loaded.family, head.layer).register_forward_pre_hook(replaced(head))
        for head in off
    ]
    try:
        with torch.inference_mode():
            expected = loaded.model(torch.tensor([ids])).logits[0]
    finally:
        for handle in handles:
            handle.remove()
    got = capture(loaded, ids, off, mode).logits
    torch.testing.assert_close(got.softmax(-1), expected.softmax(-1), rtol=0, atol=1e-6)


def test_a_hundred_ablations_leave_nothing_behind(analyses: list[LiveAnalysis]) -> None:
    analysis = analyses[13]
    before = capture(analysis.loaded, analysis.prompt.ids)
    rng = random.Random(3)
    for _ in range(100):
        capture(analysis.loaded, analysis.prompt.ids, rng.sample(HEADS, 3))
    again = capture(analysis.loaded, analysis.prompt.ids)
    assert torch.equal(again.attention, before.attention)
    assert torch.equal(again.logits, before.logits)
