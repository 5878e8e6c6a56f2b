"""Checkpoints: whole or not at all, the same bytes for the same state, damaged ones refused."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from workloads.training import checkpoint
from workloads.training.checkpoint import Checkpoint, CheckpointError, newest, read_checkpoint, write_checkpoint


def _checkpoint(step):
    state = {
        "conv.weight": np.arange(24, dtype=np.int32).reshape(2, 3, 4) * step,
        "bn.running_mean": np.zeros(3, np.int32),
    }
    return Checkpoint(step, {"network": "unet", "size": [12, 16]}, state)


def test_what_is_written_is_read(tmp_path):
    path = write_checkpoint(tmp_path, _checkpoint(45))
    found = read_checkpoint(path)
    assert (found.step, dict(found.about)) == (45, {"network": "unet", "size": [12, 16]})
    for name, value in _checkpoint(45).state.items():
        np.testing.assert_array_equal(found.state[name], value)
        assert found.state[name].dtype == value.dtype
    with np.load(path, allow_pickle=False) as arrays:  # anybody reads it
        assert set(arrays.files) == {"about", *found.state}


def test_the_same_state_gives_the_same_bytes_and_only_two_are_kept(tmp_path):
    first = write_checkpoint(tmp_path, _checkpoint(1)).read_bytes()
    (tmp_path / "other").mkdir()
    assert write_checkpoint(tmp_path / "other", _checkpoint(1)).read_bytes() == first
    for step in (2, 3):
        write_checkpoint(tmp_path, _checkpoint(step))
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == [
        "checkpoint-00000002.npz",
        "checkpoint-00000003.npz",
    ]
    assert newest(tmp_path) == tmp_path / "checkpoint-00000003.npz"


def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_named(tmp_path):
    write_checkpoint(tmp_path, _checkpoint(2))
    path = write_checkpoint(tmp_path, _checkpoint(3))
    whole = path.read_bytes()
    middle = len(whole) // 3
    for damaged in (whole[: len(whole) // 2], b"", whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]):
        path.write_bytes(damaged)
        with pytest.raises(
            CheckpointError, match=r"checkpoint-00000003\.npz: the checkpoint is damaged.*00000002\.npz"
        ):
            read_checkpoint(path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "checkpoint-00000009.npz")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_write_that_fails_leaves_the_last_checkpoint_and_no_part_of_another(tmp_path, monkeypatch, code):
    path = write_checkpoint(tmp_path, _checkpoint(2))
    before = path.read_bytes()

    def fails(staged, arrays):
        staged.write_bytes(b"half")
        raise OSError(code, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_arrays", fails)
    with pytest.raises(CheckpointError, match=r"No space left on device; checkpoint-00000002[.]npz is kept"):
        write_checkpoint(tmp_path, _checkpoint(3))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before
