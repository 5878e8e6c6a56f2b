"""Depthwise convolution: the sums of some vectors of channels stay in registers over all taps.

Taps go in pairs, each an int16 beside the other's in a lane: two products an instruction. A tap outside the image reads
a row of zero points, so that every output has all taps; less the zero point times all of its weights, which the start
values hold, the sum of q * w is that of (q - zero point) * w. Sums are exact modulo 2^32. Channels that are left over
are summed with some of their neighbours, once more.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.numpy_support import as_dtype

from simulator.kernels import geometry as geo
from simulator.kernels._jit import kernel, specialized
from simulator.kernels.isa import INSTRUCTION_SETS, InstructionSet
from simulator.kernels.requantize_panels import CHANNELS, KIND, RAW, requantize_block
from simulator.kernels.tickets import take_ticket
from simulator.kernels.vector_ir import I64, Lanes, cgutils, constant64, load_scalar, offset

WIDE = 4
"""Vectors of channels that share the addresses of the taps."""
_SUMS = 1 << 13
"""Sums of a task, about: they stay in the cache until they are requantized."""

# What an instruction set puts in place of these: see `make_depthwise`.
add_taps: Any = None
add_taps_wide: Any = None
LANES = 0


def make_taps(isa: InstructionSet, vectors: int) -> Any:
    """Return the intrinsic for Numba code that sums the taps of some vectors of channels.

    ``add_taps(x, places, moved, pairs, channel, weights, pair_bytes, start, out)``: `x` is an array of the activations'
    type, 8 or 16 bits; the rest are int64: address of a table of int64 addresses, of each tap's activations; bytes by
    which all of them lie further on; how many pairs of taps; the first channel; address of weights int16 [pairs,
    channels, 2], and the bytes of a pair; addresses of int32 start values, and of int32 sums, written.
    """

    def emit(builder: Any, dtype: Any, args: Any) -> None:
        _, places, moved, pairs, channel, weights, pair_bytes, start, out = args
        lanes = Lanes(builder, isa)
        narrow = ir.VectorType(ir.IntType(8 * dtype.itemsize), lanes.count)
        words = builder.mul(channel, constant64(4))
        within = builder.add(builder.mul(channel, constant64(dtype.itemsize)), moved)
        start_at, weights_at = builder.add(start, words), builder.add(weights, words)
        totals = [lanes.variable(lanes.constant(0)) for _ in range(vectors)]
        for v, total in enumerate(totals):
            builder.store(lanes.load(offset(builder, start_at, v * lanes.bytes)), total)

        def activations(address: Any) -> Any:
            extend = builder.sext if dtype.kind == "i" else builder.zext
            return extend(load_scalar(builder, address, narrow), lanes.type)

        with cgutils.for_range(builder, pairs) as pair:
            place = builder.add(places, builder.shl(pair.index, constant64(4)))
            taps = [builder.add(load_scalar(builder, offset(builder, place, 8 * i), I64), within) for i in range(2)]
            row = builder.add(weights_at, builder.mul(pair.index, pair_bytes))
            for v, total in enumerate(totals):
                first, second = (activations(offset(builder, tap, v * lanes.count * dtype.itemsize)) for tap in taps)
                first = builder.and_(first, lanes.constant(0xFFFF))
                a = builder.or_(first, builder.shl(second, lanes.constant(16)))
                b = lanes.load(offset(builder, row, v * lanes.bytes))
                builder.store(lanes.add_pair_products(builder.load(total), a, b), total)
        for v, total in enumerate(totals):
            lanes.store(builder.load(total), offset(builder, builder.add(out, words), v * lanes.bytes))

    @intrinsic
    def taps(
        context: Any,
        x: Any,
        places: Any,
        moved: Any,
        pairs: Any,
        channel: Any,
        weights: Any,
        pair_bytes: Any,
        start: Any,
        out: Any,
    ) -> Any:
        dtype = as_dtype(x.dtype)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            emit(builder, dtype, args)
            return context.get_dummy_value()

        return types.void(x, *[types.int64] * 8), codegen

    return taps


@kernel(inline=True)
def find_taps(x: Any, zeros: Any, geometry: Any, filters: Any, pixel: Any, places: Any) -> Any:
    """Write the address of each tap's activations for an output, and return whether all lie inside the image.

    The companion of the last of an odd number of taps, whose weights are 0, reads what the first one does: wherever the
    taps move along to, that is memory of `x`.
    """
    outside = 0
    line = pixel // geometry[geo.OUT_WIDTH]
    column = pixel - line * geometry[geo.OUT_WIDTH]
    image = line // geometry[geo.OUT_HEIGHT]
    top = (line - image * geometry[geo.OUT_HEIGHT]) * geometry[geo.STRIDE_H] - geometry[geo.PAD_TOP]
    left = column * geometry[geo.STRIDE_W] - geometry[geo.PAD_LEFT]
    height, width = geometry[geo.IN_HEIGHT], geometry[geo.IN_WIDTH]
    for kh in range(geometry[geo.KERNEL_H]):
        y = top + kh * geometry[geo.DILATION_H]
        for kw in range(geometry[geo.KERNEL_W]):
            z = left + kw * geometry[geo.DILATION_W]
            row = (image * height + y) * width + z
            inside = y >= 0 and y < height and z >= 0 and z < width
            outside += not inside
            at = x.ctypes.data + row * filters * x.itemsize if inside else zeros.ctypes.data
            places[kh * geometry[geo.KERNEL_W] + kw] = at
    places[geometry[geo.KERNEL_H] * geometry[geo.KERNEL_W] :] = places[0]
    return outside == 0


def _depthwise(
    x: Any,
    zeros: Any,
    weights: Any,
    geometry: Any,
    plan: Any,
    start: Any,
    first: Any,
    second: Any,
    out: Any,
    counter: Any,
) -> Any:
    """Convolve, one task after another as long as there are some, and return how many outputs were clipped.

    Parameters
    ----------
    x
        8 or 16 bits, [batch * height * width, filters], as stored: channel o is what filter o reads.
    zeros
        [filters], of the type of `x`: what stands outside the image.
    weights
        int16 [pairs of taps, filters, 2], zero points subtracted; the last tap of an odd number has a companion of 0.
    geometry
        int64 [geo.LENGTH].
    plan
        int64, begins as that of `requantize_panels`.
    start, first, second
        int32 [filters, filled up to panels]: start values, constants of the requantizer.
    out
        uint8, flat, the memory of [pixels, filters], written: int32 (RAW) or bytes.
    counter
        int64 [1]: the next task, shared among threads.

    """
    channels = plan[CHANNELS]
    filters, pairs = weights.shape[1], weights.shape[0]
    pixels = x.shape[0] // (geometry[geo.IN_HEIGHT] * geometry[geo.IN_WIDTH])
    pixels *= geometry[geo.OUT_HEIGHT] * geometry[geo.OUT_WIDTH]
    task_pixels = max(1, _SUMS // filters)
    raw = plan[KIND] == RAW
    sums = np.empty((task_pixels + 1) * filters + channels, np.int32)  # whole vectors are read: past its end
    spare = np.empty((task_pixels, channels), np.uint8)
    places = np.full(2 * pairs, zeros.ctypes.data, np.int64)
    no_start = np.zeros(start.shape[0], np.int32)
    step = geometry[geo.STRIDE_W] * filters * x.itemsize
    room = geometry[geo.IN_WIDTH] + geometry[geo.PAD_LEFT] - (geometry[geo.KERNEL_W] - 1) * geometry[geo.DILATION_W]
    beyond = -(-room // geometry[geo.STRIDE_W])  # the first column whose last tap is outside
    clipped = np.int64(0)
    task = take_ticket(counter.ctypes.data)
    while task * task_pixels < pixels:
        begin = task * task_pixels
        count = min(task_pixels, pixels - begin)
        inside, moved, column = False, 0, begin % geometry[geo.OUT_WIDTH]
        for i in range(count):
            # As long as all taps are inside they move along together.
            if inside and 0 < column < beyond:
                moved += step
            else:
                inside, moved = find_taps(x, zeros, geometry, filters, begin + i, places), 0
            column = column + 1 if column + 1 < geometry[geo.OUT_WIDTH] else 0
            to = out.ctypes.data + 4 * (begin + i) * filters if raw else sums.ctypes.data + 4 * i * filters
            arguments = weights.ctypes.data, 4 * filters, start.ctypes.data, to
            channel = 0
            while channel + WIDE * LANES <= filters:
                add_taps_wide(x, places.ctypes.data, moved, pairs, channel, *arguments)
                channel += WIDE * LANES
            while channel < filters:
                add_taps(x, places.ctypes.data, moved, pairs, min(channel, filters - LANES), *arguments)
                channel += LANES
        if not raw:
            for channel in range(0, filters, channels):
                clipped += requantize_block(
                    plan,
                    sums.ctypes.data + 4 * channel,
                    4 * filters,
                    count,
                    min(channels, filters - channel),
                    no_start,
                    first,
                    second,
                    channel,
                    out,
                    begin * filters + channel,
                    filters,
                    spare,
                )
        task = take_ticket(counter.ctypes.data)
    return clipped


@cache
def make_depthwise(name: str) -> Any:
    """Return `_depthwise` for an instruction set; it may run on several threads at once."""
    isa = INSTRUCTION_SETS[name]
    tasks = specialized(
        _depthwise,
        f"depthwise_{isa.identifier}",
        add_taps=make_taps(isa, 1),
        add_taps_wide=make_taps(isa, WIDE),
        LANES=isa.lanes,
    )
    return kernel()(tasks)
