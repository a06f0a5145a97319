"""A group of patients gets another name, or ends: for its patients, its rules, and those who have it."""

from islet.engine.rulebook import RuleBook
from islet.errors import AlreadyExists
from islet.store.base import Registry
from islet.store.patient_groups import check_group, check_name, delete_group, members, rename_group


def rename(registry: Registry, book: RuleBook, name: str, to: str, *, by: str, at_us: int) -> None:
    """Give a group another name. What is set for it holds all the time. Raises BadInput, NotFound, AlreadyExists."""
    check_group(registry, name)
    check_name(to)
    if to in members(registry.patients()):
        raise AlreadyExists(f"there is a group {to!r} already; add the patients to it instead")
    book.copy_group(name, to, by=by, at_us=at_us)
    rename_group(registry, name, to, by=by, at_us=at_us)
    book.forget_group(name, by=by, at_us=at_us)


def delete(registry: Registry, book: RuleBook, name: str, *, by: str, at_us: int) -> None:
    """End a group: its patients stay, without it; what was set or granted for it holds no more. Raises NotFound."""
    delete_group(registry, name, by=by, at_us=at_us)
    book.forget_group(name, by=by, at_us=at_us)
