"""Single-layer networks, to ask about one shape: `bittrue.networks.gemm(128, 256, 64)`."""

from workloads.nets.single import conv2d, gemm

__all__ = ["conv2d", "gemm"]
