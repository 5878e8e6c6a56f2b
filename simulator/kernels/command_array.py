"""The array of the command machine, one cycle at a time: preloads and blocks, a row of each operand a cycle.

Writes from memory take a bank of the scratchpad before the array does. Where activations and weights come from one
bank, they take turns.
"""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_state import Table


@kernel(inline=True)
def written_bank(cycle: int, scalars: Table, windows: Table) -> int:
    """Bank of the scratchpad that memory writes in this cycle, or -1."""
    while scalars[of.WINDOWS_CLOSED] < scalars[of.WINDOWS_OPENED]:
        place = scalars[of.WINDOWS_CLOSED] % len(windows)
        if windows[place, 1] > cycle:
            return int(windows[place, 2]) if windows[place, 0] <= cycle else -1
        scalars[of.WINDOWS_CLOSED] += 1
    return -1


@kernel(inline=True)
def _loaded(cycle: int, command: int, constants: Table, done: Table) -> bool:
    return bool(command < 0 or done[command] + constants[at.LOAD_DONE] <= cycle)


@kernel(inline=True)
def _preload_is_ready(cycle: int, pair: int, constants: Table, done: Table, executes: Table) -> bool:
    if executes[pair, at.NEW_WEIGHTS] == 0 or not _loaded(cycle, executes[pair, at.WEIGHT_LOAD], constants, done):
        return False
    return _loaded(cycle, executes[pair, at.BIAS_LOAD], constants, done)


@kernel(inline=True)
def _choose_step(cycle: int, constants: Table, scalars: Table, done: Table, executes: Table) -> None:
    """Give the array something to do: a preload, a block, or a block and the next one's preload."""
    now = scalars[of.PAIR_NOW]
    if scalars[of.STEP] != of.NOTHING or now == scalars[of.PAIRS_ISSUED]:
        return
    pair = now
    scalars[of.INPUT_ROWS] = 0
    scalars[of.WEIGHT_ROWS] = 0
    if executes[pair, at.NEW_WEIGHTS] == 1 and scalars[of.WEIGHTS_READY] <= now:
        if _preload_is_ready(cycle, pair, constants, done, executes):
            scalars[of.STEP], scalars[of.STEP_ROWS] = of.PRELOAD, constants[at.DIM]
        return
    operands = _loaded(cycle, executes[pair, at.INPUT_LOAD], constants, done)
    if not operands or not _loaded(cycle, executes[pair, at.BIAS_LOAD], constants, done):
        return
    following = now + 1
    if now + 1 < scalars[of.PAIRS_ISSUED] and _preload_is_ready(cycle, following, constants, done, executes):
        scalars[of.STEP], scalars[of.STEP_ROWS] = of.BOTH, constants[at.DIM]
    else:
        scalars[of.STEP], scalars[of.STEP_ROWS] = (
            of.COMPUTE,
            max(executes[pair, at.EXECUTE_ROWS], constants[at.MINIMUM_ROWS]),
        )


@kernel(inline=True)
def _feed(cycle: int, written: int, constants: Table, scalars: Table, executes: Table, adding: Table) -> bool:
    """Feed a row of activations, of weights, or of each, neither more than a row ahead; return whether one went in."""
    now = scalars[of.PAIR_NOW]
    pair = now
    takes_inputs, takes_weights = scalars[of.STEP] != of.PRELOAD, scalars[of.STEP] != of.COMPUTE
    weight_bank = executes[pair, at.WEIGHT_BANK]
    if scalars[of.STEP] == of.BOTH:
        weight_bank = executes[(now + 1), at.WEIGHT_BANK]
    inputs, weights, rows = scalars[of.INPUT_ROWS], scalars[of.WEIGHT_ROWS], scalars[of.STEP_ROWS]
    in_turns = scalars[of.STEP] == of.BOTH and executes[pair, at.INPUT_BANK] == weight_bank
    input_blocked = written == executes[pair, at.INPUT_BANK] and inputs < executes[pair, at.EXECUTE_ROWS]
    fed = False
    if takes_inputs and inputs < rows and not input_blocked and (not takes_weights or inputs <= weights):
        if inputs < executes[pair, at.EXECUTE_ROWS]:
            adding[(cycle + constants[at.RESULT]) % of.RESULT_RING] = executes[pair, at.ADDS_TO]
        scalars[of.INPUT_ROWS] += 1
        fed = True
    waits = in_turns and weights == inputs
    waits = waits or (takes_inputs and weights > inputs)
    if takes_weights and weights < rows and written != weight_bank and not waits:
        scalars[of.WEIGHT_ROWS] += 1
        fed = True
    return fed


@kernel(inline=True)
def execute(
    cycle: int,
    written: int,
    constants: Table,
    scalars: Table,
    done: Table,
    executes: Table,
    pair_done: Table,
    adding: Table,
) -> bool:
    """Array: return whether a row went in."""
    _choose_step(cycle, constants, scalars, done, executes)
    if scalars[of.STEP] == of.NOTHING:
        return False
    fed = _feed(cycle, written, constants, scalars, executes, adding)
    inputs_in = scalars[of.STEP] == of.PRELOAD or scalars[of.INPUT_ROWS] == scalars[of.STEP_ROWS]
    weights_in = scalars[of.STEP] == of.COMPUTE or scalars[of.WEIGHT_ROWS] == scalars[of.STEP_ROWS]
    if inputs_in and weights_in:
        if scalars[of.STEP] == of.PRELOAD:
            scalars[of.WEIGHTS_READY] = scalars[of.PAIR_NOW] + 1
        else:
            pair_done[scalars[of.PAIR_NOW]] = cycle + constants[at.RESULT] + 1
            scalars[of.PAIR_NOW] += 1
            if scalars[of.STEP] == of.BOTH:
                scalars[of.WEIGHTS_READY] = scalars[of.PAIR_NOW] + 1
        scalars[of.STEP] = of.NOTHING
    return fed


@kernel(inline=True)
def retire_pairs(cycle: int, scalars: Table, pair_done: Table) -> None:
    """Free the entries of blocks whose results are written."""
    while scalars[of.PAIRS_RETIRED] < scalars[of.PAIR_NOW] and pair_done[scalars[of.PAIRS_RETIRED]] <= cycle:
        scalars[of.PAIRS_RETIRED] += 1
