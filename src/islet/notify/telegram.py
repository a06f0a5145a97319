"""Messages through a Telegram bot (Bot API: core.telegram.org/bots/api), with a button to acknowledge."""

from typing import Final

from islet.errors import SettingError
from islet.notify.base import ANNOUNCEMENTS, Delivered, Failed, Message, Outcome, RetryAfter
from islet.notify.telegram_bot import PRESSED, TIMEOUT_S, BotAnswer, TelegramBot

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
_SAME_ALREADY: Final = "message is not modified"


class TelegramNotifier:
    """One chat, reached through one bot. `close()` releases what it made itself."""

    name: Final = "telegram"

    def __init__(
        self,
        token: str,
        chat: str,
        *,
        base_url: str = "https://api.telegram.org",
        timeout_s: float = TIMEOUT_S,
        bot: TelegramBot | None = None,
        button: str = "Acknowledge",
        id: str = "",
    ) -> None:
        """`bot`: one that is shared, instead of one made from token and base_url. `button`: what is on the button.
        `id`: what this recipient is called, where that is not the chat."""
        if not (token or bot) or not chat:
            raise SettingError("telegram: expected both telegram_token and telegram_chat; at least one is empty")
        self._chat, self._button, self._id = chat, button, id or chat
        self._own = None if bot else TelegramBot(token, base_url=base_url, timeout_s=timeout_s)
        self._bot = bot or self._own

    @property
    def recipient(self) -> str:
        return self._id

    def send(self, message: Message, now_us: int) -> Outcome:
        """One call; a second one where the message to change is there no more. Telegram knows no idempotency key: a
        message sent twice after a crash is shown twice."""
        if message.replaces.isdigit() and message.kind not in ANNOUNCEMENTS:
            outcome = self._changed(message)
            if outcome is not None:
                return outcome
        return _outcome(self._call("sendMessage", self._body(message)))

    def close(self) -> None:
        if self._own is not None:
            self._own.close()

    def _changed(self, message: Message) -> Outcome | None:
        """What became of changing the earlier message; None where it cannot be changed and a new one is needed."""
        answer = self._call("editMessageText", {**self._body(message), "message_id": int(message.replaces)})
        if answer.status != 400:
            outcome = _outcome(answer)
            return Delivered(message.replaces) if isinstance(outcome, Delivered) else outcome
        return Delivered(message.replaces) if _SAME_ALREADY in answer.description else None

    def _body(self, message: Message) -> dict[str, object]:
        body: dict[str, object] = {"chat_id": self._chat, "text": f"{message.title}\n{message.text}"[:_MAX_TEXT]}
        if message.token and message.kind in ANNOUNCEMENTS:
            button = {"text": self._button, "callback_data": PRESSED + message.token}
            body["reply_markup"] = {"inline_keyboard": [[button]]}
        return body

    def _call(self, method: str, body: dict[str, object]) -> BotAnswer:
        assert self._bot is not None
        return self._bot.call(method, body)


def _outcome(answer: BotAnswer) -> Outcome:
    if answer.ok:
        return Delivered(str(_member(answer.result, "message_id") or ""))
    if answer.status in _PERMANENT:
        return Failed(_PERMANENT[answer.status])
    if answer.status in _MENDABLE:
        return RetryAfter(0, _MENDABLE[answer.status])
    if answer.status == 429:
        return RetryAfter(_number(answer.parameters.get("retry_after")), "telegram: 429, too many messages")
    if answer.status:
        return RetryAfter(0, f"telegram: unexpected answer, status {answer.status}")
    return RetryAfter(0, answer.description)


def _member(result: object, name: str) -> object:
    return result.get(name) if isinstance(result, dict) else None


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0
