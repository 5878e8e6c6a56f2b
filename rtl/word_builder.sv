// Beats of the bus to words of a scratchpad: a word of WIDTH bits takes as many beats as hold it, its lowest bits
// first. It is written in the cycle of its last beat, words one after another from `first` on.
module word_builder #(
    parameter int WIDTH = 64,
    parameter int BUS_BITS = 64,
    parameter int ADDRESS_BITS = 10
) (
    input  logic                    clk,
    input  logic                    start,      // `first` is taken; no beat comes before the next cycle
    input  logic [ADDRESS_BITS-1:0] first,
    input  logic                    beat,
    input  logic [BUS_BITS-1:0]     data,
    output logic                    write,
    output logic [ADDRESS_BITS-1:0] write_address,
    output logic [WIDTH-1:0]        write_data
);
  localparam int BEATS = (WIDTH + BUS_BITS - 1) / BUS_BITS;
  localparam int PADDING = BEATS * BUS_BITS - WIDTH;
  logic [BEATS*BUS_BITS-1:0] full;

  if (BEATS == 1) begin : g_one
    assign write = beat;
    assign full = data;
  end else begin : g_some
    localparam int COUNT_BITS = $clog2(BEATS);
    logic [BEATS-2:0][BUS_BITS-1:0] held;
    logic [COUNT_BITS-1:0] count;
    assign write = beat && count == COUNT_BITS'(BEATS - 1);
    assign full = {data, held};
    always_ff @(posedge clk) begin
      for (int i = 0; i < BEATS - 1; i++) if (beat && count == COUNT_BITS'(i)) held[i] <= data;
      if (beat) count <= write ? '0 : count + COUNT_BITS'(1);
      if (start) count <= '0;
    end
  end
  if (PADDING > 0) begin : g_padding
    logic unused_bits;
    assign unused_bits = &{1'b0, full[BEATS*BUS_BITS-1:WIDTH]};
  end
  assign write_data = full[WIDTH-1:0];
  always_ff @(posedge clk) begin
    if (start) write_address <= first;
    else if (write) write_address <= write_address + ADDRESS_BITS'(1);
  end
endmodule
