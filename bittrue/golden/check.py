"""check: run the cases of a golden and hold them to what it expects."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_models.load import load_accelerator
from bittrue.api import prepare
from bittrue.golden.expected import Expected, judge_figures, judge_hashes, judge_outputs
from bittrue.golden.model import Case, GoldenFile, read_golden
from bittrue.golden.result import CaseResult, CheckResult, Failure
from bittrue.golden.rewrite import write_update
from bittrue.inputs import by_name, check_input_file, random_inputs, read_input_arrays
from bittrue.run import Run
from simulator.accelerator.problems import nearest
from simulator.accelerator.spec import Accelerator
from simulator.errors import BittrueError, OverflowTrap, SpecError
from workloads.images import prepare_image
from workloads.load import load_network
from workloads.network import Network

Arrays = Mapping[str, NDArray[Any]]
Progress = Callable[[int, int, str], None]
_TIMED = ("total_cycles", "total_energy_pj", "dram_bytes")


def check(
    golden: str | Path,
    *,
    cases: Sequence[str] = (),
    update: bool = False,
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> CheckResult:
    """Hold a network on an accelerator to a golden (docs/regression.md).

    Parameters
    ----------
    golden
        The YAML file.
    cases
        Names of those to run; none = all.
    update
        Write what was found into the golden where it differs; `CheckResult.update_lines` tells old and new.
    threads
        Threads of the kernels, None = all cores. Never changes a bit.
    on_progress
        Called with (done, total, label).

    Raises
    ------
    SpecError
        A golden that cannot be read: every problem with its line; a case that does not exist.
    BittrueError
        A case that cannot be run; the message begins with its name.

    """
    result = examine(golden, cases=cases, recording=update, threads=threads, on_progress=on_progress)
    if update and result.changed:
        write_update(result)
    return result


def examine(
    golden: str | Path,
    *,
    cases: Sequence[str] = (),
    recording: bool = False,
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> CheckResult:
    """Do as `check`, and write nothing; while `recording`, a .npz of outputs that is not there yet is no error."""
    file = read_golden(Path(golden))
    known = list(file.golden.cases)
    for name in cases:
        if name not in known:
            raise SpecError(f"{file.path}: no case {name!r}{nearest(name, known)}; there are {', '.join(known)}")
    chosen = [name for name in known if not cases or name in cases]
    return CheckResult(file, tuple(_check_case(file, name, recording, threads, on_progress) for name in chosen))


def tensor_hash(array: NDArray[Any]) -> str:
    """Return ``sha256:`` and the digest of a line such as ``int8 [1, 8, 8, 4]``, then the values, little-endian."""
    digest = hashlib.sha256(f"{array.dtype.name} {list(array.shape)}\n".encode())
    digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return f"sha256:{digest.hexdigest()}"


def _check_case(
    file: GoldenFile, name: str, recording: bool, threads: int | None, on_progress: Progress | None
) -> CaseResult:
    case = file.golden.cases[name]
    try:
        expected = Expected(file, name, case.expect, recording)
        try:
            run = _run(file, case, expected, threads, on_progress)
        except OverflowTrap as error:
            failure = Failure(file.line("cases", name), str(error))
            return CaseResult(name, None, ("registers that trap",), (failure,), (failure,))
        tensors = run.tensors | run.outputs
        return expected.result(
            run.record,
            tensors,
            judge_outputs(expected, tensors, run.outputs),
            judge_hashes(expected, {key: tensor_hash(tensors[key]) for key in expected.hashed(run.outputs)}),
            judge_figures(expected, run.record),
        )
    except BittrueError as error:
        raise SpecError(f"{file.path}: case {name}: {error}") from None


def _run(file: GoldenFile, case: Case, expected: Expected, threads: int | None, on_progress: Progress | None) -> Run:
    network = load_network(file.near(case.network.network), **case.network.keywords)
    accelerator = _accelerator(file, case)
    inputs = None if case.inputs is None else _inputs(file, case, network)
    timed = any(key in case.expect.model_fields_set for key in _TIMED)
    names = expected.tensor_names(network.graph)
    prepared = prepare(
        network,
        accelerator,
        values_only=not timed,
        timing_only=inputs is None,
        keep_tensors=not names <= set(network.graph.outputs),
        threads=threads,
        seed=case.seed,
    )
    return prepared.run(inputs, on_progress)


def _accelerator(file: GoldenFile, case: Case) -> Accelerator:
    accelerator = load_accelerator(file.near(case.accelerator))
    return accelerator.evolve(case.changes) if case.changes else accelerator


def _inputs(file: GoldenFile, case: Case, network: Network) -> Arrays:
    assert case.inputs is not None
    if network.is_float:
        raise SpecError(
            f"{network.name} is float, and its quantization may come out otherwise on another machine; keep the "
            "integer network: net.quantize(images).save('net.npz'), and name that. Timing alone needs no inputs"
        )
    if case.inputs.file is None:
        return random_inputs(network, case.inputs.seed or 0)
    path = Path(file.near(case.inputs.file))
    check_input_file(path)
    if path.suffix.lower() in (".npy", ".npz", ".json"):
        return by_name(network, read_input_arrays(path), path)
    return prepare_image(network, path)
