"""The live page without a browser: it asks what a page asks, over as many connections as a browser has."""

import http.client
import json
import queue
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

CONNECTIONS = 6  # of a browser to one server
TIMEOUT = 120.0
UPDATE = "/_dash-update-component"
BUSY = "X-HeadScope-Before"


@dataclass(frozen=True)
class Callback:
    """A callback as the server names it: where its answer goes, what it takes."""

    output: str
    inputs: tuple[tuple[Any, str], ...]
    state: tuple[tuple[Any, str], ...]

    def takes(self, component: str) -> bool:
        """Whether a change of this component calls it."""
        return any(name == component for name, _ in self.inputs)


@dataclass(frozen=True)
class Answer:
    """What came of a request.

    Attributes:
        seconds: from asking to the answer, with all that it was asked again.
        status: of HTTP; 0 where the connection broke.
        data: the answer's JSON, None where there is none.
        asked_again: how often the server was busy.
    """

    seconds: float
    status: int
    data: Any
    asked_again: int


def _id(text: str) -> Any:
    return json.loads(text) if text.startswith("{") else text


def _outputs(text: str) -> list[tuple[Any, str]]:
    parts = text[2:-2].split("...") if text.startswith("..") else [text]
    return [(_id(name), what) for name, _, what in (part.rpartition(".") for part in parts)]


def _components(tree: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(tree, dict):
        if isinstance(tree.get("props"), dict):
            yield tree["props"]
        for part in tree.values():
            yield from _components(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from _components(part)


class PageClient:
    """One visit of the live page.

    Args:
        host: of the server.
        port: of the server.
        visit: the visit's name.
        model: the model's name.

    Attributes:
        values: what the page holds, by id and property; `request`, `ablated` and `head` change it.
    """

    def __init__(self, host: str, port: int, visit: str, model: str) -> None:
        self._where = (host, port)
        self._visit = visit
        self._free: queue.SimpleQueue[http.client.HTTPConnection] = queue.SimpleQueue()
        for _ in range(CONNECTIONS):
            self._free.put(http.client.HTTPConnection(host, port, timeout=TIMEOUT))
        self._threads = ThreadPoolExecutor(CONNECTIONS)
        self.values: dict[tuple[str, str], Any] = {}
        self._ids: list[Any] = []
        self._read_page(model)

    def _read_page(self, model: str) -> None:
        self._callbacks = [
            Callback(
                each["output"],
                tuple((_id(one["id"]), one["property"]) for one in each["inputs"]),
                tuple((_id(one["id"]), one["property"]) for one in each["state"]),
            )
            for each in self.ask("GET", "/_dash-dependencies").data
            if not each.get("clientside_function")
        ]
        self._hold(self.ask("GET", "/_dash-layout").data)
        self.values["location", "pathname"] = "/"
        self.values["location", "search"] = f"?v=1&model={model}"
        page = next(callback for callback in self._callbacks if callback.output.startswith("..page.children"))
        self._hold(self.call(page, "location").data)

    def _hold(self, tree: Any) -> None:
        for props in _components(tree):
            name = props.get("id")
            if name is not None:
                self._ids.append(name)
                for what, value in props.items():
                    if isinstance(name, str) and what not in ("id", "children"):
                        self.values[name, what] = value

    def close(self) -> None:
        """End the visit."""
        self._threads.shutdown()
        while not self._free.empty():
            self._free.get().close()

    def ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """One request, asked again for as long as the server is busy."""
        start, again = time.perf_counter(), 0
        connection = self._free.get()
        try:
            while True:
                headers = {"Content-Type": "application/json", "X-HeadScope-Visit": self._visit}
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                text = answer.read()
                if BUSY not in answer.headers:
                    data = json.loads(text) if answer.status == 200 and text[:1] in b"{[" else None
                    return Answer(time.perf_counter() - start, answer.status, data, again)
                again += 1
                time.sleep(float(answer.headers["Retry-After"]))
        except (OSError, http.client.HTTPException, ValueError):
            connection.close()
            return Answer(time.perf_counter() - start, 0, None, again)
        finally:
            self._free.put(connection)

    def _matching(self, pattern: Any) -> list[Any] | None:
        """The ids of a pattern on the page; None for a plain id."""
        if not isinstance(pattern, dict) or not any(isinstance(value, list) for value in pattern.values()):
            return None
        return [
            name
            for name in self._ids
            if isinstance(name, dict)
            and name.keys() == pattern.keys()
            and all(isinstance(value, list) or name[key] == value for key, value in pattern.items())
        ]

    def _parts(self, wanted: Sequence[tuple[Any, str]], values: bool = True) -> list[Any]:
        parts: list[Any] = []
        for name, what in wanted:
            many = self._matching(name)
            if many is not None:
                parts.append(
                    [{"id": one, "property": what, **({"value": None} if values else {})} for one in many]
                )
                continue
            value = {"value": self.values.get((name, what)) if isinstance(name, str) else None}
            parts.append({"id": name, "property": what.partition("@")[0], **(value if values else {})})
        return parts

    def call(self, callback: Callback, changed: str) -> Answer:
        """Ask a callback, because a component has changed."""
        outputs = self._parts(_outputs(callback.output), values=False)
        body = {
            "output": callback.output,
            "outputs": outputs if callback.output.startswith("..") else outputs[0],
            "inputs": self._parts(callback.inputs),
            "state": self._parts(callback.state),
            "changedPropIds": [f"{name}.{what}" for name, what in callback.inputs if name == changed],
        }
        return self.ask("POST", UPDATE, json.dumps(body).encode())

    def change(self, component: str, value: Any) -> list[tuple[Callback, Answer]]:
        """Put a value into a store and ask all callbacks that it calls, at once."""
        self.values[component, "data"] = value
        asked: list[tuple[Callback, Future[Answer]]] = [
            (callback, self._threads.submit(self.call, callback, component))
            for callback in self._callbacks
            if callback.takes(component)
        ]
        return [(callback, answer.result()) for callback, answer in asked]
