"""An HTTP server on loopback: real sockets, and a script of what to answer."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message as Headers
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Request(NamedTuple):
    path: str
    headers: Headers
    body: bytes


class FakeHttp:
    """Answers as scripted, one item a request, then as `usual` says."""

    def __init__(self, port: int, usual: "Answer") -> None:
        self.base_url = f"http://127.0.0.1:{port}"
        self.usual = usual
        self.script: deque[Answer] = deque()
        self.requests: list[Request] = []
        self.hung = threading.Event()
        self.let_go = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeHttp

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.fake.requests.append(Request(self.path, self.headers, body))
        answer = self.fake.script.popleft() if self.fake.script else self.fake.usual
        answer(self)

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


Answer = Callable[[Handler], None]


def raw(code: int, body: bytes = b"", **headers: str) -> Answer:
    return lambda handler: handler.reply(code, body, **headers)


def closed_socket(handler: Handler) -> None:
    handler.close_connection = True


def hang(handler: Handler) -> None:
    handler.fake.hung.set()
    handler.fake.let_go.wait(30)
    handler.close_connection = True


@contextmanager
def serving(make: Callable[[int], FakeHttp]) -> Iterator[FakeHttp]:
    class Own(Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    server.daemon_threads = True
    fake = Own.fake = make(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        fake.let_go.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def fake_http(usual: Answer | None = None) -> Iterator[FakeHttp]:
    with serving(lambda port: FakeHttp(port, usual or raw(200, b"{}"))) as fake:
        yield fake
