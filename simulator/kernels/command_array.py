"""The weight-stationary array of the command machine, one cycle at a time: preloads and blocks, a row of each a cycle.

Writes from memory take a bank of the scratchpad before the array does. Where activations and weights come from one
bank, they take turns. A pass of the array (a preload, a block, or a block and the next one's preload) begins only when
the one `PASSES_IN_FLIGHT` before it is through: MeshWithDelays.scala, the queue of tags.
"""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_state import Table


@kernel(inline=True, allocates=False)
def written_bank(cycle: int, scalars: Table, windows: Table) -> int:
    """Bank of the scratchpad that memory writes in this cycle, or -1."""
    while scalars[of.WINDOWS_CLOSED] < scalars[of.WINDOWS_OPENED]:
        place = scalars[of.WINDOWS_CLOSED] % len(windows)
        if windows[place, 1] > cycle:
            return int(windows[place, 2]) if windows[place, 0] <= cycle else -1
        scalars[of.WINDOWS_CLOSED] += 1
    return -1


@kernel(inline=True, allocates=False)
def pass_may_begin(cycle: int, constants: Table, scalars: Table, passes: Table) -> bool:
    """Whether few enough passes are on their way through the array."""
    return bool(cycle >= passes[scalars[of.PASSES] % len(passes)] + constants[at.PASS_THROUGH])


@kernel(inline=True, allocates=False)
def end_pass(cycle: int, scalars: Table, passes: Table) -> None:
    """Note a pass's last row."""
    passes[scalars[of.PASSES] % len(passes)] = cycle
    scalars[of.PASSES] += 1
    scalars[of.STEP] = of.NOTHING


@kernel(inline=True, allocates=False)
def note_adding(cycle: int, adds_to: int, adding: Table) -> None:
    """Note which half of the accumulators a row of results is added to in a cycle to come; 0 = none."""
    adding[cycle % of.RESULT_RING] = 4 * cycle + adds_to


@kernel(inline=True, allocates=False)
def loaded(cycle: int, loop: int, sequencer: int, load: int, loops: Table, constants: Table, done: Table) -> bool:
    """Whether a load of a loop is complete, or its operand was left by a loop before."""
    first = loops[loop, at.FIRST_COMMAND + sequencer]
    if load < 0 or loops[loop + 1, at.FIRST_COMMAND + sequencer] == first:
        return True
    return bool(done[first + load] + constants[at.LOAD_DONE] <= cycle)


@kernel(inline=True, allocates=False)
def free_entries(cycle: int, count: int, scalars: Table) -> None:
    """Free entries of executes: their completion is seen in the cycle after the one in which it is noted."""
    if scalars[of.EXECUTES_FREED_AT] <= cycle:
        scalars[of.EXECUTES_HELD] -= scalars[of.EXECUTES_FREED]
        scalars[of.EXECUTES_FREED] = 0
    scalars[of.EXECUTES_FREED] += count
    scalars[of.EXECUTES_FREED_AT] = cycle + 1


@kernel(inline=True, allocates=False)
def _is_ready(cycle: int, loop: int, row: int, loops: Table, constants: Table, done: Table, executes: Table) -> bool:
    """Whether the operands of a preload and of its compute are loaded.

    The array takes a preload only when its compute has been issued too (ExecuteController.scala, `cmd.valid(1)` with a
    single preload, `cmd.valid(2)` with one beside a compute), and that waits for its activations.
    """
    block = executes[row]
    if not loaded(cycle, loop, at.ACTIVATIONS, block[at.INPUT_LOAD], loops, constants, done):
        return False
    new = block[at.NEW_WEIGHTS] == 1
    if new and not loaded(cycle, loop, at.WEIGHTS, block[at.WEIGHT_LOAD], loops, constants, done):
        return False
    return loaded(cycle, loop, at.BIASES, block[at.BIAS_LOAD], loops, constants, done)


@kernel(inline=True, allocates=False)
def _take_preload(loop: int, row: int, loops: Table, constants: Table, executes: Table, scalars: Table) -> int:
    """Note where a preload reads its weights, if it brings any; return the rows of its pass."""
    block = executes[row]
    if block[at.NEW_WEIGHTS] == 0:
        scalars[of.STEP_WEIGHT_BANK] = of.NO_BANK
        return int(constants[at.MINIMUM_ROWS])
    scalars[of.STEP_WEIGHT_BANK] = (loops[loop, at.WEIGHT_ORIGIN] + block[at.WEIGHT_PLACE]) // constants[at.BANK_ROWS]
    scalars[of.STEP_WEIGHT_ROWS] = block[at.WEIGHT_ROWS]
    return int(constants[at.DIM])


@kernel(inline=True, allocates=False)
def _choose_step(
    cycle: int, loops: Table, constants: Table, scalars: Table, done: Table, executes: Table, passes: Table
) -> None:
    """Give the array something to do: a preload, a block, or a block and the next one's preload."""
    now = scalars[of.PAIR_NOW]
    if scalars[of.STEP] != of.NOTHING or now == scalars[of.PAIRS_ISSUED]:
        return
    if not pass_may_begin(cycle, constants, scalars, passes):
        return
    loop = scalars[of.EXECUTE_LOOP]
    row = loops[loop, at.SHAPE_COMMAND + at.EXECUTES] + now - loops[loop, at.FIRST_BLOCK]
    if scalars[of.WEIGHTS_READY] <= now:
        if _is_ready(cycle, loop, row, loops, constants, done, executes):
            scalars[of.INPUT_ROWS] = scalars[of.WEIGHT_ROWS] = 0
            scalars[of.STEP] = of.PRELOAD
            scalars[of.STEP_ROWS] = _take_preload(loop, row, loops, constants, executes, scalars)
        return
    scalars[of.INPUT_ROWS] = scalars[of.WEIGHT_ROWS] = 0
    rows = scalars[of.STEP_INPUT_ROWS] = executes[row, at.EXECUTE_ROWS]
    place = loops[loop, at.INPUT_ORIGIN] + executes[row, at.INPUT_PLACE]
    scalars[of.STEP_INPUT_BANK] = place // constants[at.BANK_ROWS]
    scalars[of.STEP_ADDS_TO] = executes[row, at.ADDS] * (loops[loop, at.ACCUMULATOR_HALF] + 1)
    scalars[of.STEP], scalars[of.STEP_ROWS] = of.COMPUTE, max(rows, constants[at.MINIMUM_ROWS])
    if now + 1 == scalars[of.PAIRS_ISSUED]:
        return
    if now + 1 == loops[loop + 1, at.FIRST_BLOCK]:
        loop += 1
        row = loops[loop, at.SHAPE_COMMAND + at.EXECUTES]
    else:
        row += 1
    if _is_ready(cycle, loop, row, loops, constants, done, executes):
        scalars[of.STEP] = of.BOTH
        taken = _take_preload(loop, row, loops, constants, executes, scalars)
        scalars[of.STEP_ROWS] = max(scalars[of.STEP_ROWS], taken)


@kernel(inline=True, allocates=False)
def _feed(cycle: int, written: int, constants: Table, scalars: Table, adding: Table) -> bool:
    """Feed a row of activations, of weights, or of each, neither more than a row ahead; return whether one went in."""
    takes_inputs, takes_weights = scalars[of.STEP] != of.PRELOAD, scalars[of.STEP] != of.COMPUTE
    input_bank, weight_bank = scalars[of.STEP_INPUT_BANK], scalars[of.STEP_WEIGHT_BANK]
    inputs, weights, rows = scalars[of.INPUT_ROWS], scalars[of.WEIGHT_ROWS], scalars[of.STEP_ROWS]
    in_turns = scalars[of.STEP] == of.BOTH and input_bank == weight_bank
    real = inputs < scalars[of.STEP_INPUT_ROWS]
    input_blocked = written == input_bank and real
    fed = False
    if takes_inputs and inputs < rows and not input_blocked and (not takes_weights or inputs <= weights):
        if real:
            note_adding(cycle + constants[at.RESULT], scalars[of.STEP_ADDS_TO], adding)
        scalars[of.INPUT_ROWS] += 1
        fed = True
    waits = in_turns and weights == inputs
    waits = waits or (takes_inputs and weights > inputs)
    # Weights go in from the last row on; rows past the end of the reduction are zeros, from no bank.
    weights_blocked = written == weight_bank and weights >= constants[at.DIM] - scalars[of.STEP_WEIGHT_ROWS]
    if takes_weights and weights < rows and not weights_blocked and not waits:
        scalars[of.WEIGHT_ROWS] += 1
        fed = True
    return fed


@kernel(inline=True, allocates=False)
def execute(
    cycle: int,
    written: int,
    loops: Table,
    constants: Table,
    scalars: Table,
    done: Table,
    executes: Table,
    pair_done: Table,
    adding: Table,
    passes: Table,
) -> bool:
    """Array: return whether a row went in."""
    _choose_step(cycle, loops, constants, scalars, done, executes, passes)
    if scalars[of.STEP] == of.NOTHING:
        return False
    fed = _feed(cycle, written, constants, scalars, adding)
    inputs_in = scalars[of.STEP] == of.PRELOAD or scalars[of.INPUT_ROWS] == scalars[of.STEP_ROWS]
    weights_in = scalars[of.STEP] == of.COMPUTE or scalars[of.WEIGHT_ROWS] == scalars[of.STEP_ROWS]
    if inputs_in and weights_in:
        if scalars[of.STEP] == of.PRELOAD:
            scalars[of.WEIGHTS_READY] = scalars[of.PAIR_NOW] + 1
        else:
            pair_done[scalars[of.PAIR_NOW]] = cycle + constants[at.RESULT] + 1
            scalars[of.PAIR_NOW] += 1
            if scalars[of.PAIR_NOW] == loops[scalars[of.EXECUTE_LOOP] + 1, at.FIRST_BLOCK]:
                scalars[of.EXECUTE_LOOP] += 1
            if scalars[of.STEP] == of.BOTH:
                scalars[of.WEIGHTS_READY] = scalars[of.PAIR_NOW] + 1
            free_entries(cycle, 1, scalars)
        end_pass(cycle, scalars, passes)
    return fed


@kernel(inline=True, allocates=False)
def retire_pairs(cycle: int, constants: Table, scalars: Table, executes: Table, pair_done: Table, pairs: Table) -> bool:
    """Free the entries of preloads whose results are written; return whether anything was freed.

    A compute, and a preload without a result, are freed when they are fed.
    """
    freed = scalars[of.EXECUTES_FREED] > 0 and scalars[of.EXECUTES_FREED_AT] <= cycle
    if freed:
        scalars[of.EXECUTES_HELD] -= scalars[of.EXECUTES_FREED]
        scalars[of.EXECUTES_FREED] = 0
    while scalars[of.PAIRS_RETIRED] < scalars[of.PAIR_NOW] and pair_done[scalars[of.PAIRS_RETIRED]] <= cycle:
        pair = scalars[of.PAIRS_RETIRED]
        stays = constants[at.OUTPUT_STATIONARY] == 1 and executes[pairs[pair, of.PAIR_ROW], at.RESULT_PLACE] < 0
        scalars[of.EXECUTES_HELD] -= 0 if stays else 1
        scalars[of.PAIRS_RETIRED] += 1
        freed = True
    return bool(freed)
