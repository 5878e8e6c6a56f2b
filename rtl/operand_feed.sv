// One side of the array: a scratchpad word holds an operand for every lane; the zero point is subtracted on the way, so
// that operands are one bit wider inside. A lane without an operand gets 0. Padding is stored as the zero point.
module operand_feed #(
    parameter int LANES = 8,
    parameter int BITS = 8,
    parameter int ADDRESS_BITS = 10
) (
    input  logic                             clk,
    input  logic                             rst,
    input  logic                             write,
    input  logic        [ ADDRESS_BITS-1:0]  write_address,
    input  logic        [LANES-1:0][BITS-1:0] write_data,
    input  logic                             read,
    input  logic        [ ADDRESS_BITS-1:0]  read_address,
    input  logic signed [             15:0]  zero_point,
    output logic        [ LANES-1:0][BITS:0] operands  // in the cycle after `read`
);
  logic [LANES-1:0][BITS-1:0] word;
  logic valid, unused_bits;

  scratchpad #(.WIDTH(LANES * BITS), .ADDRESS_BITS(ADDRESS_BITS)) memory (
      .clk, .write, .write_address, .write_data, .read_address, .read_data(word)
  );
  assign unused_bits = &{1'b0, zero_point};
  always_ff @(posedge clk) valid <= read && !rst;

  for (genvar i = 0; i < LANES; i++) begin : g_lane
    assign operands[i] = valid ? (BITS + 1)'($signed(word[i])) - (BITS + 1)'(zero_point) : '0;
  end
endmodule
