"""Every preset has room for large networks: what does not fit at once is tiled."""

from __future__ import annotations

import pytest

import bittrue
from accel_models.load import load_accelerator, preset_names
from simulator.lowering.lower import lower
from simulator.mapping.mapper import map_layers
from workloads.load import load_network


@pytest.mark.parametrize("size", [(720, 1280), (1024, 2048)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("network", ["deeplabv3_resnet50", "fcn_vgg16", "unet"])
def test_large_networks_fit_every_preset(network, size):
    net = load_network(network, size=size).ready(for_values=False)
    for name in preset_names():
        accelerator = load_accelerator(name)
        schedule = map_layers(lower(net.graph, accelerator), accelerator)
        assert len(schedule.layers) > 20


@pytest.mark.parametrize("network", ["deeplabv3_resnet50", "fcn_vgg16", "unet"])
def test_every_preset_times_every_network(network):
    net = load_network(network, size=64)
    macs = set()
    for name in preset_names():
        accelerator = load_accelerator(name)
        record = bittrue.simulate(net, accelerator).record
        macs.add(sum(layer.macs for layer in record.layers))
        assert max(layer.utilization for layer in record.layers) <= 1
        assert record.total_cycles * accelerator.peak_macs_per_cycle > max(macs)
    assert len(macs) == 1
