"""Options: defaults, addresses, and errors that name value, rule and way out."""

from __future__ import annotations

import pytest
from client_sinks import ID, SECRET

from hull_sdk.client import Client, ClientConfig, SendingOptions
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.errors import InvalidArgumentError


def config(**options) -> ClientConfig:
    """Return a configuration that is complete but for the options."""
    return ClientConfig(**{"id": ID, "secret": SECRET, "organization": "acme.hullapp.io", **options})


@pytest.mark.parametrize(
    ("organization", "api", "firehose"),
    [
        ("acme.hullapp.io", "https://acme.hullapp.io/api/v1", "https://firehose.hullapp.io/"),
        ("Acme.HullApp.io.", "https://acme.hullapp.io/api/v1", "https://firehose.hullapp.io/"),
        ("acme.hullapp.test:8443", "https://acme.hullapp.test:8443/api/v1", "https://firehose.hullapp.test:8443/"),
        ("localhost:3000", "http://localhost:3000/api/v1", "http://localhost:3000/api/v1/firehose"),
        ("127.0.0.1:3000", "http://127.0.0.1:3000/api/v1", "http://127.0.0.1:3000/api/v1/firehose"),
        ("[::1]:80", "http://[::1]:80/api/v1", "http://[::1]:80/api/v1/firehose"),
        ("10.0.0.7:3000", "https://10.0.0.7:3000/api/v1", "https://10.0.0.7:3000/api/v1/firehose"),
        ("platform:3000", "https://platform:3000/api/v1", "https://platform:3000/api/v1/firehose"),
        ("mycompany.io", "https://mycompany.io/api/v1", "https://mycompany.io/api/v1/firehose"),
    ],
)
def test_addresses_follow_from_the_organization(organization, api, firehose):
    """API and firehose are found from the host alone, for real hosts, this machine and addresses."""
    made = config(organization=organization)
    assert (made.api_base, made.firehose) == (api, firehose)


@pytest.mark.shows(
    "Client option: domain", "Client option: firehoseUrl", "Client option: prefix", "Client option: protocol"
)
def test_addresses_can_be_given():
    """Protocol, prefix and both URLs can be set."""
    assert config(protocol="http", prefix="/v2/").api_base == "http://acme.hullapp.io/v2"
    assert config(firehose_url="http://localhost:1/x").firehose == "http://localhost:1/x"
    assert config(domain="Hull.test").firehose == "https://firehose.hull.test/"
    assert config(organization="localhost:3000", domain="hull.test").firehose == "https://firehose.hull.test/"
    assert config(domain="hull.test").api_base == "https://acme.hullapp.io/api/v1"
    assert config(api_url="http://localhost:1/api/v1/").api_base == "http://localhost:1/api/v1"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"id": None}, "id is None; pass the connector's id, 24 hexadecimal"),
        ({"id": "5a79"}, "id is '5a79'"),
        ({"id": ID + "\n"}, "24 hexadecimal"),
        ({"id": {"id": ID, "secret": SECRET}}, "id is a mapping; pass options by name"),
        ({"id": SECRET}, "id is a text of 32 characters"),
        ({"domain": "https://hullapp.io"}, "domain is 'https://hullapp.io'; pass a plain host such as 'hullapp.io'"),
        ({"domain": 3}, "domain is 3"),
        ({"domain": "10.0.0.7:80"}, "an address has no host 'firehose.', pass firehose_url instead"),
        ({"domain": "[::1]"}, "an address has no host"),
        ({"logs": "x"}, "logs is of type str; pass a list"),
        ({"capture_logs": "yes"}, "capture_logs is 'yes'; pass True or False"),
        ({"capture_firehose_events": 1}, "capture_firehose_events is 1"),
        ({"firehose_events": {}}, "firehose_events is of type dict; pass a list"),
        ({"secret": None}, "secret is of type NoneType"),
        ({"secret": ""}, "secret is empty"),
        ({"organization": None}, "organization is None; pass a plain host"),
        ({"organization": "https://acme.hullapp.io"}, "without https://"),
        ({"organization": "acme.hullapp.io/x"}, "plain host"),
        ({"organization": "a@b"}, "plain host"),
        ({"protocol": "ftp"}, "protocol is 'ftp'; pass 'http', 'https' or None"),
        ({"prefix": None}, "prefix is None"),
        ({"firehose_url": "firehose.hullapp.io"}, "firehose_url is 'firehose.hullapp.io'; pass an absolute"),
        ({"api_url": "http://u:p@x/"}, "without a user name"),
        ({"request_id": "a\r\nHull-App-Id: b"}, "request_id is"),
        ({"connector_name": 3}, "connector_name is 3"),
    ],
)
@pytest.mark.shows("Client option: id", "Client option: organization", "Client option: secret")
def test_a_wrong_identity_is_refused_with_value_rule_and_way_out(options, text):
    """Every identity option that breaks its rule is named."""
    with pytest.raises(InvalidArgumentError, match="(?s).*" + text.replace("(", r"\(")):
        Client(**{"id": ID, "secret": SECRET, "organization": "acme.hullapp.io", **options})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"flush_at": 0}, "flush_at is 0; pass a whole number from 1"),
        ({"flush_at": True}, "flush_at is True"),
        ({"workers": 65}, "workers is 65; pass a whole number from 1 to 64"),
        ({"queue_size": 1.5}, "queue_size is 1.5"),
        ({"queue_bytes": 10}, "queue_bytes is 10"),
        ({"flush_after_ms": -1}, "flush_after_ms is -1; pass a number from 0"),
        ({"timeout_s": 0}, "timeout_s is 0; pass a number above 0"),
        ({"block_s": float("nan")}, "block_s is nan"),
        ({"exit_timeout_s": "5"}, "exit_timeout_s is '5'"),
        ({"retry": 3}, "retry is 3; pass a RetryPolicy"),
        ({"overflow": "drop"}, "overflow is 'drop'; pass one of raise, drop_oldest, drop_newest"),
        ({"overflow": None}, "overflow is None"),
    ],
)
def test_a_wrong_sending_option_is_refused(options, text):
    """Every number out of range is named with its range."""
    with pytest.raises(InvalidArgumentError, match=text):
        Client(**{"id": ID, "secret": SECRET, "organization": "acme.hullapp.io", **options})


@pytest.mark.parametrize("secret", [f" {SECRET}", f"{SECRET}\n", "geheim-ü", 12345678901234567890])
def test_no_error_shows_a_secret(secret):
    """A wrong secret is described and never printed."""
    with pytest.raises(InvalidArgumentError, match="secret") as caught:
        config(secret=secret)
    assert str(secret).strip() not in str(caught.value)


def test_no_repr_shows_the_secret():
    """Configuration and clients print without the secret."""
    client = Client(id=ID, secret=SECRET, organization="acme.hullapp.io")
    things = [config(), client, client.as_user({"email": "a@b.test"}), client._connection._source, client.logger]
    assert all(SECRET not in f"{thing!r}{thing}" for thing in things)


def test_the_environment_is_read_in_one_place():
    """from_env takes the variables it is given and names one that is missing."""
    variables = {"HULL_ID": ID, "HULL_SECRET": SECRET, "HULL_ORGANIZATION": "localhost:3000", "HULL_PREFIX": "/v2"}
    found = ClientConfig.from_env(variables)
    assert (found.id, found.api_base) == (ID, "http://localhost:3000/v2")
    del variables["HULL_SECRET"]
    with pytest.raises(InvalidArgumentError, match="HULL_SECRET is not set"):
        ClientConfig.from_env(variables)


def test_the_environment_is_the_process_s_own_by_default(monkeypatch):
    """from_env without an argument reads os.environ."""
    for name, value in (("ID", ID), ("SECRET", SECRET), ("ORGANIZATION", "acme.hullapp.io")):
        monkeypatch.setenv(f"HULL_{name}", value)
    assert Client.from_config(ClientConfig.from_env()).configuration()["organization"] == "acme.hullapp.io"


def test_defaults_are_those_that_are_documented():
    """The numbers of the documentation are the numbers in use."""
    options = SendingOptions()
    assert (options.flush_at, options.flush_after_ms, options.workers) == (50, 1000, 4)
    assert (options.queue_size, options.block_s, options.exit_timeout_s) == (10_000, 10.0, 5.0)
    assert options.retry == RetryPolicy()
