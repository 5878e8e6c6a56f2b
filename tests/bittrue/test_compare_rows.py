"""Measured rows beside ours: every kind of row, either header, and the command that prints them."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from bittrue.fitting.compare import compare_rows, summary
from bittrue.fitting.rows import read_rows
from simulator.errors import InputError

GEMMINI = bittrue.load_accelerator("gemmini_16x16")
OWN = """kind,dataflow,m,k,n,height,width,channels,filters,kernel,stride,padding,dilation,pool_size,pool_stride,\
pool_padding,out,bias,dram.latency_cycles,controller.host_cycles,dram_read_bytes,commands,cycles
gemm,ws,16,16,16,,,,,,,,,,,,int8,none,20,1,512,11,230
gemm,os,32,48,16,,,,,,,,,,,,int32,matrix,1,3,4096,,900
conv,ws,,,,9,9,8,8,3,2,1,2,2,1,1,int8,vector,20,1,,,2000
"""
THEIRS = """kind,dataflow,M,N,K,H,W,C,OC,k,stride,pad,kdil,pool,mem_latency,host_gap,out,bias,cycles,macs,util_of_256,\
rd_beats16B,wr_beats16B,rocc_cmds,bit_exact
gemm,WS,16,16,16,,,,,,,,,,20,0,int8,none,230,4096,0.0696,32,,11,True
gemm,OS,32,16,48,,,,,,,,,,1,2,int32,int32,900,1,1,256,,,True
conv,WS,,,,9,,8,8,3,2,1,2,2/1/1,20,0,int8,int32,2000,1,1,,,,True
"""


def _write(tmp_path, text):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    return path


def test_both_headers_read_the_same_layers(tmp_path):
    own, theirs = (read_rows(_write(tmp_path, text), GEMMINI) for text in (OWN, THEIRS))
    for one, other in zip(own, theirs, strict=True):
        assert one.network.graph.nodes == other.network.graph.nodes
        assert {**one.changes, "array.dataflow": 0} == {**other.changes, "array.dataflow": 0}
        assert (one.cycles, one.traffic) == (other.cycles, other.traffic)
    assert own[1].changes["array.dataflow"] == theirs[1].changes["array.dataflow"] == "output_stationary"
    assert [row.group for row in own] == ["gemm ws int8", "gemm os int32 + bias matrix", "conv ws int8 + bias + pool"]


def test_a_pool_has_a_stride_of_its_own(tmp_path):
    row = read_rows(_write(tmp_path, OWN), GEMMINI)[2]
    expected = bittrue.networks.conv2d(9, 9, 8, 8, 3, stride=2, padding=1, dilation=2, pool=(2, 1, 1))
    assert row.network.graph.nodes == expected.graph.nodes


def test_rows_are_compared_cycle_by_cycle_and_byte_by_byte(tmp_path):
    rows = compare_rows(GEMMINI, _write(tmp_path, OWN))
    first, second, third = rows
    assert (first.cycles, first.error_percent, first.traffic) == (
        230, 0.0, {"dram_read_bytes": (512, 512), "commands": (11, 11)},
    )  # fmt: skip
    device = GEMMINI.evolve(
        {"array.dataflow": "output_stationary", "dram.latency_cycles": 1, "controller.host_cycles": 3}
    )
    layer = bittrue.simulate(bittrue.networks.gemm(32, 48, 16, out="int32", bias="matrix"), device).layers[0]
    assert second.cycles == layer.total_cycles
    assert second.traffic == {"dram_read_bytes": (layer.dram_read_bytes, 4096)}
    assert third.traffic == {}
    assert third.traffic_is_equal
    assert [name for name, *_ in summary(rows)][-1] == "all"


def test_command_prints_ours_theirs_and_error(tmp_path):
    asked = ["fit", "gemmini_16x16", str(_write(tmp_path, OWN)), "--compare"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    assert "+0.00" in result.stdout
    assert "equal" in result.stdout
    refused = CliRunner().invoke(app, [*asked, "-o", str(tmp_path / "mine.yaml")])
    assert refused.exit_code == 2
    assert "--compare fits nothing" in refused.output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("m,k,n,dataflow,cycles\n1,1,1,is,9\n", "rows.csv:2: dataflow: 'is' is none of ws, os"),
        ("m,k,n,commands,cycles\n1,1,1,few,9\n", "rows.csv:2: commands: 'few'"),
        ("M,K,N,speed,cycles\n1,1,1,2,9\n", "rows.csv:1: column 'speed'"),
        (
            "kind,height,width,channels,filters,kernel,out,cycles\nconv,4,4,1,1,1,int32,9\n",
            "out: 'int32'; convolutions",
        ),
    ],
)
def test_rows_that_cannot_be_used(tmp_path, text, told):
    with pytest.raises(InputError, match=told):
        compare_rows(GEMMINI, _write(tmp_path, text))
