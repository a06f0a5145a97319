"""Who can administer; and that somebody always can."""

from typing import Final

from islet.access.decide import Action, decide
from islet.errors import AccessDenied
from islet.model.people import Principal, Role, User
from islet.model.permissions import Permission
from islet.store.base import Registry
from islet.store.principals import Principals, with_permission

LAST_ADMINISTRATOR: Final = "nobody else could administer then: make another administrator first"


def is_able(user: User) -> bool:
    """Whether a user is an administrator who can log in; not one who was invited and has not come."""
    return user.role is Role.ADMINISTRATOR and user.enabled and bool(user.password_hash)


def administrators(registry: Registry, at_us: int) -> list[Principal]:
    """Those who can log in and may administer."""
    principals = Principals(registry)
    found = [principals.of_user(user, at_us) for user in registry.users() if is_able(user)]
    return [one for one in found if _may(one)]


def check_some_stay(registry: Registry, refusal: Permission, at_us: int) -> None:
    """Raises AccessDenied for a refusal that nobody who can administer now could take back in the portal."""
    able = administrators(registry, at_us)
    if able and not any(_may(with_permission(one, refusal)) for one in able):
        raise AccessDenied(LAST_ADMINISTRATOR)


def _may(principal: Principal) -> bool:
    return decide(principal, Action.ADMINISTER).allowed
