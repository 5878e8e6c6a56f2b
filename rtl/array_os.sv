// Output-stationary array of ROWS x COLS PEs. Row r of the activations enters r cycles late, column c of the weights c
// cycles late (skew). Once the last PE of a column has finished, its results shift down, so that `results` is the row
// R - 1, R - 2, .., 0 of a block in the cycles ROWS + COLS - 1 .. 2 ROWS + COLS - 2 after its last product was offered.
// The next block's last product may come ROWS cycles after this one's, or later.
module array_os #(
    parameter int ROWS = 8,
    parameter int COLS = 8,
    parameter int ROW_BITS = 3,
    parameter int ACTIVATION_BITS = 9,
    parameter int WEIGHT_BITS = 9,
    parameter int SUM_BITS = 32,
    parameter bit SUM_SATURATES = 0
) (
    input  logic                                 clk,
    input  logic                                 rst,
    input  logic                                 preloads,          // blocks start at values that come down before
    input  logic [ROWS-1:0][ACTIVATION_BITS-1:0] activations,
    input  logic [ROWS-1:0]                      first,              // the first product; not in padded rows
    input  logic                                 last,               // the last product of the block
    input  logic [COLS-1:0][    WEIGHT_BITS-1:0] weights,
    input  logic [COLS-1:0][       SUM_BITS-1:0] starts,             // the bias with `first`, or values for a row
    input  logic [COLS-1:0]                      start_overflow,
    input  logic                                 start_valid,        // values for the row start_row
    input  logic [    ROW_BITS-1:0]              start_row,
    output logic [COLS-1:0][       SUM_BITS-1:0] results,
    output logic [ROWS-1:0][COLS-1:0][1:0]       overflow,
    // What leaves the last PEs, before any skew is taken out: for the test bench.
    output logic [ROWS-1:0][ACTIVATION_BITS-1:0] right_activations,
    output logic [COLS-1:0][    WEIGHT_BITS-1:0] bottom_weights,
    output logic [COLS-1:0][       SUM_BITS-1:0] bottom_sums
);
  localparam int START_BITS = SUM_BITS + 2 + ROW_BITS;
  // Nets between PEs: [row][column], one more where something leaves on the far side.
  logic [ACTIVATION_BITS-1:0] activation[ROWS][COLS+1];
  logic begins[ROWS][COLS+1];
  logic ends[ROWS][COLS+1];
  logic shifts[ROWS][COLS+1];
  logic [WEIGHT_BITS-1:0] weight[ROWS+1][COLS];
  logic [START_BITS-1:0] start[ROWS+1][COLS];
  logic [SUM_BITS-1:0] result[ROWS+1][COLS];

  // Row r passes on the r results from above it; in the next cycle the next block's result may already be in it.
  logic finished;
  logic [ROWS-1:0] passes_on;
  delay #(.BITS(1), .CYCLES(ROWS - 1)) finish (.clk, .rst, .d(last), .q(finished));
  always_ff @(posedge clk) begin
    if (rst) passes_on <= '0;
    else if (finished) passes_on <= ~ROWS'(1);
    else passes_on <= passes_on << 1;
  end

  for (genvar r = 0; r < ROWS; r++) begin : g_left
    delay #(.BITS(ACTIVATION_BITS + 2), .CYCLES(r)) skew (
        .clk, .rst, .d({last, first[r], activations[r]}), .q({ends[r][0], begins[r][0], activation[r][0]})
    );
    assign shifts[r][0] = passes_on[r];
    assign right_activations[r] = activation[r][COLS];
  end

  for (genvar c = 0; c < COLS; c++) begin : g_top
    delay #(.BITS(WEIGHT_BITS + START_BITS), .CYCLES(c)) skew (
        .clk, .rst, .d({weights[c], start_row, start_valid, start_overflow[c], starts[c]}),
        .q({weight[0][c], start[0][c]})
    );
    assign result[0][c] = '0;
    assign bottom_weights[c] = weight[ROWS][c];
    assign bottom_sums[c] = result[ROWS][c];
    delay #(.BITS(SUM_BITS), .CYCLES(COLS - 1 - c)) deskew (.clk, .rst, .d(result[ROWS][c]), .q(results[c]));
  end

  for (genvar r = 0; r < ROWS; r++) begin : g_row
    for (genvar c = 0; c < COLS; c++) begin : g_col
      pe_os #(
          .ROW(r), .ROW_BITS(ROW_BITS), .ACTIVATION_BITS(ACTIVATION_BITS), .WEIGHT_BITS(WEIGHT_BITS),
          .SUM_BITS(SUM_BITS), .SUM_SATURATES(SUM_SATURATES)
      ) pe (
          .clk, .rst, .preloads, .activation_i(activation[r][c]), .first_i(begins[r][c]), .last_i(ends[r][c]),
          .shift_i(shifts[r][c]), .activation_o(activation[r][c+1]), .first_o(begins[r][c+1]),
          .last_o(ends[r][c+1]), .shift_o(shifts[r][c+1]), .weight_i(weight[r][c]), .weight_o(weight[r+1][c]),
          .start_i(start[r][c][SUM_BITS-1:0]), .start_overflow_i(start[r][c][SUM_BITS]),
          .start_valid_i(start[r][c][SUM_BITS+1]), .start_row_i(start[r][c][SUM_BITS+2+:ROW_BITS]),
          .start_o(start[r+1][c][SUM_BITS-1:0]), .start_overflow_o(start[r+1][c][SUM_BITS]),
          .start_valid_o(start[r+1][c][SUM_BITS+1]), .start_row_o(start[r+1][c][SUM_BITS+2+:ROW_BITS]),
          .result_i(result[r][c]), .result_o(result[r+1][c]), .overflow(overflow[r][c])
      );
    end
  end
endmodule
