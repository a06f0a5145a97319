"""Alarms of one installation: the outbox, its channels, the people it tells, and the answers that come back."""

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final

from islet.access.decide import Action, decide
from islet.channels import Channels
from islet.contacts.book import ContactBook
from islet.engine.in_force import Rules
from islet.engine.rulebook import RuleBook
from islet.known import Reached, known_us, reached
from islet.log.base import Append, Log
from islet.log.group_commit import GroupCommit
from islet.model.alerts import AlertChange
from islet.model.codec import change_documents
from islet.model.time import MINUTE_US, SECOND_US, Now
from islet.model.topics import Topic
from islet.notify.outbox import Outbox
from islet.notify.pager import Rules as PagerRules
from islet.notify.recipients import Contact
from islet.notify.schedule import Paging
from islet.notify.telegram_updates import TelegramUpdates
from islet.notify.texts import Wording, texts_in
from islet.settings import Settings
from islet.store.base import Registry, Store
from islet.store.principals import Principals
from islet.web.languages import LANGUAGES, words
from islet.web.texts import ANSWERS

_IDLE_S: Final = 0.25
_PACE_S: Final = 0.05  # what comes meanwhile is one transaction
_LOOK_EVERY_US: Final = 5 * SECOND_US
_POLL_S: Final = 3  # so long a stop waits for the bot
_BEAT_EVERY_US: Final = 5 * SECOND_US


class Heart:
    """The engine's sign of life: a file that is touched while it works, so that another process can watch it. By the
    wall's clock."""

    def __init__(self, path: Path, wall: Now) -> None:
        self._path, self._wall, self._beaten_us = path, wall, 0
        self.from_us = wall()
        """Since when it is listened for."""

    def beat(self) -> None:
        """The engine has worked. Cheap; a full disk does not stop the engine (but stops the heart)."""
        now_us = self._wall()
        if abs(now_us - self._beaten_us) >= _BEAT_EVERY_US:  # also when the clock was put back
            self._beaten_us = now_us
            with suppress(OSError):
                self._path.touch()

    def last_us(self) -> int | None:
        """When it last beat; None where no engine ever ran."""
        now_us = self._wall()
        self.from_us = min(self.from_us, now_us)  # the clock was put back
        try:
            beaten_us = self._path.stat().st_mtime_ns // 1000
            if beaten_us > now_us + _BEAT_EVERY_US:  # by the old clock; from now on it grows older again
                os.utime(self._path, ns=(now_us * 1000, now_us * 1000))
        except OSError:
            return None
        return min(beaten_us, now_us)


class Alarms:
    """`outbox`, `book` and `channels` may be used from any thread; `tell` is one worker's step, `listen` another's."""

    def __init__(
        self,
        settings: Settings,
        key: bytes,
        log: Log,
        commit: GroupCommit,
        registry: Registry,
        rules: RuleBook,
        now: Now,
        *,
        wall: Now,
        rng: Random,
        kept_from_us: Callable[[], int],
        store: Store | None = None,
        console: bool = True,
    ) -> None:
        """`kept_from_us`: what was taken in before that instant may be forgotten. `store`: knows each patient's
        newest values; without it, nobody is told of alerts that began long ago and go on."""
        self._settings, self._log, self._commit, self._rules = settings, log, commit, rules
        self._now, self._wall, self._kept_from_us = now, wall, kept_from_us
        self._registry, self._principals, self._store = registry, Principals(registry), store
        self.channels = Channels(settings, registry, lambda language, text: words(language).text(text), console=console)
        self.book = ContactBook(registry, now, self.channels.installation)
        self._in_force = rules.current()
        self.outbox = self._new_outbox(key, rng)
        self.heart = Heart(settings.data_dir / "engine.tick", wall)
        self._people = self.book.version()
        self._seen, self._ends = 0, tuple[int, ...]()
        self._reached: Reached | None = reached(log) if settings.engine == "embedded" else None
        self._watched_us = self._tidied_us = wall()
        bot = self.channels.bot
        self.updates = None if bot is None else TelegramUpdates(bot, self._press)

    def _new_outbox(self, key: bytes, rng: Random) -> Outbox:
        settings = self._settings
        return Outbox(
            settings.data_dir / "store.db",
            key,
            self.channels.notifiers,
            page_max_age_min=settings.page_max_age_min,
            notify_give_up_h=settings.notify_give_up_h,
            rng=rng,
            wording=self._wording,
            directory=self.book,
            channels=self.channels.opens,
            rules=_pager_rules(self._in_force),
            acknowledge=self.acknowledge,
            acknowledge_url=f"{settings.public_url.rstrip('/')}/acknowledge/" if settings.public_url else "",
            known_us=self._known_us,
        )

    # the workers' steps

    def tell(self) -> None:
        """From the log and the clock to people: what is new, what has become due, what is to be sent."""
        if not self.outbox.behind:
            time.sleep(_PACE_S)
            self._seen = self._log.wait(self._seen, _IDLE_S)
        self._adopt()
        if self._ends != (ends := self._log.end(Topic.ALERTS)):
            self._ask_the_engine()
            self.outbox.take_in(self._log, self._now())
            if not self.outbox.behind:  # else, also where the next part fails, there is more
                self._ends = ends
        else:
            if (self.outbox.next_page_us() or math.inf) <= self._now():
                self._ask_the_engine()
            self.outbox.schedule(self._now())
        wall_us = self._wall()
        self.outbox.deliver_due(wall_us)
        if abs(wall_us - self._watched_us) >= _LOOK_EVERY_US:
            self._watched_us = wall_us
            self._watch(wall_us)
        if abs(wall_us - self._tidied_us) >= self._settings.compact_every_s * SECOND_US:
            self._tidied_us = wall_us
            self.outbox.forget(self._kept_from_us())

    def listen(self) -> None:
        """Buttons that were pressed in Telegram, where they are fetched."""
        if self.updates is not None and not self.updates.poll(_POLL_S):
            time.sleep(_POLL_S)

    @property
    def listens(self) -> bool:
        """Whether buttons have to be fetched: there is a bot, and no webhook of it."""
        return self.updates is not None and not self._settings.telegram_webhook_secret

    def close(self) -> None:
        self.outbox.close()
        self.channels.close()

    def _adopt(self) -> None:
        """Policies, contacts and rules as they are now."""
        if self._people is not (people := self.book.version()):
            self._people = people
            self.outbox.people_changed()
        if self._in_force is not (in_force := self._rules.current()):
            self._in_force = in_force
            self.outbox.rules_changed(_pager_rules(in_force))

    def _watch(self, wall_us: int) -> None:
        heartbeat_us = self.heart.last_us()
        if heartbeat_us is not None:
            silent_us = round(self._settings.engine_silent_min * MINUTE_US)
            self.outbox.watch(heartbeat_us, silent_us, wall_us, from_us=self.heart.from_us)

    def _ask_the_engine(self) -> None:
        """How far it is, before the outbox's transaction: nobody can write into the store meanwhile, and a log on other
        machines may not answer for long."""
        if self._settings.engine == "embedded":
            self._reached = reached(self._log)

    def _known_us(self, patient: str, rule: str) -> int | None:
        if self._store is None:
            return None
        rules, now_us = self._in_force, self._now()
        return known_us(patient, rule, rules=rules, store=self._store, engine=self._reached, now_us=now_us)

    # answers

    def acknowledge(self, alert: str, contact: Contact) -> bool:
        """Write into the log that who has this contact has seen the alert, if they may; whether they could."""
        paging = self.outbox.paging(alert)
        if paging is None or not self._may(contact, paging.patient):
            return False
        by = contact.user or f"{contact.channel} {contact.id}"
        self._commit.commit(appends=[Append(topic=Topic.ALERTS, batch=change_documents([self._seen_by(paging, by)]))])
        return True

    def received(self, update: object, secret: str) -> bool:
        """An update that Telegram has POSTed; False where its secret is not ours."""
        expected = self._settings.telegram_webhook_secret
        return self.updates is not None and self.updates.received(update, secret, expected)

    def _may(self, contact: Contact, patient: str) -> bool:
        """The installation's addresses are an administrator's word; a person may what access says."""
        if not contact.user:
            return True
        user = self._registry.user(contact.user)
        if user is None or not user.enabled:
            return False
        return decide(self._principals.of_user(user, self._now()), Action.ACKNOWLEDGE, patient).allowed

    def _seen_by(self, paging: Paging, by: str) -> AlertChange:
        return AlertChange(
            change="acknowledged",
            rule=paging.rule,
            patient=paging.patient,
            onset_us=paging.onset_us,
            at_us=self._now(),
            severity=paging.severity,
            by=by,
        )

    def _press(self, token: str, chats: tuple[str, ...]) -> str:
        answer = self.outbox.answer(token, self._now(), addresses=chats)
        return words(self._settings.notify_language).text(ANSWERS[answer])

    def _wording(self, language: str) -> Wording:
        known = language if language in LANGUAGES else self._settings.notify_language

        def title(rule: str) -> str:
            return self._rules.current().titles(known).get(rule) or rule.replace("_", " ").capitalize()

        return texts_in(words(known).text, title, lambda rule: rule in self._rules.current().foretelling)


def _pager_rules(rules: Rules) -> PagerRules:
    return PagerRules(
        {rule.name: rule.worsens for rule in rules.plan.rules if rule.worsens},
        {rule.name: rule.audience for rule in rules.plan.rules},
        {rule.name: rule.sustained_us for rule in rules.plan.rules if rule.sustained_us},
    )
