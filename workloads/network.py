"""Network: a graph, and what the world around it needs to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.graph.graph import Graph
from simulator.notebook import facts_table
from simulator.numerics.formats import Float32
from simulator.records.run import Segmentation
from workloads.counting import ARRAY_OPS, count_macs, count_parameters

OneImage = str | Path | NDArray[Any] | Mapping[str, NDArray[Any]]
"""A file, pixels uint8 [height, width, channels], a float32 array in the input's layout, or arrays by input name."""
Images = OneImage | Sequence[OneImage]
"""One image or several."""
Progress = Callable[[int, int, str], None]
"""(done, total, label)."""


@dataclass(frozen=True)
class ImageInput:
    """How the pixels of an image become the network's only input [1, height, width, channels]."""

    mean: tuple[float, ...] | None = None
    """Subtracted from each channel's pixels (0..255); None = the network takes pixels as they are (int8: - 128)."""
    std: tuple[float, ...] | None = None
    """Each channel is divided by it after the mean is subtracted; given where `mean` is."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network: from `load_network`, `bittrue.networks`, or around a Graph of one's own."""

    graph: Graph
    """Operators and tensors."""
    image: ImageInput | None = None
    """How an image becomes the input; None where the network takes no image."""
    segmentation: Segmentation | None = None
    """Class names and colours, for a segmentation network."""
    notes: tuple[str, ...] = ()
    """What the reader of a result must know, e.g. that the weights are seeded."""
    seeded: bool = False
    """Weights are random: quantizing measures the batch-norm statistics on the first image."""
    auxiliary_outputs: tuple[str, ...] = ()
    """Outputs that only training needs: `parameters` leaves out what they alone need."""
    images: int = 1
    """Images that one run takes, stacked along the first axis (`batched`)."""
    counts: tuple[int, int] | None = None
    """(macs, parameters) of the float network this one was quantized from; None = counted in the graph."""

    @property
    def name(self) -> str:
        """Name of the network."""
        return self.graph.name

    def _repr_html_(self) -> str:
        """Show a notebook what goes in and out, and how large the network is."""
        graph = self.graph
        kind = "float" if self.is_float else "integer"
        facts = [
            *((f"input {tensor.name}", f"{tensor.format} {list(tensor.shape)}") for tensor in graph.input_tensors),
            *((f"output {tensor.name}", f"{tensor.format} {list(tensor.shape)}") for tensor in graph.output_tensors),
            ("operators", f"{len(graph.nodes)}, {kind}{'' if self.has_weights else ', no weights'}"),
            ("MACs", f"{self.macs:,}"),
            ("parameters", f"{self.parameters:,}"),
            *(("note", note) for note in self.notes),
        ]
        return facts_table(self.name, facts)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run.

        Padding taps are counted; a transposed convolution has h_in * w_in * k * k * c_in * c_out. A quantized
        network keeps the count of its float definition.
        """
        return self.counts[0] if self.counts else count_macs(self.graph)

    @cached_property
    def parameters(self) -> int:
        """Convolution weights, biases, gamma and beta, before folding; no running statistics, no auxiliary head."""
        return self.counts[1] if self.counts else count_parameters(self.graph, self.auxiliary_outputs)

    @property
    def is_float(self) -> bool:
        """Whether a convolution, product or batch norm computes in float32: `quantize` makes it integer."""
        return any(
            isinstance(node.op, (*ARRAY_OPS, ops.BatchNorm))
            and isinstance(self.graph.tensors[node.inputs[0]].format, Float32)
            for node in self.graph.nodes
        )

    @property
    def has_weights(self) -> bool:
        """Whether every constant has values; without them only shapes and time are known."""
        return not any(tensor.placeholder and tensor.data is None for tensor in self.graph.tensors.values())

    def quantize(
        self,
        images: Images,
        scheme: str = "affine",
        on_progress: Progress | None = None,
        *,
        calibration: str = "minmax",
        percentile: float = 99.99,
        weight_scales: str = "per_channel",
        bits: Mapping[str, Mapping[str, int]] | None = None,
        bias_correction: bool = False,
        equalize: bool = False,
        weight_shift: str = "layer",
        scale_rounding: str = "nearest",
        activation_scales: str = "frozen",
    ) -> Network:
        """Turn a float network into an integer one, calibrated on images.

        Parameters
        ----------
        images
            One image or several: files (resized to the input), folders of them, uint8 arrays [height, width, channels]
            of the input's size, float32 arrays in the network's own input layout, or dicts of such arrays by input
            name. Files are read one at a time.
        scheme
            ``"affine"``: activations with zero point, weights symmetric per filter, int32 biases. ``"symmetric"``: zero
            points 0. ``"power_of_two"``: symmetric, every scale a power of two, so that a `power_of_two` requantizer
            takes them. ``"paper"``: weights on the grid 2^(1 - bits), activations by powers of two, batch norms as
            16-bit affine maps of their own (docs/quantization.md).
        on_progress
            Called with (done, total, label).
        calibration
            Range of each activation: ``"minmax"``; ``"percentile"``; ``"mse"``, the least mean square error; ``"kl"``,
            the least Kullback-Leibler divergence.
        percentile
            Of ``"percentile"``: so many per cent of the values lie below the greatest and above the least kept.
        weight_scales
            ``"per_channel"`` (one for each filter) or ``"per_tensor"``.
        bits
            Widths from 2 to 16 by pattern of layer names, ``{"layer4.*": {"weight_bits": 4, "activation_bits": 8}}``;
            8 where nothing is said; of several matching patterns the last holds. Activation bits are those of what a
            layer writes; a pattern may name the network's input.
        bias_correction
            Take the mean error that quantized weights make on the images off the biases.
        equalize
            Scale channels between consecutive layers so that their filters use the same range on both sides.
        weight_shift
            Of ``"paper"``: ``"layer"`` multiplies the weight grid by one power of two per layer, ``"none"`` does not.
        scale_rounding
            Of ``"paper"``: the power of two ``"nearest"`` to the greatest activation, or the next one ``"up"``.
        activation_scales
            ``"frozen"``, from calibration; of ``"paper"`` also ``"dynamic"``: each tensor is requantized by its own
            greatest magnitude, found by the device on every input.

        Float sums come from BLAS, so another machine may arrive at scales that differ in their last bits; `save` keeps
        the integers that this one found.

        Raises
        ------
        NetworkError
            The network is integer already, or has no weights, or an operator cannot be quantized.
        InputError
            No image, an image that does not suit the input, or an option that does not exist or matches nothing.

        """
        from workloads.quantization.options import QuantizeOptions
        from workloads.quantization.quantize import quantize

        options = QuantizeOptions(
            scheme=scheme,
            calibration=calibration,
            percentile=percentile,
            weight_scales=weight_scales,
            weight_shift=weight_shift,
            scale_rounding=scale_rounding,
            activation_scales=activation_scales,
            bits=bits or {},
            bias_correction=bias_correction,
            equalize=equalize,
        )
        return quantize(self, images, options, on_progress)

    def save(self, path: str | Path) -> Path:
        """Write the network to a .npz that `load_network` reads, and return its path; OSError where that fails."""
        from workloads.exporters.npz import save_network

        return save_network(self, path)

    def export(self, path: str | Path) -> Path:
        """Write an integer network for other tools and return its path: .tflite, .onnx (QOperator), or .npz as `save`.

        The file's own reference then gives the integers of our run: TFLite's reference kernels those of a device with
        32-bit accumulators and requantizer ``fixed_point_double``, ONNX Runtime those with ``float32``.

        Raises
        ------
        UnsupportedOp
            Lists every node that the format cannot express with the same integers, with the reason.
        NetworkError
            A float or weightless network, another suffix, a folder that does not exist, a file that cannot be written.

        """
        from workloads.exporters.export import export

        return export(self, path)

    def batched(self, images: int) -> Network:
        """Return the network for several images in one run, stacked along the first axis of every input and output.

        The bits are those of the images run one by one; only a device that rounds stochastically draws anew for each
        position in the batch. Quantize first: a batch is calibrated like any other image, only larger.

        Raises
        ------
        InputError
            `images` is no whole number from 1, or an input has no axis to stack along.
        UnsupportedOp
            Lists every node that mixes the rows of its first axis.

        """
        from workloads.batching import batched

        return batched(self, images)

    def ready(self, for_values: bool) -> Network:
        """Return a network that can be lowered: this one, or for timing alone its integer outline.

        Raises
        ------
        NetworkError
            Values are wanted from a float or weightless network; the message names the call that is missing.

        """
        if not self.is_float:
            if for_values and not self.has_weights:
                raise NetworkError(f"{self.name}: the network has no weights: {self._missing_call()}")
            return self
        if not for_values:
            return self._outline
        if not self.has_weights:
            raise NetworkError(f"{self.name}: the network has no weights: {self._missing_call()}")
        raise NetworkError(
            f"{self.name}: the network is float and the device computes in integers; call "
            "net.quantize(images) first (without inputs, timing alone needs no quantization)"
        )

    @cached_property
    def _outline(self) -> Network:
        """The integer outline, made once: what is timed again for another accelerator is then the same graph."""
        from workloads.quantization.quantize import outline

        return outline(self)

    def _missing_call(self) -> str:
        return (
            'load it with weights="seeded" or weights=FILE, then call .quantize(images); '
            "timing alone (inputs=None) needs no weights"
        )

    def with_graph(self, graph: Graph, notes: Sequence[str] = ()) -> Network:
        """Return the same network around another graph, its counts kept and `notes` appended."""
        return replace(
            self, graph=graph, notes=(*self.notes, *notes), counts=(self.macs, self.parameters), seeded=False
        )
