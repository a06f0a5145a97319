"""Messages as lines on a terminal: for demonstrations, and to see what would be sent."""

import sys
from typing import Final, TextIO

from islet.notify.base import Delivered, Message, Outcome, RetryAfter


class ConsoleNotifier:
    """Writes each message as one line to a stream, standard output by default; a closed or full one is tried again."""

    name: Final = "console"
    recipient: Final = "terminal"

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def send(self, message: Message, now_us: int) -> Outcome:
        """One line; control characters in it are shown, not obeyed by the terminal."""
        line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in f"[{message.title}] {message.text}")
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            return RetryAfter(0, f"console: {type(error).__name__}")
        return Delivered()
