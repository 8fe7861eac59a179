"""Says what is going on: one line that updates on a terminal, a plain line for every stage elsewhere."""

from __future__ import annotations

from typing import Protocol, TextIO

__all__ = ["Progress", "Silence", "StreamProgress"]


class Progress(Protocol):
    """Where a run tells how far it is."""

    def stage(self, text: str) -> None:
        """Begin a stage.

        Args:
            text: What happens now, for example ``"sending 878 messages"``.
        """

    def update(self, text: str) -> None:
        """Say how far the present stage is.

        Args:
            text: For example ``"312 of 878"``.
        """

    def finish(self) -> None:
        """End the last line."""


class Silence:
    """Progress that nobody reads."""

    def stage(self, text: str) -> None:
        """Say nothing."""

    def update(self, text: str) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""


class StreamProgress:
    """Progress on a stream such as standard error.

    Args:
        stream: Where to write.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._stage = ""
        self._open = False

    def stage(self, text: str) -> None:
        """Begin a line of its own on a pipe, replace the line on a terminal."""
        self._stage = text
        self._write(f"\r\x1b[K{text}" if self._terminal else f"{text}\n")

    def update(self, text: str) -> None:
        """Replace the line on a terminal; a pipe is not flooded."""
        if self._terminal:
            self._write(f"\r\x1b[K{self._stage}: {text}")

    def finish(self) -> None:
        """Clear the line on a terminal."""
        if self._terminal and self._open:
            self._write("\r\x1b[K")
            self._open = False

    def _write(self, text: str) -> None:
        self._open = True
        self._stream.write(text)
        self._stream.flush()
