"""The index of ids."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.engine.ids import Ids, Pairs
from tests.conftest import examples


@given(st.lists(st.lists(st.text(max_size=20), max_size=30), max_size=5))
@settings(deadline=None, max_examples=examples(80))
def test_ids_are_numbered_in_the_order_in_which_they_are_first_seen(columns: list[list[str]]) -> None:
    ids, known = Ids(), dict[str, int]()
    for column in columns:
        expected = [known.setdefault(text, len(known)) for text in column]
        assert ids.numbers(pa.array(column, pa.string())).tolist() == expected
    assert [ids[number] for number in range(len(ids))] == list(known)


def test_the_index_grows_far_beyond_its_first_size() -> None:
    ids = Ids()
    texts = [f"patient-{n}" if n % 5 else f"a patient with a long id, who has the number {n}" for n in range(20_000)]
    for start in range(0, 20_000, 3000):
        ids.numbers(pa.array(texts[start : start + 3000]))
    assert ids.numbers(pa.array(texts[::-1])).tolist() == list(range(19_999, -1, -1))


def test_ids_that_differ_in_one_byte_or_by_a_zero_byte_are_different() -> None:
    texts = ["", "\0", "a", "a\0", "ab", "abcdefgh", "abcdefgi", "abcdefgh\0", "bbcdefgh", "abcdefghabcdefgh"]
    assert Ids().numbers(pa.array(texts)).tolist() == list(range(len(texts)))


def test_ids_of_every_length_around_that_of_a_record_are_told_apart_and_given_back() -> None:
    texts = [f"{'0123456789' * 6}"[:length] + end for length in range(1, 52) for end in ("", "\0", "x")]
    texts = list(dict.fromkeys(texts))
    ids = Ids()
    for start in (0, 0, 40, 100):
        assert ids.numbers(pa.array(texts[start:])).tolist() == list(range(start, len(texts)))
    assert ids.texts(np.arange(len(texts))[::-1]) == texts[::-1]
    ends, text = ids.known.columns()
    again = Ids()
    assert again.numbers_of_text(ends, text).tolist() == list(range(len(texts)))
    assert [again[number] for number in range(len(texts))] == texts


def test_a_slice_a_dictionary_and_large_text_are_read_like_any_column() -> None:
    column = pa.array(["x", "y", "z", "y"])
    ids = Ids()
    assert ids.numbers(column.slice(1, 2)).tolist() == [0, 1]
    assert ids.numbers(column.dictionary_encode()).tolist() == [2, 0, 1, 0]
    assert ids.numbers(column.cast(pa.large_string())).tolist() == [2, 0, 1, 0]


def test_the_hash_depends_on_nothing_but_the_id() -> None:
    one, other = Ids(hashed=True), Ids(hashed=True)
    one.numbers(pa.array(["a", "b"]))
    other.numbers(pa.array(["b", "a"]))
    assert np.array_equal(one.hashes[:2], other.hashes[1::-1][:2])


def test_a_null_is_refused() -> None:
    with pytest.raises(ValueError, match="without nulls"):
        Ids().numbers(pa.array(["a", None]))


@given(st.lists(st.lists(st.tuples(st.text(max_size=10), st.text(max_size=10)), max_size=40), max_size=5))
@settings(deadline=None, max_examples=examples(80))
def test_a_pair_gives_the_numbers_that_its_two_ids_have_alone(columns: list[list[tuple[str, str]]]) -> None:
    patients, devices = Ids(), Ids()
    pairs, known, beside = Pairs(patients, devices), dict[str, int](), dict[str, int]()
    for column in columns:
        expected = [(known.setdefault(p, len(known)), beside.setdefault(d, len(beside))) for p, d in column]
        found = pairs.numbers(*(pa.array([row[k] for row in column], pa.string()) for k in (0, 1)))
        assert list(zip(*(numbers.tolist() for numbers in found), strict=True)) == expected
    assert [patients[number] for number in range(len(patients))] == list(known)


def test_pairs_whose_texts_are_the_same_when_joined_are_different() -> None:
    patients, devices = pa.array(["ab", "a", "", "abc"]), pa.array(["c", "bc", "abc", ""])
    assert [n.tolist() for n in Pairs(Ids(), Ids()).numbers(patients, devices)] == [[0, 1, 2, 3], [0, 1, 2, 3]]


def test_pairs_grow_far_beyond_their_first_size_and_a_device_may_change_hands() -> None:
    pairs = Pairs(Ids(), Ids())
    texts = [f"patient-{n}" for n in range(20_000)]
    for start in range(0, 20_000, 3000):
        some = pa.array(texts[start : start + 3000])
        pairs.numbers(some, some)
    patients, devices = pairs.numbers(pa.array(texts), pa.array(texts[::-1]))
    assert patients.tolist() == devices[::-1].tolist() == list(range(20_000))


@pytest.mark.parametrize("length", [1, 8, 9, 24, 25, 40])
def test_a_patients_two_devices_whose_ids_differ_in_the_last_byte_only_are_two(length: int) -> None:
    devices = ["d" * (length - 1) + end for end in "abba"]
    found = Pairs(Ids(), Ids()).numbers(pa.array(["p"] * 4), pa.array(devices))
    assert [numbers.tolist() for numbers in found] == [[0, 0, 0, 0], [0, 1, 1, 0]]
