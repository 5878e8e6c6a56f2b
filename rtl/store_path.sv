// From finished accumulators to what is written: multiply, shift and clamp; a requantizer per column.
// The scale of each column is read with the address `scale_address`, one cycle before the accumulators come.
module store_path #(
    parameter int COLS = 8,
    parameter int ACCUMULATOR_BITS = 32,
    parameter int OUTPUT_BITS = 8,
    parameter int REQUANTIZER = 1,
    parameter int ROUNDING = 2,
    parameter int ADDRESS_BITS = 10
) (
    input  logic                                  clk,
    input  logic                                  rst,
    input  logic                                  scale_write,
    input  logic [ADDRESS_BITS-1:0]               scale_write_address,
    input  fields::scale_t [COLS-1:0]             scale_write_data,
    input  logic [ADDRESS_BITS-1:0]               scale_address,
    input  fields::quantization_t                 quantization,
    input  logic [COLS-1:0][ACCUMULATOR_BITS-1:0] accumulators,
    input  logic                                  valid,
    input  logic [COLS-1:0]                       column_valid,          // not the padding of the last columns
    input  logic                                  last,                  // of the job
    input  logic [ADDRESS_BITS-1:0]               address,
    output logic [COLS-1:0]                       saturated,
    output logic                                  write,
    output logic                                  last_write,
    output logic [ADDRESS_BITS-1:0]               write_address,
    output logic [COLS-1:0][OUTPUT_BITS-1:0]      values
);
  logic unused_fields;
  assign unused_fields = &{1'b0, quantization};
  localparam int TOKEN_BITS = 2 + COLS + ADDRESS_BITS;
  fields::scale_t [COLS-1:0] scale;
  logic [COLS-1:0] clipped, counted;

  scratchpad #(.WIDTH(COLS * $bits(fields::scale_t)), .ADDRESS_BITS(ADDRESS_BITS)) scales (
      .clk, .write(scale_write), .write_address(scale_write_address), .write_data(scale_write_data),
      .read_address(scale_address), .read_data(scale)
  );
  for (genvar c = 0; c < COLS; c++) begin : g_col
    requantizer #(.ACCUMULATOR_BITS(ACCUMULATOR_BITS), .OUTPUT_BITS(OUTPUT_BITS),
      .REQUANTIZER(REQUANTIZER), .ROUNDING(ROUNDING)) requantize (
        .clk, .accumulator(accumulators[c]), .multiplier(scale[c].multiplier), .shift(scale[c].shift),
        .zero_point(quantization.output_zero_point), .minimum(quantization.output_minimum),
        .maximum(quantization.output_maximum),
        .value(values[c]), .clipped(clipped[c])
    );
  end
  delay #(.BITS(TOKEN_BITS), .CYCLES(2)) tokens (
      .clk, .rst, .d({last, valid, column_valid, address}), .q({last_write, write, counted, write_address})
  );
  assign saturated = write ? clipped & counted : '0;
endmodule
