"""What the Node generation offers, and where it is found here: the keys, the tests that show them, and the page.

Keys come from two sources. The npm packages are asked by ``tests/interop/node/features.js`` for what they export;
the lists below add what cannot be asked for: constructor options, the attributes of a request's context, the headings
of the README, and the keys of a manifest. Both are written to ``tests/docs/node_features.txt``:

    NODE_PATH=.../node_modules python tests/node_features.py

``tests/docs/node_features.toml`` says for each key what it is called here. The tests carry
``@pytest.mark.shows("Client.alias")``; the marks are read from the source, so nothing has to run. The page is written
by ``WRITE_NODE_TABLE=1 python -m pytest tests/docs/test_docs_node_features.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from marked_tests import ROOT, marks

__all__ = [
    "KEYS_FILE",
    "PAGE_FILE",
    "Entry",
    "data_keys",
    "entries",
    "keys",
    "npm_features",
    "render_keys",
    "render_page",
]

KEYS_FILE = ROOT / "tests/docs/node_features.txt"
ENTRIES_FILE = ROOT / "tests/docs/node_features.toml"
PAGE_FILE = ROOT / "docs/coming-from-node.md"
SCRIPT = ROOT / "tests/interop/node/features.js"
NODE_TIMEOUT_S = 60

#: What is no export of a package: keys by their group, without its name.
DATA: Mapping[str, str] = {
    "Client option": """
        id secret organization protocol prefix domain firehoseUrl userClaim accountClaim subjectType additionalClaims
        accessToken hostSecret connectorName requestId flushAt flushAfter captureLogs logs captureFirehoseEvents
        firehoseEvents userId sudo timeout retry
    """,
    "asUser option": "create active scopes",
    "Connector option": """
        hostSecret port clientConfig instrumentation cache queue connectorName segmentFilterSetting
        skipSignatureValidation timeout
    """,
    "Middleware option": "hostSecret clientConfig",
    "ctx": """
        requestId config token client ship connector hostname options connectorConfig segments users_segments
        accounts_segments cache cache.wrap cache.set cache.get cache.del enqueue metric metric.value metric.increment
        metric.event helpers service message notification smartNotifierResponse
        smartNotifierResponse.setFlowControl
    """,
    "ctx.enqueue option": "delay queueName priority ttl",
    "smartNotifierHandler option": "handlers maxSize maxTime groupTraits segmentFilterSetting",
    "notifHandler option": "handlers onSubscribe maxSize maxTime groupTraits",
    "batcherHandler option": "maxSize maxTime",
    "oAuthHandler option": "name tokenInUrl isSetup onLogin onAuthorize Strategy views options",
    "requestExtract option": "segment format path fields additionalQuery",
    "handleExtract option": "body batchSize handler onResponse onError",
    "channel": """
        user:update user:delete account:update account:delete ship:update users_segment:update users_segment:delete
        accounts_segment:update accounts_segment:delete segment:update segment:delete
    """,
    "README": """
        hull-client hull-middleware hull-connector example-usage setup-helpers context-object base-context
        extended-context configuration-resolve-strategy custom-middleware context-management-convention
        incoming-data-flow schedules outgoing-data-flow notifications flow-control batch-extracts connector-status
        installation-authorization utils superagent-plugins infrastructure worker flow-annotations error-handling
        unhandled-error transient-error logic-error
    """,
    "manifest": """
        name description version license source logo picture readme index tags settings private_settings
        deployment_settings settings_sections settings_sections.title settings_sections.description
        settings_sections.properties settings_sections.step settings_sections.options subscriptions subscriptions.url
        subscriptions.channels subscriptions.channels.channel subscriptions.channels.handler
        subscriptions.channels.options subscriptions.channels.events-whitelist subscriptions.conditions batches
        batches.url batches.channels schedules schedules.url schedules.type schedules.value schedules.value_from
        schedules.default schedules.handler schedules.options schedules.method status statuses statuses.url
        statuses.type statuses.value statuses.handler statuses.initial_value admin tabs html json incoming resources ui
        mappings type
    """,
    "manifest tag": "smart-notifier kraken batch batch-accounts kraken-exports single-install",
    "manifest setting": """
        name type title description format default options required items enum url handler minimum maximum uniqueItems
        headerTemplate properties multipleOf minItems pattern
    """,
    "manifest setting type": "string array boolean number object",
}

#: Groups whose keys keep their names.
SAME_NAMES = {"channel", "manifest", "manifest tag", "manifest setting", "manifest setting type"}

#: Titles of the page's sections, by the group of a key, in the page's order.
SECTIONS: Mapping[str, str] = {
    "README": "What the README of `hull` describes",
    "Hull": "Exports of `hull`",
    "Client": "Client",
    "Client option": "Options of the client",
    "asUser option": "Options of `asUser` and `asAccount`",
    "Middleware option": "Options of the middleware",
    "Connector": "Connector",
    "Connector option": "Options of the connector",
    "ctx": "Context",
    "ctx.enqueue option": "Options of a job",
    "utils": "Handlers and middlewares",
    "channel": "Channels",
    "smartNotifierHandler option": "Options of `smartNotifierHandler`",
    "notifHandler option": "Options of `notifHandler`",
    "batcherHandler option": "Options of `batcherHandler`",
    "oAuthHandler option": "Options of `oAuthHandler`",
    "helpers": "Helpers",
    "requestExtract option": "Options of `requestExtract`",
    "handleExtract option": "Options of `handleExtract`",
    "infra": "Infrastructure",
    "errors": "Errors",
    "types": "Types",
    "manifest": "Manifest",
    "manifest tag": "Tags of a manifest",
    "manifest setting": "Keys of a setting",
    "manifest setting type": "Types of a setting",
}

HEAD = """\
# Coming from Node

Every public feature of the npm packages `hull` 0.13.26 and `hull-client` 1.2.4 and 2.0.4, what it is called here, and
the tests that show it. This page is generated: its rows come from the packages themselves, its tests from their marks.
"""

TABLE_HEAD = ("| Node | Python | Difference, and why | Shown by |", "|---|---|---|---|")


@dataclass(frozen=True)
class Entry:
    """What a feature is called here, or why it is not carried over."""

    ours: str = ""
    difference: str = ""
    dropped: str = ""


def npm_features(environment: Mapping[str, str]) -> list[str]:
    """Ask the installed npm packages for what they offer; ``NODE_PATH`` in the environment says where they are."""
    done = subprocess.run(
        ["node", str(SCRIPT)],
        env={**environment, "NODE_NO_WARNINGS": "1"},
        capture_output=True,
        text=True,
        timeout=NODE_TIMEOUT_S,
        check=True,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])["features"]


def data_keys() -> list[str]:
    """Return the keys that no package can be asked for."""
    return [_key(group, name) for group, names in DATA.items() for name in names.split()]


def keys() -> list[str]:
    """Return all keys, as they are checked in."""
    return KEYS_FILE.read_text(encoding="utf-8").splitlines()


def render_keys(features: list[str]) -> str:
    """Return the text of the file of keys."""
    return "".join(f"{key}\n" for key in [*features, *data_keys()])


def entries() -> dict[str, Entry]:
    """Return what the features are called here; channels and keys of a manifest keep their names."""
    read = tomllib.loads(ENTRIES_FILE.read_text(encoding="utf-8"))
    kept = {key: Entry(key.removeprefix(f"{group_of(key)}: ")) for key in data_keys() if group_of(key) in SAME_NAMES}
    return kept | {key: Entry(value) if isinstance(value, str) else Entry(**value) for key, value in read.items()}


def render_page() -> str:
    """Return the page's text."""
    known, shown = entries(), marks("shows")
    groups = defaultdict(list)
    for key in keys():
        groups[group_of(key)].append(key)
    parts = [HEAD]
    for group, title in SECTIONS.items():
        rows = [_row(key, known.get(key, Entry()), shown.get(key, [])) for key in groups[group]]
        parts.append("\n".join([f"## {title}\n", *TABLE_HEAD, *rows]))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def group_of(key: str) -> str:
    """Return the group of a key: what stands before its colon, else before its first dot."""
    group, separator, _ = key.partition(": ")
    return group if separator else key.split(".", maxsplit=1)[0]


def _key(group: str, name: str) -> str:
    return f"{group}.{name}" if group == "ctx" else f"{group}: {name}"


def _row(key: str, entry: Entry, tests: list[str]) -> str:
    cells = [
        f"`{key.removeprefix(f'{group_of(key)}: ')}`",
        f"`{entry.ours}`" if entry.ours else "not carried over",
        entry.dropped or entry.difference,
        ", ".join(f"`{test}`" for test in sorted(tests)),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    KEYS_FILE.write_text(render_keys(npm_features(os.environ)), encoding="utf-8")
