import flask
import pytest

from callbacks.serving.vendor_route import register_vendor_route
from utils.live.vendor_files import VENDOR_FILES


@pytest.fixture
def client():
    server = flask.Flask("vendor_route_test")
    register_vendor_route(server)
    return server.test_client()


@pytest.mark.parametrize("row", VENDOR_FILES, ids=lambda row: row.package)
def test_serves_each_script_as_it_is(client, row):
    with client.get(f"/vendor/{row.file_name}") as answer:
        assert answer.status_code == 200
        assert answer.mimetype == "text/javascript"
        assert answer.data == row.path.read_bytes()


@pytest.mark.parametrize("name", ["README.md", "licenses/d3.txt", "../app.py", "..%2fapp.py", "", "d3.js"])
def test_serves_nothing_else(client, name):
    assert client.get(f"/vendor/{name}").status_code == 404


def test_serves_below_another_prefix():
    server = flask.Flask("vendor_route_test")
    register_vendor_route(server, "/room/vendor/")
    with server.test_client().get("/room/vendor/require.js") as answer:
        assert answer.status_code == 200
