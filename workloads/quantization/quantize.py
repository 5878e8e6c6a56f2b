"""From a float network and images to an integer network; and its outline, where only time is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.graph.graph import Graph, Node, Tensor
from simulator.graph.ops import BatchNorm
from simulator.numerics.formats import INT8, INT16, Float32, IntFormat
from simulator.numerics.quant import QuantParams
from workloads.counting import ARRAY_OPS
from workloads.network import Images, Network, Progress
from workloads.quantization.bias_correction import corrected_bias
from workloads.quantization.bits import Formats, insert_rescales, resolve_formats
from workloads.quantization.calibrate import Observation, Observer, calibrate
from workloads.quantization.calibration_set import CalibrationSet, calibration_set
from workloads.quantization.equalize import equalize
from workloads.quantization.float_execute import run_float
from workloads.quantization.options import QuantizeOptions
from workloads.quantization.paper import NormTensors, norm_tensors, paper_graph
from workloads.quantization.ranges import choose_range
from workloads.quantization.rewrite import Plan, check_quantizable, rewrite
from workloads.quantization.scales import activation_rule, affine_params, filter_params, grid_params
from workloads.quantization.sharing import activation_params
from workloads.quantization.simplify import Statistics, simplify

_OUTLINE_ACTIVATION = QuantParams.per_tensor(2.0**-5)
_OUTLINE_WEIGHT_SCALE = 2.0**-7
_NO_NORMS = NormTensors(frozenset(), frozenset(), {})


def quantize(
    network: Network, images: Images, options: QuantizeOptions, on_progress: Progress | None = None
) -> Network:
    """Return the integer network; see `Network.quantize`."""
    if not network.is_float:
        raise NetworkError(f"{network.name}: the network is integer already; it needs no quantization")
    if not network.has_weights:
        raise NetworkError(f'{network.name}: no weights to quantize; load the network with weights="seeded" or a file')
    inputs = calibration_set(network, images)
    if options.is_dynamic:
        from workloads.quantization.dynamic import dynamic_network  # brings in the rules of training

        return dynamic_network(network, inputs, options, on_progress)
    if options.bits:  # refused before the runs, not after
        resolve_formats(_prepared(network.graph, {}, replace(options, equalize=False)), options.bits)
    graph, seen = _observe(network, inputs, options, on_progress)
    norms = norm_tensors(graph) if options.scheme == "paper" else _NO_NORMS
    formats = resolve_formats(graph, options.bits, norms.result)
    wide = dict.fromkeys(norms.wide, INT16)
    formats = replace(formats, tensors={**formats.tensors, **wide})
    graph, formats, sources = insert_rescales(graph, formats, shifts=options.scheme == "paper")
    seen |= {name: seen[source] for name, source in sources.items()}
    integer = rewrite(graph, _plan(graph, seen, formats, norms, options))
    return network.with_graph(integer, _notes(network, inputs, formats, options))


def outline(network: Network) -> Network:
    """Return the integer network without values: shapes, formats and power-of-two scales, enough for its time."""
    bare = {
        name: Tensor(name, tensor.shape, tensor.format, tensor.quant, placeholder=True)
        if tensor.is_constant and isinstance(tensor.format, Float32)
        else tensor
        for name, tensor in network.graph.tensors.items()
    }
    graph = simplify(Graph(network.graph.name, bare, network.graph.nodes, network.graph.inputs, network.graph.outputs))
    activations = [name for name, tensor in graph.tensors.items() if not tensor.is_constant]
    plan = Plan(
        params=dict.fromkeys(activations, _OUTLINE_ACTIVATION),
        formats=dict.fromkeys(activations, INT8),
        weight_formats={node.name: INT8 for node in graph.nodes},
        filters=_outline_filter_params,
        constants=affine_params,
    )
    return network.with_graph(rewrite(graph, plan), ["timed as int8, without values"])


def _outline_filter_params(weights: Tensor, bias: Tensor | None, input_scale: float, format: IntFormat) -> QuantParams:
    return QuantParams((_OUTLINE_WEIGHT_SCALE,) * weights.shape[0], (0,) * weights.shape[0], 0)


def _prepared(graph: Graph, statistics: Statistics, options: QuantizeOptions) -> Graph:
    """Return the float graph that becomes integer node by node; UnsupportedOp where it cannot."""
    prepared = paper_graph(graph, statistics) if options.scheme == "paper" else simplify(graph, statistics)
    check_quantizable(prepared)
    return equalize(prepared) if options.equalize else prepared


def _observe(
    network: Network, inputs: CalibrationSet, options: QuantizeOptions, on_progress: Progress | None
) -> tuple[Graph, dict[str, Observation]]:
    """Return the prepared float graph and what was seen of each of its tensors."""
    graph, measures = network.graph, network.seeded
    changed = options.scheme == "paper" or options.equalize  # such graphs have tensors that the network has not
    if changed:
        measured = run_float(graph, inputs.first(), measure_norms=True).statistics if measures else {}
        graph, measures = _prepared(graph, measured, options), False
    means = [node.inputs[0] for node in graph.nodes if isinstance(node.op, ARRAY_OPS) and options.bias_correction]
    observer = Observer(options.calibration != "minmax", frozenset(means))
    statistics = calibrate(graph, inputs, observer, images=len(inputs), measure_norms=measures, on_progress=on_progress)
    return graph if changed else _prepared(graph, statistics, options), observer.seen


def _plan(
    graph: Graph, seen: Mapping[str, Observation], formats: Formats, norms: NormTensors, options: QuantizeOptions
) -> Plan:
    ranges = {name: choose_range(seen[name], format, options) for name, format in formats.tensors.items()}

    def filters(weights: Tensor, bias: Tensor | None, input_scale: float, format: IntFormat) -> QuantParams:
        assert weights.data is not None
        offset = None if bias is None else bias.data
        if options.scheme == "paper":
            return grid_params(weights.data, offset, input_scale, format, shifted=options.weight_shift == "layer")
        per_tensor = options.weight_scales == "per_tensor"
        return filter_params(
            weights.data, offset, input_scale, format, per_tensor=per_tensor, power_of_two=options.is_power_of_two
        )

    def bias_rule(
        node: Node, weights: Tensor, stored: NDArray[np.float64], bias: Tensor | None
    ) -> NDArray[np.float32] | None:
        return corrected_bias(node, weights, stored, bias, seen[node.inputs[0]].channel_means)

    return Plan(
        params=activation_params(graph, ranges, formats.tensors, options),
        formats=formats.tensors,
        weight_formats=formats.weights,
        filters=filters,
        constants=activation_rule(options if options.scheme != "paper" else replace(options, scale_rounding="up")),
        wide_constants=norms.constants,
        half_up=options.scheme == "paper",
        bias=bias_rule if options.bias_correction else None,
    )


def _notes(network: Network, inputs: CalibrationSet, formats: Formats, options: QuantizeOptions) -> list[str]:
    count = f"{len(inputs)} image{'s' if len(inputs) > 1 else ''}"
    widths: set[Any] = {*formats.weights.values(), *(formats.tensors[n] for n in formats.tensors)}
    told = "int8" if options.scheme == "paper" or widths <= {INT8} else f"{', '.join(sorted(map(str, widths)))}"
    notes = [f"quantized to {told} ({options.describe()}), calibrated on {count}"]
    if network.seeded and any(isinstance(node.op, BatchNorm) for node in network.graph.nodes):
        notes.append("batch-norm statistics were measured on the first calibration image")
    return notes
