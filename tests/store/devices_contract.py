"""What holds for every store of the device side. A back end's test file derives from this and gives the fixtures."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from msgspec import structs

from islet.decode.iothub_twins import ServiceTwin
from islet.errors import AlreadyExists, BadInput, NotFound
from islet.model.time import DAY_US, HOUR_US
from islet.store.devices_base import (
    DEAD_KEPT_US,
    ENDED_KEPT_US,
    FEEDBACK_BATCH,
    LEASE_US,
    MOST_DELIVERIES,
    MOST_PENDING,
    UNTIL_RELEASED,
    Ack,
    Activity,
    Address,
    Command,
    DeviceJob,
    Devices,
    EtagDiffers,
    JobKind,
    JobStatus,
    JobStep,
    LockLost,
    MailboxFull,
    Module,
    Outcome,
    Step,
)

PUMP = Address("pump-1", "7")
NOW_US = 1_795_248_180_950_000

Reopen = Callable[[], Devices]
"""Closes the store that is open (as a crash would, where the back end can) and opens it again."""


def command(text: str = "buzz", ack: Ack = "none", expires_us: int | None = None) -> Command:
    return Command(body=text.encode(), properties={"$.mid": text, "kind": "a b"}, ack=ack, expires_us=expires_us)


def bodies(devices: Devices, at_us: int = NOW_US, of: Address = PUMP) -> list[bytes]:
    """What could be taken."""
    letters = devices.take_commands(of, at_us, at_us + 1, 100)
    devices.release_commands(of, [letter.lock_token for letter in letters])
    return [letter.command.body for letter in letters]


def job(id: str = "j-1") -> DeviceJob:
    body = {"command": "locate"}
    return DeviceJob(
        id=id,
        kind=JobKind.COMMAND,
        body=dict(body),
        condition="*",
        created_us=NOW_US,
        start_us=NOW_US,
        lasts_us=HOUR_US,
    )


def begun(devices: Devices, id: str = "j-1") -> list[JobStep]:
    devices.create_job(job(id))
    devices.begin_job(id, [PUMP, Address("pump-2", "9")], NOW_US)
    return devices.job_steps(id)


class DevicesContract:
    def test_commands_wait_in_order_and_are_given_out_on_lease(self, devices: Devices) -> None:
        for text in ("one", "two", "three"):
            devices.put_command(PUMP, command(text), NOW_US)
        assert devices.pending_commands() == {"pump-1": 3}
        [first] = devices.take_commands(PUMP, NOW_US, NOW_US + LEASE_US)
        assert (first.command, first.deliveries, first.again) == (command("one"), 0, False)
        assert (first.enqueued_us, first.expires_us) == (NOW_US, NOW_US + HOUR_US)
        assert bodies(devices) == [b"two", b"three"]
        assert bodies(devices, NOW_US + LEASE_US - 1) == [b"two", b"three"]
        assert bodies(devices, NOW_US + LEASE_US) == [b"one", b"two", b"three"]

    def test_what_waits_can_be_looked_at_and_stays_as_it_is(self, devices: Devices) -> None:
        for text in ("one", "two", "late"):
            devices.put_command(PUMP, command(text, expires_us=NOW_US + 1 if text == "late" else None), NOW_US)
        devices.put_command(Address("pump-1", "8"), command("of another"), NOW_US)
        (taken,) = devices.take_commands(PUMP, NOW_US, NOW_US + LEASE_US)
        for _ in range(2):
            seen = devices.waiting_commands(PUMP, NOW_US + 1)
            assert [(one.command.body, one.again, one.lock_token) for one in seen] == [
                (b"one", True, taken.lock_token),
                (b"two", False, ""),
            ]
        assert [one.lock_token for one in devices.waiting_commands(PUMP, NOW_US + LEASE_US)] == ["", ""]
        assert bodies(devices) == [b"two", b"late"]

    def test_a_lease_that_has_ended_completes_nothing(self, devices: Devices) -> None:
        devices.put_command(PUMP, command(), NOW_US)
        [letter] = devices.take_commands(PUMP, NOW_US, NOW_US + LEASE_US)
        for act in (devices.complete_command, devices.reject_command, devices.abandon_command):
            with pytest.raises(LockLost):
                act(PUMP, letter.lock_token, NOW_US + LEASE_US)
            with pytest.raises(LockLost):
                act(PUMP, "", NOW_US)
        [again] = devices.take_commands(PUMP, NOW_US + LEASE_US, NOW_US + 2 * LEASE_US)
        assert (again.number, again.deliveries, again.again) == (letter.number, 0, True)
        assert again.lock_token != letter.lock_token

    def test_a_completed_command_is_gone(self, devices: Devices) -> None:
        devices.put_command(PUMP, command(), NOW_US)
        [letter] = devices.take_commands(PUMP, NOW_US, NOW_US + LEASE_US)
        devices.complete_command(PUMP, letter.lock_token, NOW_US + LEASE_US - 1)
        with pytest.raises(LockLost):
            devices.complete_command(PUMP, letter.lock_token, NOW_US)
        assert (bodies(devices), devices.dead_commands(), devices.pending_commands()) == ([], [], {})

    def test_the_tenth_time_it_is_abandoned_a_command_is_dead(self, devices: Devices) -> None:
        devices.put_command(PUMP, command(), NOW_US)
        for deliveries in range(MOST_DELIVERIES):
            [letter] = devices.take_commands(PUMP, NOW_US, NOW_US + LEASE_US)
            assert letter.deliveries == deliveries
            devices.abandon_command(PUMP, letter.lock_token, NOW_US + 5)
        assert bodies(devices) == []
        [dead] = devices.dead_commands()
        assert (dead.number, dead.address, dead.command) == (letter.number, PUMP, command())
        assert (dead.outcome, dead.enqueued_us, dead.ended_us) == (Outcome.TOO_OFTEN, NOW_US, NOW_US + 5)

    def test_a_lease_of_a_connection_has_no_end_but_the_connections(self, devices: Devices, reopen: Reopen) -> None:
        devices.put_command(PUMP, command("one"), NOW_US)
        devices.put_command(PUMP, command("two"), NOW_US)
        first, _ = devices.take_commands(PUMP, NOW_US, UNTIL_RELEASED, 10)
        assert bodies(devices, NOW_US + HOUR_US - 1) == []
        devices.release_commands(PUMP, [first.lock_token, "unknown"])
        [again] = devices.take_commands(PUMP, NOW_US, UNTIL_RELEASED)
        assert (again.number, again.deliveries, again.again) == (first.number, 0, True)
        assert bodies(reopen()) == [b"one", b"two"]

    def test_a_lease_with_a_time_outlives_the_process(self, devices: Devices, reopen: Reopen) -> None:
        devices.put_command(PUMP, command(), NOW_US)
        [letter] = devices.take_commands(PUMP, NOW_US, NOW_US + LEASE_US)
        devices = reopen()
        assert bodies(devices) == []
        devices.complete_command(PUMP, letter.lock_token, NOW_US)

    def test_fifty_wait_and_no_more(self, devices: Devices) -> None:
        with devices.together():
            for number in range(MOST_PENDING):
                devices.put_command(PUMP, command(str(number)), NOW_US)
        with pytest.raises(MailboxFull):
            devices.put_command(PUMP, command(), NOW_US)
        devices.put_command(Address("pump-2", "1"), command(), NOW_US)
        assert devices.purge_commands(PUMP, NOW_US) == MOST_PENDING
        devices.put_command(PUMP, command(), NOW_US)

    def test_a_command_lives_as_long_as_its_sender_says_and_two_days_at_most(self, devices: Devices) -> None:
        devices.put_command(PUMP, command("short", expires_us=NOW_US + 1000), NOW_US)
        devices.put_command(PUMP, command("long", expires_us=NOW_US + 9 * DAY_US), NOW_US)
        assert bodies(devices, NOW_US + 999) == [b"short", b"long"]
        assert bodies(devices, NOW_US + 1000) == [b"long"]
        assert devices.expire_commands(NOW_US + 999) == 0
        assert devices.expire_commands(NOW_US + 1000) == 1
        assert devices.expire_commands(NOW_US + 2 * DAY_US) == 1
        assert [(dead.command.body, dead.outcome) for dead in devices.dead_commands("pump-1")] == [
            (b"long", Outcome.EXPIRED),
            (b"short", Outcome.EXPIRED),
        ]

    def test_an_expired_command_can_not_be_completed(self, devices: Devices) -> None:
        devices.put_command(PUMP, command(expires_us=NOW_US + 10), NOW_US)
        [letter] = devices.take_commands(PUMP, NOW_US, NOW_US + LEASE_US)
        with pytest.raises(LockLost):
            devices.complete_command(PUMP, letter.lock_token, NOW_US + 10)

    def test_the_dead_are_listed_by_page_sent_again_and_forgotten_after_a_month(self, devices: Devices) -> None:
        for text in ("one", "two", "three"):
            devices.put_command(PUMP, command(text), NOW_US)
        assert devices.purge_commands(PUMP, NOW_US) == 3
        page = devices.dead_commands(limit=2)
        assert [dead.command.body for dead in page] == [b"three", b"two"]
        [last] = devices.dead_commands(before=page[-1].number)
        assert (last.command.body, last.outcome) == (b"one", Outcome.PURGED)
        assert devices.dead_commands("pump-2") == []
        later_us = NOW_US + DAY_US
        with pytest.raises(NotFound):
            devices.resend_command(last.number, Address("pump-1", "8"), later_us)
        number = devices.resend_command(last.number, PUMP, later_us)
        [letter] = devices.take_commands(PUMP, later_us, later_us + LEASE_US)
        assert (letter.number, letter.command, letter.expires_us) == (number, command("one"), later_us + HOUR_US)
        with pytest.raises(NotFound):
            devices.resend_command(last.number, PUMP, later_us)
        devices.complete_command(PUMP, letter.lock_token, later_us)
        devices.expire_commands(NOW_US + DEAD_KEPT_US)
        assert devices.dead_commands() == []

    @pytest.mark.parametrize(
        ("ack", "completed", "rejected"),
        [("none", False, False), ("positive", True, False), ("negative", False, True), ("full", True, True)],
    )
    def test_the_sender_is_told_of_what_they_asked_to_be_told(
        self, devices: Devices, ack: Ack, completed: bool, rejected: bool
    ) -> None:
        for end in (devices.complete_command, devices.reject_command):
            devices.put_command(PUMP, command(ack, ack), NOW_US)
            [letter] = devices.take_commands(PUMP, NOW_US, NOW_US + LEASE_US)
            end(PUMP, letter.lock_token, NOW_US + 7)
        batch = devices.take_feedback(NOW_US)
        told = [] if batch is None else [record.outcome for record in batch.records]
        assert told == [Outcome.SUCCESS] * completed + [Outcome.REJECTED] * rejected
        if batch is not None:
            record = batch.records[0]
            assert (record.original_message_id, record.device, record.generation) == (ack, "pump-1", "7")
            assert record.at_us == NOW_US + 7

    def test_feedback_is_on_lease_until_it_is_completed(self, devices: Devices) -> None:
        with devices.together():
            for number in range(FEEDBACK_BATCH + 1):
                devices.put_command(PUMP, command(str(number), "full"), NOW_US)
                devices.purge_commands(PUMP, NOW_US)
        first = devices.take_feedback(NOW_US)
        second = devices.take_feedback(NOW_US)
        assert first is not None and len(first.records) == FEEDBACK_BATCH
        assert second is not None and [one.original_message_id for one in second.records] == [str(FEEDBACK_BATCH)]
        assert devices.take_feedback(NOW_US + LEASE_US - 1) is None
        devices.complete_feedback(first.lock_token)
        devices.abandon_feedback(second.lock_token)
        again = devices.take_feedback(NOW_US)
        assert again is not None and again.records == second.records
        for token in (first.lock_token, second.lock_token, ""):
            with pytest.raises(LockLost):
                devices.complete_feedback(token)
            with pytest.raises(LockLost):
                devices.abandon_feedback(token)

    def test_a_device_that_is_registered_anew_is_another_one(self, devices: Devices) -> None:
        heir = Address("pump-1", "8")
        devices.put_command(PUMP, command(), NOW_US)
        devices.report(PUMP, {"rate": 1}, NOW_US)
        devices.put_session(PUMP, [("a/#", 1)])
        assert (bodies(devices, of=heir), devices.session(heir)) == ([], None)
        assert devices.twin(heir).reported.values == {}
        devices.forget("pump-1")
        assert (bodies(devices), devices.session(PUMP), devices.twins()) == ([], None, {})

    def test_a_twin_nobody_wrote_to_is_empty(self, devices: Devices) -> None:
        twin = devices.twin(PUMP)
        assert (twin.tags, twin.desired.values, twin.reported.values) == ({}, {}, {})
        assert (twin.version, twin.desired.version, twin.reported.version) == (1, 1, 1)

    def test_reports_and_changes_are_merged_and_counted_apart(self, devices: Devices, reopen: Reopen) -> None:
        devices.report(PUMP, {"battery": 80, "net": {"ip": "::1", "up": True}}, NOW_US)
        devices.report(PUMP, {"battery": 79, "net": {"ip": None}}, NOW_US)
        changed = devices.change_twin(PUMP, ServiceTwin(tags={"ward": 4}, desired={"every_s": 60}), NOW_US)
        twin = reopen().twin(PUMP)
        assert twin == changed
        assert twin.reported.values == {"battery": 79, "net": {"up": True}}
        assert (twin.version, twin.desired.version, twin.reported.version) == (4, 2, 3)
        assert (twin.tags, twin.desired.values) == ({"ward": 4}, {"every_s": 60})

    def test_a_change_of_a_twin_that_another_has_changed_is_refused(self, devices: Devices) -> None:
        first = devices.twin(PUMP)
        second = devices.change_twin(PUMP, ServiceTwin(desired={"a": 1}), NOW_US, etag=first.etag)
        assert devices.report(PUMP, {"b": 1}, NOW_US).etag == second.etag
        with pytest.raises(EtagDiffers):
            devices.change_twin(PUMP, ServiceTwin(desired={"a": 2}), NOW_US, etag=first.etag)
        third = devices.change_twin(PUMP, ServiceTwin(desired={"c": 2}), NOW_US, whole=True, etag=second.etag)
        assert third.desired.values == {"c": 2}

    def test_what_may_not_be_in_a_twin_changes_nothing(self, devices: Devices) -> None:
        before = devices.report(PUMP, {"a": 1}, NOW_US)
        with pytest.raises(BadInput):
            devices.report(PUMP, {"a.b": 1}, NOW_US)
        assert devices.twin(PUMP) == before

    def test_modules_are_identities_with_twins_of_their_own(self, devices: Devices) -> None:
        module = Module(device="pump-1", id="m1", generation_id="3", etag="e", primary_key="k")
        with pytest.raises(NotFound):
            devices.update_module(module)
        devices.create_module(module)
        with pytest.raises(AlreadyExists):
            devices.create_module(module)
        address = Address("pump-1", "3", "m1")
        devices.report(address, {"a": 1}, NOW_US)
        assert devices.twin(PUMP).reported.values == {}
        assert (devices.modules("pump-1"), devices.module("pump-1", "m2")) == ([module], None)
        devices.delete_module("pump-1", "m1")
        assert (devices.modules("pump-1"), devices.twins()) == ([], {})

    def test_sessions_keep_filters_until_they_are_deleted(self, devices: Devices, reopen: Reopen) -> None:
        devices.put_session(PUMP, [("a/#", 1), ("b/#", 0)])
        assert reopen().session(PUMP) == (("a/#", 1), ("b/#", 0))

    def test_together_is_all_but_what_was_refused_inside(self, devices: Devices) -> None:
        with devices.together():
            devices.put_command(PUMP, command("one"), NOW_US)
            with suppress(BadInput):
                devices.report(PUMP, {"$": 1}, NOW_US)
            devices.report(PUMP, {"a": 1}, NOW_US)
            assert devices.twin(PUMP).reported.values == {"a": 1}
        assert (bodies(devices), devices.twin(PUMP).reported.values) == ([b"one"], {"a": 1})
        with pytest.raises(ZeroDivisionError), devices.together():
            devices.put_command(PUMP, command("two"), NOW_US)
            raise ZeroDivisionError
        assert bodies(devices) == [b"one"]

    def test_activity_says_who_is_connected_since_when_and_was_there_last(
        self, devices: Devices, reopen: Reopen
    ) -> None:
        pump, module = ("pump-1", ""), ("pump-1", "m")
        devices.note_activity({pump: True, module: False}, NOW_US)
        devices.note_activity({pump: True, ("pump-2", ""): True}, NOW_US + 1)
        assert devices.activity("pump-1") == {
            pump: Activity(connected=True, changed_us=NOW_US, seen_us=NOW_US + 1),
            module: Activity(connected=False, changed_us=None, seen_us=NOW_US),
        }
        devices.note_activity({pump: False}, NOW_US + 2)
        assert devices.activity()[pump] == Activity(connected=False, changed_us=NOW_US + 2, seen_us=NOW_US + 2)
        again = reopen()
        assert again.activity()["pump-2", ""] == Activity(connected=False, changed_us=NOW_US + 1, seen_us=NOW_US + 1)
        again.forget("pump-1")
        assert again.activity("pump-1") == {}

    def test_a_job_is_there_after_a_restart_with_every_step(self, devices: Devices, reopen: Reopen) -> None:
        first, second = begun(devices)
        done = structs.replace(first, step=Step.COMPLETED, tries=1, answer={"status": 200}, changed_us=NOW_US + 1)
        assert devices.put_job_step(done)
        again = reopen()
        state = again.job("j-1")
        assert state is not None
        assert (state.job, state.status, state.steps) == (job(), JobStatus.RUNNING, {"completed": 1, "pending": 1})
        assert again.job_steps("j-1") == [done, second] and again.job_steps(None, (Step.PENDING,)) == [second]
        again.begin_job("j-1", [PUMP], NOW_US)
        assert again.job_steps("j-1") == [done, second], "it has begun"

    def test_a_step_that_has_ended_stays_as_it_is(self, devices: Devices) -> None:
        first, _ = begun(devices)
        devices.end_job("j-1", JobStatus.CANCELLED, NOW_US + 1)
        assert not devices.put_job_step(structs.replace(first, step=Step.COMPLETED))
        assert {step.step for step in devices.job_steps("j-1")} == {Step.CANCELED}
        devices.end_job("j-1", JobStatus.COMPLETED, NOW_US + 2)
        state = devices.job("j-1")
        assert state is not None and (state.status, state.ended_us) == (JobStatus.CANCELLED, NOW_US + 1)
        assert devices.job_steps(None) == [], "nothing runs"

    def test_steps_are_given_in_the_order_of_their_next_try(self, devices: Devices) -> None:
        first, second = begun(devices)
        devices.put_job_step(structs.replace(first, next_us=NOW_US + 5))
        assert [step.address.device for step in devices.job_steps(None)] == ["pump-2", "pump-1"]
        assert devices.job_steps(None, due_us=NOW_US + 4) == [second]
        assert len(devices.job_steps(None, due_us=NOW_US + 5, limit=1)) == 1

    def test_jobs_are_listed_newest_first_and_page_by_page(self, devices: Devices) -> None:
        for id in ("j-1", "j-2", "j-3"):
            devices.create_job(job(id))
        with pytest.raises(AlreadyExists):
            devices.create_job(job("j-2"))
        devices.end_job("j-2", JobStatus.FAILED, NOW_US, "why")
        assert [state.job.id for state in devices.jobs()] == ["j-3", "j-2", "j-1"]
        assert [state.job.id for state in devices.jobs(after="j-3", limit=1)] == ["j-2"]
        assert [(state.job.id, state.reason) for state in devices.jobs((JobStatus.FAILED,))] == [("j-2", "why")]
        assert devices.job("j-4") is None
        with pytest.raises(NotFound):
            devices.end_job("j-4", JobStatus.CANCELLED, NOW_US)

    def test_an_ended_job_is_forgotten_after_a_month(self, devices: Devices) -> None:
        begun(devices)
        devices.end_job("j-1", JobStatus.COMPLETED, NOW_US)
        devices.forget_jobs(NOW_US + ENDED_KEPT_US - 1)
        assert devices.job("j-1") is not None
        devices.forget_jobs(NOW_US + ENDED_KEPT_US)
        assert devices.job("j-1") is None and devices.job_steps("j-1") == []

    def test_the_end_of_a_command_is_known_by_its_number(self, devices: Devices) -> None:
        numbers = [devices.put_command(PUMP, command(text), NOW_US) for text in ("one", "two", "three")]
        one, two, _ = devices.take_commands(PUMP, NOW_US, NOW_US + LEASE_US, 3)
        devices.complete_command(PUMP, one.lock_token, NOW_US)
        devices.reject_command(PUMP, two.lock_token, NOW_US)
        assert [devices.command_outcome(number) for number in numbers] == [Outcome.SUCCESS, Outcome.REJECTED, None]
