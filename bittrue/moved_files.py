"""Find a file that was moved or renamed, by the SHA-256 of its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SearchPlan:
    """Where to look for files that are not where they were."""

    near: tuple[Path, ...] = ()
    """Folders whose own files are looked at."""
    below: tuple[Path, ...] = ()
    """Folders that are looked at with all folders in them."""

    def find(self, path: Path, sha256: str) -> Path | None:
        """Return a file with the suffix of `path` and these bytes; one of the same name is preferred."""
        candidates = dict.fromkeys(self._candidates(path.suffix.lower()))
        for candidate in sorted(candidates, key=lambda found: found.name != path.name):
            try:
                if digest(candidate) == sha256:
                    return candidate.resolve()
            except OSError:  # one that may not be read is not the one
                continue
        return None

    def __str__(self) -> str:
        return ", ".join(map(str, dict.fromkeys((*self.near, *self.below))))

    def _candidates(self, suffix: str) -> Iterator[Path]:
        for folder in self.near:
            yield from _files(folder.glob("*"), suffix)
        for folder in self.below:
            yield from _files(folder.rglob("*"), suffix)


def _files(paths: Iterable[Path], suffix: str) -> Sequence[Path]:
    return sorted(path for path in paths if path.suffix.lower() == suffix and path.is_file())


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes; OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
