"""Choose mappings among all that fit: by DRAM traffic and estimated cycles, and a few to be timed exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.mapping.candidates import candidates
from simulator.mapping.schedule import LayerMapping, LoopOrder, Residency
from simulator.mapping.store_pool import StorePool, pooled_cols, pooled_rows, waiting_windows
from simulator.mapping.traffic import InputTable, PixelTable, Table, compute_cycles, input_table, pixel_table
from simulator.mapping.work import ArrayWork, Device

_NEVER = np.iinfo(np.int64).max
_TIMED_PER_PLAN = 4
"""Candidates of a plan that are timed."""
_ESTIMATE_ERRS_BY = 1.25
"""A candidate is timed where its estimate is within this of the least one; a tile too small costs minutes to time."""


@dataclass(frozen=True)
class Plan:
    """A way of keeping operands: loop order and residency of each."""

    order: LoopOrder
    inputs: Residency
    weights: Residency


def plans() -> Iterator[Plan]:
    """Loop orders and residencies worth trying.

    A tile's weights stay only while pixels pass inside them, so with pixels outside it is a chunk or the whole layer.
    """
    for inputs in Residency:
        for weights in (Residency.CHUNK, Residency.LAYER):
            yield Plan(LoopOrder.INPUTS_RESIDENT, inputs, weights)
        for weights in (Residency.CHUNK, Residency.TILE):
            yield Plan(LoopOrder.WEIGHTS_RESIDENT, inputs, weights)


@lru_cache(maxsize=1 << 14)
def search(work: ArrayWork, device: Device) -> LayerMapping | None:
    """Best mapping of one array layer, or None where no candidate fits the memories."""
    space = _space(work, device)
    best: tuple[int, float] | None = None
    found: tuple[Plan, int, int] | None = None
    for plan in plans():
        fits = space.fits(plan)
        if not fits.any():
            continue
        bits = np.where(fits, space.read_bits(plan), _NEVER)
        least = int(bits.min())
        if best is not None and least > best[0]:
            continue
        cycles = np.where(bits == least, space.estimate(plan), np.inf)
        place = int(cycles.argmin())
        key = (least, float(cycles.flat[place]))
        if best is None or key < best:
            best, found = key, (plan, *divmod(place, cycles.shape[1]))
    return None if found is None else space.mapping(*found)


@lru_cache(maxsize=1 << 12)
def shortlist(work: ArrayWork, device: Device) -> tuple[LayerMapping, ...]:
    """Return mappings worth timing: that of `search`, and of each plan those of least estimated cycles."""
    best = search(work, device)
    if best is None:
        return ()
    space = _space(work, device)
    estimates = [(plan, np.where(space.fits(plan), space.estimate(plan), np.inf)) for plan in plans()]
    worst = min(float(cycles.min()) for _, cycles in estimates) * _ESTIMATE_ERRS_BY
    found = [best]
    for plan, cycles in estimates:
        for place in np.argsort(cycles, axis=None, kind="stable")[:_TIMED_PER_PLAN]:
            pixel, block = divmod(int(place), cycles.shape[1])
            if cycles[pixel, block] <= worst:
                found.append(space.mapping(plan, pixel, block))
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=4)
def _space(work: ArrayWork, device: Device) -> _Space:
    """Tabulate a layer once for both searches."""
    return _Space(work, device)


class _Space:
    """The candidate grid [P, B] of one layer (pixel tiles x blocks), with everything that the choice weighs."""

    def __init__(self, work: ArrayWork, device: Device) -> None:
        # With a pool on the store path, tiles begin where windows do.
        cand = candidates(work.geometry, device, work.pool.stride if work.pool else (1, 1))
        self.work = work
        self.device = device
        self.cand = cand
        self.inputs: InputTable = input_table(work, cand)
        self.pixels: PixelTable = pixel_table(work, cand, device)
        g = work.geometry
        self.k_size = np.array(cand.k_sizes, np.int64)[cand.k_index]
        self.k_trips = -(-g.k // self.k_size)
        self.n_trips = -(-g.filters // cand.channels)
        self.g_trips = g.groups // cand.groups
        self.pixel_trips = (g.batch * self.pixels.count)[:, None]
        self._fitting: dict[Plan, NDArray[np.bool_]] = {}
        self._estimated: dict[Plan, NDArray[np.float64]] = {}

    def fits(self, plan: Plan) -> NDArray[np.bool_]:
        """Which candidates fit one half of each memory, [P, B]."""
        if plan not in self._fitting:
            self._fitting[plan] = self._fits(plan)
        return self._fitting[plan]

    def estimate(self, plan: Plan) -> NDArray[np.float64]:
        """Cycles of the layer, estimated, [P, B]: the busiest engine, plus a first load and a last store."""
        if plan not in self._estimated:
            self._estimated[plan] = self._estimate(plan)
        return self._estimated[plan]

    def _fits(self, plan: Plan) -> NDArray[np.bool_]:
        need_input = -(-self._input_elements_held(plan) * self.work.input_bits // 8)
        need_weight = -(-self._weight_bits_held(plan) // 8)
        need_accumulator = (
            self.pixels.largest[:, None]
            * (self.cand.groups * self.cand.channels)
            * self.device.accumulator_element_bytes
        )
        fits = need_input <= self.device.input_half_bytes
        fits = fits & (need_weight <= self.device.weight_half_bytes)[None, :]
        fits &= need_accumulator <= self.device.accumulator_half_bytes
        # With K uncut a chunk is a tile: one name for one thing.
        outside = plan.order is LoopOrder.WEIGHTS_RESIDENT and plan.weights is Residency.CHUNK
        if plan.inputs is Residency.CHUNK or outside:
            fits &= (self.k_trips > 1)[None, :]
        if self.work.pool is not None:
            fits &= self._waiting_bytes(self.work.pool, plan) <= self.device.pool_buffer_bytes
        return np.asarray(fits, np.bool_)

    def _waiting_bytes(self, pool: StorePool, plan: Plan) -> Table:
        """Bytes that windows of several tiles wait in, [P, B]."""
        inside = plan.order is LoopOrder.INPUTS_RESIDENT
        channels = self.cand.groups * (self.work.geometry.filters if inside else self.cand.channels)
        bits = channels * pool.waiting_bits(self.work.output_bits)
        high = [pooled_rows(pool, self.work.geometry, size) for size in self.cand.tile_rows]
        wide = [pooled_cols(pool, self.work.geometry, size) for size in self.cand.tile_cols]
        windows = [waiting_windows(pool, rows, cols) for rows in high for cols in wide]
        known = np.array([-1 if count is None else count for count in windows], np.int64)[:, None]
        return np.where(known < 0, _NEVER, -(-known * bits[None, :] // 8))

    def _input_elements_held(self, plan: Plan) -> Table:
        groups = self.cand.groups[None, :]
        if plan.inputs is Residency.CHUNK:
            return self.inputs.chunk_max[:, self.cand.k_index] * groups
        if plan.inputs is Residency.TILE:
            return self.inputs.tile_max[:, None] * groups
        return np.full_like(self.inputs.tile_max, self.inputs.whole)[:, None] * self.work.geometry.batch * groups

    def _weight_bits_held(self, plan: Plan) -> Table:
        g, bits, bias = self.work.geometry, self.work.weight_bits, self.work.weight_bias_bits
        if plan.weights is Residency.LAYER:
            return self.cand.groups * g.filters * (g.k * bits + bias)
        k = self.k_size if plan.weights is Residency.CHUNK else g.k
        return self.cand.groups * self.cand.channels * (k * bits + bias)

    def input_bits(self, plan: Plan) -> Table:
        """Bits of input loaded, [P, B]."""
        per_tile = self.n_trips if plan.order is LoopOrder.WEIGHTS_RESIDENT else np.ones_like(self.n_trips)
        if plan.inputs is Residency.CHUNK:
            elements = self.inputs.chunk_sum[:, self.cand.k_index] * self.n_trips
        elif plan.inputs is Residency.TILE:
            elements = self.inputs.tile_sum[:, None] * per_tile
        else:
            elements = np.full_like(self.inputs.tile_sum, self.inputs.whole)[:, None] * np.ones_like(per_tile)
        g = self.work.geometry
        return np.asarray(elements * (g.groups * g.batch * self.work.input_bits), np.int64)

    def weight_bits(self, plan: Plan) -> Table:
        """Bits of weights and biases loaded, [P, B]."""
        g = self.work.geometry
        once = g.groups * g.filters * (g.k * self.work.weight_bits + self.work.weight_bias_bits)
        times = self.pixel_trips if plan.weights is Residency.CHUNK else np.ones_like(self.pixel_trips)
        return np.asarray(once * times * np.ones_like(self.n_trips), np.int64)

    def read_bits(self, plan: Plan) -> Table:
        """Bits loaded from DRAM, [P, B]; stores and a bias matrix are the same for all candidates."""
        return self.input_bits(plan) + self.weight_bits(plan)

    @cached_property
    def _compute(self) -> Table:
        return compute_cycles(self.work, self.cand, self.pixels, self.device)

    def _estimate(self, plan: Plan) -> NDArray[np.float64]:
        g, dev = self.work.geometry, self.device
        ops = self.g_trips * self.pixel_trips * self.n_trips * self.k_trips
        tiles = self.g_trips * self.pixel_trips * self.n_trips
        channels = self.cand.groups * g.channels
        chunk = plan.inputs is Residency.CHUNK
        run = np.minimum(channels, self.k_size) if chunk else channels
        whole_pixels = (self.cand.groups == g.groups) & (not chunk or self.k_size >= g.channels)
        in_run = np.where(whole_pixels, dev.burst_bytes, run * self.work.input_bits / 8)
        w_run = np.where(self.k_trips > 1, self.k_size * self.work.weight_bits / 8, dev.burst_bytes)
        out = self.cand.groups * self.cand.channels
        out_run = np.where(out >= g.filters * g.groups, dev.burst_bytes, out * self.work.output_bits / 8)
        in_bytes, w_bytes = self.input_bits(plan) / 8, self.weight_bits(plan) / 8
        out_bytes = self.work.stored_pixels * g.n * g.groups * self.work.output_bits / 8
        load = self._dma(ops, in_bytes + w_bytes, self._requests(in_bytes, in_run) + self._requests(w_bytes, w_run))
        store = self._dma(tiles, out_bytes, self._requests(out_bytes, out_run))
        bus = (in_bytes + w_bytes + out_bytes) / float(dev.bytes_per_cycle)
        busiest = np.maximum(np.maximum(self._compute, bus), np.maximum(load, store))
        return np.asarray(busiest + load / ops + store / tiles, np.float64)

    def _requests(self, size: NDArray[np.float64] | float, run: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(size / np.minimum(run, self.device.burst_bytes), np.float64)

    def _dma(
        self, transfers: Table, size: NDArray[np.float64] | float, requests: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        dev = self.device
        each = dev.latency_cycles + dev.burst_bytes / float(dev.bytes_per_cycle)
        flow = np.maximum(size / float(dev.bytes_per_cycle), requests * max(1.0, each / dev.max_outstanding))
        return np.asarray(transfers * (dev.setup_cycles + dev.latency_cycles) + flow, np.float64)

    def mapping(self, plan: Plan, pixel: int, block: int) -> LayerMapping:
        """Spell out one candidate."""
        g, cand = self.work.geometry, self.cand
        row, col = divmod(pixel, len(cand.tile_cols))
        return LayerMapping(
            rows=cand.tile_rows[row],
            cols=cand.tile_cols[col],
            channels=int(cand.channels[block]),
            k=int(self.k_size[block]),
            groups=int(cand.groups[block]),
            order=plan.order,
            input_residency=plan.inputs,
            weight_residency=plan.weights,
            extent=(g.groups, g.batch, g.out_height, g.out_width, g.filters, g.k),
        )
