"""The examination: what is checked, in which order, and how each fault is mended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from hull_sdk.core.runtime import Runtime
from hull_sdk.doctor import addresses, delivery, pages, signatures
from hull_sdk.doctor.findings import Examination, Finding, Seen
from hull_sdk.doctor.organization import Organization
from hull_sdk.doctor.patient import Options, Patient
from hull_sdk.doctor.stranger import Stranger

__all__ = ["CHECKS", "DEFAULT_HOST", "DEFAULT_PORT", "Check", "Options", "examine"]

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8899


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Args:
        name: Of the fault that it finds, for example ``"unbound-body"``.
        rule: What must hold.
        mend: What to do about the fault, in an app of this package and in any other.
        look: Looks for the fault.
    """

    name: str
    rule: str
    mend: str
    look: Callable[[Patient], Seen]


#: In the order in which they are done; the one that takes long comes last.
CHECKS: Final = (
    Check(
        "foreign-key-url",
        "the key that checks a notification comes from an allowed host only",
        "compare the host of X-Hull-Smart-Notifier-Signature-Public-Key-Url with your list before you fetch it; with "
        "hull-sdk: leave skip_signature_validation off, and write exact hosts into allowed_organizations",
        signatures.foreign_key_url,
    ),
    Check(
        "unbound-body",
        "a signature holds for one notification and for the bytes that were signed",
        "compare body_sha256 of the signature with the SHA-256 of the raw body, and jti with notification_id; with "
        "hull-sdk: leave accept_unbound_signatures off",
        signatures.unbound_body,
    ),
    Check(
        "replay",
        "a signature is good from its iat to its exp, give or take a minute of clock skew",
        "check iat and exp of the signature; libraries for tokens do when they are not told otherwise",
        signatures.replay,
    ),
    Check(
        "alg-none",
        "signatures are RS256, whatever the token says of itself",
        'give the library the list of algorithms, ["RS256"] for signatures; never take it from the token',
        signatures.alg_none,
    ),
    Check(
        "organization-ssrf",
        "nobody but allowed hosts is called, wherever an address came from",
        "compare the organization with your list before the first call, however it arrived, and those of files too; "
        "with hull-sdk: set allowed_organizations, and make calls to addresses that came in with ServiceSession",
        addresses.organization_ssrf,
    ),
    Check(
        "open-redirect",
        "no request decides which host a browser is led to",
        "redirect to paths of your own and to addresses that you configured, not to what a parameter says",
        addresses.open_redirect,
    ),
    Check(
        "no-size-limit",
        "a body is refused with 413 before it is in memory: 20 MiB for a notification",
        "refuse by Content-Length, and stop reading at the limit when there is none; with Flask: MAX_CONTENT_LENGTH, "
        "which Connector.setup_app sets",
        delivery.no_size_limit,
    ),
    Check(
        "secret-in-error-page",
        "an answer that tells of an error holds no secret, and no stack trace",
        "answer errors with a fixed text and log the rest; turn the debug mode off; with hull-sdk: let setup_app "
        "answer errors, and mask what your own error handlers write",
        pages.secret_in_error_page,
    ),
    Check(
        "status-always-ok",
        "the status is not ok when the connector cannot work",
        "check in the status what the connector needs: that the keys are there, and that the service takes them; "
        "with hull-sdk: functions for status_handler",
        pages.status_always_ok,
    ),
    Check(
        "next-before-flush",
        "a notification is answered next once the organization has taken what its handler wrote",
        "wait for the answers to what you send before you answer; with hull-sdk: send through ctx.client, within "
        "smart_notifier_handler",
        delivery.next_before_flush,
    ),
    Check(
        "double-run",
        "a notification that is delivered again is not handled again",
        "remember notification_id while you handle it and for a day after; with several processes in a store that they "
        "share (HULL_REDIS_URL with hull-sdk)",
        delivery.double_run,
    ),
    Check(
        "no-deadline",
        "a connector answers within 30 s, also while Hull does not answer",
        "set time limits for outgoing calls, and answer retry when a handler takes longer than 25 s; with hull-sdk: "
        "keep timeout_s below 30, and the server's threads above the number of notifications",
        delivery.no_deadline,
    ),
)


def examine(
    url: str,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    options: Options | None = None,
    tell: Callable[[str], None] = lambda _text: None,
) -> Examination:
    """Examine a running connector, which must allow the organization ``host:port``.

    Args:
        url: Its address, for example ``"http://127.0.0.1:8082"``.
        host: Where the organization listens, and how the connector dials it.
        port: Its port; 0 for a free one. A second listener, which nobody allows, takes the next one.
        options: What the owner says of the connector.
        tell: Is told how far it is, in words.

    Returns:
        What was found.

    Raises:
        HullError: The connector does not answer, has no manifest, or does not take good notifications.
        InvalidArgumentError: The address cannot be listened on.
    """
    runtime = Runtime.system()
    started = runtime.clock.monotonic()
    with ExitStack() as stack:
        organization = Organization(runtime)
        stack.callback(organization.close)
        organization.start(host, port)
        stranger = Stranger(runtime, host, port and port + 1)
        stack.callback(stranger.close)
        tell(f"the organization is {organization.host}; allow it: HULL_ALLOWED_ORGANIZATIONS={organization.host}")
        patient = Patient(url, organization, stranger, runtime, Options() if options is None else options)
        patient.meet()
        findings = [_check(check, patient, tell) for check in CHECKS]
        return Examination(patient.visitor.url, organization.host, findings, runtime.clock.monotonic() - started)


def _check(check: Check, patient: Patient, tell: Callable[[str], None]) -> Finding:
    tell(check.name)
    seen = check.look(patient)
    if seen.verdict == "fail":
        # What a handler writes late, after a notification that should not have been believed, is not the next check's.
        patient.runtime.tasks.sleep(patient.options.pause_s)
    return Finding(check.name, check.rule, seen, check.mend)
