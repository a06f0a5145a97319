"""The store of a data directory for a command that reads it, with all that the log holds."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from islet.errors import IsletError
from islet.opened import opened_log, opened_store
from islet.operations.locks import only_one
from islet.settings import Settings
from islet.store.base import Store
from islet.store.follow import Follower


@contextmanager
def store_as_of_now(settings: Settings) -> Iterator[Store]:
    """The store with all that the log holds: brought up to date here, unless a platform that runs does it."""
    with opened_store(settings) as store, ExitStack() as held:
        try:
            held.enter_context(only_one(settings.data_dir, ["store"]))
        except IsletError:  # a platform runs
            yield store
            return
        with opened_log(replace(settings, roles=("report",))) as log:  # else a Kafka log takes us for the engine
            follower = Follower(log, store)
            while follower.run_once(0.0):
                pass
        held.close()
        yield store
