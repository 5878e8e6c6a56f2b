// rint(float32(number) * float32(scale)), ties to even: an int32 is rounded to 24 bits, multiplied by a float32 that is
// not negative, the product rounded to 24 bits and to a whole number. One register, behind the multiplier. Scales below
// 2^-126 count as 0: no int32 makes half of them.
module float_product (
    input  logic               clk,
    input  logic signed [31:0] number,
    input  logic        [31:0] scale,
    output logic signed [63:0] result   // one cycle after; beyond 2^40 only its sign is true
);
  logic [31:0] magnitude, normal;
  logic [4:0] zeros;
  logic signed [63:0] significand, product, rounded, whole;
  logic signed [9:0] exponent, product_exponent;
  logic signed [6:0] shift;
  logic negative, unused_sign;

  // number = normal * 2^-zeros, with the highest bit of `normal` set; then to 24 bits.
  assign magnitude = number < 0 ? -number : number;
  always_comb begin
    zeros = '0;
    for (int i = 0; i < 32; i++) if (magnitude[i]) zeros = 5'(31 - i);
  end
  assign normal = magnitude << zeros;
  rounding_shift #(.ROUNDING(1)) to_float (.value({32'd0, normal}), .shift(7'sd8), .result(significand));
  assign exponent = scale[30:23] == '0 ? 10'sd0 : 10'(scale[30:23]) - 10'sd142 - 10'(zeros);
  assign unused_sign = scale[31];

  always_ff @(posedge clk) begin
    product <= scale[30:23] == '0 ? '0 : significand * $signed({40'd0, 1'b1, scale[22:0]});
    product_exponent <= exponent;
    negative <= number < 0;
  end

  // 46 to 48 bits to 24; then those below 2^0 away. Below 2^-31 nothing is left of them.
  rounding_shift #(.ROUNDING(1)) to_product (
      .value(product), .shift(product[47] ? 7'sd24 : 7'sd23), .result(rounded)
  );
  logic signed [9:0] fraction_bits;
  assign fraction_bits = -(product_exponent + (product[47] ? 10'sd24 : 10'sd23));
  always_comb begin
    shift = fraction_bits[6:0];
    if (fraction_bits > 10'sd31) shift = 7'sd31;
    if (fraction_bits < -10'sd31) shift = -7'sd31;
  end
  rounding_shift #(.ROUNDING(1)) to_whole (.value(rounded), .shift, .result(whole));
  assign result = negative ? -whole : whole;
endmodule
