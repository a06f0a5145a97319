"""Who can administer; and that somebody always can."""

from typing import Any, Final, cast

from islet.access.decide import Action, decide
from islet.errors import AccessDenied
from islet.model.people import Principal, Role, User
from islet.store.base import EntryKind, Registry
from islet.store.principals import Principals

LAST_ADMINISTRATOR: Final = "nobody else could administer then: make another administrator first"


def is_able(user: User) -> bool:
    """Whether a user is an administrator who can log in; not one who was invited and has not come."""
    return user.role is Role.ADMINISTRATOR and user.enabled and bool(user.password_hash)


def administrators(registry: Registry, at_us: int) -> list[Principal]:
    """Those who can log in and may administer."""
    principals = Principals(registry)
    found = [principals.of_user(user, at_us) for user in registry.users() if is_able(user)]
    return [one for one in found if decide(one, Action.ADMINISTER).allowed]


def check_some_stay(registry: Registry, kind: EntryKind, id: str, body: bytes | None, at_us: int) -> None:
    """Raises AccessDenied for an entry (None: its end) after which nobody could administer who can now."""
    after = cast(Registry, _After(registry, kind, id, body))
    if administrators(registry, at_us) and not administrators(after, at_us):
        raise AccessDenied(LAST_ADMINISTRATOR)


class _After:
    """A registry as it would be after one of its entries has changed."""

    def __init__(self, registry: Registry, kind: EntryKind, id: str, body: bytes | None) -> None:
        self._registry, self._kind, self._id, self._body = registry, kind, id, body

    def entries(self, kind: EntryKind) -> dict[str, bytes]:
        found = self._registry.entries(kind)
        if kind is not self._kind:
            return found
        others = {id: body for id, body in found.items() if id != self._id}
        return others if self._body is None else {**others, self._id: self._body}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)
