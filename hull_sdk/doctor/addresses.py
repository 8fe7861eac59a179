"""Checks of where a connector can be led: organizations, files and redirects of strangers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote, urlencode

from hull_sdk.core import json
from hull_sdk.doctor.findings import Seen, failed, passed
from hull_sdk.doctor.letters import unsigned
from hull_sdk.doctor.patient import Patient
from hull_sdk.doctor.visitor import Answer

__all__ = ["open_redirect", "organization_ssrf"]

#: A host that nobody has.
_EVIL: Final = "doctor-evil.example"
#: Parameters that applications redirect to.
_PARAMETERS: Final = (
    "redirect", "redirect_uri", "redirect_url", "redirect_to", "redirectTo", "return", "return_to", "returnTo",
    "return_url", "returnUrl", "next", "url", "continue", "callback", "callback_url", "dest", "destination", "target",
    "to", "goto", "back", "referer", "state", "success_url", "failure_url",
)  # fmt: skip
_FORMS: Final = (f"https://{_EVIL}/", f"//{_EVIL}/", f"/\\{_EVIL}/", f"https:{_EVIL}")
#: Paths that connectors often have beside those of the manifest.
_USUAL_PATHS: Final = ("/", "/admin", "/auth", "/login", "/logout", "/oauth", "/callback")
_BELOW: Final = ("/login", "/callback", "/success", "/failure", "/logout")
#: Redirects by a page instead of a header.
_IN_PAGE: Final = re.compile(
    rb"""(?:http-equiv=["']?refresh[^>]*url=|location(?:\.href)?\s*=\s*|location\.replace\()\s*["']?(?:https?:)?[\\/]*"""
    + re.escape(_EVIL).encode(),
    re.IGNORECASE,
)


def open_redirect(patient: Patient) -> Seen:
    """Ask every path to lead to a host that was named in the request."""
    tried = 0
    for target in _redirect_targets(patient):
        answer = patient.visitor.ask("GET", target)
        tried += 1
        if _leads_away(answer):
            return failed(f"GET {target.partition('?')[0]} leads to {_EVIL}, as the request asked")
    return passed(f"{tried} requests that named another host were led nowhere")


def _redirect_targets(patient: Patient) -> Iterator[str]:
    paths = list(dict.fromkeys([*patient.paths, *_USUAL_PATHS]))
    admin = [path for path in paths if path in _USUAL_PATHS or path == patient.manifest.get("admin")]
    below = [f"{path.rstrip('/')}{end}" for path in admin if path not in ("/", "/login", "/logout") for end in _BELOW]
    for path in dict.fromkeys([*paths, *below]):
        for form in _FORMS:
            asked = urlencode(dict.fromkeys(_PARAMETERS, form))
            for query in (asked, f"{patient.query()}&{asked}"):
                yield f"{path}{'&' if '?' in path else '?'}{query}"
    yield from (f"//{_EVIL}/%2e%2e", f"/%5c{_EVIL}/%2e%2e", f"//{_EVIL}")


def _leads_away(answer: Answer) -> bool:
    location = answer.headers.get("location", "") or answer.headers.get("refresh", "").partition("url=")[2]
    target = location.strip().replace("\\", "/")
    away = re.match(rf"(?:https?:)?/*{re.escape(_EVIL)}", target, re.IGNORECASE)
    # A path of its own, such as "/doctor-evil.example", stays here.
    stays = target.startswith("/") and not target.startswith("//")
    return (away is not None and not stays) or _IN_PAGE.search(answer.body) is not None


def organization_ssrf(patient: Patient) -> Seen:
    """Name a host that is not allowed as the organization, as a file, and as what is to be confirmed."""
    ways: dict[str, Callable[[Patient], None]] = {
        "the organization in the query": _in_query,
        "the organization in a token": _in_token,
        "the organization in a notification's body": _in_body,
        "the address of an extract": _as_file,
        "the SubscribeURL of a legacy notification": _as_confirmation,
    }
    for name, lead in ways.items():
        before = patient.stranger.visits
        lead(patient)
        # What was led astray may go there in the background.
        if name == "the address of an extract":
            patient.runtime.tasks.sleep(patient.options.pause_s)
        if patient.stranger.visits > before:
            return failed(f"{name} had the connector call {patient.stranger.host}, which is not allowed")
    return passed(f"a host that is not allowed was not called, by none of {len(ways)} ways")


def _in_query(patient: Patient) -> None:
    connector = patient.install({})
    for path in patient.paths:
        for method in ("POST", "GET"):
            patient.call(path, patient.query(connector, organization=patient.stranger.host), method=method)


def _in_token(patient: Patient) -> None:
    claims = patient.credentials(patient.install({}), organization=patient.stranger.host)
    for path in patient.paths:
        for name in ("hullToken", "token", "state"):
            patient.call(path, f"{name}={quote(unsigned('none', claims))}", method="GET")


def _in_body(patient: Patient) -> None:
    for host in (patient.stranger.host, f"{patient.organization.host}@{patient.stranger.host}"):
        patient.deliver(patient.letter(patient.writing_channel, organization=host))


def _as_file(patient: Patient) -> None:
    body = json.dumps(
        {"url": f"http://{patient.stranger.host}/file.json", "format": "json", "object_type": "user_report"}
    )
    for path in dict.fromkeys([patient.notifications, "/batch", "/batch-accounts"]):
        patient.call(path, patient.query(), body=body)


def _as_confirmation(patient: Patient) -> None:
    address = f"http://{patient.stranger.host}/confirm"
    message = {
        "Type": "SubscriptionConfirmation",
        "MessageId": patient.runtime.ids.uuid(),
        "Message": "confirm",
        "Token": "t",
        "TopicArn": "arn:aws:sns:us-east-1:1:doctor",
        "Timestamp": "2024-01-05T10:00:00.000Z",
        "SubscribeURL": address,
        "SigningCertURL": address,
        "SignatureVersion": "1",
        "Signature": "c2lnbmF0dXJl",
    }
    headers = {"X-Amz-Sns-Message-Type": "SubscriptionConfirmation", "Content-Type": "text/plain"}
    for path in dict.fromkeys([patient.notifications, *patient.paths]):
        patient.visitor.ask("POST", f"{path}?{patient.query()}", headers=headers, body=json.dumps(message))
