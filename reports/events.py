"""Events of registers in words, and where they were not counted (ledger="affected")."""

from __future__ import annotations

from simulator.records.overflow import OverflowRecord


def count_text(events: int | None) -> str:
    """Return a count of events."""
    return "uncounted" if events is None else f"{events:,}"


def severity(ledger: OverflowRecord) -> int:
    """Return what layers that overflowed are ordered by: their events, else their affected outputs."""
    return ledger.affected_outputs if ledger.events is None else ledger.events


def severity_text(ledger: OverflowRecord) -> str:
    """Return that with its name."""
    return f"{severity(ledger):,} {'outputs' if ledger.events is None else 'events'}"
