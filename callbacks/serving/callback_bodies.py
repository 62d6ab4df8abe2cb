"""What the browser sends to a callback, checked before Dash reads it: what no page sends is answered 400.

Dash takes a body as its own renderer makes it and fails with a trace where anything is missing. Here it has
to name a callback, with that callback's inputs and states in their order, and values of the kind that their
properties have; what a value means is the callback's business.
"""

import json
from collections.abc import Mapping
from typing import Any

from dash import Dash
from flask import Response, request
from pydantic import (
    BaseModel,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
)

from callbacks.serving.refusal import refuse
from components import ids
from utils.runtime.validation import what_is_wrong

UPDATE_PATH = "_dash-update-component"
SENTENCE = "That is no request that a page of this server makes. Load the page anew."
# Deeper than anything a page sends; far below where Python gives up.
MAX_DEPTH = 40

Scalar = StrictStr | StrictInt | StrictFloat | StrictBool | None
IdValue = StrictStr | StrictInt | StrictFloat | StrictBool
Text = StrictStr | None
Number = StrictInt | StrictFloat | None


class Request(BaseModel):
    """As `callbacks.live.context.Request`."""

    model: StrictStr
    prompt: StrictStr


class Opened(BaseModel):
    """What of the guide is open."""

    preset: Text = None
    lesson: Text = None
    step: StrictInt | None = None


class ExportRequest(BaseModel):
    """As `callbacks.live.export_panel.ExportRequest`."""

    what: StrictStr
    link: StrictStr
    answers: dict[str, StrictStr]


class Part(BaseModel):
    """An input or a state with its value."""

    id: StrictStr | dict[str, IdValue]
    property: StrictStr
    value: Any = None


class Output(BaseModel):
    """Where an answer goes."""

    id: StrictStr | dict[str, IdValue]
    property: StrictStr


class CallbackBody(BaseModel):
    """The body of a POST to `UPDATE_PATH`, as far as anything on the server reads it."""

    output: StrictStr
    outputs: Output | list[Output | list[Output]] | None = None
    inputs: list[Part | list[Part]]
    state: list[Part | list[Part]] = []
    changedPropIds: list[StrictStr] = []


_OF_PROPERTY: Mapping[str, TypeAdapter[Any]] = {
    "n_clicks": TypeAdapter(Number),
    "n_intervals": TypeAdapter(Number),
    "pathname": TypeAdapter(Text),
    "search": TypeAdapter(Text),
    "value": TypeAdapter(Scalar | list[Scalar]),
    "max": TypeAdapter(Number),
    "disabled": TypeAdapter(StrictBool | None),
    "is_open": TypeAdapter(StrictBool | None),
}
# Fields and menus have text, but for those that hold numbers or yes and no.
_FIELD_OF_TEXT = TypeAdapter(Text)
_OTHER_FIELDS = frozenset(
    {
        ids.FORMATION_STEP,
        ids.LAB_DEPTH,
        ids.LAB_K,
        ids.LAB_LENGTH,
        ids.LAB_SEED,
        ids.WRITE_SEED,
        ids.WRITE_TEMPERATURE,
        ids.WRITE_TOKENS,
        ids.WRITE_TOP_K,
        ids.HIDE_FIRST,
        ids.POSITION,
        ids.RANDOM_DRAWS,
    }
)
_OF_STORE: Mapping[str, TypeAdapter[Any]] = {
    ids.REQUEST: TypeAdapter(Request | None),
    ids.WANTED: TypeAdapter(Request | None),
    ids.ABLATED: TypeAdapter(list[StrictStr] | None),
    ids.OPENED: TypeAdapter(Opened | None),
    ids.EXPORT_REQUEST: TypeAdapter(ExportRequest | None),
    ids.PRESSED: TypeAdapter(dict[str, Scalar] | None),
    **{
        name: TypeAdapter(Text)
        for name in (
            ids.SESSION_ID,
            ids.SELECTED,
            ids.LINK,
            ids.GO,
            ids.TYPED,
            ids.LAB_TYPED,
            ids.LAB_LINK,
            ids.COMPARE_LINK,
        )
    },
    **{name: TypeAdapter(Number) for name in (ids.WINDOW, ids.LAB_NEEDLE)},
    **{
        name: TypeAdapter(dict[str, Scalar] | None)
        for name in (ids.COMPARE_WANTED, ids.LAB_WANTED, ids.LAB_SHOWN)
    },
}


class _MisfitError(ValueError):
    pass


def check_body(text: bytes, callbacks: Mapping[str, Mapping[str, Any]]) -> str | None:
    """What is wrong with a body, in a few words; None where a callback can be called with it.

    Args:
        text: the body.
        callbacks: `Dash.callback_map`.
    """
    try:
        read = json.loads(text, parse_constant=_refuse_constant)
        _check_depth([read])
        body = CallbackBody.model_validate(read)
        callback = callbacks.get(body.output)
        # One that the browser answers by itself has none here.
        if callback is None or "callback" not in callback:
            raise _MisfitError("output: no such callback")
        _check_parts("inputs", body.inputs, callback["inputs"])
        _check_parts("state", body.state, callback["state"])
        if not callback.get("no_output"):
            _check_outputs(body.outputs, callback["output"])
        for name in body.changedPropIds:
            # Every id of ours that is not a name has a type.
            key = json.loads(name.rpartition(".")[0]) if name.startswith("{") else {"type": ""}
            if not isinstance(key, dict) or not isinstance(key.get("type"), str):
                raise _MisfitError("changedPropIds: not an id")
    except ValidationError as error:
        return what_is_wrong(error)
    except (ValueError, RecursionError) as error:
        return str(error)
    return None


def _refuse_constant(name: str) -> Any:
    raise _MisfitError(f"{name} is no JSON")


def _check_depth(body: Any) -> None:
    level = [body]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for value in level
            for part in (value.values() if isinstance(value, dict) else value)
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise _MisfitError("nested too deeply")


def _check_parts(where: str, parts: list[Part | list[Part]], wanted: list[dict[str, str]]) -> None:
    if len(parts) != len(wanted):
        raise _MisfitError(f"{where}: {len(parts)} instead of {len(wanted)}")
    for number, (part, spec) in enumerate(zip(parts, wanted, strict=True)):
        name = f"{where}.{number}"
        for one in _several(part, spec["id"], name):
            if one.property != spec["property"] or not _is_id(one.id, spec["id"]):
                raise _MisfitError(f"{name}: not {spec['id']}.{spec['property']}")
            adapter = _value_of(one)
            if adapter is not None:
                try:
                    adapter.validate_python(one.value)
                except ValidationError as error:
                    raise _MisfitError(f"{name}.value: {what_is_wrong(error)}") from error


def _check_outputs(given: Any, wanted: Any) -> None:
    specs = wanted if isinstance(wanted, list | tuple) else [wanted]
    parts = given if isinstance(given, list) and isinstance(wanted, list | tuple) else [given]
    if len(parts) != len(specs):
        raise _MisfitError(f"outputs: {len(parts)} instead of {len(specs)}")
    for number, (part, spec) in enumerate(zip(parts, specs, strict=True)):
        wanted_id = spec.component_id_str()
        for one in _several(part, wanted_id, f"outputs.{number}"):
            if one is None or not _is_id(one.id, wanted_id):
                raise _MisfitError(f"outputs.{number}: not {wanted_id}")
            if one.property.partition("@")[0] != spec.component_property.partition("@")[0]:
                raise _MisfitError(f"outputs.{number}: not of {spec.component_property}")


def _several(part: Any, wanted: str, where: str) -> list[Any]:
    if isinstance(part, list) != ('["ALL"]' in wanted or '["ALLSMALLER"]' in wanted):
        raise _MisfitError(f"{where}: not {wanted}")
    return part if isinstance(part, list) else [part]


def _is_id(given: str | dict[str, Any], wanted: str) -> bool:
    if not wanted.startswith("{"):
        return given == wanted
    pattern = json.loads(wanted)
    return (
        isinstance(given, dict)
        and given.keys() == pattern.keys()
        and all(isinstance(value, list) or given[key] == value for key, value in pattern.items())
    )


def _value_of(part: Part) -> TypeAdapter[Any] | None:
    if part.property == "data":
        if isinstance(part.id, dict):
            return _OF_PROPERTY["pathname"] if part.id.get("type") in ("theme", "analysis-for") else None
        return _OF_STORE.get(part.id)
    if part.property == "value" and isinstance(part.id, str) and part.id not in _OTHER_FIELDS:
        return _FIELD_OF_TEXT
    return _OF_PROPERTY.get(part.property)


def register_body_check(app: Dash) -> None:
    """Check every body before Dash reads it."""
    path = app.config.routes_pathname_prefix + UPDATE_PATH

    @app.server.before_request
    def check() -> Response | None:
        if request.path != path or request.method != "POST":
            return None
        if not request.is_json:
            return refuse(400, SENTENCE, "not JSON")
        wrong = check_body(request.get_data(), app.callback_map)
        return None if wrong is None else refuse(400, SENTENCE, wrong)
