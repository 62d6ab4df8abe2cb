"""The card of published retrieval heads, on the rankings that come with the project."""

import pytest

from callbacks.pages.catalog_page import CatalogPage
from components.catalog import page as catalog_page
from components.catalog.published_heads import published_section
from retrieval.rankings.published import for_model, published
from tests.fixtures.reading_trees import find, text_of
from utils.errors import UserFacingError
from utils.live.service import LiveService
from utils.models.store import ModelStore


def test_a_model_with_published_heads_shows_them_in_order_with_scores():
    own = for_model("llama-2-7b-80k")
    message = text_of(published_section(own, []))
    assert "L16H19 (0.94), L11H15 (0.92)" in message
    assert "Wu et al. 2024" in message and "Zhang" not in message


def test_rankings_without_scores_name_what_they_were_found_on():
    message = text_of(published_section(for_model("meta-llama/Llama-3.1-8B-Instruct"), []))
    assert "QRHead, LongMemEval" in message and "QRHead, Natural Questions" in message
    assert "L13H18, L13H21, L8H11" in message


def test_other_models_are_told_by_depth_with_their_sources():
    section = published_section((), published())
    message = text_of(section)
    assert "12 other models" in message and "None are published for this model" in message
    assert len(find(section, scope="row")) == len(published()) == 15
    assert "32 × 32" in message and "Wu et al. 2024" in message and "Zhang et al. 2025" in message


def test_the_catalog_page_has_the_card_and_stands_without_its_file(monkeypatch: pytest.MonkeyPatch):
    page = CatalogPage(LiveService(ModelStore()))
    assert "Published retrieval heads" in text_of(page.show("demo-gpt2", "induction", "light")[0])

    def damaged() -> None:
        raise UserFacingError("It cannot be read.", "Restore it.")

    monkeypatch.setattr(catalog_page, "published", damaged)
    message = text_of(page.show("demo-gpt2", "induction", "light")[0])
    assert "It cannot be read. Restore it." in message and "Listed heads" in message
