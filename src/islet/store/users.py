"""One change of somebody who logs in, made to what they are by then: who was disabled a moment ago stays so."""

from collections.abc import Callable, Mapping

from islet.errors import NotFound
from islet.model.people import User
from islet.store.base import Registry


def change_known(registry: Registry, name: str, change: Callable[[User], User], *, by: str, at_us: int) -> User:
    """Keep what `change` makes of them, with a line in the audit trail. Raises NotFound, and what `change` does: then
    nothing has happened."""

    def of_all(users: Mapping[str, User]) -> User:
        if name not in users:
            raise NotFound(f"there is no user {name!r}")
        return change(users[name])

    return registry.change_user(name, of_all, action="", by=by, at_us=at_us)
