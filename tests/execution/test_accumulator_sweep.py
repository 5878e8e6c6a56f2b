"""An accumulator sweep against separate runs at each width, and the work that it shares."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest

import bittrue
from simulator.errors import InputError
from simulator.execution import sweep_layer
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.numerics.quant import QuantParams
from support.accelerators import device
from support.conv_chain import chain_input, conv_chain

WIDTHS = [8, 12, 14, 16, 17, 18, 20, 32, 40]


@pytest.fixture(scope="module")
def network():
    return conv_chain()


@pytest.fixture(scope="module")
def image():
    return chain_input()


def machine(dataflow, mode, bits, partial_bits=None, **changes):
    registers = {"arithmetic__accumulator": {"bits": bits, "overflow": mode}}
    if partial_bits:
        registers["arithmetic__partial_sum"] = {"bits": partial_bits, "overflow": mode}
    return device(array__dataflow=dataflow, **registers, **changes)


def at_width(accelerator, width):
    """The device with both registers of one width."""
    changes = {"arithmetic.accumulator.bits": width}
    if accelerator.arithmetic.partial_sum:
        changes["arithmetic.partial_sum.bits"] = width
    return accelerator.evolve(changes)


def expected_point(width, run, reference, weight_stationary):
    """The account of one width from two separate runs, on Python integers."""
    outputs = []
    for name, value in run.outputs.items():
        values, right = value.ravel().tolist(), reference.outputs[name].ravel().tolist()
        apart = [abs(a - b) for a, b in zip(values, right, strict=True)]
        outputs.append(
            {
                "output": name,
                "values": len(apart),
                "differing": sum(d > 0 for d in apart),
                "max_difference": max(apart),
                "mean_difference": pytest.approx(sum(apart) / len(apart), rel=1e-12),
            }
        )
    labels = [r.outputs["scores"].argmax(axis=3) for r in (run, reference)]
    events = {layer.name: layer.overflow.events for layer in run.layers}
    worst = max(events, key=events.get)
    return {
        "accumulator_bits": width,
        "partial_sum_bits": width if weight_stationary else None,
        "outputs": outputs,
        "label_disagreement": np.mean(labels[0] != labels[1]),
        "events": sum(events.values()),
        "layers_with_events": sum(count > 0 for count in events.values()),
        "worst_layer": worst if events[worst] else None,
        "worst_layer_events": events[worst],
    }


def plain(point):
    return asdict(point) | {"outputs": list(asdict(point)["outputs"])}


@pytest.mark.parametrize("mode", ["wrap", "saturate"])
@pytest.mark.parametrize(
    ("dataflow", "bits", "partial_bits"),
    [
        ("output_stationary", 32, None),
        ("output_stationary", 17, None),
        ("weight_stationary", 32, None),
        ("weight_stationary", 24, 16),
    ],
)
@pytest.mark.parametrize("ledger", ["fast", "exact"])
def test_a_sweep_is_separate_runs_in_one(network, image, dataflow, mode, bits, partial_bits, ledger):
    accelerator = machine(dataflow, mode, bits, partial_bits)
    options = {"values_only": True, "keep_tensors": True, "ledger": ledger}
    swept = bittrue.simulate(network, accelerator, [image], accumulator_sweep=WIDTHS[::-1], **options)

    alone = bittrue.simulate(network, accelerator, [image], **options)
    assert [layer.overflow for layer in swept.layers] == [layer.overflow for layer in alone.layers]
    assert list(swept.tensors) == list(alone.tensors)
    for name, tensor in (alone.outputs | alone.tensors).items():
        np.testing.assert_array_equal((swept.outputs | swept.tensors)[name], tensor)

    runs = {w: bittrue.simulate(network, at_width(accelerator, w), [image], values_only=True) for w in WIDTHS}
    points = [expected_point(w, runs[w], runs[32], dataflow == "weight_stationary") for w in WIDTHS]
    assert [plain(point) for point in swept.record.accumulator_sweep] == points
    assert list(swept.sweep_outputs) == WIDTHS
    for width, run in runs.items():
        for name, value in run.outputs.items():
            np.testing.assert_array_equal(swept.sweep_outputs[width][name], value)
    assert points[0]["events"] > points[3]["events"] > 0 == points[-1]["events"]
    assert any(point["label_disagreement"] > 0 for point in points)


def test_stochastic_rounding_draws_the_same_at_every_width(network, image):
    requantizer = {"kind": "power_of_two", "rounding": "stochastic"}
    accelerator = machine("weight_stationary", "wrap", 32, arithmetic__requantizer=requantizer)
    swept = bittrue.simulate(network, accelerator, [image], seed=7, accumulator_sweep=[16, 24, 48], values_only=True)
    runs = {
        w: bittrue.simulate(network, at_width(accelerator, w), [image], seed=7, values_only=True)
        for w in (16, 24, 32, 48)
    }
    assert [plain(p) for p in swept.record.accumulator_sweep] == [
        expected_point(w, runs[w], runs[32], True) for w in (16, 24, 48)
    ]
    assert swept.record.accumulator_sweep[1].outputs[0].differing == 0


# ---------------------------------------------------------------- shared work


@pytest.fixture
def calls(monkeypatch):
    """How often a layer was proved, summed at once, and stepped."""
    counts = Counter()
    for name in ("prove", "run_eventless", "run_stepped", "run_layer"):
        original = getattr(sweep_layer, name)

        def counted(*arguments, _name=name, _original=original):
            counts[_name] += 1
            return _original(*arguments)

        monkeypatch.setattr(sweep_layer, name, counted)
    return counts


def test_widths_that_the_proof_clears_cost_one_run(network, image, calls):
    bittrue.simulate(network, device(), [image], values_only=True, accumulator_sweep=[26, 28, 30, 31, 32])
    assert calls == {"prove": 6, "run_eventless": 6, "run_layer": 2}


def test_one_measured_width_clears_the_wider_ones(calls):
    rng = np.random.default_rng(0)
    x, w = rng.integers(-128, 128, (4, 256)).astype(np.int8), rng.integers(-128, 128, (256, 4)).astype(np.int8)
    net = bittrue.networks.gemm(4, 256, 4, out="int32").with_weights(w)
    acc = device(array__dataflow="output_stationary")
    narrow, own = (bittrue.simulate(net, at_width(acc, w), [x], values_only=True).layers[-1].overflow for w in (20, 21))
    assert (narrow.events, narrow.method) in [(0, "guarded steps"), (0, "steps")], "20 bits do, and no proof tells so"
    calls.clear()
    run = bittrue.simulate(net, at_width(acc, 21), [x], values_only=True, accumulator_sweep=[20, 21, 22])
    assert calls == {"prove": 1, "run_stepped": 1}
    assert run.layers[-1].overflow == own
    assert [point.events for point in run.record.accumulator_sweep] == [0, 0, 0]


def test_widths_whose_outputs_come_out_equal_go_on_together(calls):
    """Sums that saturate a narrow register are clipped to the same output as those of a wide one."""
    unit = QuantParams.per_tensor(1.0)
    builder = GraphBuilder("clipped")
    y = builder.input("x", (1, 2, 2, 16), quant=unit)
    for name in ("first", "second"):
        w = builder.constant(f"{name}.w", np.full((16, 1, 1, 16), 100, np.int8), quant=unit)
        y = builder.add(ops.Conv2D(), y, w, name=name, quant=unit)
    acc = machine("output_stationary", "saturate", 32)
    x = np.full((1, 2, 2, 16), 127, np.int8)
    run = bittrue.simulate(builder.build(), acc, [x], values_only=True, accumulator_sweep=[12, 14, 16])
    assert [point.layers_with_events for point in run.record.accumulator_sweep] == [2, 2, 2]
    assert [point.outputs[0].differing for point in run.record.accumulator_sweep] == [0, 0, 0]
    assert calls == {"prove": 2, "run_eventless": 2, "run_stepped": 6}


# ---------------------------------------------------------------- the front door


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ([16, 7], "8 to 64, not 7"),
        ([65], "8 to 64, not 65"),
        ([16.0], "8 to 64, not 16.0"),
        ([True], "not True"),
        ("16,18", "not '1'"),
        (16, "is a list of widths"),
        ([18, 16, 18], "18 bits twice"),
    ],
)
def test_widths_that_make_no_sense_are_refused(network, image, widths, message):
    with pytest.raises(InputError, match=message):
        bittrue.prepare(network, device(), accumulator_sweep=widths)


def test_a_sweep_needs_values(network, image):
    with pytest.raises(InputError, match="give inputs"):
        bittrue.simulate(network, device(), accumulator_sweep=[16])
    with pytest.raises(InputError, match="timing_only"):
        bittrue.simulate(network, device(), [image], timing_only=True, accumulator_sweep=[16])


@pytest.mark.parametrize("register", ["accumulator", "partial_sum"])
def test_a_sweep_refuses_registers_that_trap(network, register):
    trapping = device(**{f"arithmetic__{register}": {"bits": 32, "overflow": "trap"}})
    with pytest.raises(InputError, match="trap: a run that stops"):
        bittrue.prepare(network, trapping, accumulator_sweep=[16])


def test_a_partial_sum_that_is_not_in_force_may_trap(network, image):
    changes = {"array__dataflow": "output_stationary", "arithmetic__partial_sum": {"bits": 32, "overflow": "trap"}}
    run = bittrue.simulate(network, device(**changes), [image], values_only=True, accumulator_sweep=[30])
    assert run.record.accumulator_sweep[0].partial_sum_bits is None


def test_a_reference_that_overflows_is_told():
    full, weights = np.full((2, 2048), -128, np.int8), np.full((2048, 2), -128, np.int8)

    def notes_and_point(bias, width):
        net = bittrue.networks.gemm(2, 2048, 2, out="int32", bias="matrix").with_weights(weights, bias=bias)
        run = bittrue.simulate(net, device(), [full], values_only=True, accumulator_sweep=[width])
        return [note for note in run.record.notes if "accumulator sweep" in note], run.record.accumulator_sweep[0]

    assert notes_and_point(np.zeros((2, 2), np.int32), 24)[0] == []
    notes, point = notes_and_point(np.full((2, 2), 2**31 - 1, np.int32), 48)
    assert len(notes) == 1
    assert "32-bit registers, which overflow themselves (4 events)" in notes[0]
    assert (point.events, point.outputs[0].max_difference) == (0, 2.0**32)


def test_progress_names_the_widths_that_are_stepped(network, image):
    seen = []
    bittrue.simulate(network, device(), [image], accumulator_sweep=[12], on_progress=lambda *step: seen.append(step))
    done, totals = [step[0] for step in seen], {step[1] for step in seen}
    assert done == sorted(done)
    assert totals == {max(done)}
    assert any(label == "values: stem at 12 bits" for _, _, label in seen)


def test_time_energy_and_outputs_do_not_know_of_the_sweep(network, image):
    swept = bittrue.simulate(network, device(), [image], accumulator_sweep=[12, 20])
    alone = bittrue.simulate(network, device(), [image])
    assert swept.layers == alone.layers
    assert swept.record.spec_hash == alone.record.spec_hash
    assert alone.record.accumulator_sweep == ()
