"""Journeys through the live page, as students make them, on the bundled models."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import torch
from playwright.sync_api import Page, expect
from transformers import AutoTokenizer

from app import Settings, create_app
from tests.browser.conftest import PageWatch
from tests.fixtures.journeys import (
    open_page,
    open_role,
    probability,
    role,
    run_prompt,
    show_lines,
    tokens,
)
from tests.fixtures.makers.tiny_models import save_tiny_model
from tests.fixtures.model_folders import edit_config, edit_weights
from utils.models.sources import REAL_MODEL

FIRST_PROMPT = "The king gave the boy a golden ring, and the boy took the golden"
INDUCTION_PROMPT = "The cat sat on the mat. The cat sat on the"
NO_REPETITION = "Once upon a time the poor woodcutter lived in that forest with his wife."


@pytest.mark.parametrize("model", ["demo-gpt2", "demo-llama"])
def test_induction_from_prompt_to_ablation(page: Page, app_url: str, model: str):
    open_page(page, app_url)
    page.locator("#model-menu").select_option(model)
    run_prompt(page, INDUCTION_PROMPT)
    expect(role(page, "induction")).to_have_attribute("data-state", "active")

    run_prompt(page, NO_REPETITION)
    induction = open_role(page, "induction")
    expect(induction).to_have_attribute("data-state", "inactive")
    expect(induction.locator(".hs-reason")).to_contain_text("othing repeats in your text")

    suggestion = induction.locator(".hs-suggestion").first
    filled = suggestion.inner_text().strip()
    suggestion.click()
    expect(page.locator("#prompt")).to_have_value(filled)
    expect(induction).to_have_attribute("data-state", "active")

    run_prompt(page, INDUCTION_PROMPT)
    expect(page.locator(".hs-token")).to_have_count(13)
    expect(induction).to_have_attribute("data-state", "active")
    head = induction.locator(".hs-bar-name").first.inner_text()
    page.locator(f'.hs-cell[data-head="{head}"]').click()
    expect(page.locator("#head-title")).to_contain_text(head)
    expect(show_lines(page).locator("body")).to_contain_text("·mat")

    page.locator("#watched-token").fill("mat")
    page.locator("#watched-token").press("Enter")
    expect(page.locator("#prediction-facts")).to_contain_text("Watching “·mat”")
    before = probability(page, "·mat", 3)
    induction.get_by_role("button", name=re.compile("Ablate")).click()
    expect(page.locator("#ablation-chips .hs-chip").first).to_be_visible()
    expect(page.locator("#prediction thead")).to_contain_text("ablated")
    assert probability(page, "·mat", 3) == before
    assert probability(page, "·mat", 4) < before
    expect(page.locator("#headline .hs-sentence")).to_contain_text("Without")

    page.locator("#clear-ablation").click()
    expect(page.locator("#ablation-chips .hs-chip")).to_have_count(0)
    expect(page.locator("#prediction thead")).not_to_contain_text("ablated")
    assert probability(page, "·mat", 3) == before


def test_first_visit_shows_a_role_a_head_and_an_effect_on_the_real_model(page: Page, app_url: str):
    open_page(page, f"{app_url}/?")
    expect(page.locator("#model-menu")).to_have_value(REAL_MODEL)
    expect(page.locator("#prompt")).to_have_value(re.compile("The password is lemon purple seven"))
    start = page.locator(".hs-token").first
    expect(start).to_contain_text("<|endoftext|>")
    expect(start).to_have_attribute("title", re.compile("put first by HeadScope"))
    expect(role(page, "induction")).to_have_attribute("data-state", "active")
    expect(page.locator("#head-title")).to_contain_text("L18H6")
    expect(page.locator("#ablation-chips .hs-chip")).to_have_count(2)
    expect(page.locator("#headline .hs-sentence")).to_contain_text("Without L17H4 and L18H6")
    expect(page.locator(".hs-guide")).to_contain_text("“seven” goes from 60% to 16%")


def test_the_real_model_from_ones_own_sentence_to_a_link(
    page: Page, app_url: str, new_page: Callable[..., Page]
):
    """Own sentence, role, head, BertViz, ablation, clear, suggested prompt, link in a second browser."""
    open_page(page, f"{app_url}/?")
    run_prompt(page, "My cat is called Grobelix. Every morning my cat Grob")
    expect(page.locator(".hs-token").nth(3)).to_contain_text("is")
    induction = open_role(page, "induction")
    expect(induction).to_have_attribute("data-state", "active")
    head = induction.locator("[data-choose]").nth(2).get_attribute("data-choose")
    assert head is not None
    page.locator(f'.hs-cell[data-head="{head}"]').click()
    expect(page.locator("#head-title")).to_contain_text(head)
    expect(show_lines(page).locator("body")).to_contain_text("·cat")
    induction.get_by_role("button", name=re.compile("Ablate all")).click()
    expect(page.locator("#ablation-chips .hs-chip")).to_have_count(8)
    expect(page.locator("#prediction thead")).to_contain_text("ablated")
    page.locator("#clear-ablation").click()
    expect(page.locator("#ablation-chips .hs-chip")).to_have_count(0)
    duplicate = open_role(page, "duplicate_token")
    if not duplicate.locator(".hs-suggestion").first.is_visible():
        duplicate.locator("summary", has_text="Prompts that trigger it").click()
    filled = duplicate.locator(".hs-suggestion").first.inner_text().strip()
    duplicate.locator(".hs-suggestion").first.click()
    expect(page.locator("#prompt")).to_have_value(filled)
    expect(duplicate).to_have_attribute("data-state", "active")
    expect(page).to_have_url(re.compile("prompt=" + re.escape(filled.split(",")[0])))
    second = new_page(viewport={"width": 390, "height": 844})
    second.goto(page.url)
    expect(second.locator("#prompt")).to_have_value(filled)
    # A suggested prompt leads to the head that shows its role.
    shown = page.locator("#head-title").inner_text()
    assert shown.removeprefix("Head ") in duplicate.locator(".hs-bar-name").all_inner_texts()
    expect(second.locator("#head-title")).to_have_text(shown)
    expect(role(second, "duplicate_token")).to_have_attribute("data-state", "active")


def test_an_example_of_another_model_switches_the_model(page: Page, app_url: str):
    open_page(page, f"{app_url}/?")
    page.locator("#example-menu").select_option(label="A sentence said twice (induction) (demo-gpt2)")
    expect(page.locator("#model-menu")).to_have_value("demo-gpt2")
    expect(page.locator(".hs-guide")).to_contain_text("A sentence said twice")


def test_the_first_example_of_a_small_model_is_shown_where_it_is_named(page: Page, app_url: str):
    open_page(page, app_url)
    expect(page.locator("#prompt")).to_have_value(FIRST_PROMPT)
    assert tokens(page)[:3] == ["<|endoftext|>", "The", "·king"]
    expect(page.locator("#headline .hs-sentence")).to_contain_text("The model expects “ring” next")
    expect(role(page, "induction")).to_have_attribute("data-state", "active")
    chosen = page.locator('.hs-cell[aria-pressed="true"]')
    expect(chosen).to_have_count(1)
    expect(chosen).to_contain_text("I")
    expect(page.locator("#heatmap .plot-container")).to_be_visible()


def test_one_head_several_and_back(page: Page, app_url: str):
    open_page(page, app_url)
    cells = page.locator(".hs-cell")
    for number in (0, 5):
        name = cells.nth(number).get_attribute("data-head")
        cells.nth(number).click()
        expect(page.locator("#toggle-head")).to_have_text(f"Ablate {name}")
        page.locator("#toggle-head").click()
        expect(page.locator("#toggle-head")).to_have_text(f"Restore {name}")
    expect(page.locator(".hs-cell-off")).to_have_count(2)
    expect(page.locator("#ablation-chips .hs-chip")).to_have_count(2)
    page.locator("#ablation-chips .hs-chip").first.click()
    expect(page.locator(".hs-cell-off")).to_have_count(1)
    page.locator("#watched-token").fill("dog")
    page.locator("#watched-token").press("Enter")
    expect(page.locator("#prediction-facts")).to_contain_text("Watching “·dog”")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The prompt is empty."),
        ("   ", "The prompt has only spaces in it."),
        ("word " * 200, "The prompt has"),
    ],
)
def test_a_bad_prompt_gets_a_sentence_and_loses_nothing(page: Page, app_url: str, text: str, sentence: str):
    open_page(page, app_url)
    shown = tokens(page)
    run_prompt(page, text)
    expect(page.locator("#alert")).to_contain_text(sentence)
    expect(page.locator("#prompt")).to_have_value(text)
    assert tokens(page) == shown
    run_prompt(page, "The dog ran home.")
    expect(page.locator(".hs-token-text").nth(2)).to_have_text("·dog")
    expect(page.locator("#alert")).to_be_empty()


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>stolen=1</script><img src=x onerror='stolen=1'>",
        "emoji 👩‍👩‍👧 and שלום עולם and e\u0301a\u0308",
        "x",
        "<|endoftext|> is text here",
    ],
)
def test_odd_text_is_shown_as_text(page: Page, app_url: str, text: str):
    open_page(page, app_url)
    before = page.locator(".hs-token").count()
    run_prompt(page, text)
    expect(page.locator("#prompt")).to_have_value(text)
    expect(page.locator(".hs-token-text").first).to_have_text("<|endoftext|>")
    expect(page.locator("#alert")).to_be_empty()
    expect(page.locator(".hs-token")).not_to_have_count(before)
    show_lines(page)
    assert page.evaluate("window.stolen") is None
    assert page.frames[1].evaluate("window.stolen") is None


def test_half_a_character_is_refused(page: Page, app_url: str):
    open_page(page, app_url)
    page.evaluate(
        """() => {
            const box = document.getElementById('prompt');
            const set = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set;
            set.call(box, 'cat \\ud800 dog');
            box.dispatchEvent(new Event('input', {bubbles: true}));
        }"""
    )
    page.locator("#run").click()
    expect(page.locator("#alert")).to_contain_text("half of a character")


def test_two_users_see_only_their_own(new_page, app_url: str):
    first, second = new_page(), new_page()
    open_page(first, app_url)
    open_page(second, app_url)
    run_prompt(first, "My castle garden is green.")
    expect(first.locator("#token-strip")).to_contain_text("castle")
    first.locator("#toggle-head").click()
    expect(first.locator("#ablation-chips .hs-chip")).to_have_count(1)
    run_prompt(second, "A ship sailed to the north.")
    expect(second.locator("#token-strip")).to_contain_text("ship")
    expect(second.locator("#ablation-chips .hs-chip")).to_have_count(0)
    assert "castle" not in second.content()
    expect(first.locator("#token-strip")).to_contain_text("castle")


def test_keyboard_alone(page: Page, app_url: str):
    open_page(page, app_url)
    run_prompt(page, "The little dog ran down the road.")
    expect(page.locator("#token-strip")).to_contain_text("dog")
    expect(role(page, "induction")).to_have_attribute("data-state", "inactive")
    # The map is drawn anew until the run is over.
    expect(page.locator("html[data-heard]")).to_have_count(0)
    page.locator('.hs-cell[data-head="L0H0"]').focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#head-title")).to_have_text("Head L0H1")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#head-title")).to_have_text("Head L1H1")
    expect(page.locator('.hs-cell[data-head="L1H1"]')).to_be_focused()
    page.locator("#toggle-head").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#ablation-chips .hs-chip")).to_have_count(1)
    page.locator("#clear-ablation").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#ablation-chips .hs-chip")).to_have_count(0)


def test_hovering_a_token_shows_where_the_head_looks(page: Page, app_url: str):
    open_page(page, app_url)
    expect(page.locator("#token-strip")).to_have_attribute("data-head", re.compile("L"))
    page.locator(".hs-token").nth(8).hover()
    expect(page.locator(".hs-token-from")).to_have_attribute("data-index", "8")
    expect(page.locator(".hs-token [data-look]").first).to_be_visible()
    # Otherwise it is the row of the last token, after which the next one is predicted.
    page.locator("h1").hover()
    expect(page.locator(".hs-token-from")).to_have_attribute("data-index", "15")


def test_a_click_on_a_token_pins_it_and_asks_what_follows(page: Page, app_url: str):
    open_page(page, app_url)
    page.locator(".hs-token").nth(3).click()
    expect(page.locator("#shown-position")).to_have_value("3")
    expect(page.locator("#headline")).to_contain_text("After “·gave”")
    expect(page.locator(".hs-token[aria-pressed='true']")).to_have_attribute("data-index", "3")
    page.locator("h1").hover()
    expect(page.locator(".hs-token-from")).to_have_attribute("data-index", "3")
    # One stop of the Tab key, arrows within; a second press lets go.
    expect(page.locator(".hs-token[tabindex='0']")).to_have_count(1)
    page.locator(".hs-token").nth(3).focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".hs-token").nth(4)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#shown-position")).to_have_value("last")


def test_dark_is_kept_and_follows_the_system_at_first(new_page, app_url: str):
    page = new_page(color_scheme="dark")
    open_page(page, app_url)
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.locator("#theme-switch").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
    page.locator("#help-open").click()
    expect(page.locator(".modal-body")).to_contain_text("Attention head")


def test_a_phone_shows_it_without_scrolling_sideways(new_page, app_url: str):
    page = new_page(viewport={"width": 390, "height": 844})
    open_page(page, app_url)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("state", ["missing", "damaged", "other shape"])
def test_a_catalog_that_cannot_be_used(page: Page, serve, tmp_path: Path, state: str):
    catalogs = Path("head_categories")
    if state == "damaged":
        whole = (catalogs / "demo-gpt2.json").read_text(encoding="utf-8")
        (tmp_path / "demo-gpt2.json").write_text(whole[: len(whole) // 2], encoding="utf-8")
    if state == "other shape":
        whole = (catalogs / "demo-gpt2.json").read_text(encoding="utf-8")
        assert '"num_layers": 4' in whole
        (tmp_path / "demo-gpt2.json").write_text(
            whole.replace('"num_layers": 4', '"num_layers": 3'), encoding="utf-8"
        )
    open_page(page, serve(create_app(Settings(catalogs=tmp_path)).server))
    expect(page.locator("#role-cards")).to_contain_text("python scripts/analyze_heads.py --model demo-gpt2")
    page.locator("#toggle-head").click()
    expect(page.locator("#prediction thead")).to_contain_text("ablated")


def test_a_broken_model_says_so_and_the_page_goes_on(page: Page, serve, tmp_path: Path):
    folder = tmp_path / "broken-model"
    shutil.copytree("models/demo-gpt2", folder)
    (folder / "model.safetensors").write_bytes(b"not safetensors")
    open_page(page, serve(create_app(Settings(model_dirs=(folder,))).server))
    page.locator("#model-menu").select_option("broken-model")
    expect(page.locator("#alert")).to_contain_text("broken-model")
    expect(page.locator("#prompt")).to_have_value(FIRST_PROMPT)
    page.locator("#model-menu").select_option("demo-llama")
    expect(page.locator("#alert")).to_be_empty()
    expect(page.locator("#prediction")).to_contain_text("clean")


def test_tokens_are_counted_once_the_typing_pauses(page: Page, app_url: str):
    open_page(page, app_url)
    counted: list[str] = []
    page.on(
        "request",
        lambda request: (
            counted.append(request.url) if "token-count.children" in (request.post_data or "") else None
        ),
    )
    page.locator("#prompt").fill("")
    page.locator("#prompt").press_sequentially("The cat sat on the mat. The cat sat on the mat again.")
    expect(page.locator("#token-count")).to_contain_text("16 of at most 128 tokens")
    # One at every key would be more than fifty.
    assert len(counted) < 10
    # What is run is what the box holds, also without a pause.
    run_prompt(page, "A dog")
    expect(page.locator(".hs-token")).to_have_count(3)


def test_a_text_that_is_too_large_to_send_is_told_and_the_page_goes_on(
    page: Page, app_url: str, watch: PageWatch
):
    open_page(page, app_url)
    box = page.locator("#prompt")
    assert box.get_attribute("maxlength") == "12800"
    expect(page.locator("#request-alert")).to_be_hidden()
    # More than the box lets a student type or paste.
    box.fill("a" * 3_000_000)
    expect(page.locator("#request-alert")).to_contain_text("more text than the server takes at once (2 MB)")
    watch.clear()
    run_prompt(page, INDUCTION_PROMPT)
    expect(page.locator("#request-alert")).to_be_hidden()
    expect(page.locator(".hs-token")).to_have_count(13)
    expect(page.locator("#token-count")).to_contain_text("13 of at most 128 tokens")


def test_tokens_of_200_characters_and_spaces_alone_stay_within_the_page(
    page: Page, serve, tmp_path: Path
) -> None:
    folder = save_tiny_model("gpt2", tmp_path / "models" / "long")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    first, second = "x" * 200, "y" * 200
    tokenizer.add_tokens([first, second])
    tokenizer.save_pretrained(folder)
    edit_config(folder, vocab_size=len(tokenizer))

    def lengthen(weights: dict[str, torch.Tensor]) -> None:
        rows = weights["transformer.wte.weight"]
        # Opposite rows: one of the two is the most likely token after any prompt.
        more = 20 * rows[5:6]
        weights["transformer.wte.weight"] = torch.cat([rows, more, -more])

    edit_weights(folder, lengthen)
    settings = Settings(model_dirs=(tmp_path / "models",), catalogs=tmp_path / "catalogs")
    open_page(
        page,
        serve(create_app(settings).server)
        + "/?"
        + urlencode({"v": 1, "model": "long", "prompt": f"a  {first} b"}),
    )
    assert {"·", first} <= {text.strip() for text in tokens(page)}
    expect(page.locator("#prediction tbody tr").first).to_contain_text(re.compile("x{200}|y{200}"))
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    cell = page.locator("#prediction tbody tr bdi").first
    assert cell.evaluate("cell => cell.getBoundingClientRect().width") < 300
