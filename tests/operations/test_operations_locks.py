"""No role that must be alone runs twice on one data directory."""

from pathlib import Path

import pytest

from islet.errors import IsletError
from islet.operations.locks import only_one


def test_a_second_engine_on_the_same_data_is_refused_and_told_why(tmp_path: Path) -> None:
    with (
        only_one(tmp_path, ["engine", "web"]),
        pytest.raises(IsletError, match="the role engine already runs"),
        only_one(tmp_path, ["engine"]),
    ):
        pass


def test_a_job_by_hand_is_refused_while_another_runs(tmp_path: Path) -> None:
    with (
        only_one(tmp_path, ["jobs"]),
        pytest.raises(IsletError, match="jobs already runs"),
        only_one(tmp_path, ["jobs"]),
    ):
        pass


def test_gateways_and_pages_may_be_many(tmp_path: Path) -> None:
    with only_one(tmp_path, ["gateway", "web"]), only_one(tmp_path, ["gateway", "web"]):
        pass


def test_what_was_held_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with only_one(tmp_path, ["engine", "store", "notify"]):
            pass


def test_a_refusal_lets_go_of_what_was_taken_before_it(tmp_path: Path) -> None:
    with only_one(tmp_path, ["store"]), pytest.raises(IsletError), only_one(tmp_path, ["engine", "store"]):
        pass
    with only_one(tmp_path, ["engine"]):
        pass
