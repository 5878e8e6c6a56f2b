"""Run: what `simulate` gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.records.channel_ledger import ChannelLedger
from simulator.records.layer import LayerRecord
from simulator.records.run import RunRecord
from workloads.images import input_preview
from workloads.network import Network

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class Run:
    """Results of one run: the record, and the arrays that belong to it."""

    record: RunRecord
    """Everything found out, as plain data."""
    outputs: dict[str, NDArray[Any]]
    """The network's outputs by name, in the file's order, dtype and layout; empty for timing only."""
    tensors: dict[str, NDArray[Any]]
    """Every input and intermediate by the network's own names, with keep_tensors; else empty."""
    network: Network
    """The network that ran."""
    inputs: Mapping[str, NDArray[Any]] | None
    """The inputs it ran on; None for timing only."""
    channels: tuple[ChannelLedger | None, ...] = ()
    """The ledger of each layer's output channels with ledger="channels", None for layers off the array; else empty."""
    sweep_outputs: Mapping[int, Mapping[str, NDArray[Any]]] = field(default_factory=dict)
    """Width of the accumulator sweep -> the network's outputs with registers of that width; empty without a sweep."""

    @property
    def layers(self) -> tuple[LayerRecord, ...]:
        """One record per scheduled layer, in order."""
        return self.record.layers

    def _repr_html_(self) -> str:
        """Show a notebook the totals, and the layers on a click: the cells of `bittrue run`."""
        from reports.tables import layer_rows, summary_rows
        from simulator.notebook import facts_table, folded_table

        notes = [("note", note) for note in self.record.notes]
        title = f"{self.record.network} on {self.record.accelerator}"
        layers = folded_table(f"{len(self.layers)} layers", layer_rows(self.record), text_columns=4)
        return facts_table(title, [*summary_rows(self.record)[2:], *notes]) + layers

    def dequantized(self) -> dict[str, NDArray[Any]]:
        """Return outputs as real numbers: float32 scale * (q - zero_point); floats and plain integers unchanged."""
        return {name: self._dequantize(name, value) for name, value in self.outputs.items()}

    def _dequantize(self, name: str, value: NDArray[Any]) -> NDArray[Any]:
        tensor = self.network.graph.tensors[name]
        if tensor.quant is None or value.dtype.kind == "f":
            return value
        return (np.float32(tensor.scale) * (value.astype(np.int64) - tensor.zero_point)).astype(np.float32)

    def to_pandas(self) -> pandas.DataFrame:
        """Layer records as a data frame, one row a layer, columns as in layers.csv (needs the extra `data`)."""
        import pandas as pd

        from simulator.records.store import layer_columns

        return pd.DataFrame([layer_columns(layer) for layer in self.layers])

    def save(self, directory: str | Path) -> Path:
        """Write the run folder (run.json, layers.csv, outputs.npz, trace.json.gz, report.html ...) and return its path.

        Raises
        ------
        BittrueError
            The folder exists and is not a run folder, or cannot be written.

        """
        from reports.folder import save_run  # loads matplotlib, which a run that is not saved does without

        preview = None if self.inputs is None else input_preview(self.network, self.inputs)
        return save_run(Path(directory), self.record, self.outputs, self.tensors or None, preview, self.channels)
