import flask
import pytest

from app import Settings, create_app
from callbacks.serving.headers import DOCUMENT, EVERY, POLICY


@pytest.fixture(scope="module")
def client():
    return create_app(Settings(models=())).server.test_client()


@pytest.mark.parametrize("path", ["/_dash-layout", "/vendor/require.js", "/assets/lab.js", "/healthz"])
def test_no_answer_is_taken_for_what_it_does_not_say(client, path: str):
    with client.get(path) as answer:
        for name, value in EVERY.items():
            assert answer.headers[name] == value


@pytest.mark.parametrize("path", ["/", "/healthz", "/no"])
def test_every_document_says_what_it_may_do(client, path: str):
    with client.get(path) as answer:
        for name, value in {**EVERY, **DOCUMENT}.items():
            assert answer.headers[name] == value
        rules = dict(rule.strip().partition(" ")[::2] for rule in answer.headers[POLICY].split(";"))
    assert rules["default-src"] == "'none'" and rules["frame-ancestors"] == "'self'"
    scripts = rules["script-src"].split()
    assert scripts[0] == "'self'" and (len(scripts) > 1 or "frame" in path)
    assert all(source.startswith("'sha256-") for source in scripts[1:])
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"


def test_the_frame_has_a_policy_of_its_own(client):
    with client.get("/vendor/head-frame.html") as answer:
        policy = answer.headers[POLICY]
    assert "sandbox allow-scripts" in policy and "connect-src" not in policy and "sha256" not in policy


def test_a_site_that_the_operator_names_may_frame_the_page():
    app = create_app(Settings(models=(), embed_in=("https://moodle.example",)))
    answer: flask.Response = app.server.test_client().get("/")  # pyright: ignore[reportAssignmentType]
    assert "frame-ancestors 'self' https://moodle.example" in answer.headers[POLICY]
    assert "X-Frame-Options" not in answer.headers
