"""A Telegram Bot API on loopback."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.notify.fake_http import Answer, FakeHttp, Handler, closed_socket, hang, raw, serving

__all__ = ["FakeTelegram", "closed_socket", "fake_telegram", "hang", "raw", "result", "status"]


class FakeTelegram(FakeHttp):
    """Answers as scripted, one item a request, then with 200 and the number of the message."""

    def __init__(self, port: int) -> None:
        super().__init__(port, ok)

    def calls(self) -> list[tuple[str, dict[str, object]]]:
        """(method's path, JSON body) of each request."""
        return [(request.path, json.loads(request.body)) for request in self.requests]

    def texts(self) -> list[str]:
        return [str(body["text"]) for _, body in self.calls()]


def ok(handler: Handler) -> None:
    result({"message_id": len(handler.fake.requests)})(handler)


def result(value: object) -> Answer:
    return raw(200, json.dumps({"ok": True, "result": value}).encode())


def status(code: int, description: str = "scripted", **parameters: int) -> Answer:
    return raw(
        code,
        json.dumps({"ok": False, "error_code": code, "description": description, "parameters": parameters}).encode(),
    )


@contextmanager
def fake_telegram() -> Iterator[FakeTelegram]:
    with serving(FakeTelegram) as fake:
        assert isinstance(fake, FakeTelegram)
        yield fake
