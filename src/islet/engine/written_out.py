"""A rule's SELECT without WITH and WINDOW: what they give a name stands where the name is used."""

from collections.abc import Mapping
from typing import Final

from sqlglot import exp

_MOST: Final = 20


def written_out(select: exp.Select) -> exp.Select:
    """The same SELECT, written with subqueries and whole windows; itself where it has no such names.

    What cannot be written out is left as it is, for the reader to refuse: names that do not stand after FROM, more than
    a score of them, RECURSIVE, names for columns, a window made of another one.
    """
    with_ = select.args.get("with_")
    if with_ is None and not any(one.args.get("windows") for one in select.find_all(exp.Select)):
        return select
    whole: exp.Select = select.copy()
    known, used = dict[str, exp.Select](), set[str]()
    if (with_ := whole.args.get("with_")) is not None and _is_plain(with_):
        whole.set("with_", None)
        for one in with_.expressions:
            known[one.alias.lower()] = _placed(one.this, known, used)
    whole = _placed(whole, known, used)
    if used != known.keys():
        return select
    for one in list(whole.find_all(exp.Select)):
        _write_windows(one)
    return whole


def _is_plain(with_: exp.Expression) -> bool:
    ones = with_.expressions
    named = any(one.args["alias"].args.get("columns") or not isinstance(one.this, exp.Select) for one in ones)
    return len(ones) <= _MOST and not with_.args.get("recursive") and not named


def _placed(select: exp.Select, known: Mapping[str, exp.Select], used: set[str]) -> exp.Select:
    """With the SELECT of a known name in the place of the innermost table; that name is added to those used."""
    inner = select
    while (source := inner.args["from_"].this if inner.args.get("from_") else None) is not None:
        if not (isinstance(source, exp.Subquery) and isinstance(source.this, exp.Select)):
            break
        inner = source.this
    if isinstance(source, exp.Table) and not source.db and source.name.lower() in known:
        alias = exp.TableAlias(this=exp.to_identifier(source.alias_or_name))
        used.add(source.name.lower())
        source.replace(exp.Subquery(this=known[source.name.lower()].copy(), alias=alias))
    return select


def _write_windows(select: exp.Select) -> None:
    named = {one.name.lower(): one for one in select.args.get("windows") or []}
    used = [one for output in select.expressions for one in output.find_all(exp.Window)]
    if any(set(_parts(one)) and one.alias for one in (*used, *named.values())):
        return
    for one in used:
        if (meant := named.get(one.alias.lower())) is not None:
            for part, value in _parts(meant).items():
                one.set(part, [each.copy() for each in value] if isinstance(value, list) else value.copy())
            one.set("alias", None)
    select.set("windows", None)


def _parts(window: exp.Expression) -> dict[str, "exp.Expression | list[exp.Expression]"]:
    return {part: window.args[part] for part in ("partition_by", "order", "spec") if window.args.get(part)}
