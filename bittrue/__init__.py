"""bittrue: a bit-accurate, cycle-approximate simulator of fixed-point systolic-array accelerators.

    import bittrue

    net = bittrue.load_network("model.tflite")
    acc = bittrue.load_accelerator("edge_32x32")
    run = bittrue.simulate(net, acc, inputs={"input": image})
    run.layers[0].total_cycles

Names are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accel_models.load import load_accelerator
    from bittrue import networks
    from bittrue.api import PreparedRun, prepare, simulate
    from bittrue.evaluation.evaluate import evaluate
    from bittrue.fitting.fit import fit
    from bittrue.golden.check import check
    from bittrue.run import Run
    from bittrue.sweeping.run import sweep
    from bittrue.vectors import export_vectors
    from simulator.accelerator.spec import Accelerator
    from simulator.errors import BittrueError
    from simulator.graph.builder import GraphBuilder
    from simulator.records.evaluation import EvaluationRecord
    from simulator.records.vectors.files import VectorFormat, read_vectors
    from workloads.datasets.open import open_dataset
    from workloads.load import load_network
    from workloads.network import Network

_HOME = {
    "load_network": "workloads.load",
    "load_accelerator": "accel_models.load",
    "fit": "bittrue.fitting.fit",
    "check": "bittrue.golden.check",
    "export_vectors": "bittrue.vectors",
    "read_vectors": "simulator.records.vectors.files",
    "VectorFormat": "simulator.records.vectors.files",
    "sweep": "bittrue.sweeping.run",
    "simulate": "bittrue.api",
    "prepare": "bittrue.api",
    "PreparedRun": "bittrue.api",
    "Run": "bittrue.run",
    "evaluate": "bittrue.evaluation.evaluate",
    "open_dataset": "workloads.datasets.open",
    "EvaluationRecord": "simulator.records.evaluation",
    "Network": "workloads.network",
    "Accelerator": "simulator.accelerator.spec",
    "GraphBuilder": "simulator.graph.builder",
    "BittrueError": "simulator.errors",
}

__all__ = [
    "Accelerator",
    "BittrueError",
    "EvaluationRecord",
    "GraphBuilder",
    "Network",
    "PreparedRun",
    "Run",
    "VectorFormat",
    "check",
    "evaluate",
    "export_vectors",
    "fit",
    "load_accelerator",
    "load_network",
    "networks",
    "open_dataset",
    "prepare",
    "read_vectors",
    "simulate",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name == "networks":
        return import_module("bittrue.networks")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'bittrue' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
