import json
import re

import bertviz
import pytest
import torch

from utils.heads import Head
from utils.live.bertviz_page import head_view_html
from utils.live.vendor_files import VENDOR_FILES

PATTERN = torch.tensor([[1.0, 0.0], [0.12345678, 0.87654322]])


def data_of(view: str) -> dict:
    """The data that BertViz's script gets, read as the browser reads it."""
    found = re.findall(r"const params = (\{.*\});", view)
    assert len(found) == 1
    return json.loads(found[0])


def test_holds_the_one_head_rounded():
    view = head_view_html(PATTERN, ["a", "b"], Head(7, 3), dark=False)
    data = data_of(view)
    assert data["attention"][0]["attn"] == [[[[1.0, 0.0], [0.1235, 0.8765]]]]
    assert data["include_layers"] == [7]
    assert data["layer"] == 7


def test_leaves_the_pattern_alone():
    pattern = PATTERN.clone()
    head_view_html(pattern, ["a", "b"], Head(0, 0), dark=False)
    assert torch.equal(pattern, PATTERN)


def test_same_arguments_same_page():
    first = head_view_html(PATTERN, ["a", "b"], Head(1, 2), dark=True)
    assert first == head_view_html(PATTERN, ["a", "b"], Head(1, 2), dark=True)
    assert first != head_view_html(PATTERN, ["a", "b"], Head(1, 2), dark=False)


def test_names_no_cdn_and_every_vendored_script():
    view = head_view_html(PATTERN, ["a", "b"], Head(0, 0), dark=False, vendor_prefix="/room/vendor/")
    assert "cdnjs" not in view
    for vendor_file in VENDOR_FILES:
        assert vendor_file.address("/room/vendor/") in view


@pytest.mark.parametrize(
    "label",
    [
        "</script>",
        "</SCRIPT >",
        "<!--",
        "<script>",
        "]]>",
        "\"'\\",
        "\u2028",
        "\x00",
        "\ud800",
        "🙂",
        "Ġ▁</w>",
        "headscope-t",
        "x); // HACK:",
    ],
)
def test_a_token_stays_data(label):
    view = head_view_html(PATTERN, [label, "b"], Head(0, 0), dark=False)
    data = data_of(view)["attention"][0]
    assert data["left_text"] == data["right_text"] == [label, "b"]
    plain = head_view_html(PATTERN, ["a", "b"], Head(0, 0), dark=False)
    for mark in ("<", ">", "&"):
        assert view.count(mark) == plain.count(mark)
    assert view.isascii() == plain.isascii()


def test_a_token_like_a_marker_stays_data():
    labels = ["PYTHON_PARAM", "https://cdnj"]
    view = head_view_html(PATTERN, labels, Head(0, 0), dark=False)
    assert data_of(view)["attention"][0]["left_text"] == labels


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
    view = head_view_html(PATTERN, [label, "b"], Head(0, 0), dark=False)
    assert data_of(view)["attention"][0]["left_text"][0] == shown


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b", "c"]])
def test_refuses_labels_of_another_length(labels):
    with pytest.raises(ValueError, match=r"Got \(2, 2\)"):
        head_view_html(PATTERN, labels, Head(0, 0), dark=False)


def test_refuses_what_no_line_can_show():
    with pytest.raises(ValueError, match="L2H1 must be finite"):
        head_view_html(torch.full((2, 2), torch.nan), ["a", "b"], Head(2, 1), dark=False)


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
        head_view_html(PATTERN, ["a", "b"], Head(0, 0), dark=False)


def test_a_page_of_256_tokens_stays_small():
    pattern = torch.rand(256, 256, generator=torch.Generator().manual_seed(0)).tril()
    view = head_view_html(pattern, ["token"] * 256, Head(0, 0), dark=False)
    assert len(view) < 1_000_000


def test_the_figure_is_scaled_to_its_frame():
    view = head_view_html(PATTERN, ["a", "b"], Head(0, 1), dark=False)
    assert "viewBox" in view and "{" in view and "{{" not in view[view.index("const WIDTH") :]
