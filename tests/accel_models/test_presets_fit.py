"""Every preset has room for large networks: what does not fit at once is tiled."""

from __future__ import annotations

import pytest

from accel_models.load import load_accelerator, preset_names
from simulator.lowering.lower import lower
from simulator.mapping.mapper import map_layers
from workloads.load import load_network


@pytest.mark.parametrize("size", [(720, 1280), (1024, 2048)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("network", ["deeplabv3_resnet50", "fcn_vgg16"])
def test_large_networks_fit_every_preset(network, size):
    net = load_network(network, size=size).ready(for_values=False)
    for name in preset_names():
        accelerator = load_accelerator(name)
        schedule = map_layers(lower(net.graph, accelerator), accelerator)
        assert len(schedule.layers) > 20
