"""Truncated and hostile files: a Graph or a BittrueError, in little time and memory, never anything else."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from pathlib import Path

import flatbuffers
import numpy as np
import pytest

from simulator.errors import BittrueError, NetworkError
from simulator.execution.context import ExecutionContext
from simulator.execution.execute import execute
from simulator.graph.graph import Graph
from simulator.lowering.lower import lower
from support.accelerators import reference_device
from support.tflite_builder import SAME, ModelBuilder
from workloads.importers.tflite import TfliteImporter

PEAK_BYTES = 32 << 20


@pytest.fixture(scope="module")
def content() -> bytes:
    model = ModelBuilder()
    x = model.tensor("x", [1, 6, 6, 2], "int8", scale=0.5, zero_point=-3)
    w = model.tensor("w", [3, 3, 3, 2], "int8", scale=[0.1, 0.2, 0.3], data=np.arange(54) - 20)
    b = model.tensor("b", [3], "int32", scale=[0.05, 0.1, 0.15], data=[10, -20, 30])
    y = model.tensor("y", [1, 6, 6, 3], "int8", scale=2.0, zero_point=3)
    padded = model.tensor("padded", [1, 8, 6, 3], "int8", scale=2.0, zero_point=3)
    flat = model.tensor("flat", [1, 144], "int8", scale=2.0, zero_point=3)
    model.op("CONV_2D", [x, w, b], [y], padding=SAME, strideH=1, strideW=1)
    model.op("PAD", [y, model.constant("pads", [[0, 0], [1, 1], [0, 0], [0, 0]])], [padded])
    model.op("RESHAPE", [padded, model.constant("shape", [1, -1])], [flat])
    return model.build([x], [flat])


def attempt(content: bytes, path: Path) -> Graph | None:
    """Load; None where the file was refused. Any other exception fails the test."""
    path.write_bytes(content)
    tracemalloc.start()
    graph, message = None, str(path)
    try:
        graph = TfliteImporter().load(path)
    except BittrueError as error:
        message = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < PEAK_BYTES
    assert str(path) in message
    return graph


def test_every_truncation_is_refused(content, tmp_path):
    assert attempt(content, tmp_path / "m.tflite") is not None
    for length in range(0, len(content) - 1, 3):
        assert attempt(content[:length], tmp_path / "m.tflite") is None, length


def test_flipped_bytes_give_a_graph_or_a_clear_error(content, tmp_path):
    rng = np.random.default_rng(20)
    loaded = 0
    for _ in range(500):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), rng.integers(1, 5)):
            damaged[position] = rng.integers(0, 256)
        graph = attempt(bytes(damaged), tmp_path / "m.tflite")
        if graph is not None:
            loaded += 1
            run_if_small(graph)
    assert 50 < loaded < 450, "the damage must neither always nor never be noticed"


def run_if_small(graph: Graph) -> None:
    """What was read must also run or be refused: a contradiction in the file may not crash a kernel."""
    if sum(tensor.elements for tensor in graph.tensors.values()) > 1 << 16:
        return
    inputs = {t.name: np.zeros(t.shape, t.format.dtype) for t in graph.input_tensors}
    with contextlib.suppress(BittrueError):
        execute(graph, lower(graph, reference_device()), inputs, ExecutionContext())


def test_words_at_the_limits_of_32_bits(content, tmp_path):
    for position in range(0, len(content) - 4, 4):
        for word in (0x7FFFFFFF, 0xFFFFFFFF, 0x40000000):
            attempt(content[:position] + struct.pack("<I", word) + content[position + 4 :], tmp_path / "m.tflite")


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\0" * 64, b"\x20\0\0\0TFL3" + b"\xff" * 64])
def test_what_is_no_model_is_refused(content, tmp_path):
    assert attempt(content, tmp_path / "m.tflite") is None


def test_a_huge_tensor_is_refused_before_it_is_allocated(tmp_path):
    model = ModelBuilder()
    x = model.tensor("x", [1 << 20, 1 << 20], "int8", scale=0.5)
    y = model.tensor("y", [1 << 20, 1 << 20], "int8", scale=0.5)
    model.op("RELU", [x], [y])
    path = tmp_path / "m.tflite"
    path.write_bytes(model.build([x], [y]))
    with pytest.raises(NetworkError, match="impossible shape"):
        TfliteImporter().load(path)


def test_one_long_name_shared_by_many_tensors_is_not_copied_for_each(tmp_path):
    path = tmp_path / "m.tflite"
    content = _repeated_tensor(20_000)
    path.write_bytes(content)
    with pytest.raises(NetworkError, match="hold more than"):
        TfliteImporter().load(path)
    assert attempt(content, path) is None


def _repeated_tensor(count: int) -> bytes:
    """A file whose tensor vector names the same table, with a long name, again and again."""
    from ai_edge_litert import schema_py_generated as schema

    builder = flatbuffers.Builder(1 << 16)
    name = builder.CreateString("n" * 4000)
    schema.TensorStart(builder)
    schema.TensorAddName(builder, name)
    tensor = schema.TensorEnd(builder)
    schema.SubGraphStartTensorsVector(builder, count)
    for _ in range(count):
        builder.PrependUOffsetTRelative(tensor)
    tensors = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    graph = schema.SubGraphEnd(builder)
    schema.ModelStartSubgraphsVector(builder, 1)
    builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    schema.BufferStart(builder)
    buffer = schema.BufferEnd(builder)
    schema.ModelStartBuffersVector(builder, 1)
    builder.PrependUOffsetTRelative(buffer)
    buffers = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, graphs)
    schema.ModelAddBuffers(builder, buffers)
    builder.Finish(schema.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
