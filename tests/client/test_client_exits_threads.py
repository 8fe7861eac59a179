"""The watch over the end of the process, when several threads send and close at the same moment."""

from __future__ import annotations

import signal
import threading

import pytest

from hull_sdk.client.exits import Exits
from hull_sdk.core.process import EndHook


class Member:
    """Something that has messages; ``looks`` are what it has from look to look, the last one from then on."""

    def __init__(self, *looks: int) -> None:
        self.looks = list(looks)

    @property
    def waiting(self) -> int:
        """Return what the next look sees."""
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def after_fork(self) -> None:
        """Nothing is kept."""


def sigterm_is_ours() -> bool:
    """Return whether somebody has taken SIGTERM over."""
    return signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL


def in_a_thread(function, *arguments) -> None:
    """Run a function in another thread, and wait for its end."""
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


@pytest.fixture
def exits():
    """A watch of its own; SIGTERM is as before afterwards."""
    watch = Exits()
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield watch
    signal.signal(signal.SIGTERM, before)


def test_a_thread_does_not_undo_what_the_main_thread_installs(exits, monkeypatch):
    """A thread that sends while the main thread takes SIGTERM over leaves it known, so that it is given back."""
    install = EndHook.install

    def meanwhile(hook):
        installed = install(hook)
        if not installed:
            monkeypatch.setattr(EndHook, "install", install)
            main_goes_on.set()
            main_is_done.wait(10)
        return installed

    main_goes_on, main_is_done = threading.Event(), threading.Event()
    monkeypatch.setattr(EndHook, "install", meanwhile)
    other = threading.Thread(target=exits.arm)
    other.start()
    assert main_goes_on.wait(10)
    exits.arm()
    main_is_done.set()
    other.join()
    assert exits.armed
    exits.leave(Member(0))
    assert not sigterm_is_ours()


def test_what_another_thread_closed_first_is_given_back_by_the_main_thread(exits):
    """Only the main thread can give SIGTERM back: it does so with the next thing it closes."""
    exits.arm()
    in_a_thread(exits.leave, Member(0))
    assert sigterm_is_ours()
    exits.leave(Member(0))
    assert not sigterm_is_ours()


def test_a_message_sent_while_the_last_client_closes_stays_watched(exits):
    """Who sends between the look at what waits and the giving back has SIGTERM taken over again."""
    sender = Member(0, 1)
    exits.join(sender)
    exits.arm()
    exits.leave(Member(0))
    assert exits.armed
    assert sigterm_is_ours()


def test_what_waits_elsewhere_keeps_the_watch(exits):
    """Closing one client gives nothing back while another has messages."""
    sender = Member(1)
    exits.join(sender)
    exits.arm()
    exits.leave(Member(0))
    assert sigterm_is_ours()
    exits.leave(sender)
    assert not sigterm_is_ours()
