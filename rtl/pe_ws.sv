// Processing element of the weight-stationary array. Activations move right, partial sums and weights down, one PE a
// cycle. A row of weights carries its row number and stays where that matches.
module pe_ws #(
    parameter int ROW = 0,
    parameter int ROW_BITS = 3,
    parameter int ACTIVATION_BITS = 9,
    parameter int WEIGHT_BITS = 9,
    parameter int SUM_BITS = 32,
    parameter bit SUM_SATURATES = 0,
    parameter bit DOUBLE_BUFFER = 1
) (
    input  logic                              clk,
    input  logic                              rst,
    input  logic signed [ACTIVATION_BITS-1:0] activation_i,
    input  logic                              first_i,          // first pixel of a fold
    output logic signed [ACTIVATION_BITS-1:0] activation_o,
    output logic                              first_o,
    input  logic signed [    WEIGHT_BITS-1:0] weight_i,
    input  logic                              weight_valid_i,
    input  logic        [       ROW_BITS-1:0] weight_row_i,
    output logic signed [    WEIGHT_BITS-1:0] weight_o,
    output logic                              weight_valid_o,
    output logic        [       ROW_BITS-1:0] weight_row_o,
    input  logic signed [       SUM_BITS-1:0] sum_i,
    output logic signed [       SUM_BITS-1:0] sum_o,
    output logic                              overflow
);
  localparam int PRODUCT_BITS = ACTIVATION_BITS + WEIGHT_BITS;
  logic signed [PRODUCT_BITS-1:0] product;
  logic signed [WEIGHT_BITS-1:0] stored, weight;
  logic signed [SUM_BITS-1:0] sum;
  logic stays;

  assign stays = weight_valid_i && weight_row_i == ROW_BITS'(ROW);
  always_ff @(posedge clk) begin
    if (rst) stored <= '0;
    else if (stays) stored <= weight_i;
  end

  if (DOUBLE_BUFFER) begin : g_double
    // `stored` waits; the first pixel of the fold takes it over, and the next weights may follow in the same cycle.
    logic signed [WEIGHT_BITS-1:0] active;
    assign weight = first_i ? stored : active;
    always_ff @(posedge clk) begin
      if (rst) active <= '0;
      else if (first_i) active <= stored;
    end
  end else begin : g_single
    assign weight = stored;
  end

  assign product = PRODUCT_BITS'(activation_i) * PRODUCT_BITS'(weight);
  register_add #(.BITS(SUM_BITS), .ADDEND_BITS(PRODUCT_BITS), .SATURATES(SUM_SATURATES)) add (
      .present(sum_i), .addend(product), .next(sum), .overflow
  );

  always_ff @(posedge clk) begin
    activation_o <= rst ? '0 : activation_i;
    first_o <= !rst && first_i;
    weight_o <= rst ? '0 : weight_i;
    weight_valid_o <= !rst && weight_valid_i;
    weight_row_o <= rst ? '0 : weight_row_i;
    sum_o <= rst ? '0 : sum;
  end
endmodule
