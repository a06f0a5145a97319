"""Randomness as a function of key, subject and moment."""

import numpy as np

from islet.simulate.chance import bits, keys, normal, traits, uniform


def test_bits_are_those_of_splitmix64() -> None:
    """First outputs for seed 0 of S. Vigna's reference program splitmix64.c."""
    first = [int(bits(np.uint64(0), k, 0)) for k in (1, 2, 3)]
    assert first == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_normal_numbers_have_mean_0_and_sd_1_and_bounded_tails() -> None:
    z = traits(keys(1, 0, 2000), 50)
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1.0) < 0.01
    assert 3.0 < np.abs(z).max() < 3.5
    within = np.mean(np.abs(z) < 1.0)
    assert abs(within - 0.669) < 0.005  # of a sum of four uniform numbers (Irwin-Hall); 0.683 of a normal one


def test_subjects_moments_and_people_are_independent() -> None:
    people = keys(1, 0, 3000)
    columns = [[normal(key, subject, moment) for key in people] for subject, moment in ((3, 7), (4, 7), (3, 8))]
    columns.append(columns[0][1:] + columns[0][:1])
    correlation = np.corrcoef(np.array(columns)) - np.eye(4)
    assert np.abs(correlation).max() < 0.06  # 3 / sqrt(3000)


def test_uniform_numbers_fill_the_unit_interval_evenly() -> None:
    u = np.array([uniform(key, 5, 29_000_000) for key in keys(2, 0, 4000)])
    assert u.min() >= 0.0
    assert u.max() < 1.0
    counts, _ = np.histogram(u, bins=8, range=(0.0, 1.0))
    assert np.abs(counts - 500).max() < 85  # 4 SD of a binomial count


def test_another_seed_gives_other_people() -> None:
    assert not np.intersect1d(keys(1, 0, 1000), keys(2, 0, 1000)).size
    assert not np.intersect1d(keys(1, 0, 1000), keys(1, 1, 1000)).size
