"""Fit the SRAM law of the energy tables to rows of CACTI, and print it as YAML with its error on every row.

    python -m benchmarks.fit_sram cacti_sram.csv

The rows have the columns tech_nm, KB, width_bits, banks, read_pJ, write_pJ, area_mm2, leak_mW. The law
(`simulator.accelerator.technology.SramLaw`) is linear in its logarithm; it is fitted so that the worst row is as good
as it can be (minimax, by Lawson's weighted least squares), and exponents that come out below 0, where wider or more
banked memories would cost less, are held at 0.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.memories import Memory
from simulator.accelerator.technology import PowerLaw, SramLaw

KNEE_KIB = 64
COLUMNS = {"read_pj": "read_pJ", "write_pj": "write_pJ", "area_mm2": "area_mm2", "leakage_mw": "leak_mW"}
_ITERATIONS = 4000
_FREE = 3  # base and the two capacity exponents may have any sign; the rest may not fall below 0


def read_rows(path: Path) -> dict[int, list[dict[str, str]]]:
    """Rows of the file by technology node, nm."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {node: [row for row in rows if int(row["tech_nm"]) == node] for node in {int(r["tech_nm"]) for r in rows}}


def memory(row: dict[str, str]) -> Memory:
    """Return the memory that a row describes."""
    return Memory(size=round(float(row["KB"]) * 1024), width_bits=int(row["width_bits"]), banks=int(row["banks"]))


def fit(rows: Sequence[dict[str, str]], source: str) -> SramLaw:
    """Fit all four quantities to rows of one node."""
    memories = [memory(row) for row in rows]
    laws = {name: _fit(memories, np.array([float(row[column]) for row in rows])) for name, column in COLUMNS.items()}
    return SramLaw(source=source, knee_kib=KNEE_KIB, **laws)


def errors(law: SramLaw, rows: Sequence[dict[str, str]]) -> dict[str, list[float]]:
    """Relative error of the law on each row, by quantity."""
    return {
        name: [law.at(name, memory(row)) / float(row[column]) - 1 for row in rows] for name, column in COLUMNS.items()
    }


def _fit(memories: Sequence[Memory], values: NDArray[np.float64]) -> PowerLaw:
    terms = np.array([_terms(m) for m in memories])
    kept = list(range(terms.shape[1]))
    while True:
        found = _minimax(terms[:, kept], np.log(values))
        negative = [term for term, c in zip(kept, found, strict=True) if term >= _FREE and c < 0]
        if not negative:
            break
        kept.remove(min(negative, key=lambda term: found[kept.index(term)]))
    coefficients = np.zeros(terms.shape[1])
    coefficients[kept] = found
    base = float(f"{np.exp(coefficients[0]):.4g}")
    names = ("below_exponent", "above_exponent", "width_exponent", "width_exponent_above", "bank_exponent")
    return PowerLaw(base=base, **dict(zip(names, coefficients[1:].round(4).tolist(), strict=True)))


def _terms(m: Memory) -> list[float]:
    capacity, width = np.log(m.size / 1024 / KNEE_KIB), np.log(m.width_bits / 64)
    below, above = min(capacity, 0.0), max(capacity, 0.0)
    return [1.0, below, above, width, above * width, float(np.log(m.banks))]


def _minimax(a: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients that make the largest |a @ c - y| as small as possible (Lawson 1961)."""
    weights = np.full(len(y), 1 / len(y))
    best, best_error = np.zeros(a.shape[1]), np.inf
    for _ in range(_ITERATIONS):
        root = np.sqrt(weights)
        c = np.linalg.lstsq(a * root[:, None], y * root, rcond=None)[0]
        residual = np.abs(a @ c - y)
        if residual.max() < best_error:
            best, best_error = c, residual.max()
        weights = weights * residual
        weights /= weights.sum()
    return best


def main(path: Path) -> None:
    """Print law and errors for each node of the file."""
    for node, rows in sorted(read_rows(path).items()):
        law = fit(rows, f"CACTI, {node} nm")
        print(f"# {node} nm")
        for name in COLUMNS:
            fields = getattr(law, name).model_dump()
            print(f"  {name}: {{{', '.join(f'{key}: {value:g}' for key, value in fields.items())}}}")
        found = errors(law, rows)
        for name, values in found.items():
            print(f"# {name}: worst {100 * max(map(abs, values)):.1f} %")
        for i, row in enumerate(rows):
            shown = "  ".join(f"{name} {100 * values[i]:+6.1f} %" for name, values in found.items())
            print(f"# {row['KB']:>5} KiB {row['width_bits']:>4} bit {row['banks']:>3} banks  {shown}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
