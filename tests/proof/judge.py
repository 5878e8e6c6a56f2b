"""Hold the product's result for one layer to the twins: every output value and every field of the ledger."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from proof.cases import Case
from proof.small_limits import small_limits
from proof.wild import pick
from simulator.errors import OverflowTrap
from simulator.execution.array import run_array
from simulator.execution.context import ExecutionContext, LayerResult
from simulator.execution.sweep_layer import run_layer_on_all
from simulator.graph.ops import Padding
from simulator.kernels.threads import thread_count
from simulator.lowering.layer import Layer
from simulator.numerics.formats import INT32, INT64
from support import requantize_twin
from support.array_layers import lower_layer, machine
from support.step_twin import RegisterAccount, StepAccount, run_steps

MOST_SWEPT_MACS = 1_000_000
SWEPT_SHARE = 12
CONTEXTS = {
    "fast": {},
    "exact": {"exact_ledger": True},
    "channels": {"channel_ledger": True},
    "affected": {"event_counts": False},
}


@dataclass(frozen=True)
class Variant:
    """One way to run a layer."""

    ledger: str
    threads: int
    raw: bool = False
    """Give the accumulators themselves, not requantized."""
    strided: bool = False
    """Hand over arrays that are not contiguous, and weights that the layer does not know as constants."""
    turned: bool = False
    """Likewise, views of arrays whose first axis is the last and whose last is the first."""
    again: bool = False
    """Run several times, after and beside other layers of the same weights, with what was kept of these."""
    trap: bool = False
    """Let registers that wrap trap instead."""


@dataclass(frozen=True)
class Outcome:
    """What one run of a layer came to."""

    variant: Variant
    path: str
    values: int
    """Values compared."""
    events: int
    """Events that the twin counts in this run; of one that stops, the first."""
    differences: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """What all runs of a case came to."""

    case: Case
    events: int
    macs: int
    outcomes: tuple[Outcome, ...]

    @property
    def differences(self) -> list[str]:
        return [f"{outcome.variant}: {line}" for outcome in self.outcomes for line in outcome.differences]


def run_product(layer: Layer, case: Case, variant: Variant, kept: ExecutionContext | None = None) -> LayerResult:
    """Run a lowered layer as the product does; `kept`: the context of other runs, and what they left there."""
    arrays = [case.x, case.weights] if case.bias is None else [case.x, case.weights, case.bias]
    if variant.strided:
        arrays = [_strided(array) for array in arrays]
    elif variant.turned:
        arrays = [_turned(array) for array in arrays]
    with thread_count(variant.threads):
        return run_array(layer, arrays, kept or _context(case, variant))


def _context(case: Case, variant: Variant) -> ExecutionContext:
    return ExecutionContext(**CONTEXTS[variant.ledger], seed=case.key[0], step=case.key[1])


def run_again(layer: Layer, case: Case, variant: Variant) -> Iterator[LayerResult]:
    """Yield what a layer gives between and beside others of its weights and itself, with what was kept of these."""
    kept = _context(case, variant)
    others = [
        (layer if other.x.shape == case.x.shape and other.bias is case.bias else lowered(other, variant), other)
        for other in siblings(case)
    ]
    yield run_product(layer, case, variant, kept)
    for of_other, other in others:
        run_product(of_other, other, variant, kept)
        yield run_product(layer, case, variant, kept)
        yield run_product(layer, case, variant, kept)
    kept = _context(case, variant)
    with ThreadPoolExecutor(1) as pool:
        for of_other, other in others:
            beside = pool.submit(run_product, of_other, other, variant, kept)
            yield run_product(layer, case, variant, kept)
            beside.result()


def siblings(case: Case) -> list[Case]:
    """Return layers of the same weights: on numbers of other ranges, on more images, with another border and bias."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    form, zero = case.quant.x_format, case.quant.x_zero
    shape = case.shape
    size = (len(case.x) + 1, *case.x.shape[1:])
    near = np.clip(zero + rng.integers(-1, 2, size), form.min, form.max)
    bias = None if case.bias is None or case.bias.ndim > 1 else case.bias // 2
    taller = replace(case, x=near.astype(case.x.dtype), bias=bias)
    if case.x.ndim == 4 and not shape.transposed:
        padding = tuple(max(pad, 0) + 1 for pad in shape.padding)
        taller = replace(taller, op=replace(case.op, padding=Padding(*padding)), shape=replace(shape, padding=padding))
    if case.bias is not None and case.bias.ndim > 1:
        taller = replace(taller, x=taller.x[:-1], bias=case.bias)
    ends = np.where(rng.random(case.x.shape) < 0.5, form.min, form.max)
    return [taller, replace(case, x=ends.astype(case.x.dtype)), replace(case, x=np.full_like(case.x, zero))]


def variants(case: Case) -> list[Variant]:
    """Fast and one other ledger, both kinds of output, both numbers of threads."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    threads = int(rng.integers(1, 3))
    other = "exact" if rng.random() < 0.5 else "channels"
    chosen = [
        Variant("fast", threads, raw=True),
        Variant("affected", int(rng.integers(1, 3)), raw=bool(rng.random() < 0.5)),
        Variant("fast", 3 - threads, strided=bool(rng.random() < 0.2)),
        Variant(other, int(rng.integers(1, 3)), raw=bool(rng.random() < 0.5)),
    ]
    if rng.random() < 0.2 and "wrap" in (case.accumulator[1], (case.partial_sum or (0, ""))[1]):
        chosen.append(Variant(pick(rng, "fast", "affected"), threads, trap=True))
    if rng.random() < 0.2:
        chosen.append(Variant("fast", threads, raw=bool(rng.random() < 0.5), turned=True))
    if rng.random() < 0.2:
        chosen.append(Variant(pick(rng, "fast", "affected"), threads, raw=bool(rng.random() < 0.5), again=True))
    return chosen


def twin_of(case: Case) -> StepAccount:
    """Every register of the layer, addition by addition."""
    x = case.images.astype(np.int64) - case.quant.x_zero
    weights = case.filters.astype(np.int64) - np.asarray(case.quant.w_zero).reshape(-1, 1, 1, 1)
    bias = 0 if case.bias is None else case.bias
    return run_steps(x, weights, bias, case.shape, case.rows, case.partial_sum, case.accumulator)


def judge(case: Case, chosen: list[Variant] | None = None) -> Verdict:
    """Run a case in several ways and compare each with the twins."""
    twin = twin_of(case)
    number = zlib.crc32(case.name.encode())
    is_cut_small = chosen is None and number >> 4 & 1 == 0
    with small_limits(np.random.default_rng(number)) if is_cut_small else nullcontext():
        outcomes = tuple(_outcome(case, variant, twin) for variant in chosen or variants(case))
    if chosen is None and case.macs <= MOST_SWEPT_MACS and number % SWEPT_SHARE == 0:
        outcomes += sweep(case)
    return Verdict(case, twin.events, case.macs, outcomes)


def _outcome(case: Case, variant: Variant, twin: StepAccount) -> Outcome:
    layer = lowered(case, variant)
    before = [array.copy() for array in (case.x, case.weights)]
    try:
        results = list(run_again(layer, case, variant)) if variant.again else [run_product(layer, case, variant)]
    except OverflowTrap as trap:
        found = [] if variant.trap else [f"refused: {trap}"]
        return Outcome(variant, "trapped", 1, 1, (*found, *_compare_trap(case, trap, twin)))
    except Exception as error:  # whatever it is, it belongs into the report, with the case's seed
        return Outcome(variant, "failed", 0, 0, (f"{type(error).__name__}: {error}",))
    found = _compare_trap(case, None, twin) if variant.trap else []
    for result in results:
        found += _compare_outputs(layer, case, variant, result, twin)
        found += _compare_ledger(case, variant, result, twin)
        found += _compare_channels(variant, result, twin)
    found += _arrays("x after the run", case.x, before[0]) + _arrays("weights after the run", case.weights, before[1])
    return Outcome(variant, _path(results[-1]), len(results) * twin.accumulators.size, twin.events, tuple(found))


def sweep(case: Case) -> tuple[Outcome, ...]:
    """Run a case in registers of several widths at once, as an accumulator sweep does, and judge each."""
    natural = twin_of(case)
    needed = max(natural.accumulator.needed_bits, natural.partial_sum.needed_bits if natural.partial_sum else 0)
    widths = sorted({8, 32, *(min(max(needed + more, 8), 40) for more in (-4, -1, 0, 1))})
    cases = [_widened(case, bits) for bits in widths]
    variant = Variant("fast", 1)
    layers = [lowered(each, variant) for each in cases]
    values = [{"x": case.x}] * len(cases)
    try:
        results = run_layer_on_all(layers, values, ExecutionContext(seed=case.key[0], step=case.key[1]), lambda _: None)
    except Exception as error:
        return (Outcome(Variant("sweep", 1), "failed", 0, 0, (f"{type(error).__name__}: {error}",)),)
    found = []
    for each, layer, result in zip(cases, layers, results, strict=True):
        twin = twin_of(each)
        lines = _compare_outputs(layer, each, variant, result, twin) + _compare_ledger(each, variant, result, twin)
        lines = [f"at {each.accumulator[0]} bits: {line}" for line in lines]
        found.append(Outcome(Variant("sweep", 1), _path(result), twin.accumulators.size, twin.events, tuple(lines)))
    return tuple(found)


def _widened(case: Case, bits: int) -> Case:
    partial_sum = (bits, case.partial_sum[1]) if case.partial_sum else None
    return replace(case, accumulator=(bits, case.accumulator[1]), partial_sum=partial_sum)


def lowered(case: Case, variant: Variant) -> Layer:
    """Lower a case's layer for one way to run it."""
    registers = [case.partial_sum, case.accumulator]
    if variant.trap:
        registers = [(r[0], r[1].replace("wrap", "trap")) if r else None for r in registers]
    device = machine(case.rows, *registers, case.requantizer)
    layer = lower_layer(case.op, case.x, case.weights, case.bias, case.quant, device)
    if variant.strided or variant.turned:
        layer = replace(layer, inputs=tuple(replace(tensor, data=None) for tensor in layer.inputs))
    return _raw(layer, case) if variant.raw else layer


def _strided(array: np.ndarray) -> np.ndarray:
    """Return the same values, every other element of an array twice as long."""
    wider = np.zeros((*array.shape, 2), array.dtype)
    wider[..., 0] = array
    return wider[..., 0]


def _turned(array: np.ndarray) -> np.ndarray:
    """Return the same values as a view of an array whose ends are exchanged, where there are four axes."""
    ends = (3, 1, 2, 0)
    return np.ascontiguousarray(array.transpose(ends)).transpose(ends) if array.ndim == 4 else array


def _raw(layer: Layer, case: Case) -> Layer:
    """Return the layer without its requantizer."""
    format = INT32 if case.accumulator[0] <= 32 else INT64
    (y,) = layer.outputs
    constants: Any = layer.constants
    return replace(layer, outputs=(replace(y, format=format),), constants=replace(constants, requantizer=None))


def _path(result: LayerResult) -> str:
    """Return how the layer was run: as the product says, else by what its ledger tells."""
    stepped = "stepped" if result.overflow.needed_bits_is_exact else "proved"
    return str(getattr(result, "path", stepped))


# ---------------------------------------------------------------- comparison


def _same(name: str, ours: Any, expected: Any) -> list[str]:
    return [] if ours == expected else [f"{name} is {ours}, the twin says {expected}"]


def _arrays(name: str, ours: np.ndarray, expected: np.ndarray) -> list[str]:
    if ours.shape != expected.shape:
        return [f"{name} has shape {ours.shape}, the twin's {expected.shape}"]
    where = np.flatnonzero(ours.reshape(-1) != expected.reshape(-1))
    if not where.size:
        return []
    first = int(where[0])
    values = f"{ours.reshape(-1)[first]}, the twin says {expected.reshape(-1)[first]}"
    return [f"{name}: {where.size} of {expected.size} differ; at flat index {first} {values}"]


def _compare_outputs(layer: Layer, case: Case, variant: Variant, result: LayerResult, twin: StepAccount) -> list[str]:
    bits, (y,) = case.accumulator[0], layer.outputs
    expected, saturations, dtype = twin.accumulators, 0, np.dtype(np.int32 if bits <= 32 else np.int64)
    if not variant.raw:
        params: Any = layer.constants
        random = None
        if case.requantizer.get("rounding") == "stochastic":
            random = requantize_twin.draws(*case.key, zlib.crc32(y.name.encode()), expected.size)
        expected, saturations = requantize_twin.requantize(expected, bits, params.requantizer, random)
        dtype = y.format.dtype
    (output,) = result.outputs
    found = _same("dtype of the output", output.dtype, dtype)
    found += _arrays("output", output, expected.reshape(y.shape))
    return found + _same("saturations", result.overflow.saturations, saturations)


def _compare_trap(case: Case, trap: OverflowTrap | None, twin: StepAccount) -> list[str]:
    """Compare with the first event in a register that wraps in the twin: there they differ in nothing."""
    sides = (
        (0, "partial_sum", case.partial_sum, twin.partial_sum),
        (1, "accumulator", case.accumulator, twin.accumulator),
    )
    expected = [
        (*account.first, place, name, register[0])
        for place, name, register, account in sides
        if register and register[1] == "wrap" and account and account.first
    ]
    if trap is None:
        return _same("whether the run stops", False, bool(expected))
    if not expected:
        return [f"trapped without an event: {trap}"]
    output, k, _, name, bits = min(expected)
    return _same("the event", (trap.output, trap.k, trap.register, trap.bits), (output, k, name, bits))


def _compare_ledger(case: Case, variant: Variant, result: LayerResult, twin: StepAccount) -> list[str]:
    record, psum = result.overflow, twin.partial_sum
    counts = [twin.events, twin.accumulator.total_events, psum.total_events if psum else 0]
    if variant.ledger == "affected" and twin.affected_outputs:
        counts = [None] * len(counts)
    found = []
    for name, count in zip(("events", "accumulator_events", "partial_sum_events"), counts, strict=True):
        found += _same(name, getattr(record, name), count)
    found += _same("affected_outputs", record.affected_outputs, twin.affected_outputs)
    first = None if record.first_event is None else tuple(record.first_event)
    found += _same("first_event", first, twin.first_event)
    found += _same("accumulator_bits", record.accumulator_bits, case.accumulator[0])
    found += _same("partial_sum_bits", record.partial_sum_bits, case.partial_sum[0] if case.partial_sum else None)
    if variant.ledger in ("exact", "channels"):
        found += _same("needed_bits_is_exact", record.needed_bits_is_exact, True)
    found += _compare_widths(case, record, twin)
    return found


def _compare_widths(case: Case, record: Any, twin: StepAccount) -> list[str]:
    """Exact widths are equal; a bound is no less, and beyond the registers iff something was affected."""
    of_p, of_a = record.partial_sum_needed_bits, record.accumulator_needed_bits
    found = _same("needed_bits", record.needed_bits, max(of_a, of_p or 0))
    found += _same("whether partial_sum_needed_bits is given", of_p is not None, twin.partial_sum is not None)
    if record.needed_bits_is_exact:
        found += _same("accumulator_needed_bits", of_a, twin.accumulator.needed_bits)
        if twin.partial_sum:
            found += _same("partial_sum_needed_bits", of_p, twin.partial_sum.needed_bits)
        return found
    p_overflows = False
    if twin.partial_sum and case.partial_sum:
        p_overflows = of_p > case.partial_sum[0]
        found += _at_least("partial_sum_needed_bits", of_p, twin.partial_sum.needed_bits)
        found += _same("whether its bound exceeds the partial sum", p_overflows, twin.partial_sum.total_events > 0)
    found += _at_least("accumulator_needed_bits", of_a, twin.accumulator.needed_bits)
    beyond = p_overflows or of_a > case.accumulator[0]
    return found + _same("whether a bound exceeds its register", beyond, twin.affected_outputs > 0)


def _at_least(name: str, ours: int, least: int) -> list[str]:
    return [] if ours >= least else [f"{name} is bounded by {ours}, the twin needs {least}"]


def _compare_channels(variant: Variant, result: LayerResult, twin: StepAccount) -> list[str]:
    given = result.channels
    found = _same("whether channels are given", given is not None, variant.ledger == "channels")
    if given is None:
        return found
    found += _compare_register("accumulator", given.accumulator, twin.accumulator)
    found += _same("whether partial sums have channels", given.partial_sum is None, twin.partial_sum is None)
    if given.partial_sum is not None and twin.partial_sum is not None:
        found += _compare_register("partial_sum", given.partial_sum, twin.partial_sum)
    return found


def _compare_register(name: str, ours: Any, twin: RegisterAccount) -> list[str]:
    needed = np.array(twin.channel_needed_bits)
    found = _arrays(f"{name}.events", ours.events, twin.events)
    found += _arrays(f"{name}.least", ours.least, twin.least)
    found += _arrays(f"{name}.greatest", ours.greatest, twin.greatest)
    found += _arrays(f"{name}.needed_bits", ours.needed_bits, needed)
    return found + _arrays(f"{name}.histogram", ours.histogram, np.bincount(needed, minlength=66))
