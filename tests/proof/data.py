"""Data for layers: what random numbers would seldom meet.

A layer's data is a base (every operand), start values, and an extra that bends a few outputs to the very ends of their
registers. Each function changes a Problem in place.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from proof.problem import Problem, rails
from support.step_twin import StepAccount, run_steps

Change = Callable[[Problem], None]

PERIODS = (2, 3, 4, 8, 15, 16, 17, 32, 33, 64, 128)
INT32_MAX = (1 << 31) - 1


def _fill(problem: Problem, x: np.ndarray | int, weights: np.ndarray | int) -> None:
    problem.x[:] = x
    problem.weights[:] = weights
    problem.clip()


def _uniform(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Operands all over their ranges."""
    low, high = (problem.w_ends[:, end].reshape(-1, 1, 1, 1) for end in (0, 1))
    x = problem.rng.integers(problem.x_ends[0], problem.x_ends[1] + 1, problem.x.shape)
    return x, problem.rng.integers(low, high + 1, problem.weights.shape)


def _at_ends(rng: np.random.Generator, shape: tuple[int, ...], low, high) -> np.ndarray:
    return np.where(rng.random(shape) < 0.5, low, high)


# ---------------------------------------------------------------- bases


def uniform(problem: Problem) -> None:
    """Every operand anywhere in its range."""
    _fill(problem, *_uniform(problem))


def small(problem: Problem) -> None:
    """Operands of a few units: sums creep, and meet every value."""
    rng = problem.rng
    _fill(problem, rng.integers(-3, 4, problem.x.shape), rng.integers(-3, 4, problem.weights.shape))


def sparse(problem: Problem) -> None:
    """Mostly zeros, whole pixels and whole channels of them too."""
    x, weights = _uniform(problem)
    rng = problem.rng
    x *= rng.random(x.shape) < rng.choice([0.02, 0.2, 0.5])
    x *= rng.random((*x.shape[:3], 1)) < 0.7
    x *= rng.random(x.shape[3]) < 0.8
    _fill(problem, x, weights * (rng.random(weights.shape) < 0.6))


def extremes(problem: Problem) -> None:
    """Every operand at an end of its range: the greatest products, in every combination of signs."""
    low, high = (problem.w_ends[:, end].reshape(-1, 1, 1, 1) for end in (0, 1))
    rng = problem.rng
    _fill(problem, _at_ends(rng, problem.x.shape, *problem.x_ends), _at_ends(rng, problem.weights.shape, low, high))


def one_corner(problem: Problem) -> None:
    """All activations at one end, all weights of a filter at one end: sums that only grow."""
    ends = problem.rng.integers(0, 2, problem.filters)
    _fill(problem, int(problem.rng.choice(problem.x_ends)), 0)
    problem.weights[:] = problem.w_ends[np.arange(problem.filters), ends].reshape(-1, 1, 1, 1)


def zeros(problem: Problem) -> None:
    """Nothing but zeros on one side or on both."""
    x, weights = _uniform(problem)
    which = problem.rng.integers(3)
    _fill(problem, x * (which == 1), weights * (which == 2))


def last_k(problem: Problem) -> None:
    """One nonzero weight, the last (or first) of each filter: at most one addition can do anything."""
    extremes(problem)
    for channel in range(problem.filters):
        kept = np.zeros(problem.k, np.int64)
        index = problem.rng.choice([-1, -1, 0])
        kept[index] = problem.filter(channel)[index]
        problem.set_filter(channel, kept)


def few(problem: Problem) -> None:
    """At most three nonzero weights in a filter, all operands at the ends: few products, as large as can be."""
    extremes(problem)
    for channel in range(problem.filters):
        kept = np.zeros(problem.k, np.int64)
        index = problem.rng.integers(0, problem.k, problem.rng.integers(1, 4))
        kept[index] = problem.filter(channel)[index]
        problem.set_filter(channel, kept)


def periodic(problem: Problem) -> None:
    """Runs of one sign then the other with a period of each filter's own: sums peak between multiples of the period."""
    rng = problem.rng
    _fill(problem, int(rng.choice(problem.x_ends)), 0)
    if rng.random() < 0.3:
        problem.x[:] = _at_ends(rng, problem.x.shape, *problem.x_ends)
    k = np.arange(problem.k)
    for channel in range(problem.filters):
        low, high = problem.w_ends[channel]
        period = int(rng.choice([*PERIODS, problem.k, max(problem.fold, 2), problem.fold + 1]))
        up = (k + rng.choice([0, 0, 1, rng.integers(period)])) % period < (period + rng.integers(2)) // 2
        magnitude = int(rng.choice([1, 2, 7, 100, 127, 255]))
        signs = np.where(up, min(magnitude, high), max(-magnitude, low)) * rng.choice([1, 1, -1])
        problem.set_filter(channel, signs)


def halves(problem: Problem) -> None:
    """A long run of one sign, then the other: partial sums far out, a final sum near zero."""
    rng = problem.rng
    uniform(problem)
    for channel in range(problem.filters):
        weights = np.abs(problem.filter(channel))
        turn = int(problem.k * rng.choice([0.5, 0.5, rng.random()]))
        weights[turn:] *= -1
        problem.set_filter(channel, weights * rng.choice([1, -1]))
    problem.x[:] = np.abs(problem.x) * (1 if problem.x_ends[1] >= -problem.x_ends[0] else -1)
    problem.clip()


def dyadic(problem: Problem) -> None:
    """Powers of two: sums meet the ends of a register exactly, and products may be multiples of 2^bits."""
    rng = problem.rng
    a, w = 1 << int(rng.integers(0, 8)), 1 << int(rng.integers(0, 8))
    signs = _at_ends(rng, problem.weights.shape, -1, 1) if rng.random() < 0.5 else rng.choice([-1, 1])
    x_signs = _at_ends(rng, problem.x.shape, -1, 1) if rng.random() < 0.3 else rng.choice([-1, 1])
    _fill(problem, x_signs * a * (rng.random(problem.x.shape) < 0.9), signs * w)


def one_sided(problem: Problem) -> None:
    """Activations all in a band away from zero: a sum's extremes lie where the weights of one sign end."""
    rng = problem.rng
    uniform(problem)
    end = int(rng.choice(problem.x_ends))
    band = np.sort(rng.integers(0, abs(end) + 1, 2))
    problem.x[:] = np.sign(end) * rng.integers(band[0], band[1] + 1, problem.x.shape)
    if rng.random() < 0.5:
        problem.weights[:] = np.sort(problem.weights.reshape(problem.filters, -1)).reshape(problem.weights.shape)
    problem.clip()


def steerable(problem: Problem) -> None:
    """Many activations and weights of one unit among wild ones: any sum can be reached exactly."""
    x, weights = _uniform(problem)
    rng = problem.rng
    unit = rng.integers(-2, 3, x.shape)
    _fill(problem, np.where(rng.random(x.shape) < 0.5, unit, x), weights)
    unit = rng.integers(-2, 3, weights.shape)
    problem.weights[:] = np.where(rng.random(weights.shape) < 0.4, unit, problem.weights)
    problem.clip()


_PLAIN = (uniform, small, sparse, extremes, one_corner, zeros, steerable)
_PATTERNED = (last_k, few, periodic, halves, dyadic, one_sided)
BASES: dict[str, Change] = {function.__name__: function for function in _PLAIN + _PATTERNED}


# ---------------------------------------------------------------- start values


def exact_sums(problem: Problem) -> StepAccount:
    """Sums in registers that nothing here overflows."""
    wide = (56, "wrap")
    partial_sum = wide if problem.partial_sum else None
    return run_steps(problem.x, problem.weights, problem.bias, problem.shape, problem.rows, partial_sum, wide)


def no_bias(problem: Problem) -> None:
    """Start at zero."""
    problem.bias[:] = 0


def any_bias(problem: Problem) -> None:
    """Start values of the size of the register, or of the sums."""
    reach = min(rails(problem.accumulator)[1], INT32_MAX)
    size = int(problem.rng.choice([100, reach // 2 + 1, reach]))
    problem.bias[:] = problem.rng.integers(-size, size + 1, problem.bias.shape)


def near_rails(problem: Problem) -> None:
    """Start within a few units, or a few products, of the ends."""
    low, high = rails(problem.accumulator)
    rng = problem.rng
    distance = rng.integers(0, int(rng.choice([3, 300, 70000])), problem.bias.shape)
    problem.bias[:] = np.where(rng.random(problem.bias.shape) < 0.5, low + distance, high - distance)


def beyond(problem: Problem) -> None:
    """Some start values that do not fit the register, by one and by far."""
    low, high = rails(problem.accumulator)
    rng = problem.rng
    far = [INT32_MAX, -INT32_MAX - 1, *([1 << 45, -(1 << 45)] if rng.random() < 0.2 else [])]
    wild = rng.choice([high, high + 1, low, low - 1, 2 * high + 2, *far], problem.bias.shape)
    problem.bias[:] = np.where(rng.random(problem.bias.shape) < 0.3, wild, 0)


def touching(problem: Problem) -> None:
    """Start such that each channel's greatest (or least) running sum is the end of the register, or one beyond."""
    if problem.bias.ndim == 2:
        near_rails(problem)
        return
    problem.bias[:] = 0
    account = exact_sums(problem)
    low, high = rails(problem.accumulator)
    over = problem.rng.integers(0, 2, problem.filters)
    up = problem.rng.random(problem.filters) < 0.5
    problem.bias[:] = np.where(up, high + over - account.accumulator.greatest, low - over - account.accumulator.least)


STARTS: dict[str, Change] = {
    function.__name__: function for function in (no_bias, any_bias, near_rails, beyond, touching)
}
