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

        self.pressed: list[dict[str, object]] = []

    def press(self, message: int = 0) -> None:
        """Somebody presses the button of that message, counted from the first; the bot hears of it when it asks."""
        _, body = [one for one in self.calls() if one[0].endswith("sendMessage")][message]
        markup = body["reply_markup"]
        assert isinstance(markup, dict)
        data = markup["inline_keyboard"][0][0]["callback_data"]
        number = len(self.pressed) + 1
        query = {"id": f"q{number}", "data": data, "message": {"chat": {"id": int(str(body["chat_id"]))}}}
        self.pressed.append({"update_id": number, "callback_query": query})

    def calls(self) -> list[tuple[str, dict[str, object]]]:
        """(method's path, JSON body) of each request."""
        return [(request.path, json.loads(request.body)) for request in self.requests]

    def texts_sent(self) -> list[str]:
        """Of new messages alone."""
        return [str(body["text"]) for path, body in self.calls() if path.endswith("/sendMessage")]

    def texts(self) -> list[str]:
        return [str(body["text"]) for _, body in self.calls()]


def ok(handler: Handler) -> None:
    fake = handler.fake
    assert isinstance(fake, FakeTelegram)
    if handler.path.endswith("/getUpdates"):
        asked = json.loads(fake.requests[-1].body).get("offset", 0)
        new = [one for one in fake.pressed if int(str(one["update_id"])) >= asked]
        fake.let_go.wait(0 if new else 0.1)
        result(new)(handler)
        return
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
