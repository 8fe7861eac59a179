"""The errors: one tree, what each carries, and that they survive a copy."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from hull_sdk import errors
from hull_sdk.errors import (
    ApiError,
    ConnectorNotFoundError,
    CredentialsError,
    HullError,
    InvalidArgumentError,
    LogicError,
    MissingExtraError,
    NotificationError,
    OrganizationDisabledError,
    RateLimitError,
    RejectedError,
    TransientError,
)

CLASSES = [getattr(errors, name) for name in errors.__all__]
EXAMPLES = [
    TransientError("down", {"endpoint": "/contacts"}, status=503, retry_after=30),
    RateLimitError("slow down", retry_after=1.5),
    LogicError("no such contact", "contact.update", {"id": 1}),
    CredentialsError("bad token"),
    OrganizationDisabledError(),
    ConnectorNotFoundError(),
    NotificationError("ENTITY_TOO_LARGE", "too large", status=413, size=1),
    ApiError("not found", status=404, body={"a": 1}),
    RejectedError("TOO_LARGE", "600 kB", message_id="m1"),
    InvalidArgumentError("size is 0"),
    MissingExtraError("redis_url", "redis"),
]


@pytest.mark.shows(
    "errors.ConfigurationError",
    "errors.LogicError",
    "errors.RateLimitError",
    "errors.RecoverableError",
    "errors.TransientError",
)
def test_the_tree_in_the_documentation_is_the_tree_in_the_code():
    """The module opens with a tree that lists every class once, below its parent."""
    listed, parents = {}, [HullError.__name__]
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"\s*([│ ]*)(?:├──|└──) (\w+Error)", line)
        if match:
            depth = len(match[1]) // 4 + 1
            del parents[depth:]
            listed[match[2]] = parents[-1]
            parents.append(match[2])
    actual = {
        kind.__name__: next(base for base in kind.__mro__[1:] if base in CLASSES).__name__
        for kind in CLASSES
        if kind is not HullError
    }
    assert listed == actual


def test_every_class_is_public_and_has_a_code_of_its_own():
    """All classes are in __all__, and each has a stable code that no other has."""
    defined = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, HullError)}
    assert defined == set(errors.__all__)
    own = [kind.code for kind in CLASSES if "code" in vars(kind)]
    assert len(own) == len(set(own))


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_survive_being_copied_and_sent_to_another_process(error, again):
    """A copy has the same class, text and attributes, whatever the constructor asks for."""
    copied = again(error)
    assert type(copied) is type(error)
    assert str(copied) == str(error)
    assert vars(copied) == vars(error)
    assert copied.code == error.code


def test_what_errors_say_about_answers():
    """Statuses, pauses and codes are attributes with the documented defaults."""
    assert (TransientError().status, TransientError().retry_after, TransientError().extra) == (None, None, {})
    assert [kind().status for kind in (CredentialsError, OrganizationDisabledError, ConnectorNotFoundError)] == [
        401,
        402,
        404,
    ]
    assert NotificationError("INVALID_SIGNATURE", "why").code == "INVALID_SIGNATURE"
    assert "m1" in str(RejectedError("TOO_LARGE", "600 kB", message_id="m1"))


def test_extra_data_is_not_shared_between_errors():
    """Each error has a dict of its own."""
    TransientError().extra["a"] = 1
    assert TransientError().extra == {}


def test_errors_fit_where_the_standard_library_is_caught():
    """A wrong argument is a ValueError and a missing library an ImportError, too."""
    assert issubclass(InvalidArgumentError, ValueError)
    assert issubclass(MissingExtraError, ImportError)
    assert 'pip install "hull-sdk[redis]"' in str(MissingExtraError("redis_url", "redis"))
