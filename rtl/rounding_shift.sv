// value * 2^-shift, rounded by ROUNDING, which counts as in simulator/kernels/requantize.py: 0 ties away from zero,
// 1 ties to even, 2 ties towards plus infinity, 3 down, 4 towards zero. -31 <= shift <= 63; to
// the left it stops at 2^40.
module rounding_shift #(
    parameter int ROUNDING = 2
) (
    input  logic signed [63:0] value,
    input  logic signed [ 6:0] shift,
    output logic signed [63:0] result
);
  localparam logic signed [63:0] FAR = 64'sd1 << 40;
  logic [5:0] by;
  logic signed [63:0] down, limit, held;
  logic [63:0] rest, half;
  logic above, tie, up;

  assign by = shift < 0 ? 6'(-shift) : shift[5:0];
  assign down = value >>> by;
  assign rest = value & ~({64{1'b1}} << by);
  assign half = (64'd1 << by) >> 1;
  assign above = rest > half;
  assign tie = rest == half && rest != '0;
  if (ROUNDING == 0) begin : g_away
    assign up = above || (tie && value >= 0);
  end else if (ROUNDING == 1) begin : g_even
    assign up = above || (tie && down[0]);
  end else if (ROUNDING == 2) begin : g_up
    assign up = above || tie;
  end else if (ROUNDING == 3) begin : g_down
    assign up = 1'b0;
    logic unused_rest;
    assign unused_rest = above || tie;
  end else begin : g_zero
    assign up = value < 0 && rest != '0;
    logic unused_rest;
    assign unused_rest = above || tie;
  end

  assign limit = FAR >>> by;
  always_comb begin
    held = value;
    if (value > limit + 1) held = limit + 1;
    else if (value < -limit - 1) held = -limit - 1;
    result = shift < 0 ? held <<< by : down + 64'(up);
  end
endmodule
