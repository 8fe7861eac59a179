"""Forks: what holds a lock, a thread or somebody's items starts afresh in a child process.

A thread of the parent may have held a lock at the moment of the fork; in the child nobody would ever release it. What
the parent had taken, the parent finishes: a child that kept a copy would do it a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, overload
from weakref import WeakSet

from hull_sdk.core.process import after_fork_in_child

__all__ = ["ForkAware", "lazy", "watch_forks"]

T = TypeVar("T")


class ForkAware(Protocol):
    """Something that holds a lock."""

    def after_fork(self) -> None:
        """Start afresh in a child process, touching no lock of the parent's."""


_members: WeakSet[ForkAware] = WeakSet()


def watch_forks(member: ForkAware) -> None:
    """Have something told of forks, as long as it lives.

    Args:
        member: Its ``after_fork`` is called in every child process, before anything else runs there.
    """
    _members.add(member)


def _after_fork() -> None:
    for member in list(_members):
        member.after_fork()


class lazy(Generic[T]):  # noqa: N801 - used like property
    """A property that is computed once for each object; of several threads at once, each may compute it.

    Unlike ``functools.cached_property`` of Python 3.11 it has no lock, which a fork could leave held for ever.

    Args:
        compute: A method without arguments.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> lazy[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> lazy[T] | T:
        """Return the value, kept in the object's ``__dict__``, where it is found first from then on."""
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._compute(instance)
        return value


after_fork_in_child(_after_fork)
