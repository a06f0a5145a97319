"""Messages through a Telegram bot (Bot API, method `sendMessage`: core.telegram.org/bots/api#sendmessage).

The bot's token is part of the URL, and httpx logs URLs: such records are dropped, and no reason or exception that
leaves this file holds the URL.
"""

import json
import logging
from typing import Final

import httpx

from islet.errors import SettingError
from islet.notify.base import Delivered, Failed, Message, Outcome, RetryAfter

TIMEOUT_S: Final = 10.0
_MAX_TEXT: Final = 4096  # characters; the API refuses longer ones

_PERMANENT: Final = {
    400: "telegram: 400, the chat does not exist or the message is refused; check telegram_chat",
    403: "telegram: 403, the bot was blocked or removed by the recipient",
}
_MENDABLE: Final = {
    401: "telegram: 401, the bot's token is refused; check telegram_token",
    404: "telegram: 404, the bot's token is refused; check telegram_token and telegram_base_url",
}
"""An operator's mistake: kept and tried again, so that the messages arrive once it is mended."""


class TelegramNotifier:
    """One chat, reached through one bot. `close()` releases the connection."""

    name: Final = "telegram"

    def __init__(
        self, token: str, chat: str, *, base_url: str = "https://api.telegram.org", timeout_s: float = TIMEOUT_S
    ) -> None:
        if not token or not chat:
            raise SettingError("telegram: expected both telegram_token and telegram_chat; at least one is empty")
        self._chat = chat
        self._url = f"{base_url.rstrip('/')}/bot{token}/sendMessage"
        self._keep_secret = _without(token)
        logging.getLogger("httpx").addFilter(self._keep_secret)
        self._client = httpx.Client(timeout=timeout_s, follow_redirects=False)

    @property
    def recipient(self) -> str:
        return self._chat

    def send(self, message: Message, now_us: int) -> Outcome:
        """One call. Telegram knows no idempotency key: a message sent twice after a crash is shown twice."""
        text = f"{message.title}\n{message.text}"[:_MAX_TEXT]
        try:
            answer = self._client.post(self._url, json={"chat_id": self._chat, "text": text})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return RetryAfter(0, f"telegram: no answer ({type(error).__name__})")
        return _outcome(answer)

    def close(self) -> None:
        self._client.close()
        logging.getLogger("httpx").removeFilter(self._keep_secret)


def _without(token: str) -> "logging._FilterType":
    def keep(record: logging.LogRecord) -> bool:
        return token not in record.getMessage()

    return keep


def _outcome(answer: httpx.Response) -> Outcome:
    status = answer.status_code
    if status in _PERMANENT:
        return Failed(_PERMANENT[status])
    if status in _MENDABLE:
        return RetryAfter(0, _MENDABLE[status])
    body = _json_object(answer)
    if status == 429:
        return RetryAfter(_number(_member(body, "parameters"), "retry_after"), "telegram: 429, too many messages")
    if status == 200 and body.get("ok") is True:
        return Delivered(str(_member(body, "result").get("message_id", "")))
    return RetryAfter(0, f"telegram: unexpected answer, status {status}")


def _json_object(answer: httpx.Response) -> dict[str, object]:
    try:
        body = json.loads(answer.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _member(body: dict[str, object], name: str) -> dict[str, object]:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _number(body: dict[str, object], name: str) -> float:
    value = body.get(name)
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0
