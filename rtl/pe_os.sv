// Processing element of the output-stationary array. Activations and their tokens move right; weights, start values and
// results move down, one PE a cycle. The accumulator starts at the bias that comes down with the block's first product,
// or, where start values differ from row to row, at one that came down before and stayed where its row number
// matched.
module pe_os #(
    parameter int ROW = 0,
    parameter int ROW_BITS = 3,
    parameter int ACTIVATION_BITS = 9,
    parameter int WEIGHT_BITS = 9,
    parameter int SUM_BITS = 32,
    parameter bit SUM_SATURATES = 0
) (
    input  logic                              clk,
    input  logic                              rst,
    input  logic                              preloads,         // constant during a job
    input  logic signed [ACTIVATION_BITS-1:0] activation_i,
    input  logic                              first_i,           // first product of a block
    input  logic                              last_i,            // last product of a block
    input  logic                              shift_i,           // take over the result from above
    output logic signed [ACTIVATION_BITS-1:0] activation_o,
    output logic                              first_o,
    output logic                              last_o,
    output logic                              shift_o,
    input  logic signed [    WEIGHT_BITS-1:0] weight_i,
    output logic signed [    WEIGHT_BITS-1:0] weight_o,
    input  logic signed [       SUM_BITS-1:0] start_i,
    input  logic                              start_overflow_i,  // the bias did not fit
    input  logic                              start_valid_i,     // a value for the row start_row_i
    input  logic        [       ROW_BITS-1:0] start_row_i,
    output logic signed [       SUM_BITS-1:0] start_o,
    output logic                              start_overflow_o,
    output logic                              start_valid_o,
    output logic        [       ROW_BITS-1:0] start_row_o,
    input  logic signed [       SUM_BITS-1:0] result_i,
    output logic signed [       SUM_BITS-1:0] result_o,
    output logic        [                1:0] overflow           // of the product's addition, of the bias
);
  localparam int PRODUCT_BITS = ACTIVATION_BITS + WEIGHT_BITS;
  logic signed [PRODUCT_BITS-1:0] product;
  logic signed [SUM_BITS-1:0] stored, accumulator, present, sum;
  logic stays, stored_overflow;

  assign stays = start_valid_i && start_row_i == ROW_BITS'(ROW);
  always_comb begin
    if (!first_i) present = accumulator;
    else if (preloads) present = stored;
    else present = start_i;
  end
  assign overflow[1] = first_i && (preloads ? stored_overflow : start_overflow_i);

  assign product = PRODUCT_BITS'(activation_i) * PRODUCT_BITS'(weight_i);
  register_add #(.BITS(SUM_BITS), .ADDEND_BITS(PRODUCT_BITS), .SATURATES(SUM_SATURATES)) add (
      .present, .addend(product), .next(sum), .overflow(overflow[0])
  );

  always_ff @(posedge clk) begin
    activation_o <= rst ? '0 : activation_i;
    first_o <= !rst && first_i;
    last_o <= !rst && last_i;
    shift_o <= !rst && shift_i;
    weight_o <= rst ? '0 : weight_i;
    start_o <= rst ? '0 : start_i;
    start_overflow_o <= !rst && start_overflow_i;
    start_valid_o <= !rst && start_valid_i;
    start_row_o <= rst ? '0 : start_row_i;
    accumulator <= rst ? '0 : sum;
    if (rst) stored <= '0;
    else if (stays) stored <= start_i;
    if (stays) stored_overflow <= start_overflow_i;
    if (rst) result_o <= '0;
    else if (last_i) result_o <= sum;
    else if (shift_i) result_o <= result_i;
  end
endmodule
