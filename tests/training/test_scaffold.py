"""The scaffold's loss: small for heads that look where they should, large for those that do not."""

import math
import random
from pathlib import Path

import pytest
import torch

from tests.fixtures.makers import hand_built
from tests.training.conftest import build_tiny
from training.mix import RowSource
from training.scaffold import CONTEXT, FLOOR, scaffold_loss
from training.tokenizer import token_ids
from utils.heads import Head
from utils.models.loading import LoadedModel, load_model


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder: Path = tmp_path_factory.mktemp("built")
    return load_model("built", hand_built.save_hand_built(folder))


def loss(built: LoadedModel, role: str, head: Head) -> float:
    prose = token_ids(built.tokenizer, ["the quick brown fox jumps over the lazy dog. " * 20])
    source = RowSource(built.tokenizer, prose, answer_weight=1.0)
    return float(scaffold_loss(built.model, source, {role: (head,)}, random.Random(0)))


@pytest.mark.parametrize("role", ["previous_token", "induction"])
def test_a_head_built_for_its_role_has_nothing_to_learn(built: LoadedModel, role: str) -> None:
    right = loss(built, role, hand_built.BUILT[role])
    # Random segments hold some tokens twice, where the mass goes to more places than count.
    assert right < 0.1
    assert loss(built, role, hand_built.FIRST) > right + 2
    assert loss(built, role, hand_built.SELF) == pytest.approx(-math.log(FLOOR), abs=0.2)


def test_only_its_own_heads_layers_learn(source: RowSource) -> None:
    torch.manual_seed(0)
    model = build_tiny(len(source.tokenizer)).train()
    model.set_attn_implementation("eager")
    value = scaffold_loss(model, source, {"previous_token": (Head(0, 1),)}, random.Random(1))
    value.backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    moved = [name for name, grad in gradients.items() if grad is not None and bool(grad.any())]
    assert any("h.0.attn.c_attn" in name for name in moved) and not any("h.1." in name for name in moved)
    # Uniform attention over the keys of each row, as an untrained head has it.
    uniform = sum(-math.log(1 / (i + 1) + FLOOR) for i in range(2, CONTEXT)) / (CONTEXT - 2)
    assert value.item() == pytest.approx(uniform, abs=0.1)
