"""Make the plan's format a JSON Schema, for editors, from the same types as the reader.

A schema cannot express all that the reader checks: which kind a named gateway has, or which target stands
twice.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, inspect

from orchestrator.gateways import KINDS
from orchestrator.model.gateway import GATEWAY_NAME, Coordinate, Gateway
from orchestrator.model.plan import CallBound, PlanHeader, StepSize, Threshold, Wave, Window
from orchestrator.model.settings import Auth, CredentialReference, IamLogin, Tls
from orchestrator.model.text_form import TextForm
from orchestrator.plan import scalars
from orchestrator.plan.auth_forms import AUTH_FORMS, STORE_FORMS, WITH_TEMPORARY_KEYS, list_auth_forms
from orchestrator.plan.keys import READS_VERSION
from orchestrator.plan.records import KeyField, list_keys
from orchestrator.text.characters import STRANGE_SPACES, UNSEEN

Schema = dict[str, Any]

# An editor takes 0123 for a number where the plan means a text, so a text may be any single value.
_TEXT: Schema = {"type": ["string", "number", "boolean"], "minLength": 1}
_PROSE: Schema = {**_TEXT, "pattern": r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$"}
_LINE: Schema = {**_TEXT, "pattern": rf"^(?! )[^{UNSEEN}{STRANGE_SPACES}]*[^ {UNSEEN}{STRANGE_SPACES}]$"}
# A schema sees the pieces of a name as written, but not what `%` may decode to.
_NAME: Schema = {
    **_LINE,
    "not": {"type": "string", "pattern": r"(^|[/\\])\.{0,2}(;|[/\\]|$)"},
}
_EXPERIMENTAL = (
    "Experimental: written from the vendor's public sources and tried against a simulator alone; its keys may"
    " change."
)
# Without a question for calls nothing obeys their bound.
_ASKS_USE: Schema = {"required": ["in_use"], "properties": {"in_use": {"enum": ["warn", "refuse"]}}}
_OPTIONS: dict[str, Schema] = {
    "description": {
        **_PROSE,
        "description": "The text for the vendor's history record.",
        "examples": ["CHG-1042 retired"],
    },
    "persistent": {"type": "boolean", "description": "Keep the history record for good.", "examples": [True]},
    "after": {
        "type": "array",
        "items": {"type": "string", "pattern": "^[^/]+/.+$"},
        "uniqueItems": True,
        "description": "Ids of the targets that go first, of the same or an earlier wave.",
        "examples": [["apim/Retail/petstore-api/test"]],
    },
}
_HTTPS = "[hH][tT][tT][pP][sS]"
"""The scheme of an address, whose case does not count."""
_HOST = r"(?:(?![/?#@\\])[!-~])+"
_PATH = r"(?:(?![?#@\\])[!-~])*"
# Not the format "date-time": editors want the seconds of it, and many programs do not look at it at all.
_TIME: Schema = {
    "type": "string",
    "pattern": r"^2[0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]"
    r"(:[0-5][0-9](\.[0-9]{1,6})?)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
    # A word of editors, which show it in place of the expression.
    "patternErrorMessage": "A time with its offset from UTC is expected, such as 2026-11-22T22:00:00+03:00.",
}
_SHARE = r"(100(\.0{1,6})?|0?[0-9]{1,2}(\.[0-9]{1,6})?)%"
_NOT_ZERO = "(?![0.]+[^0-9.])"
"""Before a number with a unit: it is more than nothing."""
_OF_GATEWAY: Schema = {
    **_TEXT,
    "description": "The name of a gateway of this plan.",
    "examples": ["roma-eu", "apim"],
}
_VERSION: Schema = {
    "type": "integer",
    "minimum": READS_VERSION,
    "maximum": READS_VERSION,
    "description": f"The version of the plan's format: {READS_VERSION}.",
    "examples": [READS_VERSION],
}
_TABLE: Schema = {
    "type": "string",
    "pattern": r"\.([cC][sS][vV]|[jJ][sS][oO][nN][lL])$",
    "description": "A table of targets: CSV with a header of their keys, or JSON lines.",
    "examples": ["retired.csv", "retired.jsonl"],
}
_TARGETS_EXAMPLES = [
    [{"gateway": "roma-eu", "from_file": "retired.csv"}],
    [{"gateway": "apim", "project": "Retail", "proxies": ["orders-api"], "environments": ["test"]}],
]
_FORMS: dict[str, Schema] = {
    "account": _LINE,
    "argument": _PROSE,
    "duration": {"type": "string", "pattern": f"^{_NOT_ZERO}{scalars.DURATION}$"},
    "index": {**_TEXT, "pattern": f"^{scalars.INDEXES}$"},
    "keyring": {"type": "string", "pattern": r"^.+/[^/]+$"},
    "path": _PROSE,
    "pattern": {"type": "string", "minLength": 1},
    "prose": _PROSE,
    "proxy": {"type": "string", "pattern": f"^{_HTTPS}?://{_HOST}/?$"},
    "rate": {"type": "string", "pattern": f"^{_NOT_ZERO}{scalars.RATE}$"},
    "url": {"type": "string", "pattern": f"^{_HTTPS}?://{_HOST}(/{_PATH})?$"},
    "variable": {**_TEXT, "pattern": f"^{scalars.VARIABLE}$"},
}


def _want_https(*keys: str) -> Schema:
    """Return the schema of a mapping that has an https address under the last of ``keys``."""
    first, *rest = keys
    inner = _want_https(*rest) if rest else {"type": "string", "pattern": f"^{_HTTPS}://"}
    return {"properties": {first: inner}, "required": [first]}


_TLS_WANTS_HTTPS: Schema = {
    "tls": {"anyOf": [_want_https("url"), _want_https("proxy"), _want_https("auth", IamLogin.KEY, "url")]}
}


def make_plan_schema() -> Schema:
    """Return the schema of a plan, in the form of JSON Schema 2020-12."""
    top = _make_record(PlanHeader)
    waves = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/wave"}}
    targets = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/target"}}
    top["properties"] = {"version": _VERSION, **top["properties"]}
    top["required"].insert(0, "version")
    top["properties"]["gateways"] = _make_gateways()
    top["properties"] |= {
        "waves": {
            **waves,
            "description": "Waves go one after the other.",
            "examples": [[{"name": "everything", "targets": _TARGETS_EXAMPLES[0]}]],
        },
        "targets": {**targets, "description": "Short for one wave.", "examples": _TARGETS_EXAMPLES},
    }
    top["required"].append("gateways")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A plan for undeploy",
        **top,
        "oneOf": [{"required": ["waves"]}, {"required": ["targets"]}],
        "dependentSchemas": {"in_use_over": _ASKS_USE},
        "$defs": _make_definitions(targets),
    }


def _make_gateways() -> Schema:
    example = {"kind": "apinizer", "url": "https://apim.example.com", "auth": {"token": {"env": "TOKEN"}}}
    return {
        "type": "object",
        "description": "The installations that are talked to, by name.",
        "examples": [{"apim": example}],
        "minProperties": 1,
        "propertyNames": {"pattern": f"^{GATEWAY_NAME.pattern}$"},
        "additionalProperties": {"oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in KINDS]},
    }


def _make_definitions(targets: Schema) -> Schema:
    wave = _make_record(Wave)
    texts = {"description": "What the wave takes offline.", "examples": _TARGETS_EXAMPLES}
    wave["properties"]["targets"] = targets | texts
    wave["required"].append("targets")
    entries = [{"$ref": f"#/$defs/{kind}-target"} for kind in KINDS]
    return {
        "wave": wave,
        "target": {"anyOf": [*entries, {"$ref": "#/$defs/file"}]},
        "file": {
            "type": "object",
            "properties": {"gateway": _OF_GATEWAY, "from_file": _TABLE},
            "required": ["gateway", "from_file"],
            "additionalProperties": False,
        },
        **{name: _make_gateway(name, kind) for name, kind in KINDS.items()},
        **{f"{name}-target": _make_target(kind) for name, kind in KINDS.items()},
    }


def _make_gateway(name: str, kind: type[Gateway]) -> Schema:
    schema = _make_record(kind)
    # A gateway's name is the key that it stands under, and none of its own keys.
    del schema["properties"]["name"]
    schema["required"].remove("name")
    schema["properties"] = {"kind": _make_kind(name), **schema["properties"]}
    if kind.EXPERIMENTAL:
        schema["description"] = _EXPERIMENTAL
    schema["required"].insert(0, "kind")
    schema["properties"]["auth"] = _make_auth(kind) | _describe(list_keys(Gateway)["auth"])
    schema["dependentSchemas"] = _TLS_WANTS_HTTPS
    if "usage" in schema["properties"]:
        store = schema["properties"]["usage"]["properties"]["elasticsearch"]
        store["dependentSchemas"] = _TLS_WANTS_HTTPS
        store["properties"]["auth"]["oneOf"] = [{"required": list(way)} for way in STORE_FORMS]
        store["properties"]["auth"]["dependentRequired"] = {"user": ["password"], "password": ["user"]}
    return schema


def _make_kind(name: str) -> Schema:
    return {"const": name, "description": "The platform: its keys and its targets.", "examples": [name]}


def _make_auth(kind: type[Gateway]) -> Schema:
    schema = _make_record(Auth)
    schema["properties"] = {key: value for key, value in schema["properties"].items() if key in kind.AUTH}
    schema["oneOf"] = [{"required": list(way)} for way in list_auth_forms(kind)]
    keys = AUTH_FORMS[-1]
    schema["dependentRequired"] = {
        key: list(keys) for key in (*keys, WITH_TEMPORARY_KEYS) if key in kind.AUTH
    }
    return schema


def _make_target(kind: type[Gateway]) -> Schema:
    properties: Schema = {"gateway": _OF_GATEWAY}
    for coordinate in kind.COORDINATES:
        one = _make_coordinate(coordinate)
        examples = list(coordinate.examples)
        properties[coordinate.name] = {**one, "description": coordinate.doc, "examples": examples}
        if coordinate.plural:
            properties[coordinate.plural] = {
                "type": "array",
                "minItems": 1,
                "items": one,
                "description": f"Several of {coordinate.name}: a target for each one.",
                "examples": [examples],
            }
    properties |= {name: _OPTIONS[name] for name in (*kind.OPTIONS, "after")}
    return {
        "type": "object",
        "properties": properties,
        "required": ["gateway"],
        "allOf": [_require_either(coordinate) for coordinate in kind.COORDINATES],
        "additionalProperties": False,
    }


def _make_coordinate(coordinate: Coordinate) -> Schema:
    return _NAME if coordinate.form is None else _make_formed(coordinate.form)


def _make_formed(form: TextForm) -> Schema:
    return {**_TEXT, "pattern": f"^(?:{form.pattern})$"}


def _require_either(coordinate: Coordinate) -> Schema:
    names = [name for name in (coordinate.name, coordinate.plural) if name]
    return {"oneOf": [{"required": [name]} for name in names]}


def _make_record(cls: type[Struct]) -> Schema:
    if cls in {Threshold, StepSize}:
        more_than_nothing = _NOT_ZERO if cls is StepSize else ""
        share = {"type": "string", "pattern": f"^{more_than_nothing}{_SHARE}$"}
        return {"anyOf": [share, {"type": "integer", "minimum": int(cls is StepSize)}]}
    if cls is CallBound:
        hours = "|".join(map(str, range(1, scalars.MOST_HOURS + 1)))
        return {"type": "string", "pattern": f"^{scalars.CALLS}/(?=[0-9]{{1,9}}h$)0*({hours})h$"}
    fields = list_keys(cls)
    properties = {key: _make_value(field.type) | _describe(field) for key, field in fields.items()}
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    schema["required"] = [key for key, field in fields.items() if field.required]
    if cls is CredentialReference:
        schema |= {"minProperties": 1, "maxProperties": 1}
    if cls is Window:
        schema["minProperties"] = 1
    if cls is Tls:
        schema["dependentRequired"] = {"key_file": ["cert_file"]}
    return schema


def _describe(field: KeyField) -> Schema:
    """Return the words that an editor shows for a key, as far as it has some."""
    texts = {"description": field.description, "examples": list(field.examples)}
    return {name: text for name, text in texts.items() if text}


def _make_value(kind: inspect.Type) -> Schema:
    match kind:
        case inspect.StructType(cls=cls):
            return _make_record(cls)
        case inspect.VarTupleType(item_type=inspect.Metadata(extra={"form": str(form)}) as item):
            # A list of arguments begins with a program; a list of patterns may be empty.
            return {"type": "array", "items": _make_value(item), "minItems": int(form == "argument")}
        case inspect.VarTupleType(item_type=inspect.StructType(cls=cls) as item) if cls is StepSize:
            whole = {"type": "string", "pattern": r"^100(\.0+)?%$"}
            return {"type": "array", "items": _make_value(item), "minItems": 1, "contains": whole}
        case inspect.VarTupleType(item_type=item):
            return {"type": "array", "items": _make_value(item), "minItems": 1}
        case inspect.Metadata(extra={"form": TextForm() as form}):
            return _make_formed(form)
        case inspect.Metadata(extra={"form": str(form)}):
            return dict(_FORMS[form])
        case inspect.Metadata(type=inner, extra_json_schema=more):
            return _make_value(inner) | (more or {})
    return _make_single(kind)


def _make_single(kind: inspect.Type) -> Schema:
    match kind:
        case inspect.StrType(pattern=None):
            return dict(_LINE)
        case inspect.IntType(ge=low, le=high):
            bounds = {"minimum": low, "maximum": high}
            return {"type": "integer"} | {key: value for key, value in bounds.items() if value is not None}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.LiteralType(values=allowed):
            return {"enum": list(allowed)}
        case inspect.DateTimeType():
            return dict(_TIME)
        case _:
            raise TypeError(f"the plan has no form for {kind}")
