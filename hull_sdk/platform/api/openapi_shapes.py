"""JSON Schemas out of the declarations that the code already has, and words to write the others in.

A typed dictionary or a dataclass of the wire and a schema of marshmallow say what a document holds; here they are read,
so that the description of the API cannot say something else.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, Final, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

from marshmallow import Schema, fields, validate

__all__ = [
    "ANYTHING",
    "BOOLEAN",
    "COUNT",
    "MOMENT",
    "OBJECT",
    "TEXT",
    "Shape",
    "declared",
    "extended",
    "list_of",
    "map_of",
    "maybe",
    "one_of",
    "record",
    "reference",
    "settings_shape",
]

#: A JSON Schema.
Shape = dict[str, Any]

ANYTHING: Final[Shape] = {}
TEXT: Final[Shape] = {"type": "string"}
BOOLEAN: Final[Shape] = {"type": "boolean"}
OBJECT: Final[Shape] = {"type": "object"}
COUNT: Final[Shape] = {"type": "integer", "minimum": 0}
#: A time that the platform writes.
MOMENT: Final[Shape] = {"type": "string", "format": "date-time"}

_SCALARS: Final[Mapping[Any, Shape]] = {
    str: TEXT,
    bool: BOOLEAN,
    int: {"type": "integer"},
    float: {"type": "number"},
    NoneType: {"type": "null"},
    Any: ANYTHING,
}


def reference(name: str) -> Shape:
    """Return a schema that points to a named one."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(items: Shape) -> Shape:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def map_of(values: Shape) -> Shape:
    """Return the schema of an object with names of anybody's choice."""
    return {"type": "object", "additionalProperties": values}


def maybe(shape: Shape) -> Shape:
    """Return a schema that also takes ``null``."""
    return {"anyOf": [shape, {"type": "null"}]}


def one_of(values: Sequence[Any]) -> Shape:
    """Return the schema of one of some texts or numbers."""
    return {"enum": list(values)}


def record(required: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None, *, open: bool = False) -> Shape:  # noqa: A002 - the opposite of closed
    """Return the schema of an object.

    Args:
        required: What must be there.
        optional: What may be there.
        open: ``True`` takes further names too.
    """
    shape: Shape = {"type": "object", "properties": {**required, **(optional or {})}}
    if required:
        shape["required"] = list(required)
    return shape if open else {**shape, "additionalProperties": False}


def extended(shape: Shape, required: Mapping[str, Shape]) -> Shape:
    """Return the schema of an object with further names, which replace those of the same name."""
    names = [*shape.get("required", []), *(name for name in required if name not in shape.get("required", []))]
    return {**shape, "properties": {**shape["properties"], **required}, "required": names}


def declared(what: Any, *, open: bool = False, without: Container[str] = ()) -> Shape:  # noqa: A002 - as above
    """Return the schema of a typed dictionary, a dataclass or an annotation.

    Args:
        what: For example ``hull_sdk.wire.notifications.Event`` or ``list[str] | None``.
        open: ``True`` takes further names too.
        without: Names of a record that are left out.
    """
    if isinstance(what, type) and (is_dataclass(what) or hasattr(what, "__total__")):
        return _declared_record(what, open=open, without=without)
    origin, arguments = get_origin(what), get_args(what)
    if origin in {Union, UnionType}:
        return {"anyOf": [declared(each) for each in arguments]}
    if origin is Literal:
        return one_of(arguments)
    if origin in {list, tuple, Sequence}:
        return list_of(declared(arguments[0]))
    if origin in {dict, Mapping}:
        return map_of(declared(arguments[1]))
    return _SCALARS[what]


def settings_shape(schema: Schema) -> Shape:
    """Return the JSON Schema of a schema of marshmallow, as far as the organization's settings make use of it.

    Args:
        schema: An instance.
    """
    return record({}, {name: _field_shape(field) for name, field in schema.fields.items()})


def _declared_record(what: type, *, open: bool, without: Container[str]) -> Shape:  # noqa: A002 - as above
    required, optional = {}, {}
    hints = get_type_hints(what, include_extras=True)
    for name, hint in ((name, hint) for name, hint in hints.items() if name not in without):
        if get_origin(hint) is NotRequired:
            optional[name] = declared(get_args(hint)[0])
        elif getattr(what, "__total__", True):
            required[name] = declared(hint)
        else:
            optional[name] = declared(hint)
    return record(required, optional, open=open)


def _field_shape(field: fields.Field[Any]) -> Shape:
    shape = _plain_field(field)
    for rule in field.validators:
        if isinstance(rule, validate.Length) and rule.min is not None:
            shape["minLength"] = rule.min
        if isinstance(rule, validate.Range) and rule.min is not None:
            shape["minimum"] = rule.min
    return maybe(shape) if field.allow_none else shape


def _plain_field(field: fields.Field[Any]) -> Shape:
    if isinstance(field, fields.List):
        return list_of(_field_shape(field.inner))
    if isinstance(field, fields.Nested):
        return settings_shape(field.schema)
    known = {fields.String: TEXT, fields.Integer: {"type": "integer"}, fields.Boolean: BOOLEAN}
    return dict(known[type(field)])
