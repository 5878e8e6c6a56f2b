// An output-stationary engine but for where its activations come from: sequencer, weights, array, accumulator memory,
// store path. A job is one tile operation: blocks of ROWS pixels by COLS channels, k products each; it may continue the
// accumulators of the job before it.
module core_os #(
    parameter int ROWS = 8,
    parameter int COLS = 8,
    parameter int ACTIVATION_BITS = 8,
    parameter int WEIGHT_BITS = 8,
    parameter int ACCUMULATOR_BITS = 32,
    parameter bit ACCUMULATOR_SATURATES = 0,
    parameter int BIAS_BITS = 32,
    parameter int OUTPUT_BITS = 8,
    parameter int REQUANTIZER = 1,
    parameter int ROUNDING = 2,
    parameter int ADDRESS_BITS = 13
) (
    input  logic                                  clk,
    input  logic                                  rst,
    // Scratchpads are filled through these, one word a cycle, while no job runs or into the half that it does not use.
    input  logic                                  weight_write,
    input  logic                                  bias_write,
    input  logic                                  scale_write,
    input  logic [ADDRESS_BITS-1:0]               write_address,
    input  logic [COLS-1:0][WEIGHT_BITS-1:0]      weight_data,
    input  logic [COLS-1:0][BIAS_BITS-1:0]        bias_data,
    input  fields::scale_t [COLS-1:0]             scale_data,
    // Job: constant from `start` to the cycle before it finishes.
    input  logic                                  start,
    input  fields::turn_t                         turn,
    input  fields::job_t                          job,
    input  logic                                  bias_matrix,          // a bias for each pixel, not for each column
    input  fields::quantization_t                 quantization,
    // Activations are there in the cycle after they are read.
    output logic                                  activation_read,
    output logic [ADDRESS_BITS-1:0]               activation_address,
    input  logic [ROWS-1:0][ACTIVATION_BITS:0]    activations,
    output logic                                  running,
    output logic                                  finishes,             // in this cycle: the last output is written
    output logic                                  done,
    output fields::counts_t                       counts,
    // Results are read through these, in the cycle after the address; accumulators while no job runs.
    input  logic [ADDRESS_BITS-1:0]               read_address,
    output logic [COLS-1:0][ACCUMULATOR_BITS-1:0] read_accumulators,
    output logic [COLS-1:0][OUTPUT_BITS-1:0]      read_outputs,
    // What leaves the array in every cycle: for the test bench.
    output logic [ROWS-1:0][ACTIVATION_BITS:0]    edge_activations,
    output logic [COLS-1:0][WEIGHT_BITS:0]        edge_weights,
    output logic [COLS-1:0][ACCUMULATOR_BITS-1:0] edge_sums,
    output logic                                  edge_valid
);
  localparam int ROW_BITS = ROWS > 1 ? $clog2(ROWS) : 1;
  logic unused_fields;
  assign unused_fields = &{1'b0, quantization, job};
  localparam int HALF = ADDRESS_BITS - 1;
  logic last, start_read;
  logic [ADDRESS_BITS-1:0] weight_address, bias_address, start_address;
  logic [ROWS-1:0] first, offered_first;
  logic [ROW_BITS-1:0] start_row, offered_row;
  logic offered_last, offered_start, token_last;
  logic [COLS-1:0][WEIGHT_BITS:0] weights;
  logic [COLS-1:0][BIAS_BITS-1:0] bias;
  logic [COLS-1:0][ACCUMULATOR_BITS-1:0] starts, results, accumulators;
  logic preloads, value_write, last_value;
  logic [ADDRESS_BITS-1:0] value_address;
  logic [COLS-1:0][OUTPUT_BITS-1:0] values;
  logic [COLS-1:0] start_overflow, column_valid, saturated;
  logic [ROWS-1:0][COLS-1:0][1:0] overflow;
  logic result_valid, result_last;
  logic [ADDRESS_BITS-1:0] result_address, n_fold, result_n_fold;

  // Start values that differ from row to row come down before their block.
  assign preloads = job.continues || bias_matrix;
  sequencer_os #(.ROWS(ROWS), .ROW_BITS(ROW_BITS), .ADDRESS_BITS(ADDRESS_BITS)) sequencer (
      .clk, .rst, .start, .preloads, .pixels(job.pixels), .k(job.k_folds), .n_folds(job.n_folds),
      .operand_read(activation_read), .activation_address, .weight_address, .bias_address, .first, .last, .start_read,
      .start_address, .start_row
  );
  operand_feed #(.LANES(COLS), .BITS(WEIGHT_BITS), .ADDRESS_BITS(ADDRESS_BITS)) weight_feed (
      .clk, .rst, .write(weight_write), .write_address, .write_data(weight_data), .read(activation_read),
      .read_address(weight_address ^ {turn.weight_half, HALF'(0)}), .zero_point(quantization.weight_zero_point),
      .operands(weights)
  );
  scratchpad #(.WIDTH(COLS * BIAS_BITS), .ADDRESS_BITS(ADDRESS_BITS)) biases (
      .clk, .write(bias_write), .write_address, .write_data(bias_data),
      .read_address((bias_matrix ? start_address : bias_address) ^ {turn.weight_half, HALF'(0)}), .read_data(bias)
  );
  for (genvar c = 0; c < COLS; c++) begin : g_start
    logic [ACCUMULATOR_BITS-1:0] loaded;
    logic load_overflow;
    register_add #(.BITS(ACCUMULATOR_BITS), .ADDEND_BITS(BIAS_BITS), .SATURATES(ACCUMULATOR_SATURATES)) load (
        .present('0), .addend(bias[c]), .next(loaded), .overflow(load_overflow)
    );
    assign starts[c] = job.continues ? read_accumulators[c] : loaded;
    assign start_overflow[c] = load_overflow && !job.continues;
  end
  // Tokens go with the operands: one cycle of scratchpad.
  always_ff @(posedge clk) begin
    offered_first <= rst ? '0 : first;
    offered_last <= last && !rst;
    offered_start <= start_read && !rst;
    offered_row <= start_row;
  end
  array_os #(
      .ROWS(ROWS), .COLS(COLS), .ROW_BITS(ROW_BITS), .ACTIVATION_BITS(ACTIVATION_BITS + 1),
      .WEIGHT_BITS(WEIGHT_BITS + 1), .SUM_BITS(ACCUMULATOR_BITS), .SUM_SATURATES(ACCUMULATOR_SATURATES)
  ) array (
      .clk, .rst, .preloads, .activations, .first(offered_first), .last(offered_last), .weights, .starts,
      .start_overflow, .start_valid(offered_start), .start_row(offered_row), .results, .overflow,
      .right_activations(edge_activations), .bottom_weights(edge_weights), .bottom_sums(edge_sums)
  );
  delay #(.BITS(1), .CYCLES(ROWS + COLS - 2)) tokens (.clk, .rst, .d(offered_last), .q(token_last));
  accumulator_os #(
      .ROWS(ROWS), .COLS(COLS), .ACCUMULATOR_BITS(ACCUMULATOR_BITS), .ADDRESS_BITS(ADDRESS_BITS)
  ) keep (
      .clk, .rst, .start, .pixels(job.pixels), .n_folds(job.n_folds), .token_last, .results, .accumulators,
      .valid(result_valid), .last(result_last), .address(result_address), .n_fold, .result_valid(edge_valid),
      .read_address(start_read ? start_address : read_address), .read_data(read_accumulators)
  );
  always_ff @(posedge clk) result_n_fold <= n_fold;
  always_comb begin
    for (int c = 0; c < COLS; c++) begin
      column_valid[c] = turn.counts_outputs &&
                        (result_n_fold != ADDRESS_BITS'(job.n_folds - 16'd1) || 16'(c) < job.last_columns);
    end
  end
  store_path #(
      .COLS(COLS), .ACCUMULATOR_BITS(ACCUMULATOR_BITS), .OUTPUT_BITS(OUTPUT_BITS),
      .REQUANTIZER(REQUANTIZER), .ROUNDING(ROUNDING), .ADDRESS_BITS(ADDRESS_BITS)
  ) store (
      .clk, .rst, .scale_write, .scale_write_address(write_address), .scale_write_data(scale_data),
      .scale_address(n_fold ^ {turn.weight_half, HALF'(0)}), .quantization, .accumulators, .valid(result_valid),
      .column_valid, .last(result_last), .address(result_address), .saturated,
      .write(value_write), .last_write(last_value), .write_address(value_address), .values
  );
  scratchpad #(.WIDTH(COLS * OUTPUT_BITS), .ADDRESS_BITS(ADDRESS_BITS)) outputs (
      .clk, .write(value_write), .write_address(value_address ^ {turn.result_half, HALF'(0)}),
      .write_data(values), .read_address, .read_data(read_outputs)
  );
  job_counters #(.SUM_FLAGS(1), .ACCUMULATOR_FLAGS(2 * ROWS * COLS), .OUTPUT_FLAGS(COLS)) counters (
      .clk, .rst, .start, .keeps_counts(turn.keeps_counts), .last_write(last_value), .sum_overflow(1'b0),
      .accumulator_overflow(overflow), .saturated, .running, .finishes, .done,
      .counts
  );
endmodule
