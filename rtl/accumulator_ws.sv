// Accumulator memory of the weight-stationary array: for each fold A <- add(A, P), where A starts at load(bias) in the
// first fold unless the job continues an earlier one. Word n_fold * pixels + pixel. Sums come with the token's next
// cycle, `accumulators` and what goes with them one cycle later.
module accumulator_ws #(
    parameter int COLS = 8,
    parameter int SUM_BITS = 32,
    parameter int BIAS_BITS = 32,
    parameter int ACCUMULATOR_BITS = 32,
    parameter bit ACCUMULATOR_SATURATES = 0,
    parameter int ADDRESS_BITS = 10
) (
    input  logic                                  clk,
    input  logic                                  rst,
    input  logic                                  start,
    input  logic                                  continues,
    input  logic                                  bias_matrix,          // word as the accumulator's, not word n_fold
    input  logic [15:0]                           pixels,
    input  logic                                  bias_half,            // of the biases' scratchpad
    input  logic                                  bias_write,
    input  logic [ADDRESS_BITS-1:0]               bias_write_address,
    input  logic [COLS-1:0][BIAS_BITS-1:0]        bias_write_data,
    // The token of a row of sums, one cycle before it.
    input  logic                                  token_valid,
    input  logic                                  token_last_pixel,
    input  logic                                  token_first_fold,
    input  logic                                  token_last_fold,
    input  logic                                  token_last,
    input  logic [COLS-1:0][SUM_BITS-1:0]         sums,
    output logic [COLS-1:0][ACCUMULATOR_BITS-1:0] accumulators,
    output logic                                  valid,                // of the last fold
    output logic                                  last,
    output logic [ADDRESS_BITS-1:0]               address,
    output logic [ADDRESS_BITS-1:0]               n_fold,               // of this cycle's sums
    output logic [COLS-1:0][1:0]                  overflow,             // of the sum's addition, of the bias
    input  logic                                  inspect,
    input  logic [ADDRESS_BITS-1:0]               inspect_address,
    output logic [COLS-1:0][ACCUMULATOR_BITS-1:0] inspect_data
);
  logic [ADDRESS_BITS-1:0] next_address, next_n_fold, sum_address;
  logic sum_valid, sum_loads, sum_finishes, sum_last;
  logic [COLS-1:0][ACCUMULATOR_BITS-1:0] held, updated;
  logic [COLS-1:0][BIAS_BITS-1:0] bias;

  // Where the row of the token belongs: on to the next pixel, back to the first one, or on to the next n fold.
  always_ff @(posedge clk) begin
    if (token_valid) begin
      next_address <= (token_last_pixel && !token_last_fold) ? next_address - ADDRESS_BITS'(pixels - 16'd1)
                                                             : next_address + ADDRESS_BITS'(1);
      if (token_last_pixel && token_last_fold) next_n_fold <= next_n_fold + ADDRESS_BITS'(1);
    end
    if (rst || start) begin
      next_address <= '0;
      next_n_fold <= '0;
    end
    sum_address <= next_address;
    n_fold <= next_n_fold;
    sum_valid <= token_valid && !rst;
    sum_loads <= token_first_fold && !continues;
    sum_finishes <= token_valid && token_last_fold && !rst;
    sum_last <= token_valid && token_last && !rst;
  end

  scratchpad #(.WIDTH(COLS * BIAS_BITS), .ADDRESS_BITS(ADDRESS_BITS)) biases (
      .clk, .write(bias_write), .write_address(bias_write_address), .write_data(bias_write_data),
      .read_address((bias_matrix ? next_address : next_n_fold) ^ {bias_half, (ADDRESS_BITS - 1)'(0)}), .read_data(bias)
  );
  scratchpad #(.WIDTH(COLS * ACCUMULATOR_BITS), .ADDRESS_BITS(ADDRESS_BITS)) memory (
      .clk, .write(sum_valid), .write_address(sum_address), .write_data(updated),
      .read_address(inspect ? inspect_address : next_address), .read_data(held)
  );
  assign inspect_data = held;

  for (genvar c = 0; c < COLS; c++) begin : g_col
    logic [ACCUMULATOR_BITS-1:0] loaded;
    logic load_overflow, add_overflow;
    register_add #(.BITS(ACCUMULATOR_BITS), .ADDEND_BITS(BIAS_BITS), .SATURATES(ACCUMULATOR_SATURATES)) load (
        .present('0), .addend(bias[c]), .next(loaded), .overflow(load_overflow)
    );
    register_add #(.BITS(ACCUMULATOR_BITS), .ADDEND_BITS(SUM_BITS), .SATURATES(ACCUMULATOR_SATURATES)) add (
        .present(sum_loads ? loaded : held[c]), .addend(sums[c]), .next(updated[c]), .overflow(add_overflow)
    );
    assign overflow[c] = {sum_valid && sum_loads && load_overflow, sum_valid && add_overflow};
  end

  always_ff @(posedge clk) begin
    accumulators <= updated;
    address <= sum_address;
    valid <= sum_finishes && !rst;
    last <= sum_last && !rst;
  end
endmodule
