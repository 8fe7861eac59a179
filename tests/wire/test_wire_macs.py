from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.wire.jws import mac


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=100), st.binary(max_size=3000))
def test_it_is_hmac_sha256(secret, data):
    """The digest is that of the standard library, for every key and every text."""
    assert mac(secret, data) == hmac.new(secret.encode(), data, hashlib.sha256).digest()


def test_one_digest_does_not_change_the_next():
    """The keyed state that is kept for a secret is never written to."""
    assert mac("k", b"a") == mac("k", b"a") != mac("k", b"b")
