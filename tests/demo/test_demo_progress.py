"""Progress: a line that updates on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

from hull_sdk.demo.progress import Silence, StreamProgress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def tell(progress):
    """Go through two stages."""
    progress.stage("sending")
    progress.update("1 of 2")
    progress.update("2 of 2")
    progress.stage("delivering")
    progress.finish()


def test_a_pipe_gets_one_plain_line_for_a_stage():
    """No control characters and no flood reach a pipe."""
    stream = io.StringIO()
    tell(StreamProgress(stream))
    assert stream.getvalue() == "sending\ndelivering\n"


def test_a_terminal_gets_one_line_that_updates():
    """Every text replaces the one before, and nothing is left at the end."""
    stream = Terminal()
    tell(StreamProgress(stream))
    assert "\n" not in stream.getvalue()
    assert "\r\x1b[Ksending: 1 of 2" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_silence_is_silent(capsys):
    """Nothing is written."""
    tell(Silence())
    assert capsys.readouterr() == ("", "")
