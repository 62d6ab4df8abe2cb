"""Names of heads, read and written."""

import pytest

from utils.errors import UserFacingError
from utils.heads import Head, parse_head


@pytest.mark.parametrize(
    "text", ["L5H12", "l5h12", "L5-H12", "L5-h12", "5.12", "5:12", " L5H12 ", "5H12", "L05H012"]
)
def test_every_way_to_write_a_head(text: str) -> None:
    assert parse_head(text) == Head(5, 12)


def test_what_is_written_is_read() -> None:
    for head in (Head(0, 0), Head(11, 3), Head(127, 63)):
        assert parse_head(str(head)) == head
    assert str(Head(5, 5)) == "L5H5"


@pytest.mark.parametrize(
    "text", ["", "L5", "H5", "L5H", "5", "5.5.5", "-1.2", "L5H-1", "L5.5 x", "five", "L5--H5", "5 5", "1e3.2"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserFacingError, match="L5H5") as caught:
        parse_head(text)
    assert caught.value.message == f"'{text}' is not the name of a head."


def test_long_nonsense_is_quoted_short() -> None:
    with pytest.raises(UserFacingError) as caught:
        parse_head("x" * 10_000)
    assert len(str(caught.value)) < 200
    with pytest.raises(UserFacingError):
        parse_head("L" + "9" * 5000 + "H1")


def test_heads_sort_by_layer_then_head() -> None:
    assert sorted([Head(1, 0), Head(0, 9), Head(0, 1)]) == [Head(0, 1), Head(0, 9), Head(1, 0)]
