"""The quantizers of integer training imitated in float32, for a part of a network: what the authors' own study did.

Used where a part of a network is to be in integers and the other in float, which no device here can be: the ablation
"encoder only, decoder only" (arXiv 2011.14504, Table III). Weights W, activations A, errors E1 and E2 and gradients G
of the part lie on the grids of the configuration; sums, statistics of batch norms and the update stay float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from workloads.training.config import TrainingConfig


def on_scale(x: Tensor, bits: int) -> Tensor:
    """SQ: to the grid max|x| * 2^(1 - bits), half up, +-(2^(bits - 1) - 1) steps."""
    return _on_grid(x, bits, 0.5)


def stochastic_on_scale(x: Tensor, bits: int) -> Tensor:
    """RQ: the same grid, up with a probability equal to the fraction."""
    return _on_grid(x, bits, torch.rand_like(x))


def _on_grid(x: Tensor, bits: int, raised: Tensor | float) -> Tensor:
    """Round steps + `raised` down."""
    greatest = x.abs().max()
    if greatest == 0:
        return x
    step = greatest * 2.0 ** (1 - bits)
    limit = 2 ** (bits - 1) - 1
    return torch.clamp(torch.floor(x / step + raised), -limit, limit) * step


class _Quantized(torch.autograd.Function):
    """Quantize values forward and errors backward, either of them optional; the gradient passes straight through."""

    @staticmethod
    def forward(context: Any, x: Tensor, bits: int | None, error_bits: int | None) -> Tensor:
        context.error_bits = error_bits
        return x.clone() if bits is None else on_scale(x, bits)

    @staticmethod
    def backward(context: Any, *errors: Tensor) -> tuple[Tensor, None, None]:
        (error,) = errors
        return (error if context.error_bits is None else on_scale(error, context.error_bits)), None, None


class _Weights(torch.autograd.Function):
    """UQ: weights on the fixed grid 2^exponent of `bits`."""

    @staticmethod
    def forward(context: Any, x: Tensor, bits: int, exponent: int) -> Tensor:
        limit = 2 ** (bits - 1) - 1
        return torch.clamp(torch.floor(x * 2.0**-exponent + 0.5), -limit, limit) * 2.0**exponent

    @staticmethod
    def backward(context: Any, *errors: Tensor) -> tuple[Tensor, None, None]:
        return errors[0], None, None


class EmulatedPart:
    """The nodes whose names begin with one of some prefixes."""

    def __init__(self, prefixes: tuple[str, ...], config: TrainingConfig, exponents: dict[str, int]) -> None:
        self.prefixes = prefixes
        self.config = config
        self._exponents = exponents
        """Of each parameter's copy that is computed with."""

    def holds(self, name: str) -> bool:
        """Whether a node or parameter is in the part."""
        return bool(self.prefixes) and name.startswith(self.prefixes)

    def weights(self, name: str, x: Tensor) -> Tensor:
        """Return a weight as the array takes it."""
        return _apply(_Weights, x, self.config.weight_bits, self._exponents[name])

    def sums(self, x: Tensor) -> Tensor:
        """Return a convolution's output; its error is E2."""
        return _apply(_Quantized, x, None, self.config.output_error_bits)

    def activations(self, x: Tensor) -> Tensor:
        """Return a tensor that the next layer reads; its error is E1."""
        return _apply(_Quantized, x, self.config.activation_bits, self.config.activation_error_bits)

    def gradient(self, x: Tensor) -> Tensor:
        """Return a gradient as the update takes it."""
        return stochastic_on_scale(x, self.config.gradient_bits)


def _apply(function: Any, *arguments: Any) -> Tensor:
    result: Tensor = function.apply(*arguments)
    return result
