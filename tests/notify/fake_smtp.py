"""An SMTP server on loopback: real sockets, and a script of what to answer to each recipient."""

import base64
import socketserver
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

HANG, CLOSE, DRIP = "hang", "close", "drip"


class FakeSmtp:
    """Takes mails; the script says what is answered to RCPT, one item a mail: a code with words, HANG, CLOSE, or DRIP:
    a line each 50 ms of an answer without an end."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self.port, self.context = port, context
        self.script: deque[str] = deque()
        self.to_sender = "250 fine"
        self.mails: list[str] = []
        self.encrypted: list[bool] = []
        self.users: list[str] = []
        self.let_go = threading.Event()


class _Handler(socketserver.StreamRequestHandler):
    fake: FakeSmtp

    def handle(self) -> None:
        self._say("220 ready")
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper().partition(":")[0]
            if not getattr(self, f"_on_{word.lower()}", self._on_other)(line):
                return

    def _on_ehlo(self, line: str) -> bool:
        plain = self.fake.context is not None and not isinstance(self.connection, ssl.SSLSocket)
        return self._say("250-here", "250-STARTTLS" if plain else "250-8BITMIME", "250 AUTH PLAIN")

    def _on_starttls(self, line: str) -> bool:
        assert self.fake.context is not None
        self._say("220 go on")
        self.connection = self.fake.context.wrap_socket(self.connection, server_side=True)
        self.setup_files()
        return True

    def setup_files(self) -> None:
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)

    def _on_auth(self, line: str) -> bool:
        _, user, password = base64.b64decode(line.split()[-1]).split(b"\0")
        self.fake.users.append(user.decode())
        return self._say("235 welcome" if password == b"right" else "535 no")

    def _on_mail(self, line: str) -> bool:
        return self._say(self.fake.to_sender)

    def _on_rcpt(self, line: str) -> bool:
        answer = self.fake.script.popleft() if self.fake.script else "250 fine"
        if answer == HANG:
            self.fake.let_go.wait(30)
        try:
            while answer == DRIP and not self.fake.let_go.wait(0.05):
                self._say("250-more")
        except OSError:  # the other side has had enough
            return False
        return answer not in (HANG, CLOSE, DRIP) and self._say(answer)

    def _on_data(self, line: str) -> bool:
        self._say("354 go on")
        lines: list[str] = []
        while (line := self.rfile.readline().decode()) not in (".\r\n", ""):
            lines.append(line)
        self.fake.mails.append("".join(lines))
        self.fake.encrypted.append(isinstance(self.connection, ssl.SSLSocket))
        return self._say("250 taken")

    def _on_quit(self, line: str) -> bool:
        self._say("221 bye")
        return False

    def _on_other(self, line: str) -> bool:
        return self._say("250 fine")

    def _say(self, *lines: str) -> bool:
        self.wfile.write("".join(line + "\r\n" for line in lines).encode())
        return True


@contextmanager
def fake_smtp(context: ssl.SSLContext | None = None) -> Iterator[FakeSmtp]:
    """`context`: offers STARTTLS with that certificate. The password of everybody is "right"."""

    class Handler(_Handler):
        pass

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake = Handler.fake = FakeSmtp(server.server_address[1], context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        fake.let_go.set()
        server.shutdown()
        thread.join()
        server.server_close()
