"""The shapes for annotations: none of the Node generation is missing, and those of the wire are what the code makes."""

from __future__ import annotations

import subprocess
import sys
import typing

import pytest

import hull_sdk
from hull_sdk import types
from hull_sdk.outcomes import notification_body
from hull_sdk.wire.flow_control import FlowControl, MessageResult
from hull_sdk.wire.manifest_schema import ManifestSchema, known_keys

#: The exported types of the Node generation, and their counterparts.
COUNTERPARTS = {
    "THullAccount": "AccountReport",
    "THullAccountAttributes": "Attributes",
    "THullAccountIdent": "AccountClaims",
    "THullAttributeValue": "AttributeValue",
    "THullAttributesChanges": "AttributesChanges",
    "THullConnector": "ConnectorObject",
    "THullEvent": "Event",
    "THullObject": "ObjectReport",
    "THullObjectAttributes": "Attributes",
    "THullObjectIdent": "ObjectClaims",
    "THullSegment": "Segment",
    "THullSegmentsChanges": "SegmentChanges",
    "THullUser": "UserReport",
    "THullUserAttributes": "Attributes",
    "THullUserChanges": "Changes",
    "THullUserIdent": "UserClaims",
    "THullUserUpdateMessage": "UserMessage",
}


@pytest.mark.parametrize("name", sorted(set(COUNTERPARTS.values())))
def test_a_shape_of_the_node_generation_has_a_counterpart(name):
    """Each type that connectors import there has one here; a request's context is a class."""
    assert name in types.__all__
    assert hull_sdk.Context


def test_annotating_loads_no_web_framework_and_no_cryptography():
    """Importing the shapes is cheap."""
    code = (
        "import sys, hull_sdk.types; print([m for m in ('flask', 'cryptography', 'marshmallow') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_shape_of_a_manifest_has_the_keys_that_are_checked():
    """What a type checker knows of manifests, settings and schedules is what is checked when they are read."""
    fields = ManifestSchema().fields
    assert set(types.Manifest.__annotations__) == set(known_keys())
    assert set(types.ManifestSetting.__annotations__) == set(fields["settings"].inner.schema.fields)
    assert set(types.ManifestSchedule.__annotations__) == set(fields["schedules"].inner.schema.fields)


def test_the_shape_of_an_answer_is_the_answer():
    """An answer with everything in it has exactly the keys of its shape."""
    result = MessageResult("m-1", "error", "no")
    body = notification_body(FlowControl(type="next", size=5, in_ms=10), errors=[], responses=[result])
    assert set(body) == set(types.SmartNotifierAnswer.__annotations__)
    assert set(body["responses"][0]) == set(types.MessageResponse.__annotations__)
    assert set(body["flow_control"]) <= set(typing.get_type_hints(types.WireFlowControl))
