// Weight-stationary engine for convolutions: the feature map lies in banks, height x width x channels, and each row of
// the array makes its own addresses. k = (kernel row, kernel column, channel), channel fastest.
module engine_conv #(
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
    parameter int BANKS = 4,                // a power of two, at least 2
    parameter int WORD_ELEMENTS = 1         // of a bank's word, a power of two
) (
    input  logic                                  clk,
    input  logic                                  rst,
    // Scratchpads are filled through these, one word a cycle, while no job runs.
    input  logic                                  activation_write,
    input  logic                                  weight_write,
    input  logic                                  bias_write,
    input  logic                                  scale_write,
    input  logic [ADDRESS_BITS-1:0]               write_address,
    input  logic [WORD_ELEMENTS-1:0][ACTIVATION_BITS-1:0] activation_data,  // a word of a bank
    input  logic [COLS-1:0][WEIGHT_BITS-1:0]      weight_data,
    input  logic [COLS-1:0][BIAS_BITS-1:0]        bias_data,
    input  fields::scale_t [COLS-1:0]             scale_data,
    // Job: constant from `start` to `done`.
    input  logic                                  start,
    input  fields::job_t                          job,
    input  logic                                  bias_matrix,          // a bias for each pixel, not for each column
    input  fields::convolution_t                  convolution,
    input  fields::band_t                         band,
    input  fields::pool_t                         pool,
    input  fields::pool_rows_t                    pool_rows,
    input  fields::quantization_t                 quantization,
    output logic                                  running,
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
  localparam int ROW_BITS = ROWS > 1 ? $clog2(ROWS) : 1;
  logic activation_wanted, activation_read, first_wanted, hold, weight_read;
  logic [ROW_BITS-1:0] weight_row;
  logic [ADDRESS_BITS-1:0] unused_address;
  logic unused_finishes;
  logic [BANKS-1:0] write_bank;
  logic [ROWS-1:0][ACTIVATION_BITS:0] activations;

  // One word at a time, the banks in turn.
  assign write_bank = BANKS'(activation_write) << write_address[$clog2(BANKS)-1:0];
  im2col_feed #(
      .ROWS(ROWS), .ROW_BITS(ROW_BITS), .BITS(ACTIVATION_BITS), .BANKS(BANKS), .WORD_ELEMENTS(WORD_ELEMENTS),
      .ADDRESS_BITS(ADDRESS_BITS + $clog2(WORD_ELEMENTS))
  ) activation_feed (
      .clk, .rst, .start, .write(write_bank), .write_word(write_address[ADDRESS_BITS-1:$clog2(BANKS)]),
      .write_data({BANKS{activation_data}}), .base('0), .k_folds(job.k_folds), .convolution, .band,
      .zero_point(ACTIVATION_BITS'(quantization.activation_zero_point)), .tap_step(weight_read), .tap_row(weight_row),
      .wanted(activation_wanted), .first_wanted, .read(activation_read), .hold, .operands(activations)
  );
  fields::turn_t alone;
  assign alone = '{counts_outputs: 1'b1, default: 1'b0};
  core_ws #(
      .ROWS(ROWS), .COLS(COLS), .ACTIVATION_BITS(ACTIVATION_BITS), .WEIGHT_BITS(WEIGHT_BITS),
      .PARTIAL_SUM_BITS(PARTIAL_SUM_BITS), .PARTIAL_SUM_SATURATES(PARTIAL_SUM_SATURATES),
      .ACCUMULATOR_BITS(ACCUMULATOR_BITS), .ACCUMULATOR_SATURATES(ACCUMULATOR_SATURATES),
      .WEIGHT_DOUBLE_BUFFER(WEIGHT_DOUBLE_BUFFER), .BIAS_BITS(BIAS_BITS), .OUTPUT_BITS(OUTPUT_BITS),
      .REQUANTIZER(REQUANTIZER), .ROUNDING(ROUNDING),
      .ADDRESS_BITS(ADDRESS_BITS), .ROW_BITS(ROW_BITS)
  ) core (
      .clk, .rst, .weight_write, .bias_write, .scale_write, .write_address, .weight_data, .bias_data, .scale_data,
      .start, .turn(alone), .job, .bias_matrix, .quantization, .pool, .pool_rows,
      .activation_wanted, .hold, .activation_read, .first_wanted, .activation_address(unused_address), .weight_read,
      .weight_row, .activations, .running, .finishes(unused_finishes), .done, .counts, .read_address,
      .read_accumulators, .read_outputs, .edge_activations, .edge_weights, .edge_sums, .edge_valid
  );
endmodule
