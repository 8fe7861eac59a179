"""The attributes that an organization knows, as a flat list.

Rules: section "REST" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["Properties", "flatten_tree"]

_PATH: Final = "search/user_reports/bootstrap"
_GROUP_IDS: Final = ("ship_id", "app_id", "platform_id", "resource_id")


def flatten_tree(
    tree: list[Mapping[str, Any]], path: tuple[str, ...] = (), id_path: tuple[str, ...] = ()
) -> dict[str, dict[str, Any]]:
    """Turn the attribute tree into a dict by attribute id.

    Args:
        tree: Groups ``{"text", "children"}`` and leaves ``{"id", "text", "type"}``.
        path: Titles of the groups around it.
        id_path: Ids of the groups around it.

    Returns:
        For example ``{"traits_plan": {"id": "traits_plan", "text": "plan", "type": "string", "title": "plan",
        "key": "traits_plan", "path": ["User"], "id_path": ["User"]}}``.
    """
    found: dict[str, dict[str, Any]] = {}
    for node in tree:
        title = str(node.get("text") or node.get("name") or "")
        if isinstance(node.get("children"), list):
            group_id = next((str(node[name]) for name in _GROUP_IDS if node.get(name)), title)
            found.update(flatten_tree(node["children"], (*path, title), (*id_path, group_id)))
        elif isinstance(key := node.get("id") or node.get("key"), str):
            extra = {"title": title, "key": key, "path": list(path), "id_path": list(id_path)}
            found[key] = {**node, **extra}
    return found


class Properties:
    """``client.utils.properties``.

    Args:
        get: Sends a GET to the API.
    """

    def __init__(self, get: Callable[[str], Any]) -> None:
        self._get = get

    def get(self) -> dict[str, dict[str, Any]]:
        """Return the user attributes that the organization knows, by id; see :func:`flatten_tree`."""
        answer = self._get(_PATH)
        tree = answer.get("tree") if isinstance(answer, Mapping) else None
        return flatten_tree(tree if isinstance(tree, list) else [])
