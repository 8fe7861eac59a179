"""The identity rules in their plainest form: lists, loops and no indexes; imports nothing of the platform."""

import copy


class Thing:
    """A user or an account."""

    def __init__(self, number):
        self.number = number
        self.external_id = None
        self.handle = None
        self.old_handles = set()
        self.anonymous_ids = []
        self.values = {}
        self.account = None


class Naive:
    """One organization; ``ids`` of things are their numbers."""

    def __init__(self):
        self.things = {"user": [], "account": []}
        self.count = 0

    # finding

    def matching(self, kind, handle):
        return [t for t in self.things[kind] if handle is not None and (t.handle == handle or handle in t.old_handles)]

    def one(self, kind, name, value):
        if value is None:
            return None
        for thing in self.things[kind]:
            held = thing.anonymous_ids if name == "anonymous_id" else [getattr(thing, name)]
            if value in held:
                return thing
        return None

    # rules 1 to 5

    def weak(self, kind, claims):
        """Return who matches by e-mail or domain, oldest first, then by anonymous_id."""
        by_anonymous = self.one(kind, "anonymous_id", claims.get("anonymous_id"))
        found = self.matching(kind, claims.get("handle"))
        return found if by_anonymous is None or by_anonymous in found else [*found, by_anonymous]

    def primary(self, kind, claims):
        """Return whom claims are about, or None when there is nobody yet."""
        by_number = self.one(kind, "number", claims.get("id"))
        by_external = self.one(kind, "external_id", claims.get("external_id"))
        if by_number is not None:
            return by_number
        if by_external is not None:
            return by_external
        weak = self.weak(kind, claims)
        if claims.get("external_id") is not None:
            weak = [thing for thing in weak if thing.external_id is None]
        elif self.matching(kind, claims.get("handle")):
            strong = [t for t in self.matching(kind, claims["handle"]) if t.external_id is not None]
            weak = strong + weak
        return weak[0] if weak else None

    def refused(self, kind, claims, create):
        """Tell whether claims lead to nobody."""
        return self.primary(kind, claims) is None and (not create or set(claims) == {"id"})

    def resolve(self, kind, claims, create=True):
        """Return whom claims are about, merged and with what they attach; None when the message ends here."""
        if self.refused(kind, claims, create):
            return None
        by_number = self.one(kind, "number", claims.get("id"))
        by_external = self.one(kind, "external_id", claims.get("external_id"))
        contradiction = by_number is not None and by_external is not None and by_number is not by_external
        others = self.weak(kind, claims)
        primary = self.primary(kind, claims)
        if primary is None:
            self.count += 1
            primary = Thing(self.count)
            self.things[kind].append(primary)
        for other in others:
            if other is not primary and other.external_id is None and not contradiction:
                self.merge(kind, primary, other)
        self.attach(kind, primary, claims)
        return primary

    def attach(self, kind, primary, claims):
        external_id = claims.get("external_id")
        if external_id and primary.external_id is None and self.one(kind, "external_id", external_id) is None:
            primary.external_id = external_id
        if claims.get("handle") and primary.handle is None:
            primary.handle = claims["handle"]
        anonymous_id = claims.get("anonymous_id")
        if anonymous_id and self.one(kind, "anonymous_id", anonymous_id) is None:
            primary.anonymous_ids.append(anonymous_id)

    def merge(self, kind, primary, other):
        self.things[kind].remove(other)
        if other.handle is not None:
            primary.old_handles.add(other.handle)
        primary.old_handles |= other.old_handles
        if primary.handle is None:
            primary.handle = other.handle
        primary.anonymous_ids.extend(other.anonymous_ids)
        for name, value in other.values.items():
            primary.values.setdefault(name, value)
        if primary.account is None:
            primary.account = other.account
        for user in self.things["user"]:
            if user.account is other:
                user.account = primary

    # messages

    def subject(self, user, account, kind, create=True):
        """Resolve both sides, link them, and return the one that the message is about."""
        if user is not None and account is None and kind == "account":
            return self.linked_account(user, create)
        if self.refused(kind, user if kind == "user" else account, create):
            return None
        found = {
            side: self.resolve(side, claims, create)
            for side, claims in (("user", user), ("account", account))
            if claims is not None and not self.refused(side, claims, create)
        }
        if "user" in found and "account" in found:
            found["user"].account = found["account"]
        return found[kind]

    def linked_account(self, user, create):
        """Return the account that the user is linked to; without one, nothing happens at all."""
        found = self.trial().resolve("user", user, create)
        if found is None or found.account is None:
            return None
        return self.resolve("user", user, create).account

    def trial(self):
        """Return a copy to try things on."""
        return copy.deepcopy(self)

    def traits(self, kind, subject, body):
        handle = body.get("handle")
        if handle is not None and handle != subject.handle:
            if subject.external_id is not None:
                subject.handle = handle
            elif subject.handle is None:
                for other in self.matching(kind, handle):
                    if other is not subject and other.external_id is None:
                        self.merge(kind, subject, other)
                subject.handle = handle
        for name, value in body.items():
            if name == "handle":
                continue
            if value is None:
                subject.values.pop(name, None)
            else:
                subject.values[name] = value

    def alias(self, kind, subject, anonymous_id):
        holder = self.one(kind, "anonymous_id", anonymous_id)
        if holder is None:
            subject.anonymous_ids.append(anonymous_id)
        elif holder is not subject and holder.external_id is None:
            self.merge(kind, subject, holder)

    def unalias(self, user, account, kind, anonymous_id):
        """Take an alias away when the one whom the claims lead to has it; else nothing happens at all."""
        had = {thing.number for thing in self.things[kind] if anonymous_id in thing.anonymous_ids}
        found = self.trial().subject(user, account, kind, create=False)
        if had and found is not None and anonymous_id in found.anonymous_ids:
            self.subject(user, account, kind, create=False).anonymous_ids.remove(anonymous_id)

    # what is compared

    def partition(self, kind):
        """Return the identifiers of each thing."""
        return sorted(
            (
                thing.external_id or "",
                thing.handle or "",
                sorted(thing.old_handles - {thing.handle}),
                sorted(thing.anonymous_ids),
            )
            for thing in self.things[kind]
        )

    def contents(self, kind):
        """Return each thing with its values and its account's identifiers."""
        return sorted(
            repr(
                (
                    thing.external_id,
                    thing.handle,
                    sorted(thing.anonymous_ids),
                    sorted(thing.values.items()),
                    None if thing.account is None else (thing.account.external_id, thing.account.handle),
                )
            )
            for thing in self.things[kind]
        )
