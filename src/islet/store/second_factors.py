"""People's second factors, among the registry's secrets."""

import msgspec

from islet.access.second_factor import SecondFactor
from islet.store.base import Registry


def read_second_factor(registry: Registry, user: str) -> SecondFactor | None:
    """What is kept of somebody's second factor; None where they have none."""
    kept = registry.secret(f"second_factor/{user}")
    return msgspec.json.decode(kept, type=SecondFactor) if kept else None


def put_second_factor(registry: Registry, user: str, factor: SecondFactor | None) -> None:
    """Keep it, or (None) take it away."""
    registry.put_secret(f"second_factor/{user}", "" if factor is None else msgspec.json.encode(factor).decode())
