// Scales one accumulator to an output value: clamp(zero_point + ((accumulator * multiplier + half) >> shift)), the
// requantizer `fixed_point_single` of docs/numerics.md (ties up) for scales below 1. Two registers: product, output.
module requantizer #(
    parameter int ACCUMULATOR_BITS = 32,
    parameter int OUTPUT_BITS = 8
) (
    input  logic                               clk,
    input  logic signed [ACCUMULATOR_BITS-1:0] accumulator,
    input  logic        [                30:0] multiplier,
    input  logic        [                 5:0] shift,
    input  logic signed [     OUTPUT_BITS-1:0] zero_point,
    input  logic signed [     OUTPUT_BITS-1:0] minimum,
    input  logic signed [     OUTPUT_BITS-1:0] maximum,
    output logic signed [     OUTPUT_BITS-1:0] value,        // two cycles after `accumulator`
    output logic                               clipped
);
  logic signed [31:0] narrow;  // past 32 bits the accumulator saturates to int32 first
  logic lost, lost_before;
  logic signed [63:0] product, scaled, moved;
  logic [63:0] half;
  logic [5:0] shift_by;

  if (ACCUMULATOR_BITS > 32) begin : g_narrow
    register_add #(.BITS(32), .ADDEND_BITS(ACCUMULATOR_BITS), .SATURATES(1)) saturate (
        .present('0), .addend(accumulator), .next(narrow), .overflow(lost)
    );
  end else begin : g_as_is
    assign narrow = 32'(accumulator);
    assign lost = 1'b0;
  end

  // |product| < 2^62 and half <= 2^62: 64 bits hold every sum of the two.
  assign half = (64'd1 << shift_by) >> 1;
  assign scaled = $signed(product + half) >>> shift_by;
  assign moved = scaled + 64'(zero_point);

  always_ff @(posedge clk) begin
    product <= 64'(narrow) * $signed({33'd0, multiplier});
    shift_by <= shift;
    lost_before <= lost;
    value <= moved[OUTPUT_BITS-1:0];
    clipped <= lost_before;
    if (moved < 64'(minimum)) begin
      value <= minimum;
      clipped <= 1'b1;
    end else if (moved > 64'(maximum)) begin
      value <= maximum;
      clipped <= 1'b1;
    end
  end
endmodule
