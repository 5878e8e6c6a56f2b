// A weight-stationary engine but for where its activations come from: sequencer, weights, array, accumulator memory,
// store path. A job is one tile operation: `pixels` pixels, k_folds x n_folds folds; it may continue the accumulators
// of the job before it.
module core_ws #(
    parameter int ROWS = 8,
    parameter int COLS = 8,
    parameter int ACTIVATION_BITS = 8,
    parameter int WEIGHT_BITS = 8,
    parameter int PARTIAL_SUM_BITS = 32,
    parameter bit PARTIAL_SUM_SATURATES = 0,
    parameter int ACCUMULATOR_BITS = 32,
    parameter bit ACCUMULATOR_SATURATES = 0,
    parameter bit WEIGHT_DOUBLE_BUFFER = 1,
    parameter int BIAS_BITS = 32,
    parameter int OUTPUT_BITS = 8,
    parameter int REQUANTIZER = 1,
    parameter int ROUNDING = 2,
    parameter int ADDRESS_BITS = 13,
    parameter int ROW_BITS = 3
) (
    input  logic                                  clk,
    input  logic                                  rst,
    // Scratchpads are filled through these, one word a cycle, while no job runs.
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
    input  fields::pool_t                         pool,
    input  fields::pool_rows_t                    pool_rows,
    // Activations: wanted until `hold` is low, then read, and there in the next cycle.
    output logic                                  activation_wanted,
    input  logic                                  hold,
    output logic                                  activation_read,
    output logic                                  first_wanted,         // the first pixel of a fold
    output logic [ADDRESS_BITS-1:0]               activation_address,
    output logic                                  weight_read,          // a row of the next fold's weights
    output logic [ROW_BITS-1:0]                   weight_row,
    input  logic [ROWS-1:0][ACTIVATION_BITS:0]    activations,
    output logic                                  running,
    output logic                                  finishes,             // in this cycle: the last output is written
    output logic                                  done,
    output fields::counts_t                       counts,
    // Results are read through these while no job runs, in the cycle after the address.
    input  logic [ADDRESS_BITS-1:0]               read_address,
    output logic [COLS-1:0][ACCUMULATOR_BITS-1:0] read_accumulators,
    output logic [COLS-1:0][OUTPUT_BITS-1:0]      read_outputs,
    // What leaves the array in every cycle: for the test bench.
    output logic [ROWS-1:0][ACTIVATION_BITS:0]    edge_activations,
    output logic [COLS-1:0][WEIGHT_BITS:0]        edge_weights,
    output logic [COLS-1:0][PARTIAL_SUM_BITS-1:0] edge_sums,
    output logic                                  edge_valid
);
  logic unused_fields;
  assign unused_fields = &{1'b0, quantization, job};
  localparam int HALF = ADDRESS_BITS - 1;
  logic last_pixel, first_fold, last_fold, last_of_all;
  logic [ADDRESS_BITS-1:0] weight_address;
  logic [ROW_BITS-1:0] offered_row;
  logic offered_first, offered_weights;
  logic [4:0] offered, token;
  logic [COLS-1:0][WEIGHT_BITS:0] weights;
  logic [COLS-1:0][PARTIAL_SUM_BITS-1:0] sums;
  logic [ROWS-1:0][COLS-1:0] sum_overflow;
  logic [COLS-1:0][1:0] accumulator_overflow;
  logic [COLS-1:0][ACCUMULATOR_BITS-1:0] accumulators;
  logic result_valid, result_last, last_write;
  logic [ADDRESS_BITS-1:0] result_address, n_fold, result_n_fold;
  logic [COLS-1:0] column_valid, saturated;
  logic value_write, last_value, output_write;
  logic [ADDRESS_BITS-1:0] value_address, output_address;
  logic [COLS-1:0][OUTPUT_BITS-1:0] values, output_data;

  sequencer_ws #(
      .ROWS(ROWS), .ROW_BITS(ROW_BITS), .ADDRESS_BITS(ADDRESS_BITS), .DOUBLE_BUFFER(WEIGHT_DOUBLE_BUFFER)
  ) sequencer (
      .clk, .rst, .start, .pixels(job.pixels), .k_folds(job.k_folds), .n_folds(job.n_folds), .hold,
      .activation_wanted, .activation_read, .activation_address, .first_wanted, .last_pixel, .first_fold, .last_fold,
      .last_of_all, .weight_read, .weight_address, .weight_row
  );
  operand_feed #(.LANES(COLS), .BITS(WEIGHT_BITS), .ADDRESS_BITS(ADDRESS_BITS)) weight_feed (
      .clk, .rst, .write(weight_write), .write_address, .write_data(weight_data), .read(weight_read),
      .read_address(weight_address ^ {turn.weight_half, HALF'(0)}), .zero_point(quantization.weight_zero_point),
      .operands(weights)
  );
  // Tokens go with the operands: one cycle of scratchpad.
  always_ff @(posedge clk) begin
    offered_first <= activation_read && first_wanted && !rst;
    offered_weights <= weight_read && !rst;
    offered_row <= weight_row;
    offered <= rst ? '0 : {activation_read, last_pixel, first_fold, last_fold, last_pixel && last_of_all};
  end
  array_ws #(
      .ROWS(ROWS), .COLS(COLS), .ROW_BITS(ROW_BITS), .ACTIVATION_BITS(ACTIVATION_BITS + 1),
      .WEIGHT_BITS(WEIGHT_BITS + 1), .SUM_BITS(PARTIAL_SUM_BITS), .SUM_SATURATES(PARTIAL_SUM_SATURATES),
      .DOUBLE_BUFFER(WEIGHT_DOUBLE_BUFFER)
  ) array (
      .clk, .rst, .activations, .first(offered_first), .weights, .weight_valid(offered_weights),
      .weight_row(offered_row), .sums, .overflow(sum_overflow), .right_activations(edge_activations),
      .bottom_weights(edge_weights), .bottom_sums(edge_sums)
  );
  delay #(.BITS(5), .CYCLES(ROWS + COLS - 2)) tokens (.clk, .rst, .d(offered), .q(token));
  assign edge_valid = token[4];
  accumulator_ws #(
      .COLS(COLS), .SUM_BITS(PARTIAL_SUM_BITS), .BIAS_BITS(BIAS_BITS), .ACCUMULATOR_BITS(ACCUMULATOR_BITS),
      .ACCUMULATOR_SATURATES(ACCUMULATOR_SATURATES), .ADDRESS_BITS(ADDRESS_BITS)
  ) accumulate (
      .clk, .rst, .start, .continues(job.continues), .bias_matrix, .pixels(job.pixels), .bias_half(turn.weight_half),
      .bias_write, .bias_write_address(write_address), .bias_write_data(bias_data), .token_valid(token[4]),
      .token_last_pixel(token[3]), .token_first_fold(token[2]), .token_last_fold(token[1]), .token_last(token[0]),
      .sums, .accumulators, .valid(result_valid),
      .last(result_last), .address(result_address), .n_fold, .overflow(accumulator_overflow), .inspect(!running),
      .inspect_address(read_address), .inspect_data(read_accumulators)
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
  max_pool #(.COLS(COLS), .BITS(OUTPUT_BITS), .ADDRESS_BITS(ADDRESS_BITS)) pooling (
      .clk, .rst, .start, .pool, .rows(pool_rows), .finished(turn.counts_outputs), .valid(value_write),
      .last(last_value), .address(value_address), .values,
      .write(output_write), .last_write, .write_address(output_address), .write_data(output_data)
  );
  scratchpad #(.WIDTH(COLS * OUTPUT_BITS), .ADDRESS_BITS(ADDRESS_BITS)) outputs (
      .clk, .write(output_write), .write_address(output_address ^ {turn.result_half, HALF'(0)}),
      .write_data(output_data), .read_address, .read_data(read_outputs)
  );
  job_counters #(.SUM_FLAGS(ROWS * COLS), .ACCUMULATOR_FLAGS(2 * COLS), .OUTPUT_FLAGS(COLS)) counters (
      .clk, .rst, .start, .keeps_counts(turn.keeps_counts), .last_write, .sum_overflow, .accumulator_overflow,
      .saturated, .running, .finishes, .done, .counts
  );
endmodule
