"""`/metrics` for Prometheus: requests by kind with their latencies, and what the server holds and does.

A number more is a row of `_gauges`, or a `Gauge`, `Counter` or `Histogram` with `registry=metrics.registry`.
A label has few values, all known at the start: nothing that a browser sends becomes one.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dash import Dash
from flask import Flask, Response, g, request
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from callbacks.serving.askers import LEAVE_PATH
from callbacks.serving.callback_bodies import UPDATE_PATH
from callbacks.serving.health_route import HEALTH_PATH
from utils.live.service import LiveService
from utils.runtime.jobs import job_states
from utils.runtime.turns import waiting_room

METRICS_PATH = "/metrics"
# Seconds: an asset, a click, a Run on a large model.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ASSETS = ("/assets/", "/_dash-component-suites/", "/vendor/", "/_favicon.ico")
# What a page asks besides: Dash's description of it, and that it has ended.
PAGE_PARTS = ("/_dash-layout", "/_dash-dependencies", f"/{LEAVE_PATH}")
# A callback that is none of the app's, or a body that was refused.
UNKNOWN = "unknown"
NO_OUTPUT = "no output"


def callback_name(output: str) -> str:
    """A callback by the first of its outputs, which stand one after the other as Dash writes them.

    >>> callback_name("..prediction.data-html...chips.data-html..")
    'prediction.data-html'

    A pattern's id, which is JSON, is named by its type; a callback without outputs has a hash there.
    """
    first = output.removeprefix("..").removesuffix("..").split("...")[0].partition("@")[0]
    name, _, changed = first.rpartition(".")
    if name.startswith("{"):
        name = name.partition('"type":"')[2].partition('"')[0] or "pattern"
    return f"{name}.{changed}" if name else NO_OUTPUT


def _gauges(service: LiveService) -> Iterator[tuple[str, str, Callable[[], float]]]:
    """Name, meaning and value, read at each scrape."""
    store, shared = service.store, service.shared_cache
    yield "headscope_models_loaded", "Models in memory.", lambda: sum(map(store.is_loaded, store.names()))
    yield "headscope_jobs_running", "Jobs that compute.", lambda: job_states()["running"]
    yield "headscope_jobs_waiting", "Jobs that wait for a free worker.", lambda: job_states()["waiting"]
    yield (
        "headscope_requests_waiting",
        "Requests that wait for a turn at a model.",
        lambda: waiting_room.count,
    )
    if shared is not None:
        yield "headscope_shared_cache_hits", "Results that another server had computed.", lambda: shared.hits
        yield "headscope_shared_cache_misses", "Results that none had.", lambda: shared.misses
        yield "headscope_shared_cache_away", "1 where Redis does not answer.", lambda: shared.is_away


class Metrics:
    """What one app counts.

    Args:
        app: the app, with all its callbacks.
        service: its models and its shared cache.
    """

    def __init__(self, app: Dash, service: LiveService) -> None:
        # One for each app: the library's own is one for the process.
        self.registry = CollectorRegistry()
        self._names: Mapping[str, str] = {output: callback_name(output) for output in app.callback_map}
        self._requests = Counter(
            "headscope_requests",
            "Requests answered, by kind, callback and class of the status.",
            ("kind", "callback", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "headscope_request_seconds",
            "From the first byte read to the answer made, in seconds.",
            ("kind", "callback"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        for name, meaning, value in _gauges(service):
            Gauge(name, meaning, registry=self.registry).set_function(value)
        # Memory, processor time, open files.
        ProcessCollector(registry=self.registry)

    def kind_of_request(self) -> tuple[str, str]:
        """The kind of the request at hand, and the callback's name, "" for none."""
        path = request.path
        if path == f"/{UPDATE_PATH}":
            body = request.get_json(silent=True)  # parsed once, by whoever comes first
            output = body.get("output") if isinstance(body, dict) else None
            return "callback", self._names.get(output, UNKNOWN) if isinstance(output, str) else UNKNOWN
        if path.startswith(ASSETS):
            return "asset", ""
        if path in (HEALTH_PATH, METRICS_PATH):
            return "operator", ""
        return ("page part" if path in PAGE_PARTS else "page"), ""

    def count(self, seconds: float, status: int) -> None:
        """Count the request at hand."""
        kind, callback = self.kind_of_request()
        self._requests.labels(kind, callback, f"{status // 100}xx").inc()
        self._seconds.labels(kind, callback).observe(seconds)


def register_metrics(app: Dash, service: LiveService) -> Metrics:
    """Add the route and count from now on; call it before whatever else is done to requests and answers."""
    server: Flask = app.server
    # When each series began, which would be as many again.
    disable_created_metrics()
    metrics = Metrics(app, service)

    @server.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @server.after_request
    def end(answer: Response) -> Response:
        metrics.count(time.perf_counter() - g.get("began", time.perf_counter()), answer.status_code)
        return answer

    def answer() -> Response:
        headers: dict[str, Any] = {"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"}
        return Response(generate_latest(metrics.registry), headers=headers)

    server.add_url_rule(METRICS_PATH, "metrics", answer)
    return metrics
