"""The output-stationary array of the command machine, one cycle at a time.

Its activations pass a transposer, so a pass feeds those of the pair that it preloads, and the weights of the pair
before, which it computes (ExecuteController.scala, `a_should_be_fed_into_transposer`). Sums stay in the array; those
of a block leave it with the rows of the pass after its last compute (MeshWithDelays.scala, `matmul_id_of_output`).
While no pair is ready and results are still inside, the array is flushed: a pass of nothing, which nothing
interrupts.
"""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_array import end_pass, free_entries, loaded, note_adding, pass_may_begin
from simulator.kernels.command_state import Table


@kernel(inline=True, allocates=False)
def _loop_of(pair: int, loops: Table, scalars: Table) -> int:
    """Loop of the present pair, or of the one after it."""
    loop = scalars[of.EXECUTE_LOOP]
    return int(loop + 1 if pair == loops[loop + 1, at.FIRST_BLOCK] else loop)


@kernel(inline=True, allocates=False)
def _is_ready(
    cycle: int, pair: int, loops: Table, constants: Table, scalars: Table, done: Table, executes: Table, pairs: Table
) -> bool:
    """Whether a pair's preload and compute are issued, their operands loaded, and what they overwrite stored."""
    if pair >= scalars[of.PAIRS_ISSUED] or scalars[of.STORES_RETIRED] < pairs[pair, of.PAIR_AFTER_STORED]:
        return False
    loop, block = _loop_of(pair, loops, scalars), executes[pairs[pair, of.PAIR_ROW]]
    if not loaded(cycle, loop, at.ACTIVATIONS, block[at.INPUT_LOAD], loops, constants, done):
        return False
    if not loaded(cycle, loop, at.WEIGHTS, block[at.WEIGHT_LOAD], loops, constants, done):
        return False
    return loaded(cycle, loop, at.BIASES, block[at.BIAS_LOAD], loops, constants, done)


@kernel(inline=True, allocates=False)
def _note_results(executes: Table, constants: Table, scalars: Table, pairs: Table) -> None:
    """Let the results that wait leave with the pass that begins."""
    scalars[of.INPUT_ROWS] = scalars[of.WEIGHT_ROWS] = scalars[of.STEP_ADDS_TO] = 0
    scalars[of.STEP_ROWS] = constants[at.DIM]
    scalars[of.STEP_RESULTS], scalars[of.RESULTS_WAITING] = scalars[of.RESULTS_WAITING], 0
    if scalars[of.STEP_RESULTS] > 0:
        block = executes[pairs[scalars[of.STEP_RESULTS] - 1, of.PAIR_ROW]]
        half = block[at.RESULT_PLACE] // constants[at.ACCUMULATOR_HALF_ROWS]
        scalars[of.STEP_ADDS_TO] = block[at.ADDS] * (half + 1)


@kernel(inline=True, allocates=False)
def _choose_step(
    cycle: int,
    loops: Table,
    constants: Table,
    scalars: Table,
    done: Table,
    executes: Table,
    pairs: Table,
    passes: Table,
) -> None:
    if cycle < scalars[of.ARRAY_FREE] or not pass_may_begin(cycle, constants, scalars, passes):
        return
    now = scalars[of.PAIR_NOW]
    fed = now
    if scalars[of.WEIGHTS_READY] > now:
        fed = now + 1
        block = executes[pairs[now, of.PAIR_ROW]]
        scalars[of.STEP] = of.COMPUTE
        scalars[of.STEP_INPUT_ROWS] = block[at.WEIGHT_ROWS]
        scalars[of.STEP_INPUT_BANK] = block[at.WEIGHT_PLACE] // constants[at.BANK_ROWS]
    if _is_ready(cycle, fed, loops, constants, scalars, done, executes, pairs):
        block = executes[pairs[fed, of.PAIR_ROW]]
        scalars[of.STEP] = of.PRELOAD if fed == now else of.BOTH
        scalars[of.STEP_WEIGHT_ROWS] = block[at.EXECUTE_ROWS]
        scalars[of.STEP_WEIGHT_BANK] = block[at.INPUT_PLACE] // constants[at.BANK_ROWS]
    elif scalars[of.STEP] == of.NOTHING and (scalars[of.RESULTS_WAITING] > 0 or cycle < scalars[of.LAST_EXIT]):
        scalars[of.STEP] = of.FLUSH
    if scalars[of.STEP] != of.NOTHING:
        _note_results(executes, constants, scalars, pairs)


@kernel(inline=True, allocates=False)
def _feed(cycle: int, written: int, constants: Table, scalars: Table, adding: Table) -> bool:
    """Feed a row of the weights of this pair (`INPUT_ROWS`), of the next one's activations (`WEIGHT_ROWS`), or of each.

    Neither goes more than a row ahead; where both come from one bank they take turns, activations first, rows of zeros
    too (ExecuteController.scala, `must_wait_for`).
    """
    step, rows = scalars[of.STEP], scalars[of.STEP_ROWS]
    computes, preloads = step == of.COMPUTE or step == of.BOTH, step == of.PRELOAD or step == of.BOTH
    b_bank, a_bank = scalars[of.STEP_INPUT_BANK], scalars[of.STEP_WEIGHT_BANK]
    b, a = scalars[of.INPUT_ROWS], scalars[of.WEIGHT_ROWS]
    a_is_real, b_is_real = a < scalars[of.STEP_WEIGHT_ROWS], b < scalars[of.STEP_INPUT_ROWS]
    feeds_a = preloads and a < rows and not (a_is_real and written == a_bank) and (not computes or a <= b)
    feeds_b = computes and b < rows and not (b_is_real and written == b_bank) and (not preloads or b <= a)
    if feeds_b and step == of.BOTH and a == b and a < rows and a_bank == b_bank:
        feeds_b = False
    if step == of.FLUSH:
        feeds_b = True
    if feeds_a:
        scalars[of.WEIGHT_ROWS] += 1
    if feeds_b:
        scalars[of.INPUT_ROWS] += 1
    if feeds_b or (feeds_a and not computes):
        note_adding(cycle + constants[at.RESULT], scalars[of.STEP_ADDS_TO], adding)
    return bool(feeds_a or feeds_b)


@kernel(inline=True, allocates=False)
def _end_step(
    cycle: int,
    loops: Table,
    constants: Table,
    scalars: Table,
    executes: Table,
    pair_done: Table,
    pairs: Table,
    passes: Table,
) -> None:
    step, now = scalars[of.STEP], scalars[of.PAIR_NOW]
    if scalars[of.STEP_RESULTS] > 0:
        pair_done[scalars[of.STEP_RESULTS] - 1] = cycle + constants[at.RESULT] + 1
        scalars[of.LAST_EXIT] = cycle + constants[at.PASS_THROUGH]
        scalars[of.STEP_RESULTS] = 0
    if step == of.FLUSH:
        scalars[of.ARRAY_FREE] = cycle + 1 + constants[at.FLUSH]
    if step == of.COMPUTE or step == of.BOTH:
        if executes[pairs[now, of.PAIR_ROW], at.RESULT_PLACE] >= 0:
            scalars[of.RESULTS_WAITING] = now + 1
        else:
            pair_done[now] = cycle + 1
        now += 1
        scalars[of.PAIR_NOW] = now
        if now == loops[scalars[of.EXECUTE_LOOP] + 1, at.FIRST_BLOCK]:
            scalars[of.EXECUTE_LOOP] += 1
        free_entries(cycle, 1, scalars)
    if step == of.PRELOAD or step == of.BOTH:
        scalars[of.WEIGHTS_READY] = now + 1
        # A preload whose result stays in the array is complete as soon as it is fed.
        if executes[pairs[now, of.PAIR_ROW], at.RESULT_PLACE] < 0:
            free_entries(cycle, 1, scalars)
    end_pass(cycle, scalars, passes)


@kernel(inline=True, allocates=False)
def execute_output_stationary(
    cycle: int,
    written: int,
    loops: Table,
    constants: Table,
    scalars: Table,
    done: Table,
    executes: Table,
    pair_done: Table,
    adding: Table,
    pairs: Table,
    passes: Table,
) -> bool:
    """Array: return whether a row of operands went in."""
    if scalars[of.STEP] == of.NOTHING:
        _choose_step(cycle, loops, constants, scalars, done, executes, pairs, passes)
        if scalars[of.STEP] == of.NOTHING:
            return False
    step = scalars[of.STEP]
    fed = _feed(cycle, written, constants, scalars, adding)
    a_in = scalars[of.WEIGHT_ROWS] == scalars[of.STEP_ROWS] or step == of.COMPUTE or step == of.FLUSH
    b_in = scalars[of.INPUT_ROWS] == scalars[of.STEP_ROWS] or step == of.PRELOAD
    if a_in and b_in:
        _end_step(cycle, loops, constants, scalars, executes, pair_done, pairs, passes)
    return bool(fed and step != of.FLUSH)
