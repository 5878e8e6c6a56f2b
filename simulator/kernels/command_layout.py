"""Columns of the arrays that the command machine reads, and the order of its constants and results.

A layer is a list of loops. A loop of a matrix product covers blocks of `dim` x `dim` elements (dim = array.rows): I of
pixels, J of output channels, K of the reduction. Load and store commands of all loops are rows of one array, section
by section; the executes, each a preload and a compute, are rows of another.
"""

from __future__ import annotations

# Sequencers of a loop, in the order in which they are looked at.
ACTIVATIONS, WEIGHTS, BIASES, EXECUTES, STORES = range(5)
SEQUENCERS = 5

# Columns of `loops`. Blocks are those of a product.
BLOCKS_I, BLOCKS_J, BLOCKS_K, ACCUMULATOR_HALF, STORES_BEFORE, FIRST_BLOCK = range(6)
"""STORES_BEFORE: stores of the layer that must be complete before this loop's biases may be written."""
FIRST_COMMAND = FIRST_BLOCK + 1
"""One column a sequencer: its first command. The next loop's is where its commands end."""
SHAPE_COMMAND = FIRST_COMMAND + SEQUENCERS
"""One column a sequencer: where in `commands` its commands lie (executes: in `executes`); loops alike share them."""
ADDRESS_OF = SHAPE_COMMAND + SEQUENCERS
"""One column a sequencer: what is added to the ADDRESS of its commands."""
INPUT_ORIGIN = ADDRESS_OF + SEQUENCERS
WEIGHT_ORIGIN = INPUT_ORIGIN + 1
"""Rows of the scratchpad from which those of activations and weights count."""
LOOP_COLUMNS = WEIGHT_ORIGIN + 1

# Columns of `commands`. Of a product: the first of its blocks in its matrix, how many side by side. Then the rows of
# bytes it moves; STRIDE from row to row, LINE_STRIDE from line to line of LINE_ROWS rows (stores only). PLACE: first
# row of the scratchpad (of accumulator memory, of biases and stores that a host issues). REPEATS: rows on chip for each
# row moved. AFTER: execute of its loop that a store waits for.
(
    ROW_BLOCK,
    COLUMN_BLOCK,
    BLOCKS,
    ROWS,
    ADDRESS,
    STRIDE,
    PATTERN,
    PLACE,
    REPEATS,
    KIND,
    AFTER,
    LINE_ROWS,
    LINE_STRIDE,
) = range(13)
COMMAND_COLUMNS = 13

# Values of KIND: moves rows; sets registers of its controller, which takes a cycle; writes rows of zeros, from nowhere.
MOVE, SETUP, ZEROS = range(3)

# Columns of `executes`, in their order: rows, whether its weights are new, rows of the scratchpad where its operands
# begin, whether it adds to accumulators, loads of its loop that it waits for (-1 = none), rows of weights. Read by an
# output-stationary array only: row of accumulator memory where results go (-1 = they stay in the array).
(
    EXECUTE_ROWS,
    NEW_WEIGHTS,
    INPUT_PLACE,
    WEIGHT_PLACE,
    ADDS,
    INPUT_LOAD,
    WEIGHT_LOAD,
    BIAS_LOAD,
    WEIGHT_ROWS,
    RESULT_PLACE,
) = range(10)
EXECUTE_COLUMNS = 10

# How loops are unrolled: by the unroller of matrix products, by that of convolutions, or by the host, in this order.
PRODUCTS, CONVOLUTIONS, HOST = range(3)

# Columns of `requests`: cycles count from the first beat on the bus.
BEATS, PERIOD, FIRST_WRITE, LAST_WRITE = range(4)
REQUEST_COLUMNS = 4

# Constants of the device, in the order of the array `constants`.
(
    DIM,
    BANK_ROWS,
    BURST_BYTES,
    BEAT_NUMERATOR,
    BEAT_DENOMINATOR,
    MAX_OUTSTANDING,
    LATENCY,
    LOAD_ENTRIES,
    EXECUTE_ENTRIES,
    STORE_ENTRIES,
    LOADS_IN_FLIGHT,
    STORES_IN_FLIGHT,
    START,
    CONFIGURE,
    ISSUE,
    READ,
    LOAD_DONE,
    LOAD_FREED,
    RESULT,
    MINIMUM_ROWS,
    RESULTS_IN_FLIGHT,
    RESULT_TRANSIT,
    WRITE,
    STORE_DONE,
    END,
    UNROLLER,
    UNROLL,
    ZERO,
    OUTPUT_STATIONARY,
    HOST_COMMAND,
    ACCUMULATOR_HALF_ROWS,
    PASSES_IN_FLIGHT,
    PASS_THROUGH,
    FLUSH,
    STORE_COMPLETE,
) = range(35)
CONSTANTS = 35

# Results of a run, cycles.
CYCLES, COMPUTE_CYCLES, LAST_COMPUTE, LOAD_CYCLES, STORE_CYCLES = range(5)
RESULTS = 5
