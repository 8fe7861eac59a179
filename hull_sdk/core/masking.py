"""Keeping secrets out of logs, errors and pages: the one place that knows what a secret looks like."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from hull_sdk.core.json import OBJECT

__all__ = ["MASK", "is_secret_name", "mask", "mask_text", "mask_url"]

#: What stands where a secret was.
MASK: Final = "***"

_KEY_NAMES = r"(?:secret|api|access|write|private|signing|encryption|session|auth)[_-]?key"
_WORDS = rf"secret|passwd|password|passphrase|token|credentials?|{_KEY_NAMES}"

_SECRET_NAMES = re.compile(rf"(?:^|_)(?:{_WORDS}|auth|authorization|signature|cookie|hulltoken)s?$")
#: Secret only in addresses: the state of an OAuth round trip and the encrypted configuration.
_SECRET_PARAMETERS: Final = frozenset({"state", "conf", "code", "sig"})
_CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NOT_WORD = re.compile(r"[^A-Za-z0-9]+")

#: Without the group it is no token; it is matched all the same, so that no letter is read twice.
_JWT = re.compile(r"(?<![A-Za-z0-9])eyJ[\w-]{4,}+(?P<rest>\.[\w-]{4,}+(?:\.[\w-]*+)?)?")
_FERNET = re.compile(r"(?<![A-Za-z0-9])gAAAA[\w-]{20,}={0,2}")
_PEM = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_USERINFO = re.compile(r"(?<=://)[^/?#\s\"'<>]*@")
_HEADER = re.compile(r"(?i)((?:authorization|cookie2?)[ \t]*:[ \t]*)(?![\"'\\])[^\r\n\"']+")
#: A name, how it is set apart from its value, and the value: quoted, quoted within a quoted text, or bare.
_PAIR: Final = rf"""(?isx)
    ( (?:{_WORDS}|authorization) (?:\\*["']|%22)? \s{{0,8}} (?:[=:]|%3[ad]) \s{{0,8}} )
    (?: (?P<quote>["']) (?: \\. | (?!(?P=quote)) [^\\] )*+
      | (?P<escaped>\\+["']) (?: (?!(?P=escaped)) . )*+
      | (?: %22 | (?:bearer|basic|digest|token) \s+ )? [^\s"'&,;}})\]\\%]+ (?: %(?!26|22) [^\s"'&,;}})\]\\%]* )*
    )
    """
_MAX_DEPTH: Final = 12

_NUMBERS: Final = (bool, int, float)
_SEQUENCES: Final = (list, tuple, set, frozenset)


@functools.lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Tell whether a key, header or parameter of this name holds a secret.

    Args:
        name: In any spelling: ``"api_key"``, ``"X-Api-Key"``, ``"clientSecret"``, ``"settings[token]"``.
    """
    snake = _NOT_WORD.sub("_", _CAMEL_HUMP.sub("_", name)).strip("_").lower()
    return _SECRET_NAMES.search(snake) is not None


def mask_text(text: str) -> str:
    """Replace what looks like a secret inside a text.

    Args:
        text: Any text: tokens, private keys, ``secret=...`` pairs in any notation, header lines and user names
            in URLs are found.

    Returns:
        The text with ``***`` in their place.
    """
    # Each is sought only where what it cannot do without is there, which is found much faster.
    if "eyJ" in text:
        text = _JWT.sub(_mask_token, text)
    if "gAAAA" in text:
        text = _FERNET.sub(MASK, text)
    if "-----BEGIN" in text:
        text = _PEM.sub(MASK, text)
    if "://" in text:
        text = _USERINFO.sub(f"{MASK}@", text)
    if not (":" in text or "=" in text or "%" in text) or _named().search(text) is None:
        return text  # nothing sets a name apart from a value, or no name is that of a secret
    text = _HEADER.sub(rf"\1{MASK}", text)
    return _pair().sub(_mask_pair, text)


def mask_url(url: str) -> str:
    """Return a URL whose secret parameters, user names and tokens are masked; the rest stays readable."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return mask_text(url)
    query = urlencode(
        [(name, _mask_parameter(name, value)) for name, value in parse_qsl(parts.query, keep_blank_values=True)],
        safe="*",
        errors="replace",
    )
    masked = parts._replace(path=mask_text(parts.path), query=query, fragment=mask_text(parts.fragment))
    return _USERINFO.sub(f"{MASK}@", urlunsplit(masked))


def mask(value: Any, depth: int = 0) -> Any:
    """Return a copy of a JSON-like value without its secrets.

    Args:
        value: Dicts, lists and scalars. Values under a secret name are replaced whole, other strings are
            searched by :func:`mask_text`; objects of other types become their masked text.
        depth: How deep the value sits; below twelve levels everything is replaced.

    Returns:
        The masked copy.
    """
    if isinstance(value, str):
        return mask_text(value)
    if value is None or isinstance(value, _NUMBERS):
        return value
    if depth >= _MAX_DEPTH:
        return MASK
    if isinstance(value, OBJECT):
        return _masked_items(value, depth + 1)
    if isinstance(value, _SEQUENCES):
        return [mask(item, depth + 1) for item in value]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return mask_text(str(value))


def _masked_items(value: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
    masked = {}
    for key, item in value.items():
        shown, is_secret = _read_key(key) if isinstance(key, str) else (key, False)
        masked[shown] = MASK if is_secret and item is not None else mask(item, depth)
    return masked


@functools.lru_cache(maxsize=4096)
def _read_key(key: str) -> tuple[str, bool]:
    """Return a key as it may be shown, and whether what stands under it is a secret."""
    return mask_text(key), is_secret_name(key)


def _mask_parameter(name: str, value: str) -> str:
    return MASK if is_secret_name(name) or name.lower() in _SECRET_PARAMETERS else mask_text(value)


@functools.cache  # slow to compile, and a process that logs nothing does without
def _pair() -> re.Pattern[str]:
    return re.compile(_PAIR)


@functools.cache
def _named() -> re.Pattern[str]:
    return re.compile(rf"(?i){_WORDS}|authorization|cookie")


def _mask_token(match: re.Match[str]) -> str:
    return match[0] if match["rest"] is None else MASK


def _mask_pair(match: re.Match[str]) -> str:
    quote = match["quote"] or match["escaped"] or ""
    return f"{match[1]}{quote}{MASK}"
