"""Columns of the arrays that the command machine reads, and the order of its constants and results.

A matrix product is a list of loops. A loop covers blocks of `dim` x `dim` elements (dim = array.rows): I of pixels,
J of output channels, K of the reduction. Its commands are rows of one array, section by section.
"""

from __future__ import annotations

# Sequencers of a loop, in the order in which they are looked at.
ACTIVATIONS, WEIGHTS, BIASES, EXECUTES, STORES = range(5)
SEQUENCERS = 5

# Columns of `loops`.
BLOCKS_I, BLOCKS_J, BLOCKS_K, LAST_ROWS, ACTIVATION_HALF, WEIGHT_HALF, FIRST_BLOCK = range(7)
FIRST_COMMAND = FIRST_BLOCK + 1
"""One column a sequencer: its first command. The next loop's is where its commands end."""
LOOP_COLUMNS = FIRST_COMMAND + SEQUENCERS

# Columns of `commands`: the first of its blocks in its matrix, how many side by side, then the rows of bytes it moves.
ROW_BLOCK, COLUMN_BLOCK, BLOCKS, ROWS, ADDRESS, STRIDE, PATTERN = range(7)
COMMAND_COLUMNS = 7

# Columns of `requests`: cycles count from the first beat on the bus.
BEATS, PERIOD, FIRST_WRITE, LAST_WRITE = range(4)
REQUEST_COLUMNS = 4

# Constants of the device, in the order of the array `constants`.
(
    DIM,
    HALF_ROWS,
    BANK_ROWS,
    BURST_BYTES,
    BEAT_NUMERATOR,
    BEAT_DENOMINATOR,
    MAX_OUTSTANDING,
    LATENCY,
    BLOCKS_PER_LOAD,
    BLOCKS_PER_BIAS_LOAD,
    LOAD_ENTRIES,
    EXECUTE_ENTRIES,
    STORE_ENTRIES,
    LOADS_IN_FLIGHT,
    STORES_IN_FLIGHT,
    LOAD_WEIGHT,
    LOADS_BEFORE_START,
    START,
    CONFIGURE,
    ISSUE,
    READ,
    LOAD_DONE,
    RESULT,
    MINIMUM_ROWS,
    RESULTS_IN_FLIGHT,
    RESULT_TRANSIT,
    WRITE,
    STORE_DONE,
    END,
) = range(29)
CONSTANTS = 29

# Results of a run, cycles.
CYCLES, COMPUTE_CYCLES, LAST_COMPUTE, LOAD_CYCLES, STORE_CYCLES = range(5)
RESULTS = 5
