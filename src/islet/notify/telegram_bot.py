"""The Telegram Bot API over HTTP (core.telegram.org/bots/api): one call at a time, and what it answered.

The bot's token is part of the URL, and httpx logs URLs: such records are dropped, and no reason or exception that
leaves this file holds the URL.
"""

import json
import logging
from dataclasses import dataclass, field
from typing import Final

import httpx

from islet.errors import SettingError
from islet.notify.bounded import within

TIMEOUT_S: Final = 10.0
_MOST_BYTES: Final = 4 * 1024 * 1024  # of an answer: a hundred updates are far less
PRESSED: Final = "ack:"
"""What a button's data begins with; a message's token follows. The API allows 64 bytes, these are 26."""


@dataclass(frozen=True, slots=True)
class BotAnswer:
    """An answer of the API: the HTTP status (0: none came), `result`, and else the reason in its words or ours."""

    status: int
    result: object = None
    description: str = ""
    parameters: dict[str, object] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.result is not None


class TelegramBot:
    """The API with one bot's token; for any number of chats and threads. `close()` releases the connections."""

    def __init__(self, token: str, *, base_url: str = "https://api.telegram.org", timeout_s: float = TIMEOUT_S) -> None:
        if not token:
            raise SettingError("telegram: expected telegram_token; it is empty")
        self._url = f"{base_url.rstrip('/')}/bot{token}/"
        self._keep_secret = _without(token)
        logging.getLogger("httpx").addFilter(self._keep_secret)
        self._client = httpx.Client(timeout=timeout_s, follow_redirects=False, headers={"Accept-Encoding": "identity"})

    def call(self, method: str, body: dict[str, object], *, more_s: float = 0.0) -> BotAnswer:
        """One call; raises nothing for what the other side does. `more_s` is added to the time to wait for it."""
        timeout_s = (self._client.timeout.read or TIMEOUT_S) + more_s
        try:
            request = self._client.build_request("POST", self._url + method, json=body, timeout=timeout_s)
            answer = within(self._client, request, timeout_s, _MOST_BYTES)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return BotAnswer(0, description=f"telegram: no answer ({type(error).__name__})")
        return _answer(answer)

    def close(self) -> None:
        self._client.close()
        logging.getLogger("httpx").removeFilter(self._keep_secret)


def _without(token: str) -> "logging._FilterType":
    def keep(record: logging.LogRecord) -> bool:
        return token not in record.getMessage()

    return keep


def _answer(answer: httpx.Response) -> BotAnswer:
    try:
        body = json.loads(answer.content)
    except (ValueError, RecursionError):
        body = {}
    if not isinstance(body, dict):
        body = {}
    done = answer.status_code == 200 and body.get("ok") is True
    parameters = body.get("parameters")
    return BotAnswer(
        answer.status_code,
        body.get("result", True) if done else None,
        str(body.get("description", "")),
        parameters if isinstance(parameters, dict) else {},
    )
