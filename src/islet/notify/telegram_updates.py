"""Buttons that were pressed in Telegram, fetched (`getUpdates`, long poll) or received (a webhook with a secret).

Nothing is remembered here: an update counts as taken when the next fetch asks for the ones after it, so after a crash
it comes again, and acknowledging twice is acknowledging once.
"""

import hmac
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from islet.notify.telegram_bot import PRESSED, TelegramBot

SECRET_HEADER: Final = "x-telegram-bot-api-secret-token"  # noqa: S105  # the header's name
_KINDS: Final = ["callback_query"]


class Pressed(NamedTuple):
    """A button of ours: its message's token, and what the chat is called that it was pressed in: its number, and its
    `@name` where it is public."""

    update: int
    query: str
    token: str
    chats: tuple[str, ...]


Press = Callable[[str, tuple[str, ...]], str]
"""(token, what the chat is called) -> the words to show to who pressed; called from the thread that fetches."""


class TelegramUpdates:
    """The buttons of one bot."""

    def __init__(self, bot: TelegramBot, press: Press) -> None:
        self._bot, self._press = bot, press
        self._next: int | None = None

    def poll(self, timeout_s: float) -> bool:
        """Wait up to that long for buttons, and answer them; whether the API could be asked. Never raises for what
        the other side does; where it gives False, wait a moment before the next call."""
        wait_s = max(0, int(timeout_s))
        body: dict[str, object] = {"timeout": wait_s, "allowed_updates": _KINDS}
        if self._next is not None:
            body["offset"] = self._next
        answer = self._bot.call("getUpdates", body, more_s=wait_s)
        if not isinstance(answer.result, list):
            return False
        for update in answer.result:
            self._take(update)
        return True

    def received(self, update: object, secret: str, expected: str) -> bool:
        """Take an update that the API has POSTed, with the header SECRET_HEADER; False, and nothing is done, where
        that is not the secret which the webhook was registered with."""
        if not expected or not hmac.compare_digest(secret.encode(), expected.encode()):
            return False
        self._take(update)
        return True

    def _take(self, update: object) -> None:
        for pressed in _pressed(update):
            words = self._press(pressed.token, pressed.chats)
            self._bot.call("answerCallbackQuery", {"callback_query_id": pressed.query, "text": words[:200]})
        number = update.get("update_id") if isinstance(update, dict) else None
        if isinstance(number, int):
            self._next = number + 1


def _pressed(update: object) -> Iterator[Pressed]:
    match update:
        case {
            "update_id": int(number),
            "callback_query": {"id": str(query), "data": str(data), "message": {"chat": {"id": int(id)} as chat}},
        } if data.startswith(PRESSED):
            name = chat.get("username")
            chats = (str(id), f"@{name}") if isinstance(name, str) else (str(id),)
            yield Pressed(number, query, data.removeprefix(PRESSED), chats)
