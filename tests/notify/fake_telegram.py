"""A Telegram Bot API on loopback: real HTTP, and a script of what to answer."""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["_Handler"], None]


class FakeTelegram:
    """Answers as scripted, one item a request, then with 200; `requests` has (path, JSON body) of each."""

    def __init__(self, port: int) -> None:
        self.base_url = f"http://127.0.0.1:{port}"
        self.script: deque[Answer] = deque()
        self.requests: list[tuple[str, dict[str, object]]] = []
        self.hung = threading.Event()
        self.let_go = threading.Event()

    def texts(self) -> list[str]:
        return [str(body["text"]) for _, body in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeTelegram

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.fake.requests.append((self.path, json.loads(body)))
        answer = self.fake.script.popleft() if self.fake.script else ok
        answer(self)

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def ok(handler: _Handler) -> None:
    number = len(handler.fake.requests)
    handler.reply(200, json.dumps({"ok": True, "result": {"message_id": number}}).encode())


def status(code: int, **parameters: int) -> Answer:
    body = {"ok": False, "error_code": code, "description": "scripted", "parameters": parameters}
    return lambda handler: handler.reply(code, json.dumps(body).encode())


def raw(code: int, body: bytes) -> Answer:
    return lambda handler: handler.reply(code, body)


def closed_socket(handler: _Handler) -> None:
    handler.close_connection = True


def hang(handler: _Handler) -> None:
    handler.fake.hung.set()
    handler.fake.let_go.wait(30)
    handler.close_connection = True


@contextmanager
def fake_telegram() -> Iterator[FakeTelegram]:
    class Handler(_Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake = Handler.fake = FakeTelegram(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        fake.let_go.set()
        server.shutdown()
        thread.join()
        server.server_close()
