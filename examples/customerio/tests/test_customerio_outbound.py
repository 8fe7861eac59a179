"""From Hull to Customer.io: scenarios that state everything."""

from __future__ import annotations

import pytest

AT = "2026-05-01T10:00:00Z"
PRO = {"id": "5a7962e2793d3e942a03b201", "name": "Pro"}
BIG = {"id": "5a7962e2793d3e942a03b202", "name": "Big"}
USER = {
    "id": "5a7962e2793d3e942a03b29d",
    "external_id": "u/1",
    "email": "ann@acme.example",
    "created_at": AT,
    "anonymous_ids": ["crm:7", "a-1", "a-2"],
    "traits_plan": "pro",
    "traits_crm/last_call_at": "2026-04-30T08:00:00.500Z",
    "traits_birth_date": 946684800000,
    "traits_note": "ä" * 11,
    "traits_gone": None,
}
ACCOUNT = {"id": "5a7962e2793d3e942a03b29e", "external_id": "g-1", "domain": "acme.example", "crm/size": 7}
ORDER = {
    "event_id": "e-1",
    "event": "Order Completed",
    "created_at": AT,
    "event_source": "shop",
    "properties": {"total": 5},
    "context": {"page": {"url": "https://acme.example/cart"}, "referrer": {"url": "https://search.example/"}},
}
PAGE = {**ORDER, "event_id": "01E4C4CT6YDC7Y5M7FE1GWWPQJ", "event": "page", "properties": {"name": "Cart"}}
UNTITLED = {**ORDER, "event_id": "e-3", "event": "page", "properties": {}, "context": {}}
LOOP = {**ORDER, "event_id": "e-4", "event": "Email Sent", "event_source": "customerio"}
SENT = {**USER, "traits_customerio/id": "u/1", "traits_customerio/created_at": AT, "traits_customerio/hash": "old"}
NOBODY = {"id": USER["id"], "anonymous_ids": ["crm:7", "a-1", "a-2"]}

SOME = {"site_id": "site-1", "api_key": "key-1"}
ALL = {**SOME, "synchronized_segments": ["ALL"]}
LISTED = {**SOME, "synchronized_segments": [PRO["id"]]}
EVENTS = {**ALL, "events_filter": ["Order Completed", "page", "Email Sent"]}
ATTRIBUTES = [
    "plan",
    "traits_crm/last_call_at",
    "birth_date",
    "note",
    "traits_gone",
    "id",
    "account.crm/size",
    "_update",
]

#: Private settings, and the message.
CASES = {
    "insert": (ALL, {"user": USER, "segments": [PRO, BIG]}),
    "update": (ALL, {"user": SENT}),
    "attributes": ({**ALL, "synchronized_attributes": ATTRIBUTES}, {"user": USER, "account": ACCOUNT}),
    "attribute-cleared": ({**ALL, "synchronized_attributes": ["gone"]}, {"user": SENT}),
    "limits": (
        {
            **ALL,
            "synchronized_attributes": ATTRIBUTES,
            "max_attribute_name_length": 16,
            "max_attribute_value_length": 20,
        },
        {"user": USER, "segments": [PRO, BIG]},
    ),
    "events": (EVENTS, {"user": SENT, "events": [ORDER, PAGE, UNTITLED]}),
    "unlisted-event": ({**EVENTS, "events_filter": ["page"]}, {"user": USER, "events": [ORDER, PAGE]}),
    "no-events": (ALL, {"user": USER, "events": [ORDER]}),
    "event-from-customerio": (EVENTS, {"user": USER, "events": [LOOP]}),
    "whitelisted": (LISTED, {"user": USER, "segments": [PRO]}),
    "not-whitelisted": (LISTED, {"user": USER, "segments": [BIG], "events": [ORDER]}),
    "nobody-whitelisted": (SOME, {"user": USER, "segments": [PRO]}),
    "leaves": (LISTED, {"user": SENT, "segments": [BIG]}),
    "leaves-and-is-deleted": ({**LISTED, "enable_user_deletion": True}, {"user": SENT, "segments": [BIG]}),
    "leaves-and-was-deleted": (
        {**LISTED, "enable_user_deletion": True},
        {"user": {**USER, "traits_customerio/deleted_at": AT}, "segments": [BIG]},
    ),
    "leaves-and-was-never-sent": ({**LISTED, "enable_user_deletion": True}, {"user": USER, "segments": [BIG]}),
    "comes-back": (LISTED, {"user": {**USER, "traits_customerio/deleted_at": AT}, "segments": [PRO]}),
    "suppressed": (EVENTS, {"user": {**SENT, "traits_customerio/suppressed_at": AT}, "events": [ORDER]}),
    "hull-id": ({**ALL, "user_id_mapping": "id"}, {"user": USER}),
    "no-customer-id": ({**ALL, "user_id_mapping": "crm/id"}, {"user": USER}),
    "long-customer-id": (ALL, {"user": {**USER, "external_id": "x" * 151}}),
    "half-a-letter": (ALL, {"user": {**USER, "external_id": "u\ud800"}}),
    "no-email": (EVENTS, {"user": NOBODY, "events": [ORDER]}),
    "anonymous": ({**EVENTS, "anonymous_events": True}, {"user": NOBODY, "events": [ORDER, PAGE]}),
    "anonymous-without-events": ({**EVENTS, "anonymous_events": True}, {"user": NOBODY}),
    "no-longer-anonymous": ({**ALL, "anonymous_events": True}, {"user": USER}),
    "lost-its-address": (ALL, {"user": {**SENT, "email": None}}),
    "europe": ({**ALL, "region": "eu"}, {"user": USER}),
    "no-credentials": ({"synchronized_segments": ["ALL"]}, {"user": USER}),
    "wrong-credentials": ({**ALL, "api_key": "key-2"}, {"user": USER}),
}


@pytest.mark.parametrize("name", CASES)
def test_message(installed, customerio, hull_scenario, name):
    """Each message with all that it does: calls of Customer.io, what is written back, logged, counted and answered."""
    private, message = CASES[name]
    harness = installed(**private)
    harness.service("track-eu.customer.io", customerio)
    with hull_scenario(harness, settle=False):
        harness.notify("user:update", [message])
