"""The array of a command-driven device alone: blocks whose operands lie in the scratchpad, issued by the host.

It is what a test bench of the execute pipe measures: a configuration, then a preload and a compute a block, no loads
and no stores; cycles from the first command offered until the device is idle.
"""

from __future__ import annotations

import numpy as np

from simulator.accelerator.spec import Accelerator
from simulator.errors import InputError
from simulator.kernels import command_layout as at
from simulator.mapping.command_lists import CommandLists, LoopShape, Patterns, PlacedLoop, commands_table, join
from simulator.mapping.command_schedule import command_device
from simulator.timing.commands import run_command_layer


def execute_only_cycles(accelerator: Accelerator, blocks: int, rows: int, new_weights: bool) -> int:
    """Cycles of `blocks` preloads and computes of one row of blocks.

    Parameters
    ----------
    blocks
        Preloads and computes, from 1.
    rows
        Rows of activations of each, from 1 to array.rows.
    new_weights
        Whether each preload loads weights, or only the first. Output stationary, a preload loads none.

    Raises
    ------
    InputError
        The accelerator has no controller, or a number is out of range.

    """
    if accelerator.controller is None:
        raise InputError(f"{accelerator.name}: has no controller; commands are those of e.g. gemmini_16x16")
    dim = accelerator.array.rows
    if blocks < 1 or not 1 <= rows <= dim:
        raise InputError(f"{blocks} blocks of {rows} rows: give at least one block, of 1 to {dim} rows")
    return run_command_layer(_lists(accelerator, blocks, rows, new_weights), accelerator, 1, setup_commands=1)[
        0
    ].end_cycle


def _lists(accelerator: Accelerator, blocks: int, rows: int, new_weights: bool) -> CommandLists:
    device = command_device(accelerator)
    table = np.zeros((blocks, at.EXECUTE_COLUMNS), np.int64)
    table[:, at.EXECUTE_ROWS], table[:, at.WEIGHT_ROWS] = rows, device.dim
    table[:, at.NEW_WEIGHTS] = new_weights
    table[0, at.NEW_WEIGHTS] = 1
    # Activations and weights in banks apart, as far as there are two.
    table[:, at.WEIGHT_PLACE] = device.scratchpad_rows - device.dim
    table[:, (at.INPUT_LOAD, at.WEIGHT_LOAD, at.BIAS_LOAD)] = -1
    none = commands_table(0)
    shape = LoopShape((none,) * at.SEQUENCERS, table)
    loop = PlacedLoop(shape, (1, 1, blocks, 0, 0), (0,) * at.SEQUENCERS, (0, 0))
    patterns = Patterns(device)
    patterns.of(np.ones(1, np.int64), device.dim)
    return join([loop], patterns, device, at.HOST)
