"""Results as bytes and back, by the annotations of their types.

Tensors are safetensors, everything else is JSON in their header: reading makes tensors, numbers, texts and
the dataclasses that the caller names, and never runs anything that stands in the bytes.
"""

import dataclasses
import json
import types
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import safetensors
import safetensors.torch
from torch import Tensor

# A header says how long it is in so many bytes.
_LENGTH_BYTES = 8
_TREE = "tree"


class MisfitError(ValueError):
    """Bytes that are no such result."""


def to_bytes(value: Any) -> bytes:
    """A tensor or a dataclass as bytes; the same value gives the same bytes.

    Dataclasses may hold tensors, numbers, texts, None, dataclasses, and tuples, sequences, sets and mappings
    of these.

    Raises:
        TypeError: it holds something else.
    """
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(plain(value, tensors), ensure_ascii=True)
    return safetensors.torch.save(tensors, metadata={_TREE: tree})


def from_bytes(kind: Any, data: bytes) -> Any:
    """The value of type `kind` that `to_bytes` has written.

    Raises:
        MisfitError: the bytes are none.
    """
    try:
        tensors = safetensors.torch.load(data)
        length = int.from_bytes(data[:_LENGTH_BYTES], "little")
        header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
        return _made(kind, json.loads(header["__metadata__"][_TREE]), tensors)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise MisfitError(f"no {getattr(kind, '__name__', kind)}: {error}") from error


def plain(value: Any, tensors: dict[str, Tensor] | None = None) -> Any:
    """A value as JSON data, its tensors put into `tensors` and named by their number.

    Raises:
        TypeError: it holds what has no place there; a tensor where `tensors` is None.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor) and tensors is not None:
        name = str(len(tensors))
        tensors[name] = _alone(value.detach().cpu().contiguous(), tensors.values())
        return name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name), tensors) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return [[plain(key, tensors), plain(item, tensors)] for key, item in value.items()]
    if isinstance(value, Set):
        return [plain(item, tensors) for item in sorted(value)]
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(item, tensors) for item in value]
    raise TypeError(f"bytes have no place for a {type(value).__name__}")


def _alone(tensor: Tensor, others: Iterable[Tensor]) -> Tensor:
    """The tensor with a storage of its own, as safetensors wants it.

    Copied only where it must be: torch's threads, which copy, may be busy with a forward for milliseconds.
    """
    storage = tensor.untyped_storage()
    shared = storage.nbytes() != tensor.nbytes or any(
        storage.data_ptr() == other.untyped_storage().data_ptr() for other in others
    )
    return tensor.clone() if shared else tensor


def _made(kind: Any, tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The value of type `kind` behind JSON data."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Tensor:
        return tensors[_of(str, tree)]
    if kind is None or kind is types.NoneType:
        return _of(types.NoneType, tree)
    if kind is float:
        return float(_of(int | float, tree))
    if kind in (bool, int, str):
        return _of(kind, tree)
    if origin is Literal:
        if tree not in arguments:
            raise MisfitError(f"{tree!r} is none of {arguments}")
        return tree
    if origin in (Union, types.UnionType):
        return _first_that_fits(arguments, tree, tensors)
    if origin is tuple:
        items = _of(list, tree)
        kinds = [arguments[0]] * len(items) if arguments[-1] is Ellipsis else arguments
        return tuple(_made(each, item, tensors) for each, item in zip(kinds, items, strict=True))
    if origin is not None and issubclass(origin, Mapping | types.MappingProxyType):
        pairs = {
            _made(arguments[0], key, tensors): _made(arguments[1], item, tensors)
            for key, item in _of(list, tree)
        }
        return types.MappingProxyType(pairs) if origin is types.MappingProxyType else pairs
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints, given = get_type_hints(kind), _of(dict, tree)
        names = [field.name for field in dataclasses.fields(kind)]
        if sorted(given) != sorted(names):
            raise MisfitError(f"a {kind.__name__} has {names}. Got {sorted(given)}")
        return kind(**{name: _made(hints[name], given[name], tensors) for name in names})
    if isinstance(kind, type) and issubclass(kind, tuple):  # a named tuple
        hints = get_type_hints(kind)
        return kind(*(_made(each, item, tensors) for each, item in zip(hints.values(), tree, strict=True)))
    raise TypeError(f"nothing of type {kind} is read from bytes")


def _first_that_fits(kinds: Sequence[Any], tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    for kind in kinds:
        try:
            return _made(kind, tree, tensors)
        except MisfitError:
            continue
    raise MisfitError(f"{tree!r:.80} is none of {kinds}")


def _of(kind: Any, tree: Any) -> Any:
    """`tree`, if it is of that type; truth values are no numbers."""
    if not isinstance(tree, kind) or (isinstance(tree, bool) and kind is not bool):
        raise MisfitError(f"{tree!r:.80} is no {kind}")
    return tree
