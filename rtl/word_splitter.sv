// Words of a scratchpad to beats of the bus, as word_builder.sv put them together. `read_address` is that of the word
// in the next cycle; `data` is the next beat's.
module word_splitter #(
    parameter int WIDTH = 64,
    parameter int BUS_BITS = 64,
    parameter int ADDRESS_BITS = 10
) (
    input  logic                    clk,
    input  logic                    start,      // `first` is taken; no beat comes before the second cycle after
    input  logic [ADDRESS_BITS-1:0] first,
    input  logic                    beat,       // `data` is taken
    output logic [BUS_BITS-1:0]     data,
    output logic [ADDRESS_BITS-1:0] read_address,
    input  logic [WIDTH-1:0]        read_data
);
  localparam int BEATS = (WIDTH + BUS_BITS - 1) / BUS_BITS;
  logic [BEATS-1:0][BUS_BITS-1:0] full;
  logic [ADDRESS_BITS-1:0] address;
  logic last;

  assign full = (BEATS * BUS_BITS)'(read_data);
  if (BEATS == 1) begin : g_one
    assign last = 1'b1;
    assign data = full[0];
  end else begin : g_some
    localparam int COUNT_BITS = $clog2(BEATS);
    logic [COUNT_BITS-1:0] count;
    assign last = count == COUNT_BITS'(BEATS - 1);
    always_comb begin
      data = full[0];
      for (int i = 1; i < BEATS; i++) if (count == COUNT_BITS'(i)) data = full[i];
    end
    always_ff @(posedge clk) begin
      if (beat) count <= last ? '0 : count + COUNT_BITS'(1);
      if (start) count <= '0;
    end
  end
  assign read_address = (beat && last) ? address + ADDRESS_BITS'(1) : address;
  always_ff @(posedge clk) address <= start ? first : read_address;
endmodule
