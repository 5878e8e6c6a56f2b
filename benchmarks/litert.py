"""TFLite networks on ai-edge-litert: its reference kernels are the oracle, its default kernels the rival."""

from __future__ import annotations

from typing import Any

from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray


def reference_interpreter(model: bytes) -> Interpreter:
    """Interpreter on BUILTIN_REF, the one resolver that is an oracle, keeping every intermediate; tensors allocated."""
    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    return interpreter


def default_interpreter(model: bytes, threads: int) -> Interpreter:
    """Interpreter as its users get it: XNNPACK for what that can do; tensors allocated."""
    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN, num_threads=threads
    )
    interpreter.allocate_tensors()
    return interpreter


def invoke(interpreter: Interpreter, x: NDArray[Any]) -> NDArray[Any]:
    """Run a model of one input and return its first output."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
