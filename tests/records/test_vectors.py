"""Vectors: words against a twin on Python integers, what is refused, and folders that appear whole."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError, RunFolderError
from simulator.numerics.formats import IntFormat
from simulator.records.vectors import words
from simulator.records.vectors.files import Vector, VectorFormat, read_vectors, write_vectors
from simulator.records.vectors.words import WordLayout, decode_words, encode_words
from support.memh_twin import word_lines

X = np.arange(-6, 6, dtype=np.int8).reshape(3, 4)


@st.composite
def tensors(draw):
    format = IntFormat(draw(st.integers(1, 64)), draw(st.booleans()))
    values = draw(st.lists(st.integers(format.min, format.max), max_size=40))
    lanes = draw(st.integers(1, 9))
    spare = draw(st.integers(0, 9))
    layout = WordLayout(format.bits, lanes, lanes * format.bits + spare, draw(st.sampled_from(["little", "big"])))
    return np.array(values, format.dtype), layout


@given(tensors(), st.integers(1, 16))
@settings(max_examples=150, deadline=None)
def test_words_are_those_of_the_twin_and_come_back(tensor, chunk):
    values, layout = tensor
    wanted = word_lines(values.tolist(), layout.bits, layout.lanes, layout.word_bits, layout.byte_order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "_CHUNK_ELEMENTS", chunk)
        assert list(encode_words(values, layout, "x")) == wanted
        text = "\n".join(wanted).upper()
        read = decode_words(text, layout, values.dtype, len(values), "x.memh")
    assert read.dtype == values.dtype
    assert read.tolist() == values.tolist()


@pytest.mark.parametrize("order", ["little", "big"])
def test_floats_and_truth_values_have_words(order):
    floats = np.array([0.5, -0.0, np.inf, 1e-40, np.nan], np.float32)
    layout = WordLayout(32, 2, 0, order)
    lines = list(encode_words(floats, layout, "x"))
    assert lines == word_lines(floats.tolist(), 32, 2, 64, order)
    assert decode_words(" ".join(lines), layout, floats.dtype, 5, "x").tobytes() == floats.tobytes()
    truth = np.array([True, False, True])
    layout = WordLayout(8, 1, 0, order)
    assert list(encode_words(truth, layout, "x")) == ["01", "00", "01"]
    assert decode_words("01 00 01", layout, truth.dtype, 3, "x").tolist() == [True, False, True]


def test_a_worked_example_of_both_byte_orders():
    values = np.array([1, -2, 3, 4, 5], np.int8)
    assert list(encode_words(values, WordLayout(8, 4), "x")) == ["0403fe01", "00000005"]
    assert list(encode_words(values, WordLayout(8, 4, 40, "big"), "x")) == ["0001fe0304", "0005000000"]


def test_what_simulators_write_is_understood():
    text = "// memory\n@10\n0_1 fe /* two\nlines */ 03\n@13 04\n"
    assert decode_words(text, WordLayout(8), np.dtype(np.int8), 4, "y.memh").tolist() == [1, -2, 3, 4]
    assert decode_words("1 0fe", WordLayout(8), np.dtype(np.int8), 2, "y.memh").tolist() == [1, -2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("01 02 03", "y.memh: 3 words where 8 elements in 2 lanes take 4: the file is cut short"),
        ("01 02 03 04 05", "5 words where .*writememh"),
        ("01 02 03 104", r"y.memh:1: word 3 \(104\) has more than 8 bits"),
        ("01\n// x\n02\n0x 04", r"y.memh:4: word 2 \(0x\) is unknown: nothing drove it"),
        ("01 02 03 0g", r"word 3 \(0g\) is not hexadecimal"),
        ("01 02 / 04", r"word 2 \(/\) is not hexadecimal"),
        ("01 02 @4 03 04", "@4 follows word 0x2; words are read without gaps"),
        ("01 @1 02 03 @1 04", "@1 follows word 0x3"),
        ("@zz 02 03 04", "@zz is no hexadecimal address"),
    ],
)
def test_memh_texts_that_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        decode_words(text, WordLayout(4, 2), np.dtype(np.int8), 8, "y.memh")


def test_bits_above_the_lanes_are_refused():
    with pytest.raises(InputError, match=r"y.memh:2: word 1 \(10\) does not fit 1 x 4 bits"):
        decode_words("0f\n10\n", WordLayout(4, 1, 8), np.dtype(np.int8), 2, "y.memh")


def test_values_and_words_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"acc\[1, 0\] = 8 does not fit int4"):
        list(encode_words(np.array([[7], [8]], np.int8), WordLayout(4), "acc"))
    with pytest.raises(InputError, match=r"acc\[0\] = 16 does not fit uint4"):
        list(encode_words(np.array([16], np.uint8), WordLayout(4), "acc"))
    with pytest.raises(InputError, match="4 lanes of 8 bits take 32 bits, but the word has 31"):
        WordLayout(8, 4, 31)
    with pytest.raises(InputError, match="float32 takes 32 bits, not 16"):
        list(encode_words(np.zeros(1, np.float32), WordLayout(16), "x"))
    with pytest.raises(InputError, match="float64 has no words"):
        list(encode_words(np.zeros(1), WordLayout(32), "x"))
    with pytest.raises(InputError, match="raw has no words"):
        VectorFormat("raw", lanes=2)
    with pytest.raises(InputError, match="1 lanes of 8 bits take 8 bits, but the word has 4"):
        VectorFormat("memh", word_bits=4).layout(8)


VECTORS = (
    Vector("x/in:0", "stimulus", X, 8, 0.5, 3),
    Vector("x_in_0", "stimulus", X.astype(np.int32) * 1000, 32),
    Vector("y", "expected", np.array(7, np.int16), 12),
)


@pytest.mark.parametrize(
    "format",
    [VectorFormat(), VectorFormat("raw"), VectorFormat("raw", "big"), VectorFormat("memh", "big", word_bits=64)],
)
def test_a_folder_comes_back(tmp_path, format):
    write_vectors(tmp_path / "v", VECTORS, format, {"network": "net"})
    read = read_vectors(tmp_path / "v" / "manifest.json", ("stimulus", "expected"))
    assert list(read) == ["x/in:0", "x_in_0", "y"]
    for vector in VECTORS:
        assert read[vector.name].dtype == vector.values.dtype
        np.testing.assert_array_equal(read[vector.name], vector.values)
    first = {path.name: path.read_bytes() for path in (tmp_path / "v").iterdir()}
    write_vectors(tmp_path / "v", VECTORS, format, {"network": "net"})
    assert {path.name: path.read_bytes() for path in (tmp_path / "v").iterdir()} == first
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_raw_files_are_the_bytes_in_the_stated_order(tmp_path):
    for order in ("little", "big"):
        write_vectors(tmp_path / order, VECTORS, VectorFormat("raw", order), {})
        data = (tmp_path / order / "x_in_0_1.bin").read_bytes()
        assert data == b"".join(int(v).to_bytes(4, order, signed=True) for v in (X.astype(int) * 1000).flat)
    manifest = json.loads((tmp_path / "big" / "manifest.json").read_text())
    assert manifest["tensors"][0] == {
        **{"name": "x/in:0", "role": "stimulus", "shape": [3, 4], "dtype": "int8", "bits": 8, "format": "raw"},
        **{"file": "x_in_0.bin", "byte_order": "big", "lanes": 1, "word_bits": 0, "scale": 0.5, "zero_point": 3},
    }


def test_files_of_the_wrong_length_are_refused(tmp_path):
    manifest = tmp_path / "v" / "manifest.json"
    write_vectors(tmp_path / "v", VECTORS, VectorFormat("raw"), {})
    file = tmp_path / "v" / "y.bin"
    file.write_bytes(b"\x01")
    with pytest.raises(InputError, match=r"y.bin: 1 bytes where y, int16 \[\], takes 2: the file is cut short"):
        read_vectors(manifest)
    file.write_bytes(bytes(3))
    with pytest.raises(InputError, match=r"3 bytes where y, int16 \[\], takes 2$"):
        read_vectors(manifest)
    file.unlink()
    with pytest.raises(InputError, match=r"y.bin: y cannot be read: No such file"):
        read_vectors(manifest)
    (tmp_path / "w").mkdir()
    with pytest.raises(InputError, match=r"w/y.bin: y cannot be read"):
        read_vectors(manifest, folder=tmp_path / "w")


def test_npz_files_that_do_not_suit_are_refused(tmp_path):
    manifest = tmp_path / "v" / "manifest.json"
    write_vectors(tmp_path / "v", VECTORS, VectorFormat(), {})
    file = tmp_path / "v" / "expected.npz"
    np.savez(file, y=np.zeros(2, np.int16))
    with pytest.raises(InputError, match=r"y is int16 \[2\], the manifest says int16 \[\]"):
        read_vectors(manifest)
    np.savez(file, z=np.zeros(2, np.int16))
    with pytest.raises(InputError, match="holds no 'y'; it has z"):
        read_vectors(manifest)
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(InputError, match=r"not a readable .npz"):
        read_vectors(manifest)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "../y.bin"}, "must lie in the manifest's own folder"),
        ({"file": "/etc/passwd"}, "must lie in the manifest's own folder"),
        ({"lanes": 4}, "lanes and word_bits belong to memh"),
        ({"bits": 17}, "17 bits do not fit int16"),
        ({"dtype": "int4"}, "dtype"),
        ({"shape": [-1]}, "shape"),
        ({"role": "guess"}, "role"),
        ({"colour": 1}, "colour"),
        ({"format": "memh", "word_bits": 3}, "take 16 bits, but the word has 3"),
    ],
)
def test_manifests_that_are_refused(tmp_path, change, message):
    entry = {"name": "y", "role": "expected", "shape": [1], "dtype": "int16", "format": "raw", "file": "y.bin"}
    path = tmp_path / "m.json"
    path.write_text(json.dumps({"tensors": [entry]}))
    (tmp_path / "y.bin").write_bytes(b"\xfe\xff")
    assert read_vectors(path)["y"].tolist() == [-2]
    path.write_text(json.dumps({"tensors": [entry | change]}))
    with pytest.raises(InputError, match=f"manifest .*m.json: .*{message}"):
        read_vectors(path)


def test_what_is_no_manifest_is_refused(tmp_path):
    for data in (b"{", b"[]", b'{"tensors": []}', b"\xff\xfe"):
        (tmp_path / "m.json").write_bytes(data)
        with pytest.raises(InputError, match=r"m.json"):
            read_vectors(tmp_path / "m.json")
    with pytest.raises(InputError, match=r"none.json: cannot be read \(No such file"):
        read_vectors(tmp_path / "none.json")
    write_vectors(tmp_path / "v", VECTORS[:1], VectorFormat(), {})
    with pytest.raises(InputError, match="no tensor is expected"):
        read_vectors(tmp_path / "v" / "manifest.json")


def test_somebody_elses_folder_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match=r"holds notes.txt, which would be lost"):
        write_vectors(tmp_path, VECTORS, VectorFormat(), {})
    write_vectors(tmp_path / "v", VECTORS, VectorFormat(), {})
    (tmp_path / "v" / "bench.log").write_text("mine")
    with pytest.raises(RunFolderError, match=r"holds bench.log"):
        write_vectors(tmp_path / "v", VECTORS, VectorFormat(), {})
    with pytest.raises(RunFolderError, match="is no folder"):
        write_vectors(tmp_path / "notes.txt", VECTORS, VectorFormat(), {})


def test_a_value_that_does_not_fit_leaves_no_folder(tmp_path):
    wide = (*VECTORS, Vector("z", "expected", np.array([1000], np.int16), 8))
    with pytest.raises(InputError, match=r"z\[0\] = 1000 does not fit int8"):
        write_vectors(tmp_path / "v", wide, VectorFormat("memh"), {})
    assert list(tmp_path.iterdir()) == []
