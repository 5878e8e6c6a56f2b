// Scales one accumulator to an output value: clamp(zero_point + scaled). Two registers: product, output. `scaled` is,
// by REQUANTIZER, as docs/numerics.md has it:
//   0 fixed_point_double  acc * multiplier * 2^-31, ties up, then * 2^(31 - shift), ties away; shifts to the left come
//                         first and wrap in 32 bits
//   1 fixed_point_single  acc * multiplier * 2^-shift, by ROUNDING
//   2 float32             rint(float32(acc) * the float32 whose bits `multiplier` has)
//   3 power_of_two        acc * 2^-shift, by ROUNDING
module requantizer #(
    parameter int REQUANTIZER = 1,
    parameter int ROUNDING = 2,
    parameter int ACCUMULATOR_BITS = 32,
    parameter int OUTPUT_BITS = 8
) (
    input  logic                               clk,
    input  logic signed [ACCUMULATOR_BITS-1:0] accumulator,
    input  logic        [                31:0] multiplier,
    input  logic signed [                 6:0] shift,
    input  logic signed [                15:0] zero_point,
    input  logic signed [                15:0] minimum,
    input  logic signed [                15:0] maximum,
    output logic signed [     OUTPUT_BITS-1:0] value,        // two cycles after `accumulator`
    output logic                               clipped
);
  logic signed [31:0] narrow;  // past 32 bits the accumulator saturates to int32 first, except for power_of_two
  logic lost, lost_before;
  logic signed [63:0] scaled, moved;

  if (ACCUMULATOR_BITS > 32) begin : g_narrow
    register_add #(.BITS(32), .ADDEND_BITS(ACCUMULATOR_BITS), .SATURATES(1)) saturate (
        .present('0), .addend(accumulator), .next(narrow), .overflow(lost)
    );
  end else begin : g_as_is
    assign narrow = 32'(accumulator);
    assign lost = 1'b0;
  end

  if (REQUANTIZER == 2) begin : g_float
    float_product scales (.clk, .number(narrow), .scale(multiplier), .result(scaled));
    logic unused_shift;
    assign unused_shift = &{1'b0, shift};
  end else begin : g_fixed
    localparam int LAST_ROUNDING = REQUANTIZER == 0 ? 0 : ROUNDING;
    logic signed [63:0] product, next_product;
    logic signed [6:0] shift_by, next_shift;
    always_ff @(posedge clk) begin
      product <= next_product;
      shift_by <= next_shift;
    end
    if (REQUANTIZER == 0) begin : g_double
      logic signed [31:0] shifted;
      assign shifted = narrow <<< (shift < 7'sd31 ? 5'(7'sd31 - shift) : 5'd0);
      assign next_product = (64'(shifted) * $signed({32'd0, multiplier}) + (64'sd1 <<< 30)) >>> 31;
      assign next_shift = shift < 7'sd31 ? 7'sd0 : shift - 7'sd31;
    end else if (REQUANTIZER == 1) begin : g_single
      assign next_product = 64'(narrow) * $signed({32'd0, multiplier});
      assign next_shift = shift;
    end else begin : g_power_of_two
      assign next_product = 64'(accumulator);
      assign next_shift = shift;
      logic unused_narrow;
      assign unused_narrow = &{1'b0, narrow, multiplier};
    end
    rounding_shift #(.ROUNDING(LAST_ROUNDING)) round (.value(product), .shift(shift_by), .result(scaled));
  end
  assign moved = scaled + 64'(zero_point);

  always_ff @(posedge clk) begin
    lost_before <= lost && REQUANTIZER != 3;
    value <= moved[OUTPUT_BITS-1:0];
    clipped <= lost_before;
    if (moved < 64'(minimum)) begin
      value <= OUTPUT_BITS'(minimum);
      clipped <= 1'b1;
    end else if (moved > 64'(maximum)) begin
      value <= OUTPUT_BITS'(maximum);
      clipped <= 1'b1;
    end
  end
endmodule
