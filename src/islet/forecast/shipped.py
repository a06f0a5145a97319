"""The model that is in the package, so that a fresh installation forecasts at once."""

from functools import cache
from importlib.resources import files

from islet.forecast.model import Model, from_bytes


@cache
def shipped_model() -> Model:
    """Trained on public recordings whose licences allow it; its card says which, and how it does."""
    return from_bytes((files("islet.forecast") / "pooled.npz").read_bytes())
