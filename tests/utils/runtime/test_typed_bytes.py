"""Results as bytes: they come back as they were, and nothing else comes of any bytes."""

import json
import pickle
from dataclasses import dataclass, fields, is_dataclass
from types import MappingProxyType
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from utils.effects.changed_roles import RandomScores
from utils.effects.continuation import Continuation, ContinuationPair, WrittenToken
from utils.effects.effect_map import EffectMap
from utils.effects.interchange_map import InterchangeMap
from utils.effects.random_sets import Contrast, RandomComparison, RandomSets
from utils.forward.interchange import Interchange
from utils.heads import Head
from utils.runtime.typed_bytes import MisfitError, from_bytes, plain, to_bytes

TABLE = torch.tensor([[0.25, float("nan")], [-0.0, 1e-30]])
SETS = RandomSets(sets=((Head(0, 1), Head(1, 0)), (Head(1, 1),)), moved=1)
EFFECTS = EffectMap(
    target=7, other=9, position=3, mode=Interchange((1, 2, 3)), clean_probability=0.1,
    clean_log_probability=-2.3, clean_logit_difference=float("inf"), probability=TABLE,
    log_probability=TABLE.T, logit_difference=TABLE + 1, kl=TABLE[:1],
)  # fmt: skip
RESULTS: tuple[Any, ...] = (
    torch.arange(6.0),
    torch.tensor(0.5, dtype=torch.bfloat16),
    torch.ones(0, 3, dtype=torch.int32),
    EFFECTS,
    InterchangeMap(
        target=1, other=2, position=0, second=(5, 6), into="second", clean=1.0, corrupt=0.5, patched=TABLE
    ),
    RandomComparison(
        heads=(Head(0, 1),), kind="layer-matched", seed=0, mode="mean", position=4, target=1, other=2,
        clean_probability=0.5, random=SETS,
        contrasts=MappingProxyType({"kl": Contrast(
            measure="kl", tested=0.1, draws=(0.2, 0.3), mean=0.25, median=0.25, least=0.2, most=0.3, low=None,
            high=None, distinct=2, as_strong=2, share_as_strong=None,
        )}),
    ),
    RandomScores(sets=SETS, seed=1, live={"induction": TABLE}),
    ContinuationPair(
        Continuation((WrittenToken(index=0, token=5, text="·<b>é", probability=0.5),), None),
        Continuation((), "limit"),
    ),
)  # fmt: skip


def assert_same(one: Any, two: Any) -> None:
    assert type(one) is type(two)
    if isinstance(one, Tensor):
        assert one.dtype == two.dtype and one.shape == two.shape
        assert torch.equal(one.reshape(-1).view(torch.uint8), two.reshape(-1).view(torch.uint8))
    elif is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(two, field.name))
    elif isinstance(one, dict | MappingProxyType):
        assert list(one) == list(two)
        for key in one:
            assert_same(one[key], two[key])
    elif isinstance(one, tuple):
        assert len(one) == len(two)
        for first, second in zip(one, two, strict=True):
            assert_same(first, second)
    else:
        assert one == two


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_what_is_shared_comes_back_as_it_was(result: Any):
    data = to_bytes(result)
    assert data == to_bytes(result)
    assert_same(from_bytes(type(result), data), result)


def packed(tree: Any, **tensors: Tensor) -> bytes:
    return save(tensors, metadata={"tree": json.dumps(tree)})


@dataclass(frozen=True)
class Small:
    number: int
    share: float
    heads: tuple[Head, ...] = ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 40,
        pickle.dumps(Small(1, 0.5)),
        packed({"number": 1, "share": 0.5, "heads": []})[:-9],
        save({}),
        packed({"number": 1, "share": 0.5}),
        packed({"number": 1, "share": 0.5, "heads": [], "more": 1}),
        packed({"number": "1", "share": 0.5, "heads": []}),
        packed({"number": True, "share": 0.5, "heads": []}),
        packed({"number": 1, "share": None, "heads": []}),
        packed({"number": 1, "share": 0.5, "heads": [[1]]}),
        packed({"number": 1, "share": 0.5, "heads": [["L1", 2]]}),
        packed({"number": 1, "share": 0.5, "heads": {"__reduce__": "os.system"}}),
        packed([]),
    ],
)
def test_other_bytes_are_no_result(data: bytes):
    with pytest.raises(MisfitError):
        from_bytes(Small, data)


def test_a_tensor_that_is_not_there_is_no_result():
    with pytest.raises(MisfitError):
        from_bytes(Tensor, packed("1", **{"0": torch.ones(1)}))


def test_whole_numbers_may_stand_for_shares():
    data = packed({"number": 1, "share": 1, "heads": [[0, 2]]})
    assert from_bytes(Small, data) == Small(1, 1.0, (Head(0, 2),))


def test_a_key_is_plain_data_whatever_the_order_of_a_set():
    heads = frozenset({Head(1, 2), Head(0, 3)})
    assert plain(("m", heads, "zero", None)) == ["m", [[0, 3], [1, 2]], "zero", None]
    with pytest.raises(TypeError, match="no place for a Tensor"):
        plain((torch.ones(1),))
    with pytest.raises(TypeError, match="no place for a function"):
        plain((plain,))
