"""Which of the things that people said they did still holds."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from islet.errors import BadInput
from islet.model.care_events import care_event_id, care_event_key, holding, rank
from islet.model.codec import decode_event, encode_event
from islet.model.events import AnyCareEvent, AnyEvent, Insulin, Meal, Note, Reading, Withdrawal
from islet.model.time import EPOCH
from tests.model.care_events import counted

DOSE = Insulin(time=EPOCH, dose_u=60.0, id="1")
_ENTRIES = st.tuples(
    st.sampled_from(["phone", "pump"]),
    st.builds(
        lambda kind, name, revision: kind(name, revision),
        st.sampled_from(
            [
                lambda name, revision: Meal(time=EPOCH, id=name, revision=revision, carbs_g=10.0),
                lambda name, revision: Note(time=EPOCH, id=name, revision=revision, text="x"),
                lambda name, revision: Withdrawal(time=EPOCH, id=name, revision=revision),
                lambda _, __: Meal(time=EPOCH, carbs_g=20.0),
            ]
        ),
        st.sampled_from(["a", "b"]),
        st.integers(0, 2),
    ),
)


@given(st.lists(_ENTRIES, max_size=8), st.randoms())
def test_what_holds_depends_on_no_order(told: list[tuple[str, AnyCareEvent]], random: object) -> None:
    once = list(dict.fromkeys(told))
    found = holding(once)
    assert sorted(map(repr, found)) == sorted(repr(one) for _, one in counted(told))
    random.shuffle(once)  # type: ignore[attr-defined]
    assert sorted(map(repr, holding(once))) == sorted(map(repr, found))


def test_of_one_id_all_of_the_highest_revision_hold() -> None:
    reading = Reading(time=EPOCH, value=100, unit="mg/dL")
    corrected = Insulin(time=EPOCH + timedelta(minutes=5), dose_u=6.0, id="1", revision=1)
    note = Note(time=EPOCH, text="a pen", id="1", revision=1)
    told: list[AnyEvent] = [corrected, DOSE, reading, note]
    assert holding(("phone", one) for one in told) == [corrected, reading, note]
    withdrawn = Withdrawal(time=EPOCH, id="1", revision=1)
    assert holding(("phone", one) for one in [*told, withdrawn]) == [reading]
    assert holding([("phone", DOSE), ("watch", withdrawn)]) == [DOSE]


def test_what_has_no_id_has_one_of_what_it_says() -> None:
    one, other = Meal(time=EPOCH, carbs_g=10.0), Meal(time=EPOCH, carbs_g=11.0)
    assert care_event_id(one) == care_event_id(Meal(time=EPOCH, carbs_g=10.0)) != care_event_id(other)
    assert care_event_key("phone", one) != care_event_key("watch", one)
    assert holding([("phone", one), ("phone", Withdrawal(time=EPOCH, id=care_event_id(one)))]) == []


def test_a_withdrawal_outdoes_its_own_revision_and_no_later_one() -> None:
    ranks = [rank(one) for one in (DOSE, Withdrawal(time=EPOCH, id="1"), Note(time=EPOCH, text="", revision=1))]
    assert ranks == sorted(set(ranks))


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"withdrawal","time":"2026-11-21T08:00:00Z"}',
        b'{"type":"withdrawal","time":"2026-11-21T08:00:00Z","id":""}',
        b'{"type":"note","time":"2026-11-21T08:00:00Z","text":"x","revision":-1}',
        b'{"type":"note","time":"2026-11-21T08:00:00Z","text":"x","revision":9007199254740992}',
        b'{"type":"note","time":"2026-11-21T08:00:00Z","text":"x","id":7}',
    ],
)
def test_an_id_is_a_text_and_a_revision_a_number_that_json_knows(body: bytes) -> None:
    with pytest.raises(BadInput, match="event"):
        decode_event(body)


def test_an_id_stays_what_it_is_on_the_way() -> None:
    assert decode_event(encode_event(DOSE)) == DOSE
