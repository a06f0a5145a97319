"""Who acts on the command line, as the audit trail names them."""

import getpass

from islet.clock import wall_us
from islet.store.base import Registry


def who(by: str | None) -> str:
    """Who acts on the command line, for the trail: the account of the machine, and the person it acts for."""
    account = f"account {getpass.getuser()}"
    return f"{by} ({account})" if by else account


def note(registry: Registry, action: str, kind: str, id: str) -> None:
    """A line of the trail for what a command has done."""
    registry.note(action, kind, id, by=who(None), at_us=wall_us())
