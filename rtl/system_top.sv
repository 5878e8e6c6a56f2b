// An engine with its DMA: a program of tile operations, each of which may load activations, weights and the constants
// of the columns, runs a job, and may store its outputs. All words lie in memory in whole beats. Activations lie in a
// ring, each tile in at most half of it; a tile of a convolution begins with rows that the one before has left there.
module system_top #(
    parameter bit OUTPUT_STATIONARY = 0,         // or weight stationary
    parameter int BANKS = 0,                     // of the activations, for convolutions; 0 for matrix products
    parameter int WORD_ELEMENTS = 1,             // of a word of a bank
    parameter int ROWS = 8,
    parameter int COLS = 8,
    parameter int ACTIVATION_BITS = 8,
    parameter int WEIGHT_BITS = 8,
    parameter int PARTIAL_SUM_BITS = 32,         // weight stationary only, and so are the next and WEIGHT_DOUBLE_BUFFER
    parameter bit PARTIAL_SUM_SATURATES = 0,
    parameter int ACCUMULATOR_BITS = 32,
    parameter bit ACCUMULATOR_SATURATES = 0,
    parameter bit WEIGHT_DOUBLE_BUFFER = 1,
    parameter int BIAS_BITS = 32,
    parameter int OUTPUT_BITS = 8,
    parameter int REQUANTIZER = 1,
    parameter int ROUNDING = 2,
    parameter int ADDRESS_BITS = 10,             // of a scratchpad, both halves
    parameter int BUS_BYTES = 8,
    parameter int OP_BITS = 6,
    localparam int SUM_BITS = OUTPUT_STATIONARY ? ACCUMULATOR_BITS : PARTIAL_SUM_BITS  // of what leaves the array
) (
    input  logic                                  clk,
    input  logic                                  rst,
    // The program is written through these while none runs.
    input  logic                                  op_write,
    input  logic [OP_BITS-1:0]                    op_address,
    input  fields::op_t                           op_data,
    // Settings: constant from `start` to `done`.
    input  logic                                  start,
    input  logic [OP_BITS-1:0]                    ops,
    input  logic [15:0]                           burst_bytes,
    input  logic [15:0]                           max_outstanding,
    input  logic [15:0]                           setup_cycles,
    input  fields::quantization_t                 quantization,
    // A word of memory holds one for each bank.
    input  fields::convolution_t                  convolution,
    input  fields::pool_t                         pool,                 // weight stationary only
    output logic                                  running,
    output logic                                  done,
    output fields::counts_t                       counts,
    // Memory.
    output logic                                  request,
    output logic                                  request_write,
    output logic [1:0]                            request_index,
    output logic [31:0]                           request_address,
    output logic [15:0]                           request_bytes,
    input  logic                                  beat,
    input  logic                                  beat_write,
    input  logic [1:0]                            beat_index,
    input  logic                                  last_beat,
    input  logic [8*BUS_BYTES-1:0]                read_data,
    output logic [8*BUS_BYTES-1:0]                write_data,
    // What leaves the array in every cycle: for the test bench.
    output logic                                  job_running,
    output logic [ROWS-1:0][ACTIVATION_BITS:0]    edge_activations,
    output logic [COLS-1:0][WEIGHT_BITS:0]        edge_weights,
    output logic [COLS-1:0][SUM_BITS-1:0]         edge_sums,
    output logic                                  edge_valid
);
  localparam int ROW_BITS = ROWS > 1 ? $clog2(ROWS) : 1;
  localparam int HALF = ADDRESS_BITS - 1;
  localparam int WORD_BITS = (BANKS > 0 ? BANKS * WORD_ELEMENTS : ROWS) * ACTIVATION_BITS;
  localparam int BUS_BITS = 8 * BUS_BYTES;
  // Of the program, what each engine wants; a job's fields are read in the cycle in which the one before finishes.
  fields::load_t loads[1 << OP_BITS];
  fields::work_t works[1 << OP_BITS];
  fields::work_end_t work_ends[1 << OP_BITS];
  fields::store_t stores[1 << OP_BITS];
  fields::load_t load;
  fields::work_t work;
  fields::work_end_t work_end;
  fields::store_t store;
  fields::turn_t turn;
  logic [OP_BITS-1:0] load_op, work_op, next_work_op, store_op;
  logic load_start, load_busy, load_finishes, work_start, work_finishes, store_start, store_busy, store_finishes;
  logic weight_fill, weight_half, result_half, store_half, works_again;
  logic [2:0] load_beat;
  logic store_beat;
  logic [BUS_BITS-1:0] load_data, store_data;
  logic activation_write, weight_write, constant_write;
  logic [ADDRESS_BITS-1:0] activation_address, weight_address, constant_address, read_address, output_address;
  logic [WORD_BITS-1:0] activation_data;
  logic [COLS-1:0][WEIGHT_BITS-1:0] weight_data;
  logic [COLS-1:0][BIAS_BITS-1:0] bias_data;
  fields::scale_t [COLS-1:0] scale_data;
  logic [COLS-1:0][OUTPUT_BITS-1:0] outputs;
  logic activation_read;
  logic [ROWS-1:0][ACTIVATION_BITS:0] activations;

  always_ff @(posedge clk) begin
    if (op_write) begin
      loads[op_address] <= op_data.load;
      works[op_address] <= op_data.work;
      work_ends[op_address] <= op_data.work_end;
      stores[op_address] <= op_data.store;
    end
  end
  assign load = loads[load_op];
  assign work = works[next_work_op];  // of the job at work until it finishes
  assign work_end = work_ends[work_op];
  assign store = stores[store_op];
  assign turn = '{keeps_counts: works_again, counts_outputs: work.finishes, weight_half: weight_half,
                  result_half: result_half};

  system_control #(.OP_BITS(OP_BITS)) control (
      .clk, .rst, .start, .ops, .load_op, .takes_input(load.takes_input), .takes_weight(load.takes_weight),
      .next_work_op, .takes_result(work.takes_result), .work_op, .gives_input(work_end.gives_input),
      .gives_weight(work_end.gives_weight), .store_op, .stores(store.stores), .load_start, .load_busy, .load_finishes,
      .work_start, .work_finishes, .store_start, .store_busy, .store_finishes, .running, .done, .cycles(counts.cycles)
  );
  // Which half of the other scratchpads is filled, read, written and stored: the other one from each new half on.
  always_ff @(posedge clk) begin
    weight_fill <= weight_fill ^ (load_start && load.takes_weight);
    weight_half <= weight_half ^ (work_start && work.takes_weight);
    result_half <= result_half ^ (work_start && work.takes_result);
    store_half <= store_half ^ store_start;
    works_again <= works_again || work_start;
    if (rst || start) begin
      {weight_fill, weight_half, result_half, store_half} <= '1;
      works_again <= 1'b0;
    end
  end

  dma #(.BUS_BYTES(BUS_BYTES), .LOADS(3), .INDEX_BITS(2)) transfers (
      .clk, .rst, .burst_bytes, .max_outstanding, .setup_cycles, .load_start, .load_first(load.first),
      .load_last(load.last), .load_descriptors(load.descriptors), .load_busy, .load_finishes, .load_beat, .load_data,
      .store_start, .store_descriptor(store.descriptor), .store_busy, .store_finishes, .store_beat, .store_data,
      .request, .request_write, .request_index, .request_address, .request_bytes, .beat, .beat_write, .beat_index,
      .last_beat, .read_data, .write_data
  );
  word_builder #(.WIDTH(WORD_BITS), .BUS_BITS(BUS_BITS), .ADDRESS_BITS(ADDRESS_BITS)) build_activations (
      .clk, .start(load_start), .first(ADDRESS_BITS'(load.input_address)), .beat(load_beat[0]), .data(load_data),
      .write(activation_write), .write_address(activation_address), .write_data(activation_data)
  );
  word_builder #(.WIDTH(COLS * WEIGHT_BITS), .BUS_BITS(BUS_BITS), .ADDRESS_BITS(ADDRESS_BITS)) build_weights (
      .clk, .start(load_start), .first({!weight_fill, HALF'(0)}), .beat(load_beat[1]), .data(load_data),
      .write(weight_write), .write_address(weight_address), .write_data(weight_data)
  );
  word_builder #(
      .WIDTH(COLS * (BIAS_BITS + $bits(fields::scale_t))), .BUS_BITS(BUS_BITS), .ADDRESS_BITS(ADDRESS_BITS)
  ) build_constants (
      .clk, .start(load_start), .first({!weight_fill, HALF'(0)}), .beat(load_beat[2]), .data(load_data),
      .write(constant_write), .write_address(constant_address), .write_data({scale_data, bias_data})
  );
  word_splitter #(.WIDTH(COLS * OUTPUT_BITS), .BUS_BITS(BUS_BITS), .ADDRESS_BITS(ADDRESS_BITS)) split_outputs (
      .clk, .start(store_start), .first({!store_half, HALF'(0)}), .beat(store_beat), .data(store_data),
      .read_address(output_address), .read_data(outputs)
  );
  // The activations' side, and the core, which is all else.
  logic hold, activation_wanted, first_wanted, weight_read;
  logic [ROW_BITS-1:0] weight_row;
  if (BANKS > 0) begin : g_convolution
    logic unused_address;
    assign unused_address = &{1'b0, read_address};
    im2col_feed #(
        .ROWS(ROWS), .ROW_BITS(ROW_BITS), .BITS(ACTIVATION_BITS), .BANKS(BANKS),
        .WORD_ELEMENTS(WORD_ELEMENTS), .ADDRESS_BITS(ADDRESS_BITS + $clog2(BANKS * WORD_ELEMENTS))
    ) activation_feed (
        .clk, .rst, .start(work_start), .write({BANKS{activation_write}}), .write_word(activation_address),
        .write_data(activation_data), .base(ADDRESS_BITS'(work.input_base)), .k_folds(work.job.k_folds), .convolution,
        .band(work.band), .zero_point(ACTIVATION_BITS'(quantization.activation_zero_point)), .tap_step(weight_read),
        .tap_row(weight_row), .wanted(activation_wanted), .first_wanted, .read(activation_read), .hold,
        .operands(activations)
    );
  end else begin : g_product
    logic unused_geometry;
    assign unused_geometry = &{1'b0, convolution, activation_wanted, first_wanted, weight_read, weight_row};
    assign hold = 1'b0;
    operand_feed #(.LANES(ROWS), .BITS(ACTIVATION_BITS), .ADDRESS_BITS(ADDRESS_BITS)) activation_feed (
        .clk, .rst, .write(activation_write), .write_address(activation_address), .write_data(activation_data),
        .read(activation_read), .read_address(read_address + ADDRESS_BITS'(work.input_base)),
        .zero_point(quantization.activation_zero_point), .operands(activations)
    );
  end
  fields::counts_t core_counts;
  assign counts.partial_sum_events = core_counts.partial_sum_events;
  assign counts.accumulator_events = core_counts.accumulator_events;
  assign counts.saturations = core_counts.saturations;
  logic unused_done, unused_fields;
  assign unused_fields = &{1'b0, load, work, core_counts.cycles};
  logic [COLS-1:0][ACCUMULATOR_BITS-1:0] unused_accumulators;
  logic [ADDRESS_BITS-1:0] write_address;
  assign write_address = constant_write ? constant_address : weight_address;
  if (OUTPUT_STATIONARY) begin : g_os
    logic unused_parameters;
    assign unused_parameters = &{1'b0, 8'(PARTIAL_SUM_BITS), PARTIAL_SUM_SATURATES, WEIGHT_DOUBLE_BUFFER, hold, pool};
    assign {activation_wanted, first_wanted, weight_read, weight_row} = '0;
    core_os #(
        .ROWS(ROWS), .COLS(COLS), .ACTIVATION_BITS(ACTIVATION_BITS), .WEIGHT_BITS(WEIGHT_BITS),
        .ACCUMULATOR_BITS(ACCUMULATOR_BITS), .ACCUMULATOR_SATURATES(ACCUMULATOR_SATURATES), .BIAS_BITS(BIAS_BITS),
        .OUTPUT_BITS(OUTPUT_BITS), .REQUANTIZER(REQUANTIZER), .ROUNDING(ROUNDING), .ADDRESS_BITS(ADDRESS_BITS)
    ) core (
        .clk, .rst, .weight_write, .bias_write(constant_write), .scale_write(constant_write), .write_address,
        .weight_data, .bias_data, .scale_data, .start(work_start), .turn, .job(work.job), .bias_matrix(1'b0),
        .quantization, .activation_read, .activation_address(read_address), .activations, .running(job_running),
        .finishes(work_finishes), .done(unused_done), .counts(core_counts), .read_address(output_address),
        .read_accumulators(unused_accumulators), .read_outputs(outputs), .edge_activations, .edge_weights, .edge_sums,
        .edge_valid
    );
  end else begin : g_ws
    core_ws #(
        .ROWS(ROWS), .COLS(COLS), .ACTIVATION_BITS(ACTIVATION_BITS), .WEIGHT_BITS(WEIGHT_BITS),
        .PARTIAL_SUM_BITS(PARTIAL_SUM_BITS), .PARTIAL_SUM_SATURATES(PARTIAL_SUM_SATURATES),
        .ACCUMULATOR_BITS(ACCUMULATOR_BITS), .ACCUMULATOR_SATURATES(ACCUMULATOR_SATURATES),
        .WEIGHT_DOUBLE_BUFFER(WEIGHT_DOUBLE_BUFFER), .BIAS_BITS(BIAS_BITS), .OUTPUT_BITS(OUTPUT_BITS),
        .REQUANTIZER(REQUANTIZER), .ROUNDING(ROUNDING), .ADDRESS_BITS(ADDRESS_BITS), .ROW_BITS(ROW_BITS)
    ) core (
        .clk, .rst, .weight_write, .bias_write(constant_write), .scale_write(constant_write), .write_address,
        .weight_data, .bias_data, .scale_data, .start(work_start), .turn, .job(work.job), .bias_matrix(1'b0),
        .quantization, .pool, .pool_rows(work.pool_rows), .activation_wanted, .hold, .activation_read, .first_wanted,
        .activation_address(read_address), .weight_read, .weight_row, .activations, .running(job_running),
        .finishes(work_finishes), .done(unused_done), .counts(core_counts), .read_address(output_address),
        .read_accumulators(unused_accumulators), .read_outputs(outputs), .edge_activations, .edge_weights, .edge_sums,
        .edge_valid
    );
  end
endmodule
