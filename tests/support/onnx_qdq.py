"""DESIGN's rule for QDQ models: each operator of ours on ONNX Runtime's own quantized inputs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper

import bittrue
from simulator.graph.graph import Graph
from support.onnx_models import accelerator, by_onnxruntime
from workloads.network import Network


@dataclass
class Verdict:
    """What was compared."""

    operators: int = 0
    values: int = 0
    differing: int = 0
    """By 1, within `TIE` of a tie."""
    wrong: list[str] = field(default_factory=list)
    """Operators with a value that differs by more, or further from a tie."""


TIE = 1e-3
"""Of a step of the output: how near a tie the real result of a value that may differ lies."""


def with_insides(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, tuple[str, str]]]:
    """The model with what QuantizeLinear reads and writes among its outputs; integers -> (real numbers, scale)."""
    found = {n.output[0]: (n.input[0], n.input[1]) for n in proto.graph.node if n.op_type == "QuantizeLinear"}
    constants = {tensor.name for tensor in proto.graph.initializer}
    found = {name: pair for name, pair in found.items() if pair[0] not in constants}
    wide = onnx.ModelProto()
    wide.CopyFrom(proto)
    present = {value.name for value in (*wide.graph.output, *wide.graph.input)}
    for name in dict.fromkeys(n for integers, (real, _) in found.items() for n in (integers, real)):
        if name not in present:
            wide.graph.output.append(helper.make_empty_tensor_value_info(name))
    return wide, found


def judge(proto: onnx.ModelProto, network: Network, feeds: dict[str, np.ndarray]) -> Verdict:
    """Run every operator of ours on ONNX Runtime's values and hold its result against ONNX Runtime's."""
    wide, found = with_insides(proto)
    names = [value.name for value in wide.graph.output]
    theirs = dict(zip(names, by_onnxruntime(wide, feeds), strict=True)) | feeds
    scales = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    verdict, values, graph = Verdict(), dict(feeds), network.graph
    for node in graph.nodes:
        for name, ours in _run(graph, node, values).items():
            values[name] = ours
            if name not in found:
                continue
            real, scale = found[name]
            wanted, exact = (_as_ours(theirs[key], ours) for key in (name, real))
            _compare(verdict, name, ours, wanted, exact.astype(np.float64) / float(scales[scale]))
            values[name] = wanted
    return verdict


def _run(graph: Graph, node, values) -> dict[str, np.ndarray]:
    inputs = tuple(dict.fromkeys(n for n in node.inputs if n and not graph.tensors[n].is_constant))
    kept = {name: graph.tensors[name] for name in (*filter(None, node.inputs), *node.outputs)}
    alone = Graph(node.name, kept, (node,), inputs, node.outputs)
    run = bittrue.simulate(alone, accelerator(), {name: values[name] for name in inputs}, values_only=True)
    return dict(run.outputs)


def _as_ours(value: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """Channels last, where ours are."""
    if value.ndim != 4 or value.shape == ours.shape != value.transpose(0, 2, 3, 1).shape:
        return value
    return np.ascontiguousarray(value.transpose(0, 2, 3, 1))


def _compare(verdict: Verdict, name: str, ours: np.ndarray, wanted: np.ndarray, steps: np.ndarray) -> None:
    verdict.operators += 1
    verdict.values += ours.size
    apart = np.abs(ours.astype(np.int64) - wanted.astype(np.int64))
    from_tie = np.abs(np.abs(steps - np.floor(steps)) - 0.5)
    excused = (apart == 1) & (from_tie <= TIE)
    verdict.differing += int(excused.sum())
    wrong = (apart > 0) & ~excused
    if wrong.any():
        verdict.wrong.append(
            f"{name}: {int(wrong.sum())} of {ours.size}, {float(from_tie[wrong].max()):.3g} from a tie"
        )
