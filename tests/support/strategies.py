"""Random small layers and devices for tests of mapping and time."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

from hypothesis import strategies as st

from simulator.accelerator.spec import Accelerator
from simulator.lowering.layer import ConvGeometry, Layer
from simulator.mapping.schedule import LayerSchedule
from support.devices import machine
from support.layers import array_layer, conv, gemm, transposed


@dataclass(frozen=True)
class Case:
    layer: Layer
    accelerator: Accelerator

    @property
    def geometry(self) -> ConvGeometry:
        assert self.layer.geometry is not None
        return self.layer.geometry


@st.composite
def geometries(draw: st.DrawFn) -> ConvGeometry:
    kind = draw(st.sampled_from(["conv", "depthwise", "grouped", "transposed", "gemm"]))
    if kind == "gemm":
        return gemm(*(draw(st.integers(1, 40)) for _ in range(3)))
    height, width = draw(st.integers(1, 11)), draw(st.integers(1, 11))
    if kind == "transposed":
        stride = draw(st.integers(1, 3))
        kernel = draw(st.integers(stride, 4))
        return transposed(
            min(height, 6), min(width, 6), draw(st.integers(1, 9)), draw(st.integers(1, 9)), kernel, stride
        )
    kernel, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    extra = dilation * (kernel - 1) + 1 - min(height, width)
    padding = draw(st.integers(max(0, -(-extra // 2)), max(0, -(-extra // 2)) + 2))
    groups = draw(st.integers(1, 6)) if kind != "conv" else 1
    channels = 1 if kind == "depthwise" else draw(st.integers(1, 12))
    filters = draw(st.integers(1, 2)) if kind == "depthwise" else draw(st.integers(1, 20))
    return conv(
        height,
        width,
        channels * groups,
        filters * groups,
        kernel,
        draw(st.integers(1, 3)),
        dilation,
        padding,
        groups=groups,
        batch=draw(st.integers(1, 2)),
    )


@st.composite
def devices(draw: st.DrawFn, cores: int) -> Accelerator:
    """Small arrays with memories so tight that tiles are cut in every direction."""
    return machine(
        draw(st.integers(1, 8)),
        draw(st.integers(1, 8)),
        dataflow=draw(st.sampled_from(["weight_stationary", "output_stationary"])),
        weight_double_buffer=draw(st.booleans()),
        inputs=draw(st.integers(96, 4000)),
        weights=draw(st.integers(192, 4000)),
        accumulators=draw(st.integers(64, 4000)),
        accumulator_bits=draw(st.sampled_from([16, 20, 32])),
        burst=draw(st.sampled_from([1, 16, 64])),
        outstanding=draw(st.integers(1, 4)),
        setup=draw(st.integers(0, 5)),
        latency=draw(st.integers(0, 40)),
        bytes_per_cycle=draw(st.sampled_from([0.3, 1, 4, 16])),
        lanes=draw(st.integers(1, 8)),
        cores=draw(st.integers(1, cores)),
    )


def any_split(schedule: LayerSchedule) -> int:
    """Stand in for a layer's cycles, so that every way to split it over cores is the best one once."""
    return crc32(schedule.ops.tobytes())


@st.composite
def cases(draw: st.DrawFn, cores: int = 1) -> Case:
    """Layer and device of up to so many cores."""
    geometry, accelerator = draw(geometries()), draw(devices(cores))
    # The smallest fold needs up to two rows x cols blocks; a straddling chunk touches all channels of its taps.
    bias = draw(st.sampled_from([None, "vector", "matrix"]))
    return Case(array_layer(geometry, bias=bias), accelerator)
