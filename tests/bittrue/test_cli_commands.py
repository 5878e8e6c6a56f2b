"""The command line: what it lists and explains, how it refuses, and what it does not load."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

import bittrue
from accel_models.load import energy_table_names, preset_names
from bittrue.cli import app
from bittrue.console import refusals
from reports.tables import FIELDS
from simulator.records.store import layer_columns
from support.small_runs import CONV

HEAVY = ("numba", "llvmlite", "matplotlib", "onnx", "pandas", "tflite")


@pytest.fixture
def cli():
    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["eval", "--help"], ["accelerators"], ["explain", "macs"]]
)
def test_light_commands_load_nothing_heavy(arguments):
    code = (
        "import sys\nfrom bittrue.cli import app\n"
        f"try: app({arguments!r})\nexcept SystemExit as end: status = end.code\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], status)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[] 0"


def test_help_lists_only_commands_that_work(cli):
    listed = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert listed == {
        "run",
        "accelerators",
        "networks",
        "mapping",
        "memory",
        "explain",
        "report",
        "compare",
        "sweep",
        "fit",
    } | {
        "check",
        "vectors",
        "train",
        "scalesim",
        "export",
        "warmup",
        "eval",
        "explain-scaling",
        "explain-point",
    }
    for name in listed:
        assert cli(name, "--help").exit_code == 0


def test_accelerators_lists_every_preset_and_table(cli):
    result = cli("accelerators")
    assert result.exit_code == 0
    for name in (*preset_names(), *energy_table_names()):
        assert name in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("edge_32x32 ")]
    assert "32 x 32" in line
    assert "1.64" in line  # 2 * 1024 MACs * 800 MHz, in TOPS


def test_networks_lists_the_built_in_ones(cli):
    result = cli("networks")
    assert result.exit_code == 0
    assert "deeplabv3_resnet50" in result.stdout
    assert ".tflite" in result.stdout


def test_mapping_prints_the_loop_nest_of_each_layer(cli):
    network = ("fcn_vgg16", "-a", "edge_32x32", "--net", "size=64")
    whole = cli("mapping", *network)
    assert whole.exit_code == 0
    chosen = cli("mapping", *network, "--layer", "fc7*").stdout
    assert chosen in whole.stdout
    (title, *nest) = chosen.splitlines()
    loaded, stored = (int(word.replace(",", "")) for word in title.split()[4:9:3])
    run = bittrue.simulate(bittrue.load_network("fcn_vgg16", size=64), bittrue.load_accelerator("edge_32x32"))
    (layer,) = [layer for layer in run.layers if layer.name.startswith("fc7")]
    assert (loaded, stored) == (layer.dram_read_bytes, layer.dram_write_bytes)
    assert nest.pop() == "  on the store: requantize, relu"
    loops = [line.split()[1] for line in nest[:-1]]
    assert (loops[0], loops[-1], sorted(loops[1:-1])) == ("groups", "k", ["channels", "cols", "image", "rows"])
    refused = cli("mapping", *network, "--layer", "nothing*")
    assert refused.exit_code == 2
    assert "--layer nothing*: no layer of fcn_vgg16" in refused.stderr


def test_explain_tells_the_formula(cli):
    result = cli("explain", "stall_cycles")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == "layers[i].stall_cycles  int"
    assert "total_cycles - compute_cycles" in result.stdout


def test_explain_alone_lists_every_record(cli):
    lines = cli("explain").stdout.splitlines()
    assert {"LayerRecord", "EnergyRecord", "OverflowRecord", "RunRecord"} <= set(lines)
    assert any(line.startswith("  layers[i].overflow.needed_bits  int | None  Least register width") for line in lines)


def test_a_typo_is_refused_with_the_nearest_name(cli):
    result = cli("explain", "utilisation")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: no record has a field 'utilisation'; did you mean utilization")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fcn_vgg16", "-a", "edge_32"], "error: no accelerator is called 'edge_32'; did you mean edge_32x32?"),
        (["fcn_vgg16", "-a", "edge_32x32", "--set", "array.rows"], "error: --set array.rows: write KEY=VALUE"),
        (["fcn_vgg16", "-a", "edge_32x32", "--set", "array.colls=3"], "array.colls: unknown key, did you mean cols?"),
        (["fcn_vgg16", "-a", "edge_32x32", "--set", "array.rows=0"], "array.rows: 0 is out of range: at least 1"),
        (
            ["fcn_vgg16", "-a", "edge_32x32", "--set", "arithmetic.accumulator={bits: 20"],
            "error: --set arithmetic.accumulator: {bits: 20: not valid YAML: ",
        ),
        (["fcn_vgg", "-a", "edge_32x32"], "did you mean 'fcn_vgg16'?"),
        (["fcn_vgg16", "-a", "edge_32x32", "--net", "sise=3"], "did you mean 'size'?"),
        (["fcn_vgg16", "-a", "edge_32x32", "-i", "nowhere.png"], "error: input nowhere.png: no such file"),
        (["fcn_vgg16", "-a", "edge_32x32", "-i", "."], "error: input .: it is a folder"),
        (["model.tflite", "-a", "edge_32x32"], "model.tflite: no such file"),
        (["fcn_vgg16", "-a", "edge_32x32", "--values-only"], "--values-only needs an input"),
        (["fcn_vgg16", "-a", "edge_32x32", "--values-only", "--timing-only"], "exclude each other"),
        (["fcn_vgg16", "-a", "edge_32x32", "--keep-tensors"], "--keep-tensors needs values"),
        (["fcn_vgg16", "-a", "edge_32x32", "--activity"], "--activity needs values"),
        (["fcn_vgg16", "-a", "edge_32x32", "--threads", "0"], "--threads"),
        (["fcn_vgg16"], "--accelerator"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_refused(cli, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = cli("run", *arguments)
    assert result.exit_code == 2, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_every_mistake_of_an_accelerator_file_reaches_the_user(cli, tmp_path):
    path = tmp_path / "edge.yaml"
    path.write_text("name: x\narray:\n  rows: 0\n  dataflow: ws\n")
    result = cli("run", "fcn_vgg16", "-a", path)
    assert result.exit_code == 2
    assert f"{path}:3: array.rows: 0 is out of range: at least 1" in result.stderr
    assert f"{path}:4: array.dataflow: 'ws' is not one of weight_stationary, output_stationary" in result.stderr


def _status(error):
    @refusals
    def command():
        raise error

    with pytest.raises(typer.Exit) as exit_:
        command()
    return exit_.value.exit_code


def test_interrupts_and_file_errors_have_their_status(capsys):
    assert _status(KeyboardInterrupt()) == 130
    assert _status(PermissionError(13, "Permission denied", "out/run.json")) == 2
    assert capsys.readouterr().err.splitlines() == ["interrupted", "error: out/run.json: Permission denied"]


def test_our_own_mistakes_are_not_dressed_up():
    @refusals
    def command():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command()


def test_a_reader_that_goes_away_is_no_traceback():
    code = "from bittrue.cli import main; import sys; sys.argv = ['bittrue', 'explain']; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


def test_names_that_the_encoding_lacks_do_not_end_the_program():
    code = "from bittrue.cli import main; import sys; sys.argv = ['bittrue', 'explain', 'ünïcode']; main()"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert result.returncode == 2
    assert "no record has a field" in result.stderr


def test_every_column_of_table_and_csv_is_explained(cli):
    columns = [*FIELDS, *layer_columns(CONV)]
    assert [column for column in columns if cli("explain", column).exit_code != 0] == []
    assert cli("explain", "MMACs").stdout.startswith("layers[i].macs  int")
