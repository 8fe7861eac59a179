"""Organizations and messages for the ingestion tests, in as few words as possible."""

from types import SimpleNamespace

from hull_sdk.core.runtime import Runtime
from hull_sdk.platform.population import Population
from hull_sdk.wire import tokens

CONNECTOR = SimpleNamespace(id="5a79000000000000000000aa", secret="a-connector-secret", name="Demo")


class Bench:
    """An organization on a virtual clock, with what it published."""

    def __init__(self, **settings):
        self.runtime = Runtime.virtual()
        self.organization = Population(
            "acme.hullapp.test", runtime=self.runtime, clock=self.runtime.clock, settings=settings
        )
        self.organization.connectors[CONNECTOR.id] = CONNECTOR
        self.changes = []
        self.organization.on_change(self.changes.append)

    def send(self, kind, body, *, user=None, account=None, subject="user", message_id=None, **claims):
        """Ingest one message and return its record."""
        message = {"type": kind, "body": body}
        if message_id is not None:
            message["message_id"] = message_id
        token = claims_for(user, account, subject, **claims)
        return self.organization.ingest(message, token, CONNECTOR.id)

    def traits(self, user, body=None, **options):
        return self.send("traits", {} if body is None else body, user=user, **options)

    def account_traits(self, account, body=None, **options):
        return self.send("traits", {} if body is None else body, account=account, subject="account", **options)

    def track(self, user, event, properties=None, **body):
        return self.send("track", {"event": event, "properties": properties or {}, **body}, user=user)

    def alias(self, user, anonymous_id, **options):
        return self.send("alias", {"anonymous_id": anonymous_id}, user=user, **options)

    def unalias(self, user, anonymous_id, **options):
        return self.send("unalias", {"anonymous_id": anonymous_id}, user=user, **options)

    def user(self, **claims):
        """Return the one user that claims lead to, or None."""
        return self.organization.find_user(claims)

    def account(self, **claims):
        return self.organization.find_account(claims)

    def users(self):
        return self.organization.entities("user")

    def accounts(self):
        return self.organization.entities("account")

    def report(self, **claims):
        return self.organization.view("user", self.user(**claims).id).report

    def events(self, name=None):
        return [event for event in self.organization.events() if name is None or event["event"] == name]

    def names(self, **claims):
        """Return the names of the segments that a user is in."""
        names = {segment["id"]: segment["name"] for segment in self.organization.users_segments()}
        return [names[each] for each in self.user(**claims).segment_ids]


def claims_for(user=None, account=None, subject="user", **claims):
    """Return the claims of a token."""
    return tokens.build_claims(
        issuer=CONNECTOR.id, issued_at=0, subject_type=subject, user=user, account=account, **claims
    )


def signed(bench, kind, body, *, secret=CONNECTOR.secret, issuer=CONNECTOR.id, at=None, message_id=None, **subject):
    """Return a message as it travels, with a token of its own."""
    claims = tokens.build_claims(
        issuer=issuer,
        issued_at=bench.runtime.clock.time() if at is None else at,
        subject_type=subject.pop("subject_type", "user"),
        **subject,
    )
    message = {"type": kind, "body": body, "headers": {"Hull-Access-Token": tokens.encode(claims, secret)}}
    return message if message_id is None else {**message, "message_id": message_id}
