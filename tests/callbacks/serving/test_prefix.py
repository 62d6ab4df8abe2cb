"""The app below a path, behind a proxy that hands it on or takes it off."""

import flask
import pytest
from dash import html

from app import Settings, create_app
from callbacks.routing import Page, show_page
from callbacks.serving.prefix import register_prefix
from components.addresses import address, path_of

PAGES = (Page("catalog", "/catalog", "Catalog", lambda query: html.P("catalog")),)


@pytest.fixture
def client():
    return create_app(Settings(models=(), prefix="/lab/headscope")).server.test_client()


@pytest.mark.parametrize("path", ["/lab/headscope/", "/"])
def test_the_page_asks_for_everything_below_the_prefix(client, path):
    page = client.get(path).text
    assert 'data-prefix="/lab/headscope"' in page
    asked = [part.split('"')[0] for part in page.replace('src="', 'href="').split('href="')[1:]]
    assert len(asked) > 20
    assert all(part.startswith("/lab/headscope/") for part in asked)
    assert all("?v=" in part for part in asked if "/assets/" in part)


def test_every_route_is_there_with_the_prefix_and_without(client):
    for path in ("/healthz", "/assets/server.js", "/vendor/head-frame.html", "/_dash-layout"):
        with client.get(f"/lab/headscope{path}") as given, client.get(path) as taken_off:
            assert given.status_code == taken_off.status_code == 200, path
            assert given.data == taken_off.data
    assert "/lab/headscope/vendor/require.js" in client.get("/vendor/head-frame.html").text
    assert "/lab/headscope/glossary" in str(client.get("/_dash-layout").json)


def test_without_its_last_slash_the_address_leads_to_the_page(client):
    answer = client.get("/lab/headscope?v=2&prompt=a+b")
    assert answer.status_code == 308
    assert answer.location == "/lab/headscope/?v=2&prompt=a+b"
    # A name that only begins alike is another page.
    assert client.get("/lab/headscope-two/healthz").text != "ok"


def test_links_and_routing_know_the_prefix_of_their_request():
    server = flask.Flask("prefix_test")

    @server.get("/catalog")
    def catalog() -> str:
        page, here = show_page(PAGES, "/room/catalog/", "")
        return f"{page.children} {here} {address(here)} {path_of('/roommate')}"

    register_prefix(server, "/room")
    assert server.test_client().get("/room/catalog").text == "catalog /catalog /room/catalog /roommate"
    assert address("/catalog") == path_of("/catalog") == "/catalog"
