"""Layers of real quantized networks, with what a photograph makes of them, in registers narrowed around their sums."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from proof.cases import Case
from proof.geometry import MOST_MACS
from proof.problem import Register
from simulator.execution.context import ExecutionContext
from simulator.execution.execute import execute, layer_inputs
from simulator.graph.ops import Conv2D, FullyConnected, TransposeConv2D
from simulator.lowering.layer import Engine, Layer
from simulator.lowering.lower import lower
from simulator.numerics.formats import IntFormat
from support.accelerators import reference_device
from support.array_layers import Quant
from support.array_twin import Shape
from support.step_twin import output_size
from workloads.images import demo_photo, load_image
from workloads.importers.tflite import TfliteImporter

PREFIX = "real:"
MODELS = (
    "person_detect_qdimfix",
    "pretrainedResnet_quant",
    "vww_96_int8",
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v2_1.0_224_quant",
    "deeplabv3_mnv2_dm05_pascal_quant",
)
REQUANTIZERS = ("fixed_point_double", "fixed_point_single", "float32")


def assets_folder() -> Path | None:
    """Folder of the models, if there is one."""
    folder = Path(os.environ.get("BITTRUE_ASSETS") or "/nonexistent") / "assets"
    return folder if all((folder / f"{model}.tflite").is_file() for model in MODELS) else None


@lru_cache(maxsize=1)
def layers_of(model: str) -> tuple[tuple[Layer, tuple[Any, ...]], ...]:
    """Array layers of a model on the demo photograph, each with its arrays."""
    folder = assets_folder()
    assert folder is not None
    graph = TfliteImporter().load(folder / f"{model}.tflite")
    (x,) = graph.input_tensors
    assert isinstance(x.format, IntFormat)
    photo = load_image(demo_photo(), x.shape[1:3], x.shape[3])[None].astype(np.int16)
    lowered = lower(graph, reference_device())
    inputs = {x.name: (photo + x.format.min).astype(x.format.dtype)}
    values = execute(graph, lowered, inputs, ExecutionContext(), keep_tensors=True).tensors
    values = {**inputs, **values}
    on_array = [layer for layer in lowered if layer.engine is Engine.ARRAY]
    return tuple((layer, tuple(layer_inputs(layer, values))) for layer in on_array)


def real_cases(seed: int) -> Iterator[Case]:
    """Every array layer of every model in turn, again and again, each time in other registers."""
    while True:
        for model in MODELS:
            for index in range(len(layers_of(model))):
                yield real_case(f"{PREFIX}{model}:{index}:{seed}")
        seed += 1


def real_case(name: str) -> Case:
    """Draw the registers of one layer; its name is real:MODEL:LAYER:SEED."""
    _, model, index, seed = name.split(":")
    layer, arrays = layers_of(model)[int(index)]
    x, weights, bias = (*arrays, None)[:3]
    shape, quant = _shape(layer), _quant(layer)
    x = x.reshape(-1, weights.shape[1]) if isinstance(layer.node.op, FullyConnected) else _cropped(x, weights, shape)
    rng = np.random.default_rng([int(seed), int(index)])
    case = Case(
        name=name,
        about=f"{layer.kind} {layer.name}",
        data=("real",),
        op=replace(layer.node.op, keep_dims=False) if x.ndim == 2 else layer.node.op,
        shape=shape,
        x=x,
        weights=weights,
        bias=bias,
        quant=quant,
        rows=int(rng.choice([8, 16, 32, 64, rng.integers(1, 301)])),
        partial_sum=None,
        accumulator=(32, "wrap"),
        requantizer={"kind": str(rng.choice(REQUANTIZERS))},
        key=(0, 0),
    )
    partial_sum, accumulator = _narrowed(rng, case)
    return replace(case, partial_sum=partial_sum, accumulator=accumulator)


def _shape(layer: Layer) -> Shape:
    op, geometry = layer.node.op, layer.geometry
    assert geometry is not None
    if isinstance(op, FullyConnected):
        return Shape()
    assert isinstance(op, Conv2D | TransposeConv2D)
    padding = (op.padding.top, op.padding.bottom, op.padding.left, op.padding.right)
    if isinstance(op, TransposeConv2D):
        return Shape(geometry.kernel, op.stride, (1, 1), padding, 1, True, op.output_size)
    return Shape(geometry.kernel, op.stride, op.dilation, padding, op.groups)


def _quant(layer: Layer) -> Quant:
    x, weights, y = layer.inputs[0], layer.inputs[1], layer.outputs[0]
    assert x is not None
    assert weights is not None
    assert weights.quant is not None
    scales, zeros = weights.quant.scale, weights.quant.zero_point
    return Quant(
        x_format=x.format,
        w_format=weights.format,
        y_format=y.format,
        x_zero=x.zero_point,
        w_zero=zeros if len(zeros) > 1 else zeros[0],
        y_zero=y.zero_point,
        x_scale=x.scale,
        w_scale=scales if len(scales) > 1 else scales[0],
        y_scale=y.scale,
    )


def _cropped(x: np.ndarray, weights: np.ndarray, shape: Shape) -> np.ndarray:
    """Keep so many rows of the middle of the image that a layer is not too long to judge."""

    def macs(rows: int) -> int:
        return int(np.prod(output_size((1, rows, *x.shape[2:]), shape))) * weights.size

    kept = x.shape[1]
    span = (shape.kernel[0] - 1) * shape.dilation[0] + 1
    while not shape.transposed and kept > span and macs(kept) > MOST_MACS:
        kept = max(kept * 3 // 4, span)
    top = (x.shape[1] - kept) // 2
    return np.ascontiguousarray(x[:, top : top + kept])


def _narrowed(rng: np.random.Generator, case: Case) -> tuple[Register | None, Register]:
    """Registers of about the width that the layer's own sums need."""
    x = case.x.astype(np.int64) - case.quant.x_zero
    weights = case.filters.astype(np.int64) - np.asarray(case.quant.w_zero).reshape(-1, 1, 1, 1)
    step = float(np.abs(x).mean() * np.abs(weights).mean()) + 1

    def register(additions: int) -> Register:
        bits = round(np.log2(step * np.sqrt(additions))) + 2 + int(rng.integers(-3, 8))
        return min(max(bits, 8), 32), str(rng.choice(["wrap", "saturate"]))

    k = case.weights[0].size
    partial_sum = register(min(case.rows, k)) if rng.random() < 0.5 else None
    return partial_sum, register(k)
