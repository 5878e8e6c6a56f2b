"""Configuration of integer training: defaults of the paper, refusals, round trip, learning rates."""

from __future__ import annotations

import json

import pytest
import yaml

from simulator.errors import InputError
from workloads.training.config import TrainingConfig, learning_rate_exponent, preset, presets


def test_the_defaults_are_the_papers_table():
    config = preset("paper")
    assert config == TrainingConfig()
    widths = [
        *(config.weight_bits, config.activation_bits, config.gradient_bits, config.activation_error_bits),
        *(config.output_error_bits, config.update_bits, config.statistics_bits, config.normalized_bits),
        config.affine_bits,
    ]
    assert widths == [8, 8, 8, 8, 16, 24, 16, 16, 8]  # arXiv 2011.14504, Table I and section V-A


@pytest.mark.parametrize("name", presets())
def test_every_preset_survives_json_and_yaml(name):
    config = preset(name)
    assert TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert TrainingConfig.from_dict(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_bits": 9}, "weight_bits is a whole number from 2 to 8, not 9"),
        ({"update_bits": True}, "update_bits is a whole number"),
        ({"scale": "floor"}, "scale is round, ceil, max, not 'floor'"),
        ({"class_weighting": "root"}, "none, sqrt or median"),
        ({"random": "fraction"}, "scale=round or scale=ceil"),
        ({"error_quantizer": "flag"}, "output_error_bits of 2 to 8"),
        ({"momentum": (4, 2)}, "momentum's numerator is a whole number from 1 to 3"),
        ({"learning_rate_drops": ((70, 1), (50, 2))}, "rising order"),
        ({"learning_rate_exponent": 5}, "from -30 to 4"),
        ({"e2_bits": 8}, "no setting 'e2_bits'"),
        ({"lr": 1}, r"no setting 'lr'\. It has weight_bits"),
        ({"weight_bit": 8}, "did you mean weight_bits"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        preset("paper").evolve(changes)
    with pytest.raises(InputError, match="there are paper, e2_8, wageubn, niti"):
        preset("int4")


def test_the_learning_rate_falls_at_its_percents():
    config = preset("paper").evolve({"learning_rate_exponent": -1})
    falls = {step: config.learning_rate_at(step, 360) for step in (0, 179, 180, 251, 252, 305, 306, 341, 342, 359)}
    assert falls == {0: -1, 179: -1, 180: -2, 251: -2, 252: -3, 305: -3, 306: -4, 341: -4, 342: -5, 359: -5}


@pytest.mark.parametrize(("rate", "exponent"), [(1.0, 0), (0.5, -1), (0.0625, -4), (8.0, 3)])
def test_powers_of_two_are_learning_rates(rate, exponent):
    assert learning_rate_exponent(rate) == exponent


@pytest.mark.parametrize("rate", [0.3, 0.0, -0.5, float("nan"), float("inf")])
def test_other_learning_rates_are_refused(rate):
    with pytest.raises(InputError, match="no power of two"):
        learning_rate_exponent(rate)
    with pytest.raises(InputError, match=r"nearest are 2\^-2 and 2\^-1"):
        learning_rate_exponent(0.3)
