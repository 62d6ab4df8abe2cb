"""A model that others use: the page says how many are before it and goes on; nothing else waits."""

import threading
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

import app
from callbacks.serving import askers
from callbacks.serving.settings import Settings
from utils.live.service import LiveService
from utils.models.loading import LoadedModel

MODEL = "demo-gpt2"
PROMPT = "The cat sat on the mat. The cat sat on the"


@pytest.fixture
def shared(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> tuple[str, LoadedModel]:
    """Address of the app, and the model that it serves."""
    services: list[LiveService] = []

    def keep(*arguments, **options) -> LiveService:
        services.append(LiveService(*arguments, **options))
        return services[-1]

    monkeypatch.setattr(app, "LiveService", keep)
    monkeypatch.setattr(askers, "PATIENCE", 0.2)
    address = serve(app.create_app(Settings(models=(MODEL,), prepare=False)).server)
    return address, services[0].store.get(MODEL)


def test_a_busy_model_is_said_and_the_page_goes_on_by_itself(
    shared: tuple[str, LoadedModel], page: Page
) -> None:
    address, model = shared
    page.goto(f"{address}/?v=1&model={MODEL}")
    headline = page.locator("#headline .hs-sentence")
    expect(headline).to_be_visible()
    before = headline.text_content()
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with model.lock:
            held.set()
            go.wait(120)

    threading.Thread(target=hold, daemon=True).start()
    assert held.wait(20)
    page.locator("#prompt").fill(PROMPT)
    page.locator("#run").click()
    notice = page.locator("#server-busy")
    expect(notice).to_be_visible()
    expect(notice).to_contain_text("before you")
    # What needs no model is answered meanwhile, and what was shown stays.
    assert page.request.get(f"{address}/assets/workbench.css").ok
    assert page.request.get(f"{address}/healthz").ok
    assert headline.text_content() == before
    go.set()
    expect(notice).to_be_hidden()
    expect(headline).not_to_have_text(before or "")
    expect(page.locator("#token-strip")).to_contain_text("mat")
