import logging
import socket

import flask
import pytest

from callbacks.serving.hosts import host_name, is_known, is_own_origin, known_names, register_host_check

PATH = "/_dash-update-component"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Lab.example:8050", "lab.example"),
        ("lab.example.", "lab.example"),
        ("[::1]:8050", "::1"),
        ("", None),
        (":8050", None),
        ("a:b", None),
        ("a/b", None),
        ("user@lab.example", None),
        ("[::1", None),
    ],
)
def test_the_name_in_a_host_header(header: str, name: str | None):
    assert host_name(header) == name


def test_loopback_the_host_that_is_served_on_and_allowed_names_are_known():
    names = known_names("lab.example", ("Class.example",))
    for header in (
        "localhost:8050",
        "LAB.example",
        "class.example:80",
        "127.0.0.1:8050",
        "[::1]",
        "10.0.0.7",
    ):
        assert is_known(header, names), header
    for header in ("evil.example", "lab.example.evil.example", "127.0.0.1.evil.example", "", "localhost/x"):
        assert not is_known(header, names), header


def test_served_everywhere_this_machines_name_is_known():
    assert is_known(socket.gethostname(), known_names("0.0.0.0"))
    assert not is_known("0.0.0.0.evil.example", known_names("0.0.0.0"))


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://127.0.0.1:8050", "127.0.0.1:8050", True),
        ("https://lab.example", "lab.example", True),
        ("https://lab.example", "lab.example:443", True),
        # A proxy that hands on a Host of its own: by the operator's word.
        ("https://class.example", "127.0.0.1:8050", True),
        ("http://127.0.0.1:9000", "127.0.0.1:8050", False),
        ("http://lab.example", "lab.example:443", False),
        ("https://evil.example", "lab.example", False),
        ("null", "lab.example", False),
        ("", "lab.example", False),
        ("http://a:b", "lab.example", False),
    ],
)
def test_whose_page_asks(origin: str, host: str, own: bool):
    assert is_own_origin(origin, host, ("class.example",)) is own


@pytest.fixture
def client():
    server = flask.Flask("hosts")
    register_host_check(server, PATH, "127.0.0.1", ())
    server.add_url_rule(PATH, "work", lambda: "worked", methods=["GET", "POST"])
    return server.test_client()


def test_a_rebound_name_is_refused_everything(client, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        for path in ("/", PATH, "/_dash-layout"):
            answer = client.get(path, headers={"Host": "evil.example"})
            assert answer.status_code == 403 and "--allowed-hosts" in answer.text
    assert len(caplog.records) == 3


def test_a_foreign_page_may_not_ask_for_work(client):
    def status(**headers: str) -> int:
        return client.post(PATH, headers={"Host": "127.0.0.1:8050", **headers}).status_code

    assert status(Origin="http://evil.example") == status(Origin="null") == 403
    assert status(Origin="http://127.0.0.1:8050") == status() == 200
