"""Depthwise convolution, BLOCK channels of an output at a time: their sums stay in registers over all taps.

It is plain LLVM IR on vectors of BLOCK int32: any CPU has instructions for a part of such a vector. Channels that are
left over are summed with some of their neighbours, once more.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.numpy_support import as_dtype

from simulator.kernels import geometry as geo
from simulator.kernels._jit import kernel
from simulator.kernels.vector_ir import I32, I64, cgutils, constant64, load_scalar, offset, store

BLOCK = 16
"""Channels; a layer has at least as many."""


def _add_taps(
    context: Any, x: Any, places: Any, count: Any, channel: Any, zero: Any, weights: Any, start: Any, out: Any
) -> Any:
    """Sum the taps of BLOCK channels: ``add_taps(x, places, count, channel, zero, weights, start, out)``.

    `x` is an array of the activations' type, 8 or 16 bits; the rest are int64: address of a table of int64 [count, 2],
    the address of each tap's activations and the bytes from `weights` to its weights; how many taps; the first channel;
    the zero point of x; addresses of int32 weights, of int32 start values, and of int32 sums, written.
    """
    dtype = as_dtype(x.dtype)
    wide, narrow = ir.VectorType(I32, BLOCK), ir.VectorType(ir.IntType(8 * dtype.itemsize), BLOCK)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, places, count, channel, zero, weights, start, out = args
        none = ir.Constant(wide, ir.Undefined)
        less = builder.insert_element(none, builder.trunc(zero, I32), ir.Constant(I32, 0))
        less = builder.shuffle_vector(less, none, ir.Constant(wide, [0] * BLOCK))
        words = builder.mul(channel, constant64(4))
        total = cgutils.alloca_once_value(builder, load_scalar(builder, builder.add(start, words), wide))
        builder.store(load_scalar(builder, builder.add(start, words), wide), total)
        within = builder.mul(channel, constant64(dtype.itemsize))
        with cgutils.for_range(builder, count) as tap:
            place = builder.add(places, builder.mul(tap.index, constant64(16)))
            at = builder.add(load_scalar(builder, place, I64), within)
            extend = builder.sext if dtype.kind == "i" else builder.zext
            a = builder.sub(extend(load_scalar(builder, at, narrow), wide), less)
            row = builder.add(weights, load_scalar(builder, offset(builder, place, 8), I64))
            w = load_scalar(builder, builder.add(row, words), wide)
            builder.store(builder.add(builder.load(total), builder.mul(a, w)), total)
        store(builder, builder.load(total), builder.add(out, words))
        return context.get_dummy_value()

    return types.void(x, *[types.int64] * 7), codegen


add_taps: Any = intrinsic(_add_taps)


@kernel(parallel=True)
def depthwise_blocks(x: Any, zero_point: Any, weights: Any, start: Any, geometry: Any, out: Any) -> None:
    """Sum every output of a depthwise convolution.

    Parameters
    ----------
    x
        8 or 16 bits, [batch * height * width, filters], as stored: channel o is what filter o reads.
    zero_point
        int64, subtracted from x.
    weights
        int32 [taps, filters], zero points subtracted, as are `start` and `out`.
    start
        int32 [filters].
    geometry
        int64 [geo.LENGTH].
    out
        int32 [pixels, filters], written; every sum fits.

    """
    height, width, filters = geometry[geo.IN_HEIGHT], geometry[geo.IN_WIDTH], out.shape[1]
    for index in numba.prange(out.shape[0] // geometry[geo.OUT_WIDTH]):
        line = np.int64(index)  # unsigned in a parallel loop, and unsigned with signed makes float64
        image = line // geometry[geo.OUT_HEIGHT]
        top = (line - image * geometry[geo.OUT_HEIGHT]) * geometry[geo.STRIDE_H] - geometry[geo.PAD_TOP]
        places = np.empty((weights.shape[0], 2), np.int64)
        for column in range(geometry[geo.OUT_WIDTH]):
            left = column * geometry[geo.STRIDE_W] - geometry[geo.PAD_LEFT]
            count = 0
            for kh in range(geometry[geo.KERNEL_H]):
                y = top + kh * geometry[geo.DILATION_H]
                if y < 0 or y >= height:
                    continue
                for kw in range(geometry[geo.KERNEL_W]):
                    z = left + kw * geometry[geo.DILATION_W]
                    if 0 <= z < width:
                        row = (image * height + y) * width + z
                        places[count, 0] = x.ctypes.data + row * filters * x.itemsize
                        places[count, 1] = (kh * geometry[geo.KERNEL_W] + kw) * filters * weights.itemsize
                        count += 1
            to = out.ctypes.data + (line * geometry[geo.OUT_WIDTH] + column) * filters * out.itemsize
            for c in range(0, filters, BLOCK):
                channel = min(c, filters - BLOCK)
                add_taps(
                    x,
                    places.ctypes.data,
                    count,
                    channel,
                    zero_point,
                    weights.ctypes.data,
                    start.ctypes.data,
                    to,
                )
