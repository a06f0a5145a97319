"""The embedded store and registry hold their contracts, in one encrypted file."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

import pytest

from islet.errors import KeyUnavailable
from islet.log.connection import open_database
from islet.model.care_events import care_event_id
from islet.model.events import Meal, Withdrawal
from islet.model.people import Device, Patient
from islet.model.time import EPOCH
from islet.model.topics import Topic
from islet.store.base import Registry, Store
from islet.store.registry import SqliteRegistry
from islet.store.sqlite import SqliteStore
from tests.store.contract import FOR_EVER, OpenStore, StoreContract, changes, dump, entry, glucose, low, reading
from tests.store.received_contract import ReceivedContract
from tests.store.registry_contract import RegistryContract

KEY = bytes(range(32))


class TestSqliteStore(StoreContract, ReceivedContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        numbers = count()
        with ExitStack() as opened:

            def open_() -> Store:
                return opened.enter_context(closing(SqliteStore(tmp_path / f"store-{next(numbers)}.db", KEY)))

            yield open_


class TestSqliteRegistry(RegistryContract):
    @pytest.fixture
    def registry(self, tmp_path: Path) -> Iterator[Registry]:
        with closing(SqliteRegistry(tmp_path / "store.db", KEY)) as registry:
            yield registry


def test_store_and_registry_live_in_one_file_and_are_found_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(SqliteStore(path, KEY)) as store, closing(SqliteRegistry(path, KEY)) as registry:
        store.apply([glucose([reading("anna", 1, 123)])])
        registry.put_patient(Patient(id="anna"))
        before = dump(store, ["anna"])
    with closing(SqliteStore(path, KEY)) as store, closing(SqliteRegistry(path, KEY)) as registry:
        assert dump(store, ["anna"]) == before
        assert registry.patients() == [Patient(id="anna")]
        store.apply([glucose([reading("anna", 2, 124)], offset=1)])
        assert len(store.series("anna", 0, FOR_EVER)) == 2
        store.reset(0)
        assert registry.patients() == [Patient(id="anna")]


def test_a_store_of_before_corrections_knows_what_its_entries_are_called(tmp_path: Path) -> None:
    path, meal = tmp_path / "store.db", Meal(time=EPOCH, carbs_g=20.0)
    with closing(SqliteStore(path, KEY)) as store:
        store.apply([entry("phone", meal)])
    with closing(open_database(path, KEY)) as older:
        older.execute(
            "DROP INDEX document_by_entry; DROP INDEX document_by_receipt; ALTER TABLE document DROP COLUMN entry"
        )
        older.execute("ALTER TABLE document DROP COLUMN rank")
    with closing(SqliteStore(path, KEY)) as store:
        assert len(store.documents(Topic.CARE_EVENTS, "anna", 0, FOR_EVER)) == 1
        store.apply([entry("phone", Withdrawal(time=EPOCH, id=care_event_id(meal)), offset=1)])
        assert store.documents(Topic.CARE_EVENTS, "anna", 0, FOR_EVER) == []


def test_another_connection_sees_the_registrys_version_grow(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(SqliteRegistry(path, KEY)) as ours, closing(SqliteRegistry(path, KEY)) as theirs:
        seen = ours.version
        theirs.create_device(Device(id="cgm-1"))
        assert ours.version > seen
        assert ours.device("cgm-1") == Device(id="cgm-1")


def test_a_wrong_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    SqliteStore(path, KEY).close()
    for kind in (SqliteStore, SqliteRegistry):
        with pytest.raises(KeyUnavailable):
            kind(path, bytes(32))


def test_the_files_hold_no_plaintext(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(SqliteStore(path, KEY)) as store, closing(SqliteRegistry(path, KEY)) as registry:
        store.apply([glucose([reading("recognisable", 1)])])
        registry.put_secret("telegram", "tellnobody")
        held = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.suffix != ".db-shm")
    for bytes_ in (held, path.read_bytes()):
        assert b"recognisable" not in bytes_
        assert b"tellnobody" not in bytes_


def test_a_file_of_an_earlier_version_gets_the_columns_that_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(SqliteStore(path, KEY)):
        pass
    with closing(open_database(path, KEY, synchronous="FULL")) as database:
        database.execute("ALTER TABLE alert DROP COLUMN retrospective")
    with closing(SqliteStore(path, KEY)) as store:
        store.apply([changes(low("opened", 1, 1, retrospective=True))])
        assert [alert.retrospective for alert in store.alerts()] == [True]


def test_a_registry_of_an_earlier_version_tells_its_patients_and_who_has_changed_since(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(SqliteRegistry(path, KEY)) as registry:
        registry.put_patient(Patient(id="anna"))
    with closing(open_database(path, KEY, synchronous="FULL")) as database:
        database.execute("DROP INDEX patient_by_version; ALTER TABLE registered DROP COLUMN version")
        database.execute("DROP TABLE kind_version")
    with closing(SqliteRegistry(path, KEY)) as registry:
        seen, patients = registry.patients_since(-1)
        assert [one.id for one in patients] == ["anna"]
        registry.put_patient(Patient(id="berta"))
        assert [one.id for one in registry.patients_since(seen)[1]] == ["berta"]
        assert registry.versions() == {"patient": seen + 1}
