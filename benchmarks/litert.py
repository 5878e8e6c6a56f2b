"""The oracle of TFLite networks: ai-edge-litert on its reference kernels."""

from __future__ import annotations

from ai_edge_litert.interpreter import Interpreter, OpResolverType


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
