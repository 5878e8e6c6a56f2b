"""Lowered layers by hand, without a network: mapping and time need shapes only."""

from __future__ import annotations

from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Conv2D, Op, Padding, TransposeConv2D
from simulator.lowering.layer import ConvGeometry, Engine, Layer
from simulator.numerics.formats import INT8, INT32, IntFormat


def tensor(name: str, *shape: int, format: IntFormat = INT8) -> Tensor:
    return Tensor(name, shape, format)


def array_layer(
    geometry: ConvGeometry,
    name: str = "conv",
    *,
    bias: str | None = "vector",
    input_format: IntFormat = INT8,
    weight_format: IntFormat = INT8,
    output_format: IntFormat = INT8,
) -> Layer:
    """Layer of any geometry; `bias` is None, "vector" or "matrix"."""
    g = geometry
    filters = g.filters * g.groups
    inputs: tuple[Tensor | None, ...] = (
        tensor("x", g.batch, g.in_height, g.in_width, g.channels * g.groups, format=input_format),
        tensor("w", filters, *g.kernel, g.channels, format=weight_format),
        {
            None: None,
            "vector": tensor("b", filters, format=INT32),
            "matrix": tensor("b", g.m, filters, format=INT32),
        }[bias],
    )
    op: Op = TransposeConv2D((1, 1), (g.out_height, g.out_width)) if g.transposed else Conv2D(groups=g.groups)
    output = tensor("y", g.batch, g.out_height, g.out_width, filters, format=output_format)
    node = Node(name, op, tuple(t.name if t else "" for t in inputs), ("y",))
    return Layer(name, node, Engine.ARRAY, inputs, (output,), geometry=g)


def conv(
    height: int,
    width: int,
    channels: int,
    filters: int,
    kernel: int = 1,
    stride: int = 1,
    dilation: int = 1,
    padding: int = 0,
    *,
    groups: int = 1,
    batch: int = 1,
) -> ConvGeometry:
    """Square convolution; channels and filters are totals over all groups."""
    reach = dilation * (kernel - 1) + 1
    return ConvGeometry(
        batch=batch,
        in_height=height,
        in_width=width,
        out_height=(height + 2 * padding - reach) // stride + 1,
        out_width=(width + 2 * padding - reach) // stride + 1,
        channels=channels // groups,
        filters=filters // groups,
        groups=groups,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        dilation=(dilation, dilation),
        padding=Padding(padding, padding, padding, padding),
    )


def transposed(height: int, width: int, channels: int, filters: int, kernel: int, stride: int) -> ConvGeometry:
    """Transposed convolution without cropping: a stride-1 convolution over the zero-inserted image."""
    edge = kernel - 1
    return ConvGeometry(
        batch=1,
        in_height=height,
        in_width=width,
        out_height=(height - 1) * stride + kernel,
        out_width=(width - 1) * stride + kernel,
        channels=channels,
        filters=filters,
        kernel=(kernel, kernel),
        padding=Padding(edge, edge, edge, edge),
        insertion=(stride, stride),
        transposed=True,
    )


def gemm(m: int, k: int, n: int) -> ConvGeometry:
    """Fully connected layer of m rows."""
    return ConvGeometry(batch=1, in_height=m, in_width=1, out_height=m, out_width=1, channels=k, filters=n)


def stream_layer(
    engine: Engine,
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    *,
    ops: int = 0,
    moves_data: bool = True,
    reread_bytes: int = 0,
    name: str = "stream",
) -> Layer:
    """Layer off the array."""
    node = Node(name, Op(), ("x",), ("y",))
    x, y = tensor("x", *input_shape), tensor("y", *output_shape)
    more = {"vector_ops": ops, "moves_data": moves_data, "reread_bytes": reread_bytes}
    return Layer(name, node, engine, (x,), (y,), **more)


def deeplabv3_resnet50(size: int, classes: int = 21, output_stride: int = 8) -> list[Layer]:
    """Array layers of DeepLabv3-ResNet50 as torchvision has it (output stride 8), pooling, additions and resizing."""
    layers: list[Layer] = []

    def add(name: str, height: int, channels: int, filters: int, kernel: int, stride: int = 1, dilation: int = 1):
        padding = dilation * (kernel // 2)
        geometry = conv(height, height, channels, filters, kernel, stride, dilation, padding)
        layers.append(array_layer(geometry, name))
        return geometry.out_height

    height = add("conv1", size, 3, 64, 7, 2)
    pooled = (height - 1) // 2 + 1
    shape = (1, height, height, 64)
    layers.append(stream_layer(Engine.VECTOR, shape, (1, pooled, pooled, 64), ops=pooled * pooled * 64 * 9))
    height, channels, dilation = pooled, 64, 1
    for block, (width, units) in enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True)):
        before, stride = dilation, 1 if block == 0 else 2
        if block and 4 * 2**block > output_stride:
            stride, dilation = 1, dilation * 2
        for unit in range(units):
            step, rate = (stride, before) if unit == 0 else (1, dilation)
            name, entry = f"layer{block + 1}.{unit}", height
            add(f"{name}.conv1", entry, channels, width, 1)
            height = add(f"{name}.conv2", entry, width, width, 3, step, rate)
            add(f"{name}.conv3", height, width, 4 * width, 1)
            if unit == 0:
                add(f"{name}.down", entry, channels, 4 * width, 1, step)
            channels = 4 * width
            out = (1, height, height, channels)
            layers.append(stream_layer(Engine.VECTOR, out, out, ops=height * height * channels, name=f"{name}.add"))
    add("aspp.1x1", height, 2048, 256, 1)
    for rate in (12, 24, 36):
        add(f"aspp.3x3r{rate}", height, 2048, 256, 3, 1, rate)
    add("aspp.pool1x1", 1, 2048, 256, 1)
    add("aspp.project", height, 1280, 256, 1)
    add("head.3x3", height, 256, 256, 3)
    add("logits", height, 256, classes, 1)
    full = (1, size, size, classes)
    layers.append(
        stream_layer(Engine.VECTOR, (1, height, height, classes), full, ops=size * size * classes, name="resize")
    )
    return layers
