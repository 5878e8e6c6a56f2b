"""Arrays out of .npy and .npz files that anybody may have written, or cut short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a .npz by name, or the one of a .npy under the name ``''``.

    Raises
    ------
    OSError
        The file cannot be opened.
    ValueError
        It is damaged, holds Python objects, or arrays that do not fit into memory.

    """
    with path.open("rb") as file:
        try:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": loaded}
            return {name: loaded[name] for name in loaded.files}
        # NumPy hands on whatever its zip, zlib, lzma and header parsers raise: zlib.error, struct.error, TokenError,
        # SyntaxError, NotImplementedError, OverflowError, MemoryError ... are all the same news: this file is no good.
        except Exception as error:
            raise ValueError(f"{type(error).__name__}: {error}") from None
