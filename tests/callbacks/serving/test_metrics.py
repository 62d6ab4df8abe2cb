"""What Prometheus reads of the server: requests by kind, jobs, models; no label that a browser chooses."""

import json
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app import Settings, create_app
from callbacks.serving.callback_bodies import UPDATE_PATH
from callbacks.serving.metrics import callback_name
from utils.runtime.jobs import Jobs


@pytest.fixture(scope="module")
def app():
    return create_app(Settings(models=(), metrics=True, prefix="/room"))


def values(client, path: str = "/room/metrics") -> dict[tuple[str, ...], float]:
    answer = client.get(path)
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    return {
        (
            sample.name,
            *(
                sample.labels[label]
                for label in ("kind", "callback", "status", "le")
                if label in sample.labels
            ),
        ): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_requests_are_counted_by_kind_and_callback(app):
    client = app.server.test_client()
    before = values(client)
    client.get("/room/")
    client.get("/room/assets/server.js").close()
    client.get("/room/_dash-layout")
    body = {
        "output": "help.is_open",
        "outputs": {"id": "help", "property": "is_open"},
        "inputs": [],
        "changedPropIds": [],
    }
    for output in ("help.is_open", "made up\nby someone"):
        text = json.dumps({**body, "output": output})
        assert (
            client.post(f"/room/{UPDATE_PATH}", data=text, content_type="application/json").status_code == 400
        )
    after = values(client)

    def more(*labels: str) -> float:
        key = ("headscope_requests_total", *labels)
        return after.get(key, 0) - before.get(key, 0)

    assert more("page", "", "2xx") == more("asset", "", "2xx") == more("page part", "", "2xx") == 1
    assert more("callback", "help.is_open", "4xx") == more("callback", "unknown", "4xx") == 1
    assert after["headscope_request_seconds_count", "page", ""] >= 1
    assert after["headscope_request_seconds_bucket", "page", "", "+Inf"] >= 1
    assert after[("headscope_models_loaded",)] == 0
    assert after[("process_resident_memory_bytes",)] > 1e6


def test_jobs_under_way_are_counted(app):
    client, going_on, jobs = app.server.test_client(), threading.Event(), Jobs(workers=1)
    running = threading.Event()

    def work(progress) -> None:
        running.set()
        going_on.wait()

    before = values(client)
    jobs.start("one", work)
    running.wait()
    jobs.start("two", work)
    after = values(client)
    going_on.set()
    for name in ("headscope_jobs_running", "headscope_jobs_waiting"):
        assert after[(name,)] - before[(name,)] == 1


def test_metrics_are_answered_only_where_they_are_asked_for_and_to_known_hosts(app):
    assert app.server.test_client().get("/room/metrics", headers={"Host": "evil.example"}).status_code == 403
    # Without the setting it is an address like any other: the page, which says that there is no such one.
    assert (
        "headscope_requests" not in create_app(Settings(models=())).server.test_client().get("/metrics").text
    )


def test_a_callback_is_named_by_its_first_output():
    assert callback_name("..prediction.data-html...chips.data-html..") == "prediction.data-html"
    assert callback_name("store-a.data@0123abc") == "store-a.data"
    assert callback_name('..{"page":["MATCH"],"type":"analysis"}.children...x.y..') == "analysis.children"


def test_every_callback_has_a_name(app):
    names = [callback_name(output) for output in app.callback_map]
    assert all(name and not name.startswith(("{", ".")) for name in names)
    assert len(names) - len(set(names)) <= 2, names
