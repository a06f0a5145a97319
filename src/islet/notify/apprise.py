"""Messages through Apprise (BSD-2): chat rooms, SMS and the rest, each by one URL of its own form.

An Apprise URL holds secrets and can name any host: only administrators enter one.
"""

import logging
from collections.abc import Collection
from typing import Any, Final
from urllib.parse import urlsplit

from islet.errors import SettingError
from islet.notify.base import ANNOUNCEMENTS, Delivered, Message, Outcome, RetryAfter
from islet.settings import listed

SERVICES: Final = frozenset(
    listed(
        "wecombot, dingtalk, feishu, lark, twilio, msg91, vonage, nexmo, sinch, clickatell, d7sms, bulksms, pover, pbul, "
        "matrix, matrixs, mmost, mmosts, slack, workflows, discord, gchat, rocket, rockets, signal, signals, "
        "whatsapp, line, sns"
    )
)
"""Services that carry messages to people. Apprise has others: requests to any address, files, the desktop."""
_LOGGERS: Final = ("apprise", "urllib3.connectionpool", "requests_oauthlib")
"""They write addresses and whole messages, from threads of their own: all of their records are dropped."""


class AppriseNotifier:
    """One Apprise URL. `recipient` names it."""

    name: Final = "apprise"

    def __init__(self, url: str, recipient: str, *, services: Collection[str] = SERVICES) -> None:
        """Raises SettingError for a service that is not among `services`, or a URL that Apprise does not take; the
        message does not hold it."""
        self.recipient = recipient
        if urlsplit(url).scheme.lower() not in services:
            raise SettingError(f"apprise: expected a URL of one of {', '.join(sorted(services))}")
        self._target = _target(url)

    def send(self, message: Message, now_us: int) -> Outcome:
        """One call. Apprise says yes or no, never why or for how long."""
        kind = "failure" if message.urgent else "warning" if message.kind in ANNOUNCEMENTS else "info"
        link = f"\n{message.acknowledge_url}" if message.acknowledge_url else ""
        body = (message.text or message.title) + link
        taken = self._target.notify(title=message.title, body=body, notify_type=kind)
        return Delivered() if taken else RetryAfter(0, "apprise: the service did not take the message")


def _target(url: str) -> Any:
    try:
        from apprise import Apprise
    except ImportError:
        raise SettingError("apprise: expected apprise to be installed (islet[apprise])") from None
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_drop)
    target = Apprise()
    if not target.add(url):
        raise SettingError("apprise: expected a URL in the form that Apprise gives for this service")
    return target


def _drop(record: logging.LogRecord) -> bool:
    return False
