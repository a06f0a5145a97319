"""What others do in the middle of a delivery: people who leave, patients who are erased, channels that answer rubbish."""

import threading
from pathlib import Path

from msgspec import structs

from islet.log.memory import MemoryLog
from islet.notify.base import Delivered, Message, Outcome, RetryAfter
from islet.notify.policy import Policy, Step
from islet.notify.recipients import About
from tests.notify.people import ANNA, PAUL, URGENT, WARNING, Directory, Home, cleared, minute, opened
from tests.notify.scenario import NOW, HangingChannel, ListChannel, append, change, outbox

BOTH = Policy(steps=(Step(who="patient", repeat_min=5.0), Step(who="care_partner", repeat_min=5.0)))


def wait_for(event: threading.Event) -> None:
    assert event.wait(10)


def test_a_message_that_is_erased_while_it_is_sent_marks_no_other_as_sent(tmp_path: Path) -> None:
    class Watched(HangingChannel):
        came_back = threading.Event()

        def send(self, message: Message, now_us: int) -> Outcome:
            outcome = super().send(message, now_us)
            if len(self.received) == 1:
                self.came_back.set()
            return outcome

    paul = Watched("paul")
    paul.name = "slow"
    policy = Policy(steps=(Step(who="patient", repeat_min=5.0),))
    contact = structs.replace(PAUL, channel="slow")
    home = Home(tmp_path, [contact], policy, channels={"slow": lambda contact: paul})
    home.box._sender._patience_s = 0.05
    home.says(opened())
    home.at(0)
    home.box.erase("p-1")
    home.says(change("opened", patient="p-2", onset_us=minute(1)))
    home.at(1)
    paul.let_go.set()
    wait_for(paul.came_back)
    home.box._sender._patience_s = 5.0
    home.at(1)
    home.at(1)
    assert ["p-1" in paul.received[0].text, "p-2" in paul.received[1].text] == [True, True]


def test_who_may_not_see_the_patient_any_more_gets_nothing_that_waited(tmp_path: Path) -> None:
    class Fewer(Directory):
        def about(self, patient: str) -> About:
            found = super().about(patient)
            return structs.replace(found, contacts=[one for one in found.contacts if one.id != "anna"])

    home = Home(tmp_path, policy=BOTH)
    home.lists[ANNA.lane] = ListChannel("anna", [RetryAfter(60, "later")])
    home.says(opened())
    home.at(0)
    home.directory.__class__ = Fewer
    home.box.people_changed()
    home.until(3)
    home.says(cleared(at=3))
    home.until(4)
    assert home.kinds() == [(0, "paul", "opened"), (3, "paul", "cleared")]
    (anna,) = [one for one in home.box.deliveries(opened().id) if one.recipient == "anna"]
    assert (anna.state, anna.reason) == ("not_sent", "this person may not be told of the patient any more")


def test_what_waits_says_no_name_once_consent_is_withdrawn(tmp_path: Path) -> None:
    home = Home(tmp_path, policy=BOTH)
    home.directory.change([structs.replace(ANNA, shows_name=True), PAUL], BOTH)
    anna = home.lists[ANNA.lane] = ListChannel("anna", [RetryAfter(60, "later")])
    home.says(opened())
    home.at(0)
    home.directory.change([ANNA, PAUL], BOTH)
    home.box.people_changed()
    home.until(3)
    before, after = (message.text for message in anna.tried)
    assert "Paul Klein" in before
    assert "Paul Klein" not in after
    assert "p-1" in after


def test_who_was_told_and_may_not_see_the_patient_any_more_is_not_told_of_the_end(tmp_path: Path) -> None:
    home = Home(tmp_path, policy=BOTH)
    home.says(opened())
    home.at(0)
    home.directory.change([PAUL], BOTH)
    home.box.people_changed()
    home.at(1)
    home.says(cleared(at=2))
    home.at(2)
    assert (2, "anna", "cleared") not in home.kinds()
    assert not home.box.undeliverable()


def test_a_receipt_that_cannot_be_kept_holds_up_nobody(tmp_path: Path) -> None:
    class Odd(ListChannel):
        name = "odd"

        def send(self, message: Message, now_us: int) -> Outcome:
            super().send(message, now_us)
            return Delivered("\ud800" + "x" * 70_000)

    odd = Odd("paul")
    home = Home(tmp_path, [structs.replace(PAUL, channel="odd"), ANNA], BOTH, channels={"odd": lambda contact: odd})
    home.says(opened())
    home.until(5)
    assert home.kinds() == [(0, "anna", "opened"), (5, "anna", "repeated")]
    assert len(odd.received) == 2
    assert {one.state for one in home.box.deliveries(opened().id)} == {"sent"}


def test_slow_channels_keep_new_alerts_waiting_no_longer_than_the_patience(tmp_path: Path) -> None:
    """Where one answers each moment, but all are slow."""

    class Slow(ListChannel):
        def __init__(self, recipient: str, seconds: float) -> None:
            super().__init__(recipient)
            self.seconds = seconds

        def send(self, message: Message, now_us: int) -> Outcome:
            threading.Event().wait(self.seconds)
            return super().send(message, now_us)

    nurses = [Slow(f"nurse {number}", 0.1 + 0.02 * number) for number in range(5)]
    log = MemoryLog(partitions=1)
    box = outbox(tmp_path, *nurses, patience_s=0.2)
    append(log, *(change("opened", patient=f"p-{number}") for number in range(10)))
    box.take_in(log, NOW)
    assert box.deliver_due(NOW) < 25  # of 50; nobody is silent for as long as the patience
    box.close()


def test_of_many_recipients_those_of_urgent_messages_are_served_first(tmp_path: Path) -> None:
    """Also where a channel has fewer threads than recipients."""
    order: list[str] = []

    class Ordered(ListChannel):
        name = "ordered"

        def send(self, message: Message, now_us: int) -> Outcome:
            order.append(self.recipient)
            return super().send(message, now_us)

    many = [structs.replace(PAUL, channel="ordered", id=f"a{number:03}") for number in range(60)]
    urgent = structs.replace(ANNA, channel="ordered")
    policy = Policy(
        steps=(
            Step(who="patient", severities=(WARNING,)),
            Step(who="care_partner", repeat_min=5.0, severities=(URGENT,)),
        )
    )
    home = Home(tmp_path, [*many, urgent], policy, channels={"ordered": lambda contact: Ordered(contact.id)})
    home.says(opened("high", WARNING), opened())
    home.at(0)
    assert order.index("anna") < 8
    assert len(order) == 61
