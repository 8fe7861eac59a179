"""What must be true of a run, worked out from the scenario and what was seen on the wire.

A naive model that knows nothing of the package: it folds the workload by hand and reads answers by the rules of
``docs/protocol.md`` alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from simulated_scenarios import BUSY_VISITS, Scenario

#: A pause may end this much early: clocks are no more exact.
TICK_S = 0.002

Outcome = dict[str, Any]
Entry = dict[str, Any]


class Box(NamedTuple):
    """What is told in order: one channel of one connector of one organization."""

    organization: str
    connector: str
    channel: str


def judge(scenario: Scenario, outcome: Outcome) -> list[str]:
    """Return what is wrong with a run, one sentence each; nothing when all is well.

    Args:
        scenario: What was to happen.
        outcome: What happened.
    """
    if outcome["endless"] is not None:
        return [f"it does not come to rest: {outcome['endless']}"]
    return [problem for check in CHECKS for problem in check(scenario, outcome)]


# What was sent is applied, once, in order, and in its own organization


def everything_is_accepted(scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """What the senders were given is accepted by the platform, and nothing ends as a dead letter."""
    for number in outcome["unsent"]:
        yield f"operation {number} was not accepted: {scenario.operations[number]}"
    for host, state in outcome["organizations"].items():
        if state["dead_letters"]:
            yield f"{host} has {state['dead_letters']} dead letters"
        if {name for name, count in state["records"].items() if count} - {"applied", "merged"}:
            yield f"{host} did not apply all messages: {state['records']}"


def everything_is_applied_once(scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """Steps, sums and plans of users and accounts are those of the workload."""
    for host, state in outcome["organizations"].items():
        wanted = expected_values(scenario, host)
        for kind, prefix in (("users", "traits_"), ("accounts", "")):
            names = {name for found, name in wanted if found == kind}
            if set(state[kind]) != names:
                yield f"{host} has the {kind} {sorted(state[kind])}, expected {sorted(names)}"
            for name in names & set(state[kind]):
                report = state[kind][name]
                found = {field: report.get(prefix + field) for field in ("step", "visits", "plan")}
                if found != wanted[kind, name]:
                    yield f"{host} {kind} {name}: {found}, expected {wanted[kind, name]}"


def events_happen_once(scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """Each order is an event once, and the connector that handles message by message has answered it once."""
    joined = {each.organization: each.user for each in scenario.operations if each.visitor and each.user}
    for host, state in outcome["organizations"].items():
        for name, events in state["events"].items():
            wanted = Counter(
                each.step
                for each in scenario.operations
                if each.organization == host and name == (joined.get(host) if each.what == "visit" else each.user)
                if each.what in {"track", "visit"}
            )
            for event in ("Ordered", "Shipped"):
                found = Counter(each["properties"]["step"] for each in events if each["event"] == event)
                if found != wanted:
                    yield f"{host} {name}: {event} {dict(found)}, expected {dict(wanted)}"


def organizations_are_apart(_scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """Nothing that one organization's connectors were told is another's."""
    hosts = list(outcome["organizations"])
    ids: dict[str, str] = {}
    for entry in tries(outcome):
        for message in entry["messages"]:
            owner = ids.setdefault(entity_of(message), entry["organization"])
            text = repr(message)
            if owner != entry["organization"] or any(h in text for h in hosts if h != entry["organization"]):
                yield f"{entry['connector']} of {entry['organization']} was told what belongs to another: {text:.200}"


# What happened is told: all of it, in order, at the pace that was asked for


def the_story_has_no_gaps(scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """The messages about an entity form one chain: each begins where the one before ended, up to the present."""
    for (box, key), messages in told(outcome).items():
        kind = "user" if box.channel == "user:update" else "account"
        prefix = "traits_" if kind == "user" else ""
        name = messages[-1][kind]["external_id" if kind == "user" else "domain"]
        wanted = expected_values(scenario, box.organization).get((f"{kind}s", name), {})
        for field in ("step", "visits"):
            present = None
            for message in messages:
                old, new = message["changes"][kind].get(prefix + field, (present, present))
                if old != present:
                    yield f"{box} {key}: {field} goes on from {old}, it was {present}"
                present = new
            if present != wanted.get(field):
                yield f"{box} {key}: {field} was told up to {present}, it is {wanted.get(field)}"


def the_latest_is_told(scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """The last message about a user holds the account and the segments of the present; those are right."""
    for (box, key), messages in told(outcome).items():
        if box.channel != "user:update":
            continue
        last, state = messages[-1], outcome["organizations"][box.organization]
        name = last["user"]["external_id"]
        if name is None:  # merged away
            continue
        visits = expected_values(scenario, box.organization)["users", name]["visits"] or 0
        busy = [segment["name"] for segment in last["segments"]]
        if busy != ["Busy"] * (visits >= BUSY_VISITS):
            yield f"{box} {key}: told to be in {busy} with {visits} visits"
        if last["segment_ids"] != state["users"][name]["segment_ids"]:
            yield f"{box} {key}: told to be in {last['segment_ids']}, not {state['users'][name]['segment_ids']}"
        account = last["account"]
        present = state["accounts"].get(account.get("domain"), {})
        if any(account.get(field) != present.get(field) for field in ("step", "visits", "crm/handled")):
            yield f"{box} {key}: the account was told as {account}, it is {present}"


def segments_are_entered_and_left_in_turn(_scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """What is told of entering and leaving segments leads from none to those of the message."""
    for (box, key), messages in told(outcome).items():
        member: list[str] = []
        for message in messages if box.channel == "user:update" else ():
            changes = message["changes"]["segments"]
            left = [each["id"] for each in changes.get("left", ())]
            member = [each for each in member if each not in left] + [each["id"] for each in changes.get("entered", ())]
            if member != message["segment_ids"]:
                yield f"{box} {key}: is in {message['segment_ids']}, was told to be in {member}"


def everybody_is_told_of(_scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """Each connector is told of each user and account, and of each event exactly once, also when users merge."""
    stories = told(outcome)
    for host, state in outcome["organizations"].items():
        events = Counter(event["event_id"] for each in state["events"].values() for event in each)
        for connector in {box.connector for box, _ in stories}:
            for kind in ("user", "account"):
                box = Box(host, connector, f"{kind}:update")
                for name, report in state[f"{kind}s"].items():
                    if (box, report["id"]) not in stories:
                        yield f"{box} was not told of {name}"
            box = Box(host, connector, "user:update")
            found = Counter(
                event["event_id"]
                for (place, _), messages in stories.items()
                if place == box
                for message in messages
                for event in message["events"]
            )
            if found != events:
                yield f"{box} was told of the events {found - events} too often, and not of {events - found}"


def one_message_of_an_entity_at_a_time(_scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """While a message about an entity is not done, no other one about it goes out; in the end all are done."""
    open_messages: dict[tuple[Box, str], str] = {}
    for entry in outcome["history"]:
        if entry["event"] == "try":
            for message in entry["messages"]:
                place = (box_of(entry), entity_of(message))
                if open_messages.setdefault(place, message["message_id"]) != message["message_id"]:
                    yield f"{place}: a message went out while another was not done"
        elif entry["event"] == "tried":
            sent = entry["of"]
            for message in sent["messages"]:
                place = (box_of(sent), entity_of(message))
                if message["message_id"] in done(sent) and open_messages.get(place) == message["message_id"]:
                    del open_messages[place]
    for place in open_messages:
        yield f"{place}: its last message was never done"


def who_is_deleted_is_told_of_last(_scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """A deletion is told when all other messages about the same user are done, and none goes out after it."""
    waiting: dict[tuple[str, str], set[str]] = defaultdict(set)
    farewell: set[tuple[str, str]] = set()
    for entry in outcome["history"]:
        sent = entry.get("of", entry)
        for message in sent["messages"] if entry["event"] in {"try", "tried"} else ():
            place = (sent["connector"], entity_of(message))
            if entry["event"] == "tried":
                waiting[place] -= done(sent)
            elif sent["channel"] == "user:delete":
                farewell.add(place)
                if waiting[place]:
                    yield f"{place} was told to be deleted while an earlier message was not done"
            else:
                waiting[place].add(message["message_id"])
                if place in farewell:
                    yield f"{place} was told of after its deletion"


def each_deletion_is_told_once(_scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """Each connector is told of those who were deleted, in one message each, and of nobody else."""
    gone = deleted(outcome)
    messages: dict[tuple[str, str], set[str]] = defaultdict(set)
    for entry in tries(outcome):
        for message in entry["messages"] if entry["channel"] == "user:delete" else ():
            messages[entry["connector"], entity_of(message)].add(message["message_id"])
    for place in {(entry["connector"], each) for entry in tries(outcome) for each in gone} | messages.keys():
        if len(messages[place]) != (place[1] in gone):
            yield f"{place} was told to be deleted in {len(messages[place])} messages"


def flow_control_is_obeyed(_scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """A lane sends one notification at a time, not before the pause is over, and no larger than was asked for."""
    lanes: dict[Any, list[Entry]] = defaultdict(list)
    for entry in tries(outcome):
        lanes[box_of(entry), entry["lane"]].append(entry)
    for lane, entries in lanes.items():
        size = 1
        seen: set[str] = set()
        for number, entry in enumerate(entries):
            before = entries[number - 1] if number else None
            pause = 0.0 if before is None else pause_after(before)
            if before is not None and entry["begin"] < before["end"] + pause - TICK_S:
                yield f"{lane}: {entry['begin']:.3f} is before {before['end']:.3f} and the pause of {pause} s"
            fresh = entry["parent_id"] is None and entry["notification_id"] not in seen
            if fresh and len(entry["messages"]) > size:
                yield f"{lane}: {len(entry['messages'])} messages, {size} were asked for"
            seen.add(entry["notification_id"])
            size = size_after(entry, size)


def a_notification_never_changes(_scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """The same id means the same messages."""
    known: dict[str, Any] = {}
    for entry in tries(outcome):
        if known.setdefault(entry["notification_id"], entry["messages"]) != entry["messages"]:
            yield f"{entry['notification_id']} came with other messages"


# What a connector does is done once, and stays done


def a_notification_is_handled_once(_scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """One process runs a handler for a notification once at a time, and never again when it has succeeded."""
    running: set[Any] = set()
    finished: set[Any] = set()
    for entry in outcome["history"]:
        if entry["event"] not in {"run", "answered"}:
            continue
        run = (entry["connector"], entry["process"], entry["notification_id"])
        if entry["event"] == "answered":
            finished |= {run} if entry["answer"]["flow_control"]["type"] == "next" else set()
        elif entry["stage"] == "end":
            running.discard(run)
        elif run in running:
            yield f"{run} began while it was running"
        elif run in finished:
            yield f"{run} began again after it had succeeded"
        else:
            running.add(run)


def what_is_acknowledged_is_written(scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """What connectors wrote for the messages that they acknowledged is there, and counted once."""
    # A merge keeps one of two values, so what was counted on a visitor may be gone.
    merging = {(each.organization, each.user) for each in scenario.operations if each.visitor is not None}
    for (box, key), messages in told(outcome).items():
        kind = "user" if box.channel == "user:update" else "account"
        prefix = "traits_" if kind == "user" else ""
        name = messages[-1][kind]["external_id" if kind == "user" else "domain"]
        if name is None:
            continue
        report = outcome["organizations"][box.organization][f"{kind}s"][name]
        matter = [message for message in messages if concerns(message, kind)]
        counted = report.get(f"{prefix}crm/handled", 0)
        if box.connector == "crm" and counted != len(matter) and (box.organization, name) not in merging:
            yield f"{box} {key}: {counted} were counted, {len(matter)} were told"
        marks = {f"{prefix}mail/step_{message[kind].get(prefix + 'step')}".lower() for message in matter}
        if box.connector == "mail" and not marks <= set(report):
            yield f"{box} {key}: {sorted(marks - set(report))} were written before the answer and are lost"


def the_service_has_everything(_scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """The third party has each message, first seen in order; a message is put there before it is acknowledged."""
    puts = [entry for entry in outcome["history"] if entry["event"] == "put"]
    first_puts: dict[str, list[str]] = defaultdict(list)
    for entry in puts:
        if entry["message_id"] not in first_puts[entry["path"]]:
            first_puts[entry["path"]].append(entry["message_id"])
    for (box, key), messages in told(outcome).items():
        if box.connector != "crm":
            continue
        kind = "user" if box.channel == "user:update" else "account"
        wanted = [message["message_id"] for message in messages if concerns(message, kind)]
        if first_puts[f"/{box.organization}/{kind}/{key}"] != wanted:
            yield f"{box} {key}: the third party has other messages, or in another order, than were told"


CHECKS: tuple[Callable[[Scenario, Outcome], Iterator[str]], ...] = (
    everything_is_accepted,
    everything_is_applied_once,
    events_happen_once,
    organizations_are_apart,
    the_story_has_no_gaps,
    the_latest_is_told,
    segments_are_entered_and_left_in_turn,
    everybody_is_told_of,
    one_message_of_an_entity_at_a_time,
    who_is_deleted_is_told_of_last,
    each_deletion_is_told_once,
    flow_control_is_obeyed,
    a_notification_never_changes,
    a_notification_is_handled_once,
    what_is_acknowledged_is_written,
    the_service_has_everything,
)


# The naive model


def expected_values(scenario: Scenario, host: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Fold the workload of one organization: the last step and plan and the sum of visits of everybody."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for operation in scenario.operations:
        if operation.organization != host:
            continue
        for kind, name in (("users", operation.user), ("accounts", operation.account)):
            if name is not None:
                found.setdefault((kind, name), {"step": None, "visits": None, "plan": None})
        if operation.what not in {"traits", "account", "link"}:
            continue
        key = ("users", operation.user) if operation.what == "traits" else ("accounts", operation.account)
        values = found[key]
        values["step"], values["plan"] = operation.step, f"{host} {operation.step}"
        values["visits"] = (values["visits"] or 0) + operation.amount
    return found


# Reading what was seen


def tries(outcome: Outcome) -> list[Entry]:
    """Return every try to deliver a notification, in order."""
    return [entry for entry in outcome["history"] if entry["event"] == "try"]


def box_of(entry: Entry) -> Box:
    """Return where a try belongs."""
    return Box(entry["organization"], entry["connector"], entry["channel"])


def entity_of(message: dict[str, Any]) -> str:
    """Return the id of whom a message is about."""
    return message["user"]["id"] if "user" in message else message["account"]["id"]


def deleted(outcome: Outcome) -> set[str]:
    """Return the ids of those who were deleted."""
    return {entry["id"] for entry in outcome["history"] if entry["event"] == "deleted"}


def told(outcome: Outcome) -> dict[tuple[Box, str], list[dict[str, Any]]]:
    """Return the different messages about each entity that is there, in the order in which they first went out."""
    found: dict[tuple[Box, str], dict[str, dict[str, Any]]] = defaultdict(dict)
    gone = deleted(outcome)
    for entry in tries(outcome):
        for message in entry["messages"]:
            if entity_of(message) not in gone:
                found[box_of(entry), entity_of(message)].setdefault(message["message_id"], message)
    return {place: list(messages.values()) for place, messages in found.items()}


def concerns(message: dict[str, Any], kind: str) -> bool:
    """Tell whether a message says something of the workload, so that connectors write for it."""
    prefix = "traits_" if kind == "user" else ""
    ordered = any(event["event"] == "Ordered" for event in message.get("events", ()))
    return ordered or any(prefix + field in message["changes"][kind] for field in ("step", "visits"))


def control_of(entry: Entry) -> dict[str, Any] | None:
    """Return the flow control of an answer, or ``None`` when it has none that is valid."""
    answer = entry["answer"] if entry["status"] is not None else None
    control = answer.get("flow_control") if isinstance(answer, dict) else None
    if not isinstance(control, dict) or control.get("type") not in {"next", "retry"}:
        return None
    return control if control.get("size", 1) >= 1 and control.get("in", 0) >= 0 else None


def pause_after(entry: Entry) -> float:
    """Return the seconds for which a lane has to be quiet after a try."""
    control = control_of(entry)
    return 0.0 if control is None else control.get("in", 0) / 1000


def size_after(entry: Entry, size: int) -> int:
    """Return how large the next fresh notification may be."""
    if entry["status"] == 413 and len(entry["messages"]) > 1:
        return 1
    control = control_of(entry)
    return size if control is None else control.get("size", size)


def done(entry: Entry) -> set[str]:
    """Return the messages that an answer settles."""
    control = control_of(entry)
    if control is None or (entry["status"] == 413 and len(entry["messages"]) > 1):
        return set()
    results = {each["message_id"]: each["status"] for each in entry["answer"].get("responses", ())}
    silent = "retry" if control["type"] == "retry" else "ok"
    ids = [message["message_id"] for message in entry["messages"]]
    return {each for each in ids if results.get(each, silent) != "retry"}
