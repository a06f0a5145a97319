"""What holds for every store of when things were received, and of entries with all that was said of them."""

from islet.model.batch import ReadingRow
from islet.model.codec import decode_event
from islet.model.events import AnyCareEvent, Insulin, Meal, Withdrawal
from islet.model.time import EPOCH, MINUTE_US, from_us
from islet.store.base import Receipt, Store
from tests.store.contract import FOR_EVER, entry, glucose, reading

MEAL = Meal(time=EPOCH, carbs_g=30, id="1")
DOSE = Insulin(time=EPOCH, dose_u=4, id="2")
MS_US = 1_000


def corrected(revision: int) -> Meal:
    return Meal(time=from_us(revision * MINUTE_US), carbs_g=30 + revision, id="1", revision=revision)


class ReceivedContract:
    """`store` is empty."""

    def _said(self, store: Store, *told: tuple[str, AnyCareEvent, int]) -> None:
        for offset, (device, one, received_us) in enumerate(told):
            store.apply([entry(device, one, offset=offset, received_us=received_us)])

    def test_all_that_was_said_under_an_id_is_there(self, store: Store) -> None:
        gone = Withdrawal(time=EPOCH, id="1", revision=1)
        self._said(store, ("phone", MEAL, 1), ("phone", corrected(1), 2), ("phone", gone, 3), ("other", MEAL, 4))
        found = store.versions("anna", [("phone", "1")])
        assert sorted((one.received_at_us, decode_event(one.body.encode()).time) for one in found) == [
            (1, EPOCH),
            (2, corrected(1).time),
            (3, EPOCH),
        ]
        assert store.versions("berta", [("phone", "1")]) == store.versions("anna", [("phone", "2")]) == []

    def test_what_holds_and_what_was_withdrawn_is_told_in_the_order_of_receipt(self, store: Store) -> None:
        gone = Withdrawal(time=EPOCH, id="2")
        self._said(store, ("phone", MEAL, 10), ("phone", DOSE, 20), ("phone", corrected(1), 30), ("phone", gone, 40))
        found = [(one.type, one.received_at_us) for one in store.care_events_since("anna", 0, 10)]
        assert found == [("meal", 30), ("withdrawal", 40)]
        assert [one.type for one in store.care_events_since("anna", 31, 10)] == ["withdrawal"]
        assert store.last_received("anna", 0) == (0, 40)
        assert store.last_received("berta", 0) == (0, 0)

    def test_no_millisecond_is_cut_in_two(self, store: Store) -> None:
        doses = [Insulin(time=from_us(n), dose_u=n, id=str(n)) for n in range(1, 6)]
        received = (MS_US, 2 * MS_US, 2 * MS_US + 1, 3 * MS_US - 1, 3 * MS_US)
        self._said(store, *(("phone", one, at) for one, at in zip(doses, received, strict=True)))
        counts = [len(store.care_events_since("anna", 0, limit)) for limit in (1, 2, 3, 4, 5, 6)]
        assert counts == [1, 4, 4, 4, 5, 5]

    def test_readings_are_told_in_the_order_of_receipt_one_an_instant(self, store: Store) -> None:
        finger = ReadingRow("anna", "meter", MINUTE_US, 990, 99.0, 0, 0, 1)
        store.apply([glucose([reading("anna", 5), reading("berta", 1)], received_us=10)])
        store.apply([glucose([reading("anna", 1), reading("anna", 5, device="z"), finger], offset=2, received_us=20)])
        late = [Receipt(MINUTE_US, "cgm", 20), Receipt(MINUTE_US, "capillary", 20)]
        assert store.receipts("anna", 0, FOR_EVER, 11) == late
        assert store.receipts("anna", 2 * MINUTE_US, FOR_EVER) == [Receipt(5 * MINUTE_US, "cgm", 10)]
        assert store.receipts("anna", 0, MINUTE_US) == []
        assert store.last_received("anna", 0) == (20, 0)
        assert store.last_received("anna", 6 * MINUTE_US) == (0, 0)
