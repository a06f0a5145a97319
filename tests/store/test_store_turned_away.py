"""Who is refused at a door is in the audit trail, counted, and nothing of it that must not be kept."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from islet.model.people import Device, Role, User
from islet.model.time import MINUTE_US
from islet.store.base import Registry
from islet.store.registry import SqliteRegistry
from islet.store.turned_away import API_KEY, CONNECTION, LINES_A_MINUTE, LOG_IN, TurnedAway


class Hour:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.minute = 100

    def now(self) -> int:
        return self.minute * MINUTE_US


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with closing(SqliteRegistry(tmp_path / "store.db", bytes(32))) as one:
        one.put_user(User(name="anna", role=Role.CLINICIAN, password_hash=""))
        one.create_device(Device(id="cgm-1"))
        yield one


def lines(registry: Registry) -> list[str]:
    return [f"{line.by}: {line.action}, {line.kind} {line.id}" for line in registry.audit()]


def test_refusals_of_a_minute_are_one_line_for_each_name_and_network(registry: Registry) -> None:
    hour = Hour()
    turned_away = TurnedAway(registry, hour.now)
    for last in range(5):
        turned_away.count(LOG_IN, "anna", f"192.0.2.{last}")
    turned_away.count(LOG_IN, "anna", "2001:db8:1:2::/64")
    turned_away.count(CONNECTION, "cgm-1", "")
    turned_away.write()
    assert lines(registry) == [], "the minute is not over"
    hour.minute += 1
    turned_away.write()
    assert lines(registry) == [
        "somebody at 192.0.2.0/24: refused 5 times, log-in anna",
        "somebody at 2001:db8:1::/48: refused once, log-in anna",
        "somebody: refused once, connection cgm-1",
    ]
    turned_away.write(at_once=True)
    assert len(lines(registry)) == 3, "each is written once"


def test_a_name_that_nobody_has_is_not_kept_for_it_may_be_a_password(registry: Registry) -> None:
    turned_away = TurnedAway(registry, Hour().now)
    for name in ("correct horse", "Tr0ub4dor&3", "", "anna "):
        turned_away.count(LOG_IN, name, "192.0.2.1")
    turned_away.count(API_KEY, "001122334455", "192.0.2.1")
    turned_away.write(at_once=True)
    assert lines(registry) == [
        "somebody at 192.0.2.0/24: refused 4 times, log-in (unknown)",
        "somebody at 192.0.2.0/24: refused once, API key (unknown)",
    ]


def test_an_attack_from_everywhere_adds_a_bounded_number_of_lines_and_none_is_uncounted(registry: Registry) -> None:
    turned_away = TurnedAway(registry, Hour().now)

    def attack(first: int) -> None:
        for number in range(1_000):
            turned_away.count(LOG_IN, "anna", f"10.{first}.{number % 250}.{number % 7}")

    threads = [threading.Thread(target=attack, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    turned_away.write(at_once=True)
    found = registry.audit()
    assert len(found) == LINES_A_MINUTE + 1
    assert sum(int(line.action.split()[1]) for line in found) == 8_000
    assert found[-1].kind == "any door"
