"""The picture of the results page, from folders of evaluations."""

from __future__ import annotations

import pytest

import bittrue
from benchmarks.evaluation_figure import main
from support.accelerators import device
from support.segmenter import integer_segmenter, write_dataset


def test_a_picture_of_two_evaluations(tmp_path, capsys):
    spec = write_dataset(tmp_path / "data", 2)
    for seed in (0, 1):
        bittrue.evaluate(
            integer_segmenter(seed),
            device(arithmetic__accumulator={"bits": 32, "overflow": "saturate" if seed else "wrap"}),
            spec,
            split="all",
            accumulator_sweep=(12, 16),
            directory=tmp_path / str(seed),
        )
    assert main([str(tmp_path / "0"), str(tmp_path / "1"), "-o", str(tmp_path / "out.svg")]) == 0
    assert (tmp_path / "out.svg").read_text().startswith("<svg")
    assert capsys.readouterr().out.count("folder all, 2 images") == 2
    with pytest.raises(SystemExit):
        main([str(tmp_path / "data"), "-o", str(tmp_path / "none.svg")])
    assert not (tmp_path / "none.svg").exists()
