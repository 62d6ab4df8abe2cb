import json
import re

import bertviz
import pytest
import torch

from utils.heads import Head
from utils.live.bertviz_page import head_frame, head_view
from utils.live.vendor_files import VENDOR_FILES

PATTERN = torch.tensor([[1.0, 0.0], [0.12345678, 0.87654322]])


@pytest.fixture(autouse=True)
def _taken_anew():
    head_frame.cache_clear()
    yield
    head_frame.cache_clear()


def test_a_head_is_its_rounded_numbers():
    view = head_view(PATTERN, ["a", "b"], Head(7, 3), dark=False)
    assert view == {
        "head": "L7H3",
        "labels": ["a", "b"],
        "rows": [[1.0, 0], [0.1235, 0.8765]],
        "dark": False,
    }


def test_leaves_the_pattern_alone():
    pattern = PATTERN.clone()
    head_view(pattern, ["a", "b"], Head(0, 0), dark=False)
    assert torch.equal(pattern, PATTERN)


def test_the_frame_names_no_cdn_and_every_vendored_script():
    frame = head_frame("/room/vendor/")
    whole = frame.page + frame.script
    assert "cdnjs" not in whole
    for vendor_file in VENDOR_FILES:
        assert vendor_file.address("/room/vendor/") in whole


def test_no_script_stands_in_the_page():
    assert re.findall(r"<script[^>]*>([^<]*)</script>", head_frame().page) == ["", ""]


def test_nothing_is_left_of_what_it_was_taken_from():
    frame = head_frame()
    assert frame == head_frame.__wrapped__()
    assert "PYTHON_PARAMS" not in frame.script and '"headscope"' not in frame.script


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("internation", "internation"),
        ("twelve chars", "twelve chars"),
        ("internationalization", "internation…"),
        ("日本語日本語", "日本語日本語"),
        ("日本語日本語日本語", "日本語日本…"),
        ("é" + "\u0301" * 100, "é" + "\u0301" * 38 + "…"),
        ("", ""),
    ],
)
def test_long_labels_are_cut_to_the_room_there_is(label, shown):
    assert head_view(PATTERN, [label, "b"], Head(0, 0), dark=False)["labels"] == [shown, "b"]


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b", "c"]])
def test_refuses_labels_of_another_length(labels):
    with pytest.raises(ValueError, match=r"Got \(2, 2\)"):
        head_view(PATTERN, labels, Head(0, 0), dark=False)


def test_refuses_what_no_line_can_show():
    with pytest.raises(ValueError, match="L2H1 must be finite"):
        head_view(torch.full((2, 2), torch.nan), ["a", "b"], Head(2, 1), dark=False)


@pytest.mark.parametrize(
    "gone",
    [
        *(vendor_file.cdn_address for vendor_file in VENDOR_FILES),
        "; // HACK: ",
        'id="bertviz-',
        'console.log("d3 version"',
    ],
)
def test_another_release_of_bertviz_fails_loudly(gone, monkeypatch):
    real = bertviz.head_view

    def of_another_release(*arguments, **options):
        page = real(*arguments, **options)
        assert page is not None and isinstance(page.data, str) and gone in page.data
        page.data = page.data.replace(gone, "changed")
        return page

    monkeypatch.setattr(bertviz, "head_view", of_another_release)
    with pytest.raises(RuntimeError, match="another release"):
        head_frame()


def test_256_tokens_stay_small():
    pattern = torch.rand(256, 256, generator=torch.Generator().manual_seed(0)).tril()
    view = json.dumps(head_view(pattern, ["token"] * 256, Head(0, 0), dark=False))
    assert len(view) < 600_000
