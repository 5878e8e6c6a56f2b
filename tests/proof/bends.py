"""Extras of a layer's data: a few outputs steered to the very ends of their registers.

Steering goes along the additions of one output, holding what its registers hold, and picks each operand such that the
sum comes as near as it can to a goal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from proof.data import Change
from proof.problem import Problem, Register, hold, rails

BLOCKS = (2, 4, 8, 16, 32, 64)
PATIENCE = 24
"""Additions, at the least, after which another goal is chosen."""

Goal = Callable[[int, int], int]
"""(k within its fold, exact sum of the last addition) -> where to go next."""


def _toward(goal: int, value: int, other: int, ends: tuple[int, int]) -> int:
    """Operand that brings value + operand * other nearest to the goal."""
    if other == 0:
        return 0
    return min(max(round((goal - value) / other), ends[0]), ends[1])


def rail_to_rail(rng: np.random.Generator, register: Register, additions: int) -> Goal:
    """Meet the ends, one beyond, one before, zero, in any order."""
    low, high = rails(register)
    points = [high, high + 1, high + 1, high - 1, low, low - 1, low - 1, low + 1, 0, high + 200, low - 200]
    patience = max(PATIENCE, additions // 8)
    state = {"goal": int(rng.choice(points)), "left": patience}

    def goal(_: int, total: int) -> int:
        state["left"] -= 1
        if total == state["goal"] or state["left"] <= 0:
            state.update(goal=int(rng.choice(points)), left=patience)
        return state["goal"]

    return goal


def between_blocks(rng: np.random.Generator, register: Register, _: int) -> Goal:
    """In range at every multiple of a block of additions; at an end, or one beyond, in between."""
    low, high = rails(register)
    block = int(rng.choice(BLOCKS))
    peak = int(rng.choice([high, high + 1, low, low - 1]))
    base = int(rng.choice([0, peak // 2, peak - np.sign(peak) * 40]))
    turn = int(rng.choice([block // 2, block - 1, 1]))

    def goal(k: int, _: int) -> int:
        return peak if k % block < turn else base

    return goal


PLANS = (rail_to_rail, between_blocks)


def _steered(problem: Problem, others: np.ndarray, ends: tuple[int, int], start: int) -> Iterator[int]:
    """Operands, in order, that steer one output's registers; `others` are what they are multiplied by."""
    rng = problem.rng
    fold, total, outer_total = problem.fold, 0, start
    outer = rng.choice(PLANS)(rng, problem.accumulator, len(others) // fold)
    inner = rng.choice(PLANS)(rng, problem.partial_sum or problem.accumulator, fold)
    accumulator = hold(start, problem.accumulator)
    for begin in range(0, len(others), fold):
        value = 0 if problem.partial_sum else accumulator
        aims_outside = bool(problem.partial_sum) and rng.random() < 0.5
        aim = outer(begin // fold, outer_total) - accumulator
        for k, other in enumerate(others[begin : begin + fold].tolist()):
            operand = _toward(aim if aims_outside else inner(k, total), value, other, ends)
            total = value + operand * other
            value = hold(total, problem.partial_sum or problem.accumulator)
            yield operand
        outer_total = accumulator + value
        accumulator = hold(outer_total, problem.accumulator)


def _within_reach(problem: Problem) -> None:
    """Narrow the registers, mostly, to what a few additions of large products reach."""
    rng = problem.rng
    product = max(map(abs, problem.x_ends)) * int(np.abs(problem.w_ends).max())
    for name, additions in (("partial_sum", problem.fold), ("accumulator", problem.k)):
        register = getattr(problem, name)
        most = (product * additions // 16).bit_length()
        if register and register[0] > most and rng.random() < 0.8:
            setattr(problem, name, (int(rng.integers(8, max(most, 8) + 1)), register[1]))
            problem.bias >>= max(register[0] - most, 0) if name == "accumulator" else 0


def steer_weights(problem: Problem) -> None:
    """Choose the weights of a few filters for one output each."""
    _within_reach(problem)
    for _ in range(3):
        pixel, channel = problem.some_pixel(), problem.some_filter()
        start = int(np.broadcast_to(problem.bias, (problem.pixels, problem.filters))[pixel, channel])
        ends = (int(problem.w_ends[channel, 0]), int(problem.w_ends[channel, 1]))
        steered = np.fromiter(_steered(problem, problem.patch(pixel, channel), ends, start), np.int64)
        problem.set_filter(channel, steered)


def steer_activations(problem: Problem) -> None:
    """Choose the activations of a few outputs."""
    _within_reach(problem)
    for _ in range(3):
        pixel, channel = problem.some_pixel(), problem.some_filter()
        start = int(np.broadcast_to(problem.bias, (problem.pixels, problem.filters))[pixel, channel])
        steered = np.fromiter(_steered(problem, problem.filter(channel), problem.x_ends, start), np.int64)
        problem.set_patch(pixel, channel, steered)


def lonely(problem: Problem) -> None:
    """Make everything small but the operands of one output, whose register just overflows, or just does not."""
    rng = problem.rng
    problem.x[:] = rng.integers(-1, 2, problem.x.shape)
    problem.weights[:] = rng.integers(-2, 3, problem.weights.shape)
    problem.clip()
    pixel, channel = problem.some_pixel(), problem.some_filter()
    weights = rng.choice(problem.w_ends[channel], problem.k)
    problem.set_filter(channel, weights)
    aligned = np.where(weights > 0, problem.x_ends[1], problem.x_ends[0])
    problem.set_patch(pixel, channel, aligned * (rng.random(problem.k) < rng.choice([1.0, 0.5])))
    running = np.cumsum(problem.patch(pixel, channel) * weights)
    if problem.partial_sum:
        running = running[[*range(problem.fold - 1, problem.k - 1, problem.fold), problem.k - 1]]
    high = rails(problem.accumulator)[1]
    if problem.bias.ndim == 1:
        problem.bias[channel] = high + int(rng.integers(0, 2)) - max(int(running.max()), 0)


def at_the_bound(problem: Problem) -> None:
    """Let a static bound (ranges of operands, per filter) be met exactly, at the accumulator's end or one beyond."""
    rng = problem.rng
    pixel, channel = problem.some_pixel(), problem.some_filter()
    least, greatest = min(0, int(problem.x.min())), max(0, int(problem.x.max()))
    weights = problem.filter(channel)
    problem.set_patch(pixel, channel, np.where(weights > 0, greatest, least))
    flat = problem.weights.reshape(problem.filters, -1)
    positive, negative = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
    up = greatest * positive + least * negative
    down = least * positive + greatest * negative
    bits = int((up - down).max()).bit_length()
    problem.accumulator = (min(max(bits, 8), 32), problem.accumulator[1])
    if problem.partial_sum:
        problem.partial_sum = (min(max(bits + 1, 8), 32), problem.partial_sum[1])
    slack = rng.integers(0, 3, problem.filters)
    slack[channel] = -int(rng.integers(0, 2))
    problem.bias = rails(problem.accumulator)[1] - up - slack


def at_the_fold_bound(problem: Problem) -> None:
    """Let the sum of one fold's products, all of one sign, be the inner register's end exactly, or one beyond.

    Activations are 0 or one value, so that a bound from the ranges of operands is met as well.
    """
    rng = problem.rng
    unit = int(rng.choice([1, 1, -1, -1, 4, -4]))
    problem.x[:] = unit * rng.integers(0, 2, problem.x.shape)
    problem.clip()
    problem.weights //= 8
    problem.bias[:] = 0
    pixel, channel = problem.some_pixel(), problem.some_filter()
    problem.set_patch(pixel, channel, np.full(problem.k, unit))
    fold = problem.fold
    begin = fold * int(rng.integers(-(-problem.k // fold)))
    weights = problem.filter(channel)
    part = weights[begin : begin + fold]  # a view
    part[:] = rng.integers(0, problem.w_ends[channel, 1] + 1, len(part))
    inside = problem.patch(pixel, channel)[begin : begin + fold] == unit
    total = int(part[inside].sum())
    bits = max(total.bit_length(), 8)
    goal = (1 << (bits - 1)) + int(rng.choice([0, -1] if unit > 0 else [0, 1]))
    for index in rng.permutation(np.flatnonzero(inside)):
        taken = min(max(total - goal, 0), int(part[index]))
        part[index] -= taken
        total -= taken
    problem.set_filter(channel, weights)
    bits = min(bits + abs(unit).bit_length() - 1, 32)
    if problem.partial_sum:
        problem.partial_sum = (bits, problem.partial_sum[1])
    else:
        problem.accumulator = (bits, problem.accumulator[1])


def at_the_lanes_edge(problem: Problem) -> None:
    """Let register and addend fit a lane of 16 or 32 bits, and the exact sums too, but not register plus addend."""
    rng = problem.rng
    operand = max(problem.x_ends, key=abs)
    product = abs(operand) * int(np.abs(problem.w_ends).max())
    lane = 32 if product >= 1 << 29 else 16
    register = (int(rng.choice([lane - 2, lane - 1, lane - 1, lane])), str(rng.choice(["wrap", "saturate"])))
    if problem.partial_sum:
        problem.partial_sum = register
    else:
        problem.accumulator = register
    low, high = rails(register)
    points = np.array([1 << (lane - 2), (1 << (lane - 1)) - 1, (1 << (lane - 1)) - high, high, 3 << (lane - 3)])
    problem.x[:] = operand
    for channel in range(problem.filters):
        places = np.unique(rng.integers(0, problem.k, rng.integers(1, 4)))
        order = np.arange(len(places))
        signs = rng.choice([-1, 1]) * (1 - 2 * (order % 2))
        # One sign's products together stay within the lane, or a bound would say so.
        most = ((1 << (lane - 1)) - 1) // (1 + (order % 2 == 0) * (len(places) == 3)) // abs(operand)
        sizes = rng.choice(points, len(places)) // abs(operand) + rng.integers(-1, 3, len(places))
        weights = np.zeros(problem.k, np.int64)
        weights[places] = signs * np.minimum(sizes, most)
        problem.set_filter(channel, weights)
    if not problem.partial_sum:
        near = rng.integers(0, 3 * abs(operand), problem.bias.shape)
        problem.bias[:] = np.where(rng.random(problem.bias.shape) < 0.5, low + near, high - near)


EXTRAS: dict[str, Change | None] = {
    "none": None,
    "steer_weights": steer_weights,
    "steer_activations": steer_activations,
    "lonely": lonely,
    "at_the_bound": at_the_bound,
    "at_the_fold_bound": at_the_fold_bound,
    "at_the_lanes_edge": at_the_lanes_edge,
}
