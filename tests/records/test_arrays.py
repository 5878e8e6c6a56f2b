"""Arrays from files that are damaged: one clear error each, never what a parser below happens to raise."""

import zipfile

import numpy as np
import pytest

import bittrue
from bittrue.inputs import read_input_arrays
from simulator.errors import BittrueError, InputError, NetworkError, RunFolderError
from simulator.records.arrays import read_arrays
from simulator.records.store import read_run


def _npy_header(shape: str) -> bytes:
    text = f"{{'descr': '|i1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def _deflated(path, damage):
    """Write a compressed .npz and overwrite bytes of its deflate stream, which zlib then refuses."""
    np.savez_compressed(path, x=np.arange(1000) * 7919)
    data = bytearray(path.read_bytes())
    start = 30 + int.from_bytes(data[26:28], "little") + int.from_bytes(data[28:30], "little")
    data[start : start + 8] = damage
    path.write_bytes(data)


def _damaged_files(folder):
    _deflated(folder / "deflate.npz", b"\xff" * 8)
    for name, shape in (("huge", "(1000000000000,)"), ("overflow", f"({10**20},)"), ("negative", "(-1,)")):
        (folder / f"{name}.npy").write_bytes(_npy_header(shape))
        with zipfile.ZipFile(folder / f"{name}.npz", "w") as archive:
            archive.writestr("x.npy", _npy_header(shape))
    (folder / "header.npy").write_bytes(_npy_header("(1,").replace(b"}", b"("))
    (folder / "empty.npz").write_bytes(b"")
    np.savez(folder / "version.npz", x=np.zeros(3))
    data = bytearray((folder / "version.npz").read_bytes())
    data[data.rindex(b"PK\x01\x02") + 6] = 255  # "version needed to extract": zipfile raises NotImplementedError
    (folder / "version.npz").write_bytes(data)
    return sorted(folder.iterdir())


def test_every_damage_is_one_error(tmp_path):
    files = _damaged_files(tmp_path)
    assert len(files) == 10
    for path in files:
        with pytest.raises(ValueError, match=r".: "):
            read_arrays(path)
        with pytest.raises(InputError, match="not a readable"):
            read_input_arrays(path)
        with pytest.raises(NetworkError, match="weights"):
            bittrue.load_network("unet", size=32, width=0.05, weights=path)


def test_a_damaged_output_does_not_break_the_report_command(tmp_path):
    net = bittrue.networks.gemm(2, 8, 3).with_weights(np.ones((8, 3), np.int8))
    acc = bittrue.load_accelerator("edge_32x32")
    folder = bittrue.simulate(net, acc, [np.ones((2, 8), np.int8)]).save(tmp_path / "run")
    assert list(read_run(folder).outputs) == ["output"]
    _deflated(folder / "outputs.npz", b"\xff" * 8)
    with pytest.raises(RunFolderError, match=r"outputs\.npz: damaged"):
        read_run(folder)


def test_sound_files_are_read(tmp_path):
    x = np.arange(6, dtype=np.int8).reshape(2, 3)
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "a.npz", x=x, y=x.T)
    (one,) = read_arrays(tmp_path / "a.npy").values()
    two = read_arrays(tmp_path / "a.npz")
    np.testing.assert_array_equal(one, x)
    assert list(two) == ["x", "y"]
    np.testing.assert_array_equal(two["y"], x.T)
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "missing.npy")
    with pytest.raises(BittrueError, match="no such file"):
        bittrue.load_network("unet", size=32, weights=tmp_path / "missing.npz")
