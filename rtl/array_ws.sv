// Weight-stationary array of ROWS x COLS PEs. Row r of the activations enters r cycles late and column c of the weights
// c cycles late (skew); sums leave column c C - 1 - c cycles late, so that `sums` is the row of results of the
// activations that were offered ROWS + COLS - 1 cycles before.
module array_ws #(
    parameter int ROWS = 8,
    parameter int COLS = 8,
    parameter int ROW_BITS = 3,
    parameter int ACTIVATION_BITS = 9,
    parameter int WEIGHT_BITS = 9,
    parameter int SUM_BITS = 32,
    parameter bit SUM_SATURATES = 0,
    parameter bit DOUBLE_BUFFER = 1
) (
    input  logic                                 clk,
    input  logic                                 rst,
    input  logic [ROWS-1:0][ACTIVATION_BITS-1:0] activations,
    input  logic                                 first,           // the first pixel of a fold
    input  logic [COLS-1:0][    WEIGHT_BITS-1:0] weights,
    input  logic                                 weight_valid,
    input  logic [    ROW_BITS-1:0]              weight_row,
    output logic [COLS-1:0][       SUM_BITS-1:0] sums,
    output logic [ROWS-1:0][       COLS-1:0]     overflow,
    // What leaves the last PEs, before any skew is taken out: for the test bench.
    output logic [ROWS-1:0][ACTIVATION_BITS-1:0] right_activations,
    output logic [COLS-1:0][    WEIGHT_BITS-1:0] bottom_weights,
    output logic [COLS-1:0][       SUM_BITS-1:0] bottom_sums
);
  // Nets between PEs: [row][column], one more where something leaves on the far side.
  logic [ACTIVATION_BITS-1:0] activation[ROWS][COLS+1];
  logic takes_over[ROWS][COLS+1];
  logic [WEIGHT_BITS-1:0] weight[ROWS+1][COLS];
  logic valid[ROWS+1][COLS];
  logic [ROW_BITS-1:0] row[ROWS+1][COLS];
  logic [SUM_BITS-1:0] sum[ROWS+1][COLS];

  for (genvar r = 0; r < ROWS; r++) begin : g_left
    delay #(.BITS(ACTIVATION_BITS + 1), .CYCLES(r)) skew (
        .clk, .rst, .d({first, activations[r]}), .q({takes_over[r][0], activation[r][0]})
    );
    assign right_activations[r] = activation[r][COLS];
  end

  for (genvar c = 0; c < COLS; c++) begin : g_top
    delay #(.BITS(WEIGHT_BITS + 1 + ROW_BITS), .CYCLES(c)) skew (
        .clk, .rst, .d({weight_row, weight_valid, weights[c]}), .q({row[0][c], valid[0][c], weight[0][c]})
    );
    assign sum[0][c] = '0;
    assign bottom_weights[c] = weight[ROWS][c];
    assign bottom_sums[c] = sum[ROWS][c];
    delay #(.BITS(SUM_BITS), .CYCLES(COLS - 1 - c)) deskew (.clk, .rst, .d(sum[ROWS][c]), .q(sums[c]));
  end

  for (genvar r = 0; r < ROWS; r++) begin : g_row
    for (genvar c = 0; c < COLS; c++) begin : g_col
      pe_ws #(
          .ROW(r), .ROW_BITS(ROW_BITS), .ACTIVATION_BITS(ACTIVATION_BITS), .WEIGHT_BITS(WEIGHT_BITS),
          .SUM_BITS(SUM_BITS), .SUM_SATURATES(SUM_SATURATES), .DOUBLE_BUFFER(DOUBLE_BUFFER)
      ) pe (
          .clk, .rst, .activation_i(activation[r][c]), .first_i(takes_over[r][c]),
          .activation_o(activation[r][c+1]), .first_o(takes_over[r][c+1]), .weight_i(weight[r][c]),
          .weight_valid_i(valid[r][c]), .weight_row_i(row[r][c]), .weight_o(weight[r+1][c]),
          .weight_valid_o(valid[r+1][c]), .weight_row_o(row[r+1][c]), .sum_i(sum[r][c]), .sum_o(sum[r+1][c]),
          .overflow(overflow[r][c])
      );
    end
  end
endmodule
