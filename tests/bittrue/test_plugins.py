"""A distribution of somebody else adds a network, an accelerator and a kind of data set; broken ones harm nobody."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

import bittrue
from accel_models.load import plugin_names
from accel_models.save import save_accelerator
from bittrue.cli import app
from simulator.errors import InputError, NetworkError, PluginError
from simulator.plugins import plugins
from support.dataset_folders import camvid, labels

MODULE = '''
from pathlib import Path

import bittrue
from workloads.datasets.camvid import open_camvid


def product(rows: int = 4):
    """Return a product of matrices, rows x 8 x 6."""
    return bittrue.networks.gemm(rows, 8, 6)


def crooked():
    """Return what is no network."""
    return 7


def device():
    return Path(__file__).with_name("device.yaml")


def street(folder, split):
    return open_camvid(folder, split)
'''
ENTRY_POINTS = """
[bittrue.networks]
acme_product = acme_plugin:product
acme_crooked = acme_plugin:crooked
acme_missing = acme_plugin:nothing

[bittrue.accelerators]
acme_device = acme_plugin:device
acme_gone = acme_gone:device

[bittrue.datasets]
acme_street = acme_plugin:street
"""


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """A distribution, installed: a module, a file of its own and metadata, in a folder on the path."""
    (tmp_path / "acme_plugin.py").write_text(MODULE)
    accelerator = bittrue.load_accelerator("edge_32x32").evolve({"name": "acme_device", "array.rows": 24})
    save_accelerator(accelerator, tmp_path / "device.yaml")
    metadata = tmp_path / "acme-1.5.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.5\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    plugins.cache_clear()
    yield tmp_path
    plugins.cache_clear()
    sys.modules.pop("acme_plugin", None)


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.usefixtures("acme")
def test_its_network_and_accelerator_go_by_name():
    network = bittrue.load_network("acme_product", rows=5)
    accelerator = bittrue.load_accelerator("acme_device")
    assert accelerator.array.rows == 24
    assert bittrue.simulate(network, accelerator).record.total_macs == 5 * 8 * 6
    result = invoke("run", "acme_product", "-a", "acme_device", "--timing-only", "--net", "rows=3")
    assert result.exit_code == 0, result.output
    with pytest.raises(NetworkError, match="acme_product has no keyword 'row'; did you mean 'rows'"):
        bittrue.load_network("acme_product", row=5)


def test_its_data_set_goes_by_kind(acme):
    maps = {split: [labels(0, (0, 1, 2), (4, 6))] for split in ("train", "val")}
    folder = camvid(acme / "data", maps).partition(":")[2]
    assert len(bittrue.open_dataset(f"acme_street:{folder}", split="val")) == 1
    with pytest.raises(InputError, match=r"kinds: .*acme_street"):
        bittrue.open_dataset(f"acme_streets:{folder}")


@pytest.mark.usefixtures("acme")
def test_it_is_listed_and_a_broken_one_says_so_beside_the_others():
    listed = invoke("networks")
    assert listed.exit_code == 0, listed.output
    told = " ".join(listed.stdout.split())
    assert "acme_product Return a product" not in told  # as the built-in ones: without the verb
    assert "acme_product a product of matrices, rows x 8 x 6." in told
    assert "bittrue.networks 'acme_missing' (acme_plugin:nothing of acme 1.5) failed: AttributeError" in told
    assert "unet" in told
    devices = invoke("accelerators")
    assert devices.exit_code == 0, devices.output
    told = " ".join(devices.stdout.split())
    assert "acme_device" in told
    assert "'acme_gone' (acme_gone:device of acme 1.5) failed: ModuleNotFoundError" in told


@pytest.mark.usefixtures("acme")
def test_a_broken_one_is_named_where_it_is_asked_for():
    with pytest.raises(PluginError, match=r"acme_crooked.*acme 1\.5.*returned int, not a Network"):
        bittrue.load_network("acme_crooked")
    with pytest.raises(PluginError, match="acme_gone"):
        bittrue.load_accelerator("acme_gone")
    assert bittrue.load_network("unet", size=32).macs > 0
    assert set(plugin_names()) == {"acme_device", "acme_gone"}
    result = invoke("run", "acme_missing", "-a", "edge_32x32")
    assert result.exit_code == 2
    assert "acme_missing" in result.stderr


def test_two_that_give_one_name_are_refused(acme):
    other = acme / "zeta-1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: zeta\nVersion: 1\n")
    (other / "entry_points.txt").write_text("[bittrue.datasets]\nacme_street = zeta:street\n")
    plugins.cache_clear()
    with pytest.raises(PluginError, match=r"acme_street.*acme_plugin:street and zeta:street"):
        bittrue.open_dataset("acme_street:x")
