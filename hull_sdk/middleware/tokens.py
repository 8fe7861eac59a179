"""Encrypted context tokens: credentials that may travel through links, webhooks and third parties.

Rules: section "Credentials of a connector's endpoint" of ``docs/protocol.md``. A token is encrypted and signed
with a key that is derived from the host secret and the purpose, so one made for an OAuth state opens nothing else.
The Node generation's tokens are signed with the host secret, readable and good for everything; they are only read.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Final, get_args

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hull_sdk.context import Credentials, TokenPurpose
from hull_sdk.core import json
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import CredentialsError, InvalidArgumentError
from hull_sdk.wire.tokens import verify

__all__ = ["MIN_SECRET_CHARS", "OAUTH_TTL_S", "ContextTokens", "host_secrets"]

_PURPOSES: Final[tuple[TokenPurpose, ...]] = get_args(TokenPurpose)
#: How long the state of an authorization is good for, in seconds; other services see it.
OAUTH_TTL_S: Final = 600

#: Shorter host secrets can be guessed by whoever has a token.
MIN_SECRET_CHARS: Final = 16
_KEY_BYTES: Final = 32
_KEY_INFO: Final = b"hull-sdk context token v1: "
_FIELDS: Final = ("id", "organization", "secret")


def host_secrets(value: str | Iterable[str] | None) -> tuple[str, ...]:
    """Read the option ``host_secret``.

    Args:
        value: One secret, or several for rotation: the first encrypts, all decrypt; ``None`` for none.

    Raises:
        InvalidArgumentError: A secret is empty or no text; the message never shows it.
    """
    if value is None:
        return ()
    secrets = (value,) if isinstance(value, str) else tuple(value)
    if not secrets or not all(isinstance(secret, str) and secret.strip() for secret in secrets):
        raise InvalidArgumentError(
            "host_secret is empty or holds something that is no text; pass a long random text, "
            "or a list of them with the newest first"
        )
    return secrets


class ContextTokens:
    """Encrypts credentials and decrypts them again.

    Args:
        secrets: Host secrets, the newest first; without any, no tokens are made or read.
        runtime: Tells the time that tokens carry.
    """

    def __init__(self, secrets: tuple[str, ...], runtime: Runtime) -> None:
        self._secrets = secrets
        self._runtime = runtime
        self._boxes = {purpose: _box(secrets, purpose) for purpose in _PURPOSES} if secrets else {}

    def __repr__(self) -> str:
        return f"ContextTokens({'set' if self._boxes else 'no host secret'})"

    @property
    def can_be_guessed(self) -> bool:
        """``True`` when a host secret is so short that a token tells it to whoever tries long enough."""
        return any(len(secret) < MIN_SECRET_CHARS for secret in self._secrets)

    def encrypt(self, credentials: Mapping[str, str], purpose: TokenPurpose) -> str | None:
        """Return a token.

        Args:
            credentials: Id, organization and secret.
            purpose: What it may be used for.

        Returns:
            Text that is safe in a URL, or ``None`` without a host secret.

        Raises:
            InvalidArgumentError: The purpose is unknown.
        """
        if purpose not in _PURPOSES:
            raise InvalidArgumentError(f"a token's purpose is {purpose!r}; use one of {', '.join(_PURPOSES)}")
        box = self._boxes.get(purpose)
        if box is None:
            return None
        plain = json.dumps({name: credentials[name] for name in _FIELDS})
        return box.encrypt_at_time(plain, int(self._runtime.clock.time())).decode()

    def decrypt(self, token: str, purposes: Iterable[TokenPurpose]) -> Credentials:
        """Return the credentials inside a token.

        Args:
            token: As it came in.
            purposes: What it may have been made for.

        Raises:
            CredentialsError: It is damaged, too old, made for another purpose or with another host secret (status 401).
        """
        for purpose in purposes:
            box = self._boxes.get(purpose)
            if box is None:
                continue
            try:
                return Credentials(**json.loads(self._open(box, purpose, token.encode())))
            except InvalidToken:
                continue
        raise CredentialsError("Invalid Token")

    def read_signed(self, token: str) -> Mapping[str, object]:
        """Return what stands in a token of the Node generation.

        Args:
            token: As it came in: three parts, signed by HS256 with a host secret.

        Raises:
            CredentialsError: It is damaged, signed otherwise or with another host secret (status 401).
        """
        now = self._runtime.clock.time()
        for secret in self._secrets:
            try:
                return verify(token, secret, now)
            except CredentialsError:
                continue
        raise CredentialsError("Invalid Token")

    def _open(self, box: MultiFernet, purpose: TokenPurpose, token: bytes) -> bytes:
        if purpose != "oauth":
            return box.decrypt(token)
        return box.decrypt_at_time(token, OAUTH_TTL_S, int(self._runtime.clock.time()))


def _box(secrets: tuple[str, ...], purpose: str) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derive(secret, purpose))) for secret in secrets])


def _derive(secret: str, purpose: str) -> bytes:
    info = _KEY_INFO + purpose.encode()
    return HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(secret.encode())
