"""A forecaster as it is kept: networks and lines that are blended, margins that make intervals true, risks calibrated.

Bytes in, bytes out; who reads files is above this room.
"""

import io
import json
import zipfile
import zlib
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import numpy as np

from islet.errors import BadInput
from islet.forecast.features import WIDTH, unit
from islet.forecast.meals import no_meals
from islet.forecast.network import MEDIAN, OUTPUTS, PATH, QUANTILES, Array, Network
from islet.forecast.risk import chances, inputs, plain_lines
from islet.forecast.windows import HORIZON
from islet.model.ahead import EATEN_POINTS

FORMAT: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """The path is the networks' mean medians times `share`, plus `lines` (f + 1, 12) in mg/dL.

    margins (12, 5) in the row's unit are added to the quantiles; risk_lines (8, 6) make probabilities of risk.inputs.
    ridge (f + 1, 12) in mg/dL is what forecasts alone where the rest does worse than if nothing moved.
    meals (EATEN_POINTS, 12) in mg/dL: what was eaten adds by these weights (`islet.forecast.meals`).
    card: what it was trained on, how it did, under which licence; plain JSON.
    """

    networks: tuple[Network, ...]
    share: float
    lines: Array
    margins: Array
    risk_lines: Array
    ridge: Array
    meals: Array = field(default_factory=no_meals)
    card: dict[str, object] = field(default_factory=dict)

    def outputs(self, x: Array) -> Array:
        """The networks' mean outputs (n, OUTPUTS) for features (n, f)."""
        total = self.networks[0].outputs(x)
        for network in self.networks[1:]:
            total += network.outputs(x)
        if len(self.networks) > 1:
            total /= np.float32(len(self.networks))
        return total

    def moves(self, x: Array, *, plain: bool = False) -> tuple[Array, Array]:
        """Moves (n, 12, 5) in mg/dL from the newest value, never crossing, and risks (n, 8), of features (n, f).

        plain: without margins and risk_lines, as one needs it to find them.
        """
        outputs, one = self.outputs(x), unit(x)
        around = sorted_quantiles(outputs[:, :PATH].reshape(len(x), HORIZON, len(QUANTILES)))
        median = around[:, :, MEDIAN]
        path = np.float32(self.share) * median * one + x @ self.lines[:-1] + self.lines[-1]
        around = around - median[:, :, None]
        if not plain:
            around += self.margins
        around *= one[:, :, None]
        around += path[:, :, None]
        moves = sorted_quantiles(around)
        return moves, chances(plain_lines() if plain else self.risk_lines, inputs(x, moves, outputs[:, PATH:]))

    def risk_inputs(self, x: Array) -> Array:
        """What risk_lines are applied to, (n, 8, 6), for features (n, f)."""
        return inputs(x, self.moves(x)[0], self.outputs(x)[:, PATH:])


def sorted_quantiles(values: Array) -> Array:
    """The last axis of (n, 12, 5) in ascending order, in place: rearranged quantiles are never worse (doi:10.3982/ECTA7880)."""
    crossing = (values[:, :, 1:] < values[:, :, :-1]).any(axis=(1, 2))
    if crossing.any():
        values[crossing] = np.sort(values[crossing], axis=-1)
    return values


def to_bytes(model: Model) -> bytes:
    """The model as an .npz of plain arrays; half precision for the weights, which costs less than a hundredth of 1 mg/dL."""
    arrays: dict[str, np.ndarray] = {
        "format": np.array(FORMAT),
        "share": np.array(model.share, np.float64),
        "lines": model.lines,
        "margins": model.margins,
        "risk_lines": model.risk_lines,
        "ridge": model.ridge,
        "meals": model.meals,
        "card": np.frombuffer(json.dumps(model.card, sort_keys=True).encode(), np.uint8),
    }
    for k, network in enumerate(model.networks):
        arrays[f"centre_{k}"], arrays[f"scale_{k}"] = network.centre, network.scale
        for m, weights in enumerate(network.weights):
            arrays[f"weights_{k}_{m}"] = weights.astype(np.float16)
    out = io.BytesIO()
    np.savez_compressed(out, allow_pickle=False, **arrays)
    return out.getvalue()


def fingerprint(model: Model) -> str:
    """By which models are told apart: a digest of all that forecasts; the card does not."""
    arrays = [model.lines, model.margins, model.risk_lines, model.ridge, model.meals]
    arrays += [one for network in model.networks for one in (network.centre, network.scale, *network.weights)]
    digest = blake2b(repr(float(model.share)).encode(), digest_size=16)
    for array in arrays:
        digest.update(repr(array.shape).encode() + array.astype("<f4").tobytes())
    return digest.hexdigest()


def from_bytes(data: bytes) -> Model:
    """The model in an .npz. Raises BadInput where it is none, of another format, or does not fit this version's features."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return _model({name: arrays[name] for name in arrays.files})
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise BadInput(
            "forecast model: expected an .npz that `islet forecast train` wrote; got something else", reason="model"
        ) from error


def _model(arrays: dict[str, np.ndarray]) -> Model:
    if int(arrays["format"]) != FORMAT:
        raise BadInput(
            f"forecast model: format {int(arrays['format'])}, this version reads {FORMAT}; train it anew",
            reason="model",
        )
    count = sum(name.startswith("centre_") for name in arrays)
    networks = tuple(
        Network(
            centre=arrays[f"centre_{k}"].astype(np.float32),
            scale=arrays[f"scale_{k}"].astype(np.float32),
            weights=tuple(arrays[f"weights_{k}_{m}"].astype(np.float32) for m in range(7)),
        )
        for k in range(count)
    )
    model = Model(
        networks=networks,
        share=float(arrays["share"]),
        lines=arrays["lines"].astype(np.float32),
        margins=arrays["margins"].astype(np.float32),
        risk_lines=arrays["risk_lines"].astype(np.float32),
        ridge=arrays["ridge"].astype(np.float32),
        meals=arrays["meals"].astype(np.float32) if "meals" in arrays else no_meals(),
        card=json.loads(arrays["card"].tobytes()),
    )
    shapes = [n.weights[-1].shape for n in networks]
    if (
        not networks
        or shapes != [(WIDTH, OUTPUTS)] * count
        or {model.lines.shape, model.ridge.shape} != {(WIDTH + 1, HORIZON)}
        or model.meals.shape != (EATEN_POINTS, HORIZON)
    ):
        raise BadInput(f"forecast model: made for other features ({shapes}); train it anew", reason="model")
    return model


def plain_margins() -> Array:
    """No margins: the quantiles as the network gives them."""
    return np.zeros((HORIZON, len(QUANTILES)), np.float32)
