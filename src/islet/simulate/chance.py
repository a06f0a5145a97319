"""Randomness as a function: the same key, subject and moment always give the same number.

There is no generator state that one person's draw could move for another, so a person's life does not depend on how
many others are simulated. The hash is SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195), whose
sequence is jumped into instead of walked.
"""

import numpy as np
from numpy.typing import NDArray

from islet.model.compiled import kernel, making_kernel

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_BITS_16 = np.uint64(0xFFFF)
_S16, _S27, _S30, _S31, _S32, _S40, _S48 = (np.uint64(bits) for bits in (16, 27, 30, 31, 32, 40, 48))
_OF_24_BITS = 2.0**-24
_MEAN = 2.0 * 65535.0  # of four 16-bit numbers
_SD = float(np.sqrt((65536.0**2 - 1.0) / 3.0))


# What a draw is about. Draws about different subjects are independent.
PERSON, SENSOR, TRAIT = 0, 1, 2
MEAL_TIME, MEAL_TAKEN, MEAL_SIZE = 8, 16, 24  # + the number of the meal
COUNTING, BOLUS_DELAY, BOLUS_FORGOTTEN, CORRECTION, RESCUE, RESCUE_SIZE = 32, 33, 34, 35, 36, 37
SPORT_TIME, SPORT_TAKEN, SPORT_LENGTH = 38, 39, 40
NIGHT_OUT, DRINK_TIME, DRINKS, DRINK_PAUSE = 41, 42, 43, 44
SENSITIVITY = 45
NOISE, GAIN, DRIFT = 48, 49, 50
GAP, GAP_LENGTH, GAP_START = 51, 52, 53
PRESSED, PRESSED_LENGTH, PRESSED_START, PRESSED_DEPTH = 54, 55, 56, 57
_SUBJECTS = 64


@kernel
def bits(key: np.uint64, subject: int, moment: int) -> np.uint64:
    """64 random bits for a person's key (uint64), a subject and a moment (a minute, a day, a count)."""
    z = key + np.uint64(moment * _SUBJECTS + subject) * _STEP
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@kernel
def uniform(key: np.uint64, subject: int, moment: int) -> float:
    """A number in [0, 1), a multiple of 2**-24."""
    return float(bits(key, subject, moment) >> _S40) * _OF_24_BITS


@kernel
def normal(key: np.uint64, subject: int, moment: int) -> float:
    """About standard normal: the sum of four uniform numbers, so never beyond ±3.5, which no day and no sensor needs.

    Whole numbers until the last line, so it is the same to the last bit on every machine, and fast.
    """
    z = bits(key, subject, moment)
    total = (z & _BITS_16) + ((z >> _S16) & _BITS_16) + ((z >> _S32) & _BITS_16) + (z >> _S48)
    return (float(total) - _MEAN) / _SD


@making_kernel
def keys(seed: int, subject: int, n: int) -> NDArray[np.uint64]:
    """A key for each of n persons or sensors, (n,); the i-th depends on the seed, the subject and i alone."""
    root = bits(np.uint64(seed), subject, 0)
    out = np.empty(n, np.uint64)
    for i in range(n):
        out[i] = bits(root, subject, i)
    return out


@making_kernel
def traits(persons: NDArray[np.uint64], count: int) -> NDArray[np.float64]:
    """Standard normal numbers that stay with a person, (n, count)."""
    out = np.empty((len(persons), count))
    for i in range(len(persons)):
        for trait in range(count):
            out[i, trait] = normal(persons[i], TRAIT, trait)
    return out
