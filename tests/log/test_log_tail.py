"""The newest entries in memory are those of the file, or not there."""

from islet.log.partitioning import Piece, pieces
from islet.log.tail import Tail
from islet.model.batch import int64_column
from tests.log.rows import GLUCOSE, append, commit, reading


def _minutes(tail: Tail, offset: int, max_rows: int = 100) -> list[int]:
    batches = tail.read(GLUCOSE, 0, offset, max_rows)
    return [minute for batch in batches for minute in (int64_column(batch, "time_us") // 60_000_000).tolist()]


def _piece(base: int, rows: int) -> Piece:
    (piece,) = pieces([commit(0, append(*(reading("anna", minute) for minute in range(base, base + rows))))], 1)
    return piece


def _add(tail: Tail, base: int, rows: int) -> None:
    piece = _piece(base, rows)
    tail.add(GLUCOSE, 0, base, piece.entries, piece.size)


def _of_three_pieces(most_bytes: int = 1_000_000) -> Tail:
    tail = Tail(most_bytes)
    for base in (10, 13, 16):
        _add(tail, base, 3)
    return tail


def test_reading_may_begin_and_end_anywhere() -> None:
    tail = _of_three_pieces()
    for offset in range(10, 19):
        for rows in (1, 2, 4, 100):
            assert _minutes(tail, offset, rows) == list(range(offset, min(19, offset + rows)))


def test_what_is_older_newer_or_of_another_partition_is_not_here() -> None:
    tail = _of_three_pieces()
    assert _minutes(tail, 9) == _minutes(tail, 19) == []
    assert tail.read(GLUCOSE, 1, 10, 100) == []


def test_after_a_gap_only_what_follows_it_is_here() -> None:
    tail = _of_three_pieces()
    _add(tail, 20, 2)
    assert _minutes(tail, 16) == _minutes(tail, 19) == []
    assert _minutes(tail, 20) == [20, 21]


def test_the_oldest_go_when_there_are_too_many_bytes() -> None:
    room = 2 * _piece(10, 3).size
    tail = _of_three_pieces(room)
    assert _minutes(tail, 12) == []
    assert _minutes(tail, 13) == [13, 14, 15, 16, 17, 18]


def test_a_piece_larger_than_all_the_room_is_not_kept() -> None:
    tail = _of_three_pieces(10)
    assert _minutes(tail, 16) == _minutes(tail, 18) == []


def test_what_was_forgotten_is_not_here_and_the_next_pieces_are() -> None:
    tail = _of_three_pieces()
    tail.forget(GLUCOSE, 0)
    assert _minutes(tail, 16) == []
    _add(tail, 19, 1)
    assert _minutes(tail, 19) == [19]
    assert _minutes(tail, 18) == []
