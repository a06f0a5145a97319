"""A backlog of alerts is told to people to its end, also where telling fails in its middle."""

import random
from pathlib import Path

import pytest

from islet.alarms import Alarms
from islet.clock import wall_us
from islet.engine.rulebook import RuleBook
from islet.log.base import Append
from islet.log.group_commit import GroupCommit
from islet.log.keys import data_key
from islet.model.alerts import AlertChange, Severity
from islet.model.codec import change_documents
from islet.model.topics import Topic
from islet.notify.pager import Pager
from islet.opened import opened_log, opened_registry
from islet.settings import Settings

ALERTS = 1500  # more than are taken in at once


def low(number: int) -> AlertChange:
    now_us = wall_us()
    return AlertChange(
        change="opened",
        rule="urgent_low",
        patient=f"p-{number}",
        onset_us=now_us,
        at_us=now_us,
        severity=Severity.URGENT,
    )


def test_what_is_left_of_a_backlog_is_told_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=tmp_path)
    with opened_log(settings) as log, opened_registry(settings) as registry:
        commit = GroupCommit(log, wall_us, within_s=0.0)
        alarms = Alarms(
            settings,
            data_key(settings, {}),
            log,
            commit,
            registry,
            RuleBook(registry),
            wall_us,
            wall=wall_us,
            rng=random.Random(1),
            kept_from_us=lambda: 0,
            console=False,
        )
        commit.commit(appends=[Append(topic=Topic.ALERTS, batch=change_documents([low(i) for i in range(ALERTS)]))])
        alarms.tell()
        assert alarms.outbox.behind

        def full(*_: object) -> int:
            raise OSError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(Pager, "take", full)
            with pytest.raises(OSError, match="full"):
                alarms.tell()
        alarms.tell()
        assert not alarms.outbox.behind
        assert alarms.outbox.counts()["undeliverable"] == ALERTS  # there is nobody to tell, which is on record
        alarms.close()
        commit.close()
