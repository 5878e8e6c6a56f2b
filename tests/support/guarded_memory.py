"""Arrays between pages that may not be touched: an access past an end is a crash, and not a number from elsewhere.

NumPy lets its allocator be exchanged (NEP 49, `PyDataMem_SetHandler`). Within `guarded_arrays` every array that NumPy
allocates in the calling thread lies directly before (or behind) a page without access, holds no zeros that nobody
wrote, and is taken away when it is freed. What is written on the side that has no page is found when it is freed.
"""

from __future__ import annotations

import atexit
import ctypes
import mmap
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

END, FRONT = "end", "front"
_PAGE_BYTES = mmap.PAGESIZE
_NO_ACCESS, _ACCESS = 0, 1 | 2
_PRIVATE_ANONYMOUS = 0x2 | 0x20
_FAILED = ctypes.c_void_p(-1).value
_FILLING = 0xA5
_LINE_BYTES = 64
"""Looked after on the side without a page."""
_FREED = 256
"""Blocks that stay without access after they were freed."""
_SET_HANDLER, _GET_HANDLER = 304, 305
"""Places in NumPy's table of functions (numpy/__multiarray_api.h)."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

_Malloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_Calloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
_Realloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_Free = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _Handler(ctypes.Structure):
    """`PyDataMem_Handler`, version 1."""

    _fields_ = [
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", ctypes.c_void_p),
        ("malloc", _Malloc),
        ("calloc", _Calloc),
        ("realloc", _Realloc),
        ("free", _Free),
    ]


class GuardedMemory:
    """Where blocks lie, and which of them were written past the end that has no page.

    Parameters
    ----------
    side
        END: a page follows each block; FRONT: one precedes it, and it begins on a page.

    """

    def __init__(self, side: str) -> None:
        self.side = side
        self.overwritten: list[str] = []
        """What was found when blocks were freed."""
        self.blocks = 0
        """Allocated so far."""
        self._live: dict[int, tuple[int, int, int]] = {}
        callbacks = _Malloc(self._malloc), _Calloc(self._calloc), _Realloc(self._realloc), _Free(self._free)
        self._handler = _Handler(b"guarded", 1, None, *callbacks)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._handler))  # arrays may outlive everything here
        atexit.register(self._retire)
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        self.capsule = new(ctypes.addressof(self._handler), b"mem_handler", None)

    def _retire(self) -> None:
        """Leave what is not freed by the interpreter's end where it is: nothing of Python's can be called then."""
        self._handler.free = ctypes.cast(_libc.getpid, _Free)

    def _malloc(self, _: int, size: int) -> int:
        address = self._map(max(size, 1))
        ctypes.memset(address, _FILLING, max(size, 1))
        return address

    def _calloc(self, _: int, count: int, size: int) -> int:
        return self._map(max(count * size, 1))

    def _realloc(self, _: int, old: int, size: int) -> int:
        address = self._malloc(0, size)
        if old:
            ctypes.memmove(address, old, min(self._live[old][2], size))
            self._free(0, old, 0)
        return address

    def _map(self, size: int) -> int:
        inner = -(-(size + _LINE_BYTES) // _PAGE_BYTES) * _PAGE_BYTES
        total = inner + 2 * _PAGE_BYTES
        base = _libc.mmap(None, total, _NO_ACCESS, _PRIVATE_ANONYMOUS, -1, 0)
        if base == _FAILED or _libc.mprotect(base + _PAGE_BYTES, inner, _ACCESS):
            raise MemoryError(f"no {total} bytes between pages without access")
        address = base + _PAGE_BYTES + (inner - size if self.side == END else 0)
        ctypes.memset(self._line(address, size), _FILLING, _LINE_BYTES)
        self._live[address] = base, total, size
        self.blocks += 1
        return address

    def _line(self, address: int, size: int) -> int:
        return address - _LINE_BYTES if self.side == END else address + size

    def _free(self, _: int, address: int, __: int) -> None:
        if not address:
            return
        base, total, size = self._live.pop(address)
        line = self._line(address, size)
        if ctypes.string_at(line, _LINE_BYTES) != bytes([_FILLING]) * _LINE_BYTES:
            self.overwritten.append(f"memory {'before' if self.side == END else 'behind'} a block of {size} bytes")
        _libc.mprotect(base + _PAGE_BYTES, total - 2 * _PAGE_BYTES, _NO_ACCESS)
        _freed.append((base, total))
        if len(_freed) > _FREED:
            _libc.munmap(*_freed.popleft())


_freed: deque[tuple[int, int]] = deque()
_kept: list[GuardedMemory] = []
"""An array may outlive the block, and is freed by what allocated it."""


@contextmanager
def guarded_arrays(side: str = END) -> Iterator[GuardedMemory]:
    """Have every array that NumPy allocates meanwhile lie directly before (FRONT: behind) a page without access."""
    memory = GuardedMemory(side)
    _kept.append(memory)
    before = _set_handler(memory.capsule)
    try:
        yield memory
    finally:
        _set_handler(before)


def _set_handler(capsule: object) -> object:
    from numpy._core import _multiarray_umath

    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(pointer(_multiarray_umath._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
    address = table[_SET_HANDLER]
    assert address
    found: object = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(address)(capsule)
    return found


def handler_name(array: np.ndarray) -> str:
    """Return the name of what allocated an array."""
    from numpy._core.multiarray import get_handler_name

    return str(get_handler_name(array))
