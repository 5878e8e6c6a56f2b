// Weight-stationary engine for matrix products: activations lie in their scratchpad as the array takes them, a word for
// each pixel and k fold.
module engine_ws #(
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
    parameter int ADDRESS_BITS = 13
) (
    input  logic                                  clk,
    input  logic                                  rst,
    // Scratchpads are filled through these, one word a cycle, while no job runs.
    input  logic                                  activation_write,
    input  logic                                  weight_write,
    input  logic                                  bias_write,
    input  logic                                  scale_write,
    input  logic [ADDRESS_BITS-1:0]               write_address,
    input  logic [ROWS-1:0][ACTIVATION_BITS-1:0]  activation_data,
    input  logic [COLS-1:0][WEIGHT_BITS-1:0]      weight_data,
    input  logic [COLS-1:0][BIAS_BITS-1:0]        bias_data,
    input  fields::scale_t [COLS-1:0]             scale_data,
    // Job: constant from `start` to `done`.
    input  logic                                  start,
    input  fields::job_t                          job,
    input  logic                                  bias_matrix,          // a bias for each pixel, not for each column
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
  logic activation_read, unused_wanted, unused_first, unused_weight_read, unused_finishes;
  logic [ROW_BITS-1:0] unused_weight_row;
  logic [ADDRESS_BITS-1:0] activation_address;
  logic [ROWS-1:0][ACTIVATION_BITS:0] activations;

  operand_feed #(.LANES(ROWS), .BITS(ACTIVATION_BITS), .ADDRESS_BITS(ADDRESS_BITS)) activation_feed (
      .clk, .rst, .write(activation_write), .write_address, .write_data(activation_data), .read(activation_read),
      .read_address(activation_address), .zero_point(quantization.activation_zero_point), .operands(activations)
  );
  fields::pool_t no_pool;
  fields::turn_t alone;
  assign no_pool = '{size: 8'd1, default: '0};
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
      .start, .turn(alone), .job, .bias_matrix, .quantization, .pool(no_pool), .pool_rows('0),
      .activation_wanted(unused_wanted), .hold(1'b0), .activation_read, .first_wanted(unused_first),
      .activation_address, .weight_read(unused_weight_read), .weight_row(unused_weight_row), .activations, .running,
      .finishes(unused_finishes), .done, .counts, .read_address, .read_accumulators, .read_outputs, .edge_activations,
      .edge_weights, .edge_sums, .edge_valid
  );
endmodule
