"""The per-layer table and the totals as text cells, the same for the terminal, HTML and Markdown."""

from __future__ import annotations

from collections import Counter

from reports.events import count_text
from reports.summary import bottleneck, widest_layer
from reports.units import binary_bytes, percent, shape_text, short_name, si, three_digits
from simulator.records.layer import LayerRecord
from simulator.records.run import RunRecord

FIELDS = {
    "layer": "name",
    "op": "op",
    "engine": "engine",
    "output": "output_shape",
    "MMACs": "macs",
    "kcycles": "total_cycles",
    "util. %": "utilization",
    "bound": "bound",
    "DRAM KiB": "dram_bytes",
    "energy uJ": "energy_pj",
    "alive KiB": "live_bytes",
    "bits needed": "needed_bits",
    "zero %": "zero_share",
    "toggled %": "toggle_share",
    "overflows": "events",
    "outputs hit": "affected_outputs",
    "clipped": "saturations",
}
"""Column header -> the record field it shows, whose definition `bittrue explain` prints."""

_TIME = ("kcycles", "util. %", "bound", "DRAM KiB", "energy uJ")
_ACTIVITY = ("zero %", "toggled %")
_VALUES = ("bits needed", "overflows", "outputs hit", "clipped")


def headers(record: RunRecord) -> tuple[str, ...]:
    """Return the columns that this run has: no time columns without time, no overflow columns without values."""
    absent = {"timing": _VALUES, "values": _TIME}.get(record.mode, ())
    if not any(layer.activity for layer in record.layers):
        absent += _ACTIVITY
    if not any(layer.live_bytes for layer in record.layers):
        absent += ("alive KiB",)
    return tuple(header for header in FIELDS if header not in absent)


def layer_rows(record: RunRecord) -> list[dict[str, str]]:
    """Return one row per layer, {header: cell}; units stand in the headers, a star at the peak of what is alive."""
    shown, peak = headers(record), peak_live_bytes(record)
    return [
        {header: cell for header, cell in cells_of(layer, peak).items() if header in shown} for layer in record.layers
    ]


def peak_live_bytes(record: RunRecord) -> int:
    """Return the most bytes alive at a layer; 0 where that is not known."""
    return max((layer.live_bytes for layer in record.layers), default=0)


def cells_of(layer: LayerRecord, peak: int = 0) -> dict[str, str]:
    """Return every cell of a layer's row, or of several that are summed up as one (`reports.sums`).

    A layer at which `peak` bytes are alive has a star.
    """
    star = " *" if layer.live_bytes == peak else ""
    on_array = "array" in layer.engine
    cells = {
        "layer": layer.name,
        "op": layer.op,
        "engine": layer.engine,
        "output": shape_text(layer.output_shape),
        "MMACs": f"{layer.macs / 1e6:,.1f}" if on_array else "-",
        "kcycles": f"{layer.total_cycles / 1e3:,.1f}",
        "util. %": f"{100 * layer.utilization:.1f}" if on_array else "-",
        "bound": layer.bound,
        "DRAM KiB": f"{layer.dram_bytes / 1024:,.0f}",
        "energy uJ": f"{layer.energy_pj / 1e6:,.2f}",
        "alive KiB": f"{layer.live_bytes / 1024:,.1f}{star}" if layer.live_bytes else "-",
        "zero %": f"{100 * layer.activity.zero_share:.1f}" if layer.activity else "-",
        "toggled %": f"{100 * layer.activity.toggle_share:.1f}" if layer.activity else "-",
    }
    overflow = layer.overflow
    if overflow is None or overflow.needed_bits is None:
        return cells | dict.fromkeys(_VALUES, "-")
    bound = "" if overflow.needed_bits_is_exact else "<="
    return cells | {
        "bits needed": f"{bound}{overflow.needed_bits}",
        "overflows": count_text(overflow.events),
        "outputs hit": f"{overflow.affected_outputs:,}",
        "clipped": f"{overflow.saturations:,}",
    }


def summary_rows(record: RunRecord) -> list[tuple[str, str]]:
    """Return the totals as (name, text) pairs, the bottleneck last."""
    rows = [
        ("network", record.network),
        ("accelerator", record.accelerator),
        *([("cores", str(record.cores))] if record.cores > 1 else []),
        ("MACs", si(record.total_macs, "MAC")),
        ("parameters", si(record.parameters, "").strip()),
        ("peak memory", binary_bytes(record.peak_memory_bytes)),
        *_alive_row(record),
    ]
    if record.mode != "values":
        rows += _time_rows(record)
    if record.mode != "timing":
        rows.append(("overflow", _overflow_text(record)))
        rows += _ledger_row(record)
        rows += _activity_rows(record)
    if record.mode != "values":
        rows.append(("bottleneck", bottleneck(record)))
    return rows


def _alive_row(record: RunRecord) -> list[tuple[str, str]]:
    """Where most tensors are alive; no row where that is not known."""
    peak = peak_live_bytes(record)
    at = [layer.name for layer in record.layers if layer.live_bytes == peak]
    return [("tensors alive", f"at most {binary_bytes(peak)}, at {short_name(at[0])}")] if peak else []


def _time_rows(record: RunRecord) -> list[tuple[str, str]]:
    return [
        ("cycles", f"{record.total_cycles:,} at {record.clock_mhz:g} MHz"),
        ("time", si(record.total_time_s, "s")),
        ("frames/s", three_digits(record.frames_per_s)),
        ("utilization", percent(record.utilization)),
        (
            "DRAM traffic",
            f"{binary_bytes(record.dram_read_bytes)} read, {binary_bytes(record.dram_write_bytes)} written",
        ),
        ("energy", si(record.total_energy_pj * 1e-12, "J")),
        ("average power", si(record.average_power_w, "W")),
        ("efficiency", f"{three_digits(record.tops_per_w)} TOPS/W"),
        *([("area", f"{three_digits(record.total_area_mm2)} mm2")] if record.area_mm2 else []),
    ]


def _ledger_row(record: RunRecord) -> list[tuple[str, str]]:
    """How the ledgers of the layers on the array were found out; no row where there are none."""
    methods = Counter(layer.overflow.method for layer in record.layers if layer.overflow and layer.overflow.method)
    if not methods:
        return []
    return [("ledger", ", ".join(f"{count} layers by {method}" for method, count in methods.most_common()))]


def _activity_rows(record: RunRecord) -> list[tuple[str, str]]:
    """Return what the values do to the array, and its energy by that beside the flat one; nothing if not counted."""
    counted = [(layer, layer.activity) for layer in record.layers if layer.activity]
    if not counted:
        return []
    products, zeros = sum(a.products for _, a in counted), sum(a.zero_products for _, a in counted)
    toggled, written = sum(a.toggled_bits for _, a in counted), sum(a.written_bits for _, a in counted)
    rows = [
        (
            "activity",
            f"{percent(zeros / products)} of products have a zero operand, "
            f"{percent(toggled / written)} of register bits written toggle",
        )
    ]
    by_data = [a.array_pj for _, a in counted if a.array_pj is not None]
    if record.mode == "both" and len(by_data) == len(counted):
        flat = sum(layer.energy.mac_pj + layer.energy.idle_pe_pj for layer, _ in counted)
        rows.append(("array energy", f"{si(flat * 1e-12, 'J')} flat, {si(sum(by_data) * 1e-12, 'J')} by the values"))
    return rows


def _overflow_text(record: RunRecord) -> str:
    hit = [layer for layer in record.layers if layer.overflow and layer.overflow.affected_outputs]
    widest = widest_layer(record)
    if widest is None or widest.overflow is None:
        return "no layer accumulates"
    at_most = "" if widest.overflow.needed_bits_is_exact else "at most "
    need = f"{short_name(widest.name)} needs the most: {at_most}{widest.overflow.needed_bits} bits"
    if not hit:
        return f"none; {need}"
    outputs = sum(layer.overflow.affected_outputs for layer in hit if layer.overflow)
    return f"{count_text(record.overflow_events)} events hit {outputs:,} outputs in {len(hit)} layers; {need}"
