"""The store of a sweep: one SQLite file in the sweep's folder. What is in it stays, whatever happens to the process."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bittrue.sweeping.evaluate import Outcome
from bittrue.sweeping.layer_times import unpack
from bittrue.sweeping.points import DesignPoint
from reports.layer_shares import LayerShare
from simulator.errors import BittrueError, InputError

FILE = "sweep.sqlite"
VERSION = 1
MOST_ATTEMPTS = 2
"""A point that fails is tried once more, then quarantined."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sweep (version INTEGER NOT NULL, space TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS points (
    key TEXT PRIMARY KEY, position INTEGER NOT NULL, network TEXT NOT NULL, keywords TEXT NOT NULL,
    changes TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, figures TEXT, error TEXT
) WITHOUT ROWID;
-- With rows by number: in a table ordered by key a row of 1 KB would take a page of its own.
CREATE TABLE IF NOT EXISTS layer_times (key TEXT PRIMARY KEY, packed BLOB NOT NULL);
"""


class StoreError(BittrueError):
    """A sweep's folder that cannot be read or written, or belongs to another sweep."""


@dataclass(frozen=True)
class StoredPoint:
    """A point and what is known of it."""

    key: str
    network: str
    keywords: dict[str, Any]
    changes: dict[str, Any]
    attempts: int
    """Evaluations begun and ended; 0 = not yet tried."""
    figures: dict[str, float] | None
    """None = not evaluated."""
    error: str
    """Of the last attempt; empty where there was none or it went well."""

    @property
    def short_key(self) -> str:
        """What tables call it: the first twelve digits of its key."""
        return self.key[:12]

    @property
    def quarantined(self) -> bool:
        """Whether it failed as often as it may."""
        return self.figures is None and self.attempts >= MOST_ATTEMPTS


class SweepStore:
    """Points and results on disk. Outcomes that came together are a transaction (write-ahead log)."""

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / FILE
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            # A kill loses nothing; a power cut the last results, which are then evaluated again.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{self.path}: cannot be opened ({error}); is it the folder of a sweep?") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def begin(self, space: str, points: Iterable[DesignPoint]) -> None:
        """Take in the points of a space; those that are known keep what is known of them.

        Raises
        ------
        StoreError
            The folder holds another space, or another version of the store.

        """
        row = self._one("SELECT version, space FROM sweep")
        if row is not None and (row[0], row[1]) != (VERSION, space):
            reason = "another space" if row[0] == VERSION else f"version {row[0]} of the store, this is {VERSION}"
            raise StoreError(f"{self.path}: holds {reason}; give another folder, or remove this one")
        with self._transaction() as db:
            if row is None:
                db.execute("INSERT INTO sweep VALUES (?, ?)", (VERSION, space))
            db.execute("DELETE FROM points WHERE figures IS NULL AND attempts = 0")
        self.add(points)

    def add(self, points: Iterable[DesignPoint], first: int = 0) -> None:
        """Take in points, the first of which has position `first` in the space."""
        rows = [
            (p.key, position, p.network, json.dumps(p.keywords), json.dumps(p.changes))
            for position, p in enumerate(points, first)
        ]
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO points (key, position, network, keywords, changes) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET position = excluded.position",
                rows,
            )

    def record(self, outcomes: Sequence[Outcome], *, lost_counts: bool) -> None:
        """Keep outcomes, all or none; `lost_counts` = as an attempt. A point that has a result keeps it."""
        rows = [
            (
                None if outcome.error else json.dumps(outcome.figures),
                outcome.error or None,
                int(lost_counts or not outcome.lost),
                outcome.key,
            )
            for outcome in outcomes
        ]
        times = [(outcome.key, outcome.layers) for outcome in outcomes if outcome.layers]
        with self._transaction() as db:
            db.executemany(
                "UPDATE points SET figures = ?, error = ?, attempts = attempts + ? WHERE key = ? AND figures IS NULL",
                rows,
            )
            db.executemany("INSERT OR IGNORE INTO layer_times VALUES (?, ?)", times)

    def point(self, start: str) -> StoredPoint:
        """Return the point whose key begins with `start`; InputError where there is none, or more than one."""
        found = [point for point in self.points() if point.key.startswith(start)] if start else []
        if len(found) != 1:
            reason = f"{len(found)} points begin so" if found else "no point of the sweep begins so"
            raise InputError(f"point {start!r}: {reason}; keys stand in the column `point` of points.csv")
        return found[0]

    def points(self) -> list[StoredPoint]:
        """Return all points in the order of the space."""
        query = "SELECT key, network, keywords, changes, attempts, figures, error FROM points ORDER BY position, key"
        try:
            with closing(self._db.execute(query)) as rows:
                return [
                    StoredPoint(k, n, json.loads(w), json.loads(c), a, json.loads(f) if f else None, e or "")
                    for k, n, w, c, a, f, e in rows
                ]
        except (sqlite3.Error, ValueError) as error:
            raise StoreError(f"{self.path}: cannot be read ({error})") from None

    def layer_shares(self, key: str) -> tuple[LayerShare, ...]:
        """Return the layers of a point in the order of its schedule; none where it was not evaluated, or long ago."""
        row = self._one("SELECT packed FROM layer_times WHERE key = ?", key)
        try:
            return () if row is None else unpack(row[0])
        except ValueError as error:
            raise StoreError(f"{self.path}: point {key} cannot be read ({error})") from None

    def _one(self, query: str, *values: str) -> tuple[Any, ...] | None:
        try:
            with closing(self._db.execute(query, values)) as rows:
                found: tuple[Any, ...] | None = rows.fetchone()
                return found
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be read ({error})") from None

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db, self.path)


class _Transaction:
    """All or nothing; a full disk is told as such."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db, self._path = db, path

    def __enter__(self) -> sqlite3.Connection:
        self._run("BEGIN IMMEDIATE")
        return self._db

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._run("COMMIT")
            return
        if self._db.in_transaction:
            self._db.rollback()
        if isinstance(error, sqlite3.Error):
            raise self._told(error) from None

    def _run(self, statement: str) -> None:
        try:
            self._db.execute(statement)
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.rollback()
            raise self._told(error) from None

    def _told(self, error: sqlite3.Error) -> StoreError:
        return StoreError(f"{self._path}: cannot be written ({error}); what was finished is kept: repeat the command")
