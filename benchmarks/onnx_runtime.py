"""ONNX Runtime as a rival: sessions, and what became of a model when it was optimised.

On processors without VNNI, ONNX Runtime multiplies uint8 by int8 with an instruction that saturates sums of two
products at 16 bits: fast, and wrong on ordinary data. Its option `session.x64quantprecision` makes them exact. Both are
measured there: `default` is what its users get, `precise` computes what a device would.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from enum import StrEnum
from pathlib import Path

import onnx
import onnxruntime

from benchmarks.machine import has_vnni, instruction_sets

_FLOAT_CONVOLUTIONS = ("Conv", "FusedConv", "NhwcFusedConv")


class Setting(StrEnum):
    """How exactly ONNX Runtime multiplies 8-bit operands."""

    DEFAULT = "default"
    PRECISE = "precise"


class NotFused(Exception):
    """A convolution that was to run in integers runs in float32."""


def settings() -> tuple[Setting, ...]:
    """Return the settings worth measuring on this processor: only x86 without VNNI is inexact by default."""
    inexact = "sse4.1" in instruction_sets() and not has_vnni()
    return (Setting.DEFAULT, Setting.PRECISE) if inexact else (Setting.DEFAULT,)


def open_session(
    model: bytes, threads: int, setting: Setting = Setting.DEFAULT, optimised: Path | None = None
) -> onnxruntime.InferenceSession:
    """Return a session on the processor, all optimisations on.

    Parameters
    ----------
    model
        A serialized ONNX model.
    threads
        Threads within an operator; operators run one after another.
    setting
        See Setting.
    optimised
        File to write the optimised model to.

    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if setting is Setting.PRECISE:
        options.add_session_config_entry("session.x64quantprecision", "1")
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def optimised_operators(model: bytes, setting: Setting = Setting.DEFAULT) -> Counter[str]:
    """Count the operators that a model has once it is optimised; those outside ONNX's own set bear their domain."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimised.onnx"
        open_session(model, 1, setting, path)
        nodes = onnx.load(path, load_external_data=False).graph.node
    return Counter(f"{node.domain}.{node.op_type}" if node.domain else node.op_type for node in nodes)


def check_fused(operators: Counter[str]) -> None:
    """Raise NotFused where a convolution stayed float32; a transposed one may, there is no integer kernel of it."""
    floats = {name: count for name, count in operators.items() if name.split(".")[-1] in _FLOAT_CONVOLUTIONS}
    if floats:
        raise NotFused(f"ONNX Runtime runs convolutions in float32: {floats}; all operators: {dict(operators)}")
