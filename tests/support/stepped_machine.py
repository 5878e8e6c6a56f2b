"""One layer on a machine that is stepped cycle by cycle: the twin of the SimPy machine, for short layers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from simulator.accelerator.spec import Accelerator
from simulator.mapping.schedule import Hold, LayerSchedule
from simulator.timing.dma import MemoryPath, transfer
from simulator.timing.work_cycles import WorkRates, timed_kinds


@dataclass
class _Mover:
    """A DMA of the stepped machine."""

    phase: str = "idle"
    left: int = 0
    asked: int = 0
    first: int = 0
    """Cycle of the first request of the transfer in hand."""
    done: int | None = None
    """Cycle after its last byte, once it had its turn at the bus."""
    index: int = 0
    jobs: list = field(default_factory=list)


class SteppedMachine:
    """One layer, one cycle at a time: what may happen in a cycle happens, then paths and the bus are granted, then time
    passes. Each core has a path to memory; all of them share the bus.
    """

    def __init__(self, layer: LayerSchedule, accelerator: Accelerator) -> None:
        ends = np.cumsum(layer.core_ops or [len(layer.ops)])
        cycles = timed_kinds(layer, WorkRates.of(accelerator)).tile_op_cycles
        starts = [0, *ends[:-1]]
        self.cores = [_Core(self, layer.ops[a:b], cycles[a:b], accelerator) for a, b in zip(starts, ends, strict=True)]
        self.bus_free = self.time = 0

    def run(self) -> int:
        while any(not core.done for core in self.cores):
            while any([core.act() for core in self.cores]):
                pass
            if all(core.done for core in self.cores):
                break
            for core in self.cores:
                core.grant_path()
            # Core by core, in the cycle in which the first data could pass.
            for core in self.cores:
                core.turn_at_the_bus()
            self.time += 1
            for core in self.cores:
                for mover in (core.load, core.store):
                    mover.left -= mover.phase == "lead"
        return self.time


class _Core:
    """Load DMA, worker and store DMA of one core, and its memories."""

    def __init__(self, machine: SteppedMachine, ops: np.ndarray, cycles: np.ndarray, accelerator: Accelerator) -> None:
        path = MemoryPath.of(accelerator)

        def parts(op, kinds):
            sizes = [(int(op[f"{kind}_bytes"]), int(op[f"{kind}_segments"])) for kind in kinds]
            moved = tuple(part for part in sizes if part[0])
            return transfer(moved, path) if moved else None

        self.machine = machine
        self.ops = [(int(op["hold"]), int(op["bias_bytes"]), int(op["store_bytes"])) for op in ops]
        self.cycles = cycles.tolist()
        self.load = _Mover(jobs=[parts(op, ("input", "weight", "bias")) for op in ops])
        self.store = _Mover(jobs=[parts(op, ("store",)) for op in ops])
        self.latency = path.latency_cycles
        self.last_byte = 0
        self.path: _Mover | None = None
        self.path_until: int | None = None
        self.free = {"input": 2, "weight": 2, "accumulator": 2}
        self.done_work = 0
        self.working: int | None = None
        self.busy_until = 0

    @property
    def done(self) -> bool:
        return self.store.index == len(self.ops)

    def act(self) -> bool:
        return self._move(self.load, 0) or self._work() or self._move(self.store, 1)

    def grant_path(self) -> None:
        """Give the path to whoever asked first, the load where both asked in one cycle."""
        time = self.machine.time
        if self.path is not None and self.path_until is not None and self.path_until <= time:
            self.path = None
        waiting = [m for m in (self.load, self.store) if m.phase == "ask"]
        if self.path is None and waiting:
            mover = self.path = min(waiting, key=lambda m: m.asked)
            mover.phase, mover.first, mover.done = "moving", time, None
            job = mover.jobs[mover.index]
            self.path_until = time + job.issued_cycles if job.issued_behind_cycles is None else None

    def turn_at_the_bus(self) -> None:
        """Let the bus take the data of a transfer whose first could pass in this cycle."""
        for mover in (self.load, self.store):
            if mover.phase == "moving" and mover.done is None and mover.first + self.latency == self.machine.time:
                job, machine = mover.jobs[mover.index], self.machine
                machine.bus_free = max(machine.bus_free, machine.time) + job.bus_cycles
                mover.done = max(job.end(mover.first, self.last_byte), machine.bus_free)
                if self.path is mover and self.path_until is None:
                    # As long before its last byte as it is where the bus has no gap.
                    ahead = job.behind_cycles - job.issued_behind_cycles
                    self.path_until = max(job.issued(mover.first, self.last_byte), machine.bus_free - ahead)
                self.last_byte = mover.done

    def _move(self, mover: _Mover, which: int) -> bool:
        if mover.index == len(self.ops):
            return False
        job = mover.jobs[mover.index]
        if mover.phase == "idle":
            if not (self._may_load(mover.index) if which == 0 else mover.index < self.done_work):
                return False
            mover.phase, mover.left = ("lead", job.setup_cycles) if job else ("end", 0)
        elif mover.phase == "lead" and mover.left == 0:
            mover.phase, mover.asked = "ask", self.machine.time
        elif mover.phase == "moving" and mover.done == self.machine.time:
            mover.phase = "end"
        elif mover.phase == "end":
            if which == 1:
                self._stored(mover.index)
            mover.phase, mover.index = "idle", mover.index + 1
        else:
            return False
        return True

    def _may_load(self, index: int) -> bool:
        hold, bias, _ = self.ops[index]
        wants = {
            "input": bool(hold & Hold.TAKE_INPUT),
            "weight": bool(hold & Hold.TAKE_WEIGHT),
            "accumulator": bias > 0,
        }
        if any(self.free[name] < want for name, want in wants.items()):
            return False
        for name, want in wants.items():
            self.free[name] -= want
        return True

    def _work(self) -> bool:
        if self.working is None:
            index = self.done_work
            if index == len(self.ops) or index >= self.load.index:
                return False
            hold, bias, _ = self.ops[index]
            if hold & Hold.TAKE_ACCUMULATOR and not bias:
                if not self.free["accumulator"]:
                    return False
                self.free["accumulator"] -= 1
            self.working, self.busy_until = index, self.machine.time + self.cycles[index]
            return True
        if self.machine.time < self.busy_until:
            return False
        hold = self.ops[self.working][0]
        self.free["input"] += bool(hold & Hold.GIVE_INPUT)
        self.free["weight"] += bool(hold & Hold.GIVE_WEIGHT)
        self.working, self.done_work = None, self.done_work + 1
        return True

    def _stored(self, index: int) -> None:
        hold, _, stored = self.ops[index]
        if hold & Hold.GIVE_INPUT_WHEN_STORED:
            self.free["input"] += 1
        elif stored:
            self.free["accumulator"] += 1
