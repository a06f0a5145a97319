"""Messages to an ntfy server (docs.ntfy.sh/publish), one's own or a public one: loud, with a button."""

import json
import re
from typing import Final

from islet.errors import SettingError
from islet.notify.base import ANNOUNCEMENTS, Delivered, Failed, Message, Outcome, RetryAfter
from islet.notify.guard import GuardedClient, NoAnswer, Refused

_TOPIC: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_BYTES: Final = 3_500  # of text; the server turns what is beyond 4096 into an attachment
_URGENT, _HIGH, _LOW = 5, 4, 2
_PERMANENT: Final = {
    400: "ntfy: 400, the message is refused",
    403: "ntfy: 403, this topic may not be written; check its access, or the token",
    404: "ntfy: 404, there is no such server here; check its address",
    410: "ntfy: 410, the topic has ended",
    413: "ntfy: 413, the message is too long",
}


class NtfyNotifier:
    """One topic on one server. `recipient` names it: who knows the topic of a server without access control can read
    it, so the topic is a secret."""

    name: Final = "ntfy"

    def __init__(
        self,
        topic: str,
        recipient: str,
        client: GuardedClient,
        *,
        base_url: str = "https://ntfy.sh",
        token: str = "",
        button: str = "Acknowledge",
    ) -> None:
        if not _TOPIC.fullmatch(topic):
            raise SettingError("ntfy: expected a topic of 1 to 64 of A-Z a-z 0-9 _ -")
        self._topic, self.recipient, self._client = topic, recipient, client
        self._url, self._token, self._button = base_url.rstrip("/") + "/", token, button

    def send(self, message: Message, now_us: int) -> Outcome:
        """One call."""
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            answer = self._client.post(self._url, json.dumps(self._body(message)).encode(), headers)
        except Refused as refused:
            return Failed(f"ntfy: {refused}")
        except NoAnswer as error:
            return RetryAfter(0, f"ntfy: no answer ({error})")
        if answer.status == 200:
            id = _id(answer.body)
            return Delivered(id) if id else RetryAfter(0, "ntfy: 200, but not ntfy's answer; check ntfy_base_url")
        if answer.status in _PERMANENT:
            return Failed(_PERMANENT[answer.status])
        asked_s = answer.retry_after_s(now_us) if answer.status in (429, 503) else 0.0
        return RetryAfter(asked_s, f"ntfy: status {answer.status}")

    def _body(self, message: Message) -> dict[str, object]:
        announces = message.kind in ANNOUNCEMENTS
        text = message.text.encode()[:_MAX_BYTES].decode(errors="ignore")
        body: dict[str, object] = {
            "topic": self._topic,
            "title": message.title,
            "message": text or message.title,
            "priority": (_URGENT if message.urgent else _HIGH) if announces else _LOW,
            "tags": ["rotating_light"] if announces and message.urgent else [],
        }
        if message.acknowledge_url and announces:
            button = {"action": "http", "label": self._button, "url": message.acknowledge_url, "method": "POST"}
            body["actions"] = [{**button, "clear": True}]
        return body


def _id(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return str(answer.get("id", "")) if isinstance(answer, dict) else ""
