"""SCALE-Sim's reports of a layer in CALC mode, without its cycle-by-cycle trace. Source: SCALE-Sim 3.0.0 as run.

CALC mode never stalls. Its DRAM reads follow from the sets in which it collects new addresses: 100 to a buffer, of
which 50 are active. They have a closed form while an operand's different words stay below 50 sets; beyond that, which
words are read again depends on the order of all addresses, and the stop cycle and the count are left out.
"""

from __future__ import annotations

from simulator.errors import SpecError
from simulator.mapping.array_cycles import output_stationary, weight_stationary
from simulator.records.scalesim import Access, ScaleSimRow
from simulator.timing.scalesim.drain import OfmapWrites, ofmap_drains
from simulator.timing.scalesim.work import Folds, ScaleSimConfig, ScaleSimDataflow, ScaleSimLayer

_HIT_LATENCY = 1
_SETS = 100
_ACTIVE_SETS = 50
_PREFETCH_WORDS_PER_CYCLE = 10


def report_layer(layer: ScaleSimLayer, config: ScaleSimConfig) -> ScaleSimRow:
    """Return what SCALE-Sim reports of a layer; SpecError where its ofmap buffer could make the array wait."""
    if config.ofmap_bytes <= 4 * config.cols:
        raise SpecError(
            f"OfmapSramSzkB = {config.ofmap_bytes // 1024}: an ofmap buffer must hold more than 4 words for each of "
            f"the {config.cols} columns, or it stalls the array; make it larger"
        )
    folds = Folds.of(layer, config)
    pes, total = config.rows * config.cols, folds.total_cycles
    spatial = folds.spatial_rows * folds.spatial_cols
    ifmap, filters = _first_requests(folds, config)
    # SCALE-Sim counts the skew of the columns twice in a fold, but not output stationary.
    skew = 0 if config.dataflow is ScaleSimDataflow.OS else config.cols - 1
    return ScaleSimRow(
        total_cycles=total,
        overall_utilization=layer.macs / (total * pes) if total else None,
        mapping_efficiency=spatial / (folds.count * pes),
        compute_utilization=spatial * folds.time / (folds.count * pes * (folds.fold_cycles + skew)),
        rtl_cycles=_rtl_cycles(layer, folds, config),
        sram=_sram(layer, folds, config, ifmap, filters),
        dram=(
            _prefetches(layer.touched_ifmap_words, config.ifmap_bytes, ifmap),
            _prefetches(layer.window * layer.filters, config.filter_bytes, filters),
            ofmap_drains(OfmapWrites.of(folds, config.dataflow), config.ofmap_bytes),
        ),
    )


def _rtl_cycles(layer: ScaleSimLayer, folds: Folds, config: ScaleSimConfig) -> int | None:
    """Cycles of the same folds on the array in `rtl/`, without stalls."""
    if config.dataflow is ScaleSimDataflow.WS:
        return int(weight_stationary(folds.count, layer.pixels, config))
    if config.dataflow is ScaleSimDataflow.OS:
        return int(output_stationary(folds.count, layer.window, 0, config))
    return None


def _first_requests(folds: Folds, config: ScaleSimConfig) -> tuple[int, int]:
    """Cycles of the first requests of ifmap and filter: the stationary one shifts in first, its last row ahead."""
    loading = folds.rows - len(folds.rows_of(0))
    if config.dataflow is ScaleSimDataflow.OS:
        return 0, 0
    return (folds.rows, loading) if config.dataflow is ScaleSimDataflow.WS else (loading, folds.rows)


def _sram(
    layer: ScaleSimLayer, folds: Folds, config: ScaleSimConfig, ifmap: int, filters: int
) -> tuple[Access, Access, Access]:
    m, n, k = layer.pixels, layer.filters, layer.window
    writes = OfmapWrites.of(folds, config.dataflow)
    last = folds.count - 1
    ofmap_words = writes.total
    filter_reads = k * n
    if config.dataflow is ScaleSimDataflow.WS:
        ifmap_reads, filter_stop = folds.col_folds * m * k, folds.rows - 1
    elif config.dataflow is ScaleSimDataflow.IS:
        ifmap_reads, filter_reads = m * k, folds.col_folds * k * n
        filter_stop = folds.rows + n - 1 + len(folds.rows_of(last)) - 1
    else:
        ifmap_reads, filter_reads = folds.col_folds * m * k, folds.row_folds * k * n
        filter_stop = k - 1 + len(folds.cols_of(last)) - 1
        # systolic_compute_os.py adds rows + cols of every fold to the count of words.
        ofmap_words += folds.count * (folds.rows + folds.cols)
    start, cols, length = writes.shape(last)
    return (
        Access(ifmap + _HIT_LATENCY, _ifmap_stop(layer, folds, config.dataflow) + _HIT_LATENCY, ifmap_reads),
        Access(filters + _HIT_LATENCY, last * folds.fold_cycles + filter_stop + _HIT_LATENCY, filter_reads),
        Access(writes.shape(0)[0], last * folds.fold_cycles + start + length + cols - 2, ofmap_words),
    )


def _ifmap_stop(layer: ScaleSimLayer, folds: Folds, dataflow: ScaleSimDataflow) -> int:
    """Cycle of the last ifmap request; those of overhanging windows are none, so a whole last fold may ask nothing."""
    for fold in range(folds.count - 1, -1, -1):
        within = _STOP_IN_FOLD[dataflow](layer, folds, fold)
        if within is not None:
            return fold * folds.fold_cycles + within
    raise AssertionError("the first window lies in the ifmap")


def _ws_stop(layer: ScaleSimLayer, folds: Folds, fold: int) -> int | None:
    """Pixel i of window element j enters its row in cycle rows + i + (j - first j)."""
    ks = folds.rows_of(fold)
    latest = [folds.rows + row + col + k - ks.start for k in ks for row, col in [_last_pixel(layer, k)]]
    return max(latest, default=None)


def _last_pixel(layer: ScaleSimLayer, k: int) -> tuple[int, int]:
    """Return (first pixel of the output row, output column) of the last pixel whose element `k` is inside."""
    kh, rest = divmod(k, layer.filter_width * layer.channels)
    oh = min(layer.ofmap_height - 1, (layer.ifmap_height - 1 - kh) // layer.stride)
    ow = min(layer.ofmap_width - 1, (layer.ifmap_width - 1 - rest // layer.channels) // layer.stride)
    return oh * layer.ofmap_width, ow


def _os_stop(layer: ScaleSimLayer, folds: Folds, fold: int) -> int | None:
    """Window element j of pixel i enters its row in cycle j + (i - first i)."""
    pixels = folds.rows_of(fold)
    return max(
        (k + pixel - pixels.start for pixel in pixels if (k := _last_element(layer, pixel)) is not None), default=None
    )


def _last_element(layer: ScaleSimLayer, pixel: int) -> int | None:
    """Return the last element of a pixel's window that is inside; None where none is."""
    oh, ow = divmod(pixel, layer.ofmap_width)
    kh = min(layer.filter_height, layer.ifmap_height - oh * layer.stride) - 1
    kw = min(layer.filter_width, layer.ifmap_width - ow * layer.stride) - 1
    return None if kh < 0 or kw < 0 else (kh * layer.filter_width + kw + 1) * layer.channels - 1


def _is_stop(layer: ScaleSimLayer, folds: Folds, fold: int) -> int | None:
    """Window element j shifts in in cycle rows - 1 - (j - first j), for all pixels of the fold at once."""
    ks, pixels = folds.rows_of(fold), folds.cols_of(fold)
    asked = (k for k in ks if any(layer.inside(pixel, k) for pixel in pixels))
    first = next(asked, None)
    return None if first is None else folds.rows - 1 - (first - ks.start)


_STOP_IN_FOLD = {ScaleSimDataflow.WS: _ws_stop, ScaleSimDataflow.OS: _os_stop, ScaleSimDataflow.IS: _is_stop}


def _prefetches(words: int, buffer_bytes: int, first_request: int) -> Access:
    """DRAM reads of an operand with `words` different elements (memory/read_buffer_estimate_bw.py)."""
    set_words = buffer_bytes // _SETS
    if words >= _ACTIVE_SETS * set_words:
        return Access(first_request - _prefetch_cycles(_ACTIVE_SETS * set_words), None, None)
    sets = -(-words // set_words)
    return Access(-_prefetch_cycles(sets * set_words), -1, words)


def _prefetch_cycles(words: int) -> int:
    return -(-words // _PREFETCH_WORDS_PER_CYCLE)
