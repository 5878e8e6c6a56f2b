"""Files of an explained speed-up: factors and layers as CSV, both as JSON, and the waterfall."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reports.figures_scaling import png, waterfall
from reports.scaling import DEFINITIONS, Scaling


def factor_rows(found: Scaling) -> list[dict[str, Any]]:
    """Return a row a factor; `exact` is the factor as a fraction of whole numbers."""
    return [
        {
            "factor": f.name,
            "times": float(f.factor),
            "speedup": float(f.speedup),
            "seconds_a": f.times_s[0],
            "seconds_b": f.times_s[1],
            "exact": str(f.factor),
            "means": DEFINITIONS[f.name],
        }
        for f in found.factors
    ]


def layer_rows(found: Scaling) -> list[dict[str, Any]]:
    """Return a row a layer, the one that loses most first."""
    return [
        {
            "layer": layer.name,
            "seconds_a": layer.times_s[0],
            "seconds_b": layer.times_s[1],
            "speedup": layer.speedup,
            "lost_s": layer.lost_s,
            "cause": layer.cause,
        }
        for layer in found.layers
    ]


def write_scaling(folder: Path, found: Scaling) -> list[Path]:
    """Write scaling.json, scaling_factors.csv, scaling_layers.csv and scaling.png; return the files.

    Raises
    ------
    OSError
        A file cannot be written.

    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = {
        "network": found.network,
        "accelerators": found.names,
        "times_s": found.times_s,
        "ideal": str(found.ideal),
        "speedup": float(found.speedup),
        "factors": factor_rows(found),
        "layers": layer_rows(found),
    }
    texts = {
        "scaling.json": json.dumps(whole, indent=1) + "\n",
        "scaling_factors.csv": _csv(factor_rows(found)),
        "scaling_layers.csv": _csv(layer_rows(found)),
    }
    written = [_write(folder / name, text.encode()) for name, text in texts.items()]
    return [*written, _write(folder / "scaling.png", png(waterfall(found)))]


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_bytes(content)
        return draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
