"""People and applications that log in, as administrators change them in the portal and on the command line.

Every change is a line of the audit trail and holds at once, also for what is open now. One administrator stays who can log
in. Nobody needs to know another's password: who is invited chooses it with a link that works once.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import structs

from islet.access.decide import EVERYBODY
from islet.access.passwords import hash_password, new_token, token_hash
from islet.errors import AccessDenied, BadInput, NotFound
from islet.model.people import DOTS, Role, User
from islet.model.time import DAY_US
from islet.store.administrators import LAST_ADMINISTRATOR, administrators, is_able
from islet.store.base import Registry
from islet.store.consents import forget_unassigned
from islet.store.grants import revoke_keys_of
from islet.store.patient_groups import MAY_HAVE_GROUPS, check_group, group_name
from islet.store.second_factors import put_second_factor
from islet.store.subjects import unlink_subjects

ROLES: Final = tuple(role for role in Role if role is not Role.DEVICE)
"""What a user can be; devices are registered."""
LEAST_PASSWORD: Final = 8
"""Characters; NIST SP 800-63B, 5.1.1.1."""
MOST_PASSWORD: Final = 1000
INVITED: Final = "invitation"
"""As the key of the session that a link stands for. It is no key's id, so that nothing takes it for a session."""
INVITED_US: Final = 3 * DAY_US
"""How long a link works, by the wall's clock."""
_MAY_SEE_EVERYBODY: Final = frozenset({Role.ADMINISTRATOR, Role.APPLICATION, Role.RESEARCHER})
_LONGEST_NAME: Final = 64


def put_person(
    registry: Registry,
    name: str,
    *,
    role: Role | None = None,
    patients: tuple[str, ...] | None = None,
    password: str | None = None,
    new: bool | None = None,
    by: str,
    at_us: int,
) -> User:
    """Add somebody, or change of them what is given; a new password ends their sessions. Without one, who is new has to be
    invited. `new`: they must (not) have been there.

    Raises BadInput, NotFound for a patient, or for whom there is not; AccessDenied for the last administrator.
    """
    hashed = None if password is None else hashed_password(password)

    def change(known: User | None) -> User:
        if known is None and new is False:
            raise _unknown(name)
        if known is not None and new:
            raise BadInput(f"{name!r} is there already", reason="name")
        if known is None:
            known = _new_user(name, role)
        changed = structs.replace(
            known,
            role=known.role if role is None else role,
            patients=known.patients if patients is None else patients,
            password_hash=known.password_hash if hashed is None else hashed,
        )
        _check_patients(registry, changed)
        return changed

    changed = _change(registry, name, change, "", by=by, at_us=at_us)
    if hashed is not None:
        _end_all(registry, changed, by=by, at_us=at_us)
    forget_unassigned(registry, changed, by=by, at_us=at_us)
    return changed


def set_enabled(registry: Registry, name: str, enabled: bool, *, by: str, at_us: int) -> None:
    """Let somebody log in, or end their sessions and refuse new ones. Raises NotFound, AccessDenied."""

    def change(known: User | None) -> User:
        return structs.replace(_known(known, name), enabled=enabled)

    changed = _change(registry, name, change, "enabled" if enabled else "disabled", by=by, at_us=at_us)
    if not enabled:
        _end_all(registry, changed, by=by, at_us=at_us)


def invite(registry: Registry, name: str, ends_us: int, *, by: str, at_us: int) -> str:
    """The token of a link with which somebody chooses a password, once, until `ends_us`; it is shown once. The password
    that they had and their sessions end now. Raises NotFound, AccessDenied."""

    def change(known: User | None) -> User:
        return structs.replace(_known(known, name), password_hash="")

    _end_all(registry, _change(registry, name, change, "invited", by=by, at_us=at_us), by=by, at_us=at_us)
    token = new_token()
    registry.create_session(token_hash(token), name, ends_us, at_us, key=INVITED)
    return token


def invited(registry: Registry, token: str, at_us: int) -> User | None:
    """Whom a link is for; None for one that is over, was used, or never was."""
    session = registry.session(token_hash(token), at_us)
    user = None if session is None or session.key != INVITED else registry.user(session.user)
    return user if user is not None and user.enabled else None


def choose_password(registry: Registry, token: str, password: str, at_us: int) -> None:
    """Whom the link is for has that password from now on; the link is over. Raises BadInput, and NotFound for a link that
    is over."""
    hashed = hashed_password(password)
    user = invited(registry, token, at_us)
    if user is None:
        raise NotFound("the link is over, or was used")

    def change(known: User | None) -> User:
        if known is None or invited(registry, token, at_us) is None:  # of two at once, one
            raise NotFound("the link is over, or was used")
        return structs.replace(known, password_hash=hashed)

    _change(registry, user.name, change, "password chosen", by=user.name, at_us=at_us)


def end_sessions(registry: Registry, name: str, *, by: str, at_us: int) -> None:
    """End all that somebody comes in with: sessions, tokens, links, and keys, also of an application. Raises NotFound."""
    registry.delete_sessions(_user(registry, name).name)
    revoke_keys_of(registry, name, by=by, at_us=at_us)
    registry.note("logged out", "user", name, by=by, at_us=at_us)


def forget_second_factor(registry: Registry, name: str, *, by: str, at_us: int) -> None:
    """The password alone lets them in again; their sessions end. Raises NotFound."""
    user = _user(registry, name)
    put_second_factor(registry, name, None)
    _end_all(registry, user, by=by, at_us=at_us)
    registry.note("removed", "second_factor", name, by=by, at_us=at_us)


def unlink(registry: Registry, name: str, *, by: str, at_us: int) -> int:
    """Forget their accounts at OpenID providers (how many that were), and end their sessions. Raises NotFound."""
    user = _user(registry, name)
    count = unlink_subjects(registry, name, by=by, at_us=at_us)
    _end_all(registry, user, by=by, at_us=at_us)
    return count


def _end_all(registry: Registry, user: User, *, by: str, at_us: int) -> None:
    """End their sessions and links, and a person's tokens. An application's keys are how it logs in: they stay."""
    registry.delete_sessions(user.name)
    if user.role is not Role.APPLICATION:
        revoke_keys_of(registry, user.name, by=by, at_us=at_us)


def hashed_password(password: str) -> str:
    """Its hash. Raises BadInput for one that is too short, or longer than the log-in page takes."""
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise BadInput(f"password: expected at least {LEAST_PASSWORD} characters", reason="password")
    return hash_password(password)


def _change(
    registry: Registry, name: str, change: Callable[[User | None], User], action: str, *, by: str, at_us: int
) -> User:
    """Keep what `change` makes of a user, unless it takes the last administrator away."""
    able = {one.name for one in administrators(registry, at_us)}

    def checked(users: Mapping[str, User]) -> User:
        changed = change(users.get(name))
        others = (user for user in users.values() if user.name != name and user.name in able)
        if name in able and not is_able(changed) and not any(map(is_able, others)):
            raise AccessDenied(LAST_ADMINISTRATOR)
        return changed

    return registry.change_user(name, checked, action=action, by=by, at_us=at_us)


def _new_user(name: str, role: Role | None) -> User:
    signs = name.isprintable() and not any(sign in " /," for sign in name)
    if not 0 < len(name) <= _LONGEST_NAME or not signs or name in DOTS:
        raise BadInput(
            f"name: expected 1 to {_LONGEST_NAME} characters without spaces, slashes or commas, and not . or ..",
            reason="name",
        )
    if role not in ROLES:
        raise BadInput(f"role: expected one of {', '.join(ROLES)} for somebody new", reason="role")
    return User(name=name, role=role, password_hash="")


def _check_patients(registry: Registry, user: User) -> None:
    for patient in user.patients:
        if patient == EVERYBODY:
            if user.role not in _MAY_SEE_EVERYBODY:
                raise BadInput(f"patients: * is not for a {user.role}; give ids", reason="patients")
        elif name := group_name(patient):
            if user.role not in MAY_HAVE_GROUPS:
                raise BadInput(f"patients: a {user.role} has no groups of patients", reason="patients")
            check_group(registry, name)
        elif registry.patient(patient) is None:
            raise NotFound(f"there is no patient {patient!r}; add them first with `islet patients add`")


def _user(registry: Registry, name: str) -> User:
    return _known(registry.user(name), name)


def _known(user: User | None, name: str) -> User:
    if user is None:
        raise _unknown(name)
    return user


def _unknown(name: str) -> NotFound:
    return NotFound(f"there is no user {name!r}; `islet users list` shows all")
