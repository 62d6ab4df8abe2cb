import gzip
import re
import threading

import brotli
import pytest

from app import ASSETS, Settings, create_app
from callbacks.serving.caching import BROWSER_FILES
from callbacks.serving.compression import CompressedFiles


@pytest.fixture(scope="module")
def client():
    return create_app(Settings(models=())).server.test_client()


@pytest.fixture(scope="module")
def addresses(client) -> list[str]:
    """Of the page's scripts and styles."""
    return re.findall(r'(?:src|href)="(/[^"]+)"', client.get("/").text)


def test_every_script_and_style_is_kept_for_good_by_its_content(client, addresses: list[str]):
    assert len(addresses) > 30 and not [address for address in addresses if "?m=" in address]
    for address in addresses:
        with client.get(address, headers={"Accept-Encoding": "br, gzip"}) as answer:
            assert answer.status_code == 200, address
            kept = answer.headers["Cache-Control"]
            assert "immutable" in kept and "max-age=31536000" in kept, address
            assert answer.headers.get("Content-Encoding") == "br" or len(answer.data) < 600, address


def test_the_icons_font_is_kept_for_good(client):
    sheet = (ASSETS / "01-bootstrap-icons.min.css").read_text(encoding="utf-8")
    font = re.findall(r'url\("([^"]+woff2[^"]*)"', sheet)[0]
    with client.get(f"/assets/{font}") as answer:
        assert "immutable" in answer.headers["Cache-Control"]


@pytest.mark.parametrize(
    "path", ["/_dash-layout", "/_dash-dependencies", "/_favicon.ico", "/vendor/head-frame.html"]
)
def test_what_has_no_hash_is_asked_for_and_not_sent_again(client, path: str):
    headers = {"Accept-Encoding": "br"}
    with client.get(path, headers=headers) as first:
        assert first.headers["Cache-Control"] == "no-cache"
        tag = first.headers["ETag"]
    with client.get(path, headers={**headers, "If-None-Match": tag}) as again:
        assert (again.status_code, again.data) == (304, b"")
    with client.get(path, headers={**headers, "If-None-Match": '"another"'}) as other:
        assert other.status_code == 200 and other.data


def test_the_pages_icon_is_kept_for_good(client):
    (address,) = re.findall(r'<link rel="icon"[^>]* href="([^"]+)"', client.get("/").text)
    with client.get(address) as answer:
        assert answer.status_code == 200 and "immutable" in answer.headers["Cache-Control"]


def test_compressed_is_the_same_text(client):
    path = "/assets/00-bootstrap.min.css"
    with client.get(path) as plain, client.get(path, headers={"Accept-Encoding": "br"}) as small:
        assert brotli.decompress(small.data) == plain.data and len(small.data) < len(plain.data) / 5
    with client.get(path, headers={"Accept-Encoding": "gzip"}) as small:
        assert gzip.decompress(small.data) == plain.data


def test_what_is_not_for_the_browser_is_not_served(client):
    files = [path for path in ASSETS.rglob("*") if path.is_file()]
    hidden = [path for path in files if path.suffix not in BROWSER_FILES]
    assert hidden
    for path in files:
        with client.get(f"/assets/{path.relative_to(ASSETS).as_posix()}") as answer:
            assert answer.status_code == (404 if path in hidden else 200), path


def test_health_is_never_kept(client):
    assert client.get("/healthz").headers["Cache-Control"] == "no-store"


def test_kept_files_hold_out_against_threads():
    files = CompressedFiles()
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(300):
                key = f"br;/{(number * turn) % 40}?v=1"
                files.set(key, bytes(2**20))
                assert len(files.get(key) or bytes(2**20)) == 2**20
                files.set("br;", b"never")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and files.get("br;") is None
