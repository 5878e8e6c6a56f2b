// A DMA and a scratchpad of bus words: a load fills it from its first word on, a store empties it. Both may run at
// once.
module dma_scratchpad #(
    parameter int BUS_BYTES = 8,
    parameter int WORD_BITS = 12
) (
    input  logic                           clk,
    input  logic                           rst,
    input  logic [15:0]                    burst_bytes,
    input  logic [15:0]                    max_outstanding,
    input  logic [15:0]                    setup_cycles,
    input  logic                           load_start,
    input  fields::descriptor_t            load_descriptor,
    output logic                           load_busy,
    output logic [31:0]                    load_cycles,
    input  logic                           store_start,
    input  fields::descriptor_t            store_descriptor,
    output logic                           store_busy,
    output logic [31:0]                    store_cycles,
    // Memory.
    output logic                           request,
    output logic                           request_write,
    output logic [31:0]        request_address,
    output logic [15:0]                    request_bytes,
    input  logic                           beat,
    input  logic                           beat_write,
    input  logic                           last_beat,
    input  logic [8*BUS_BYTES-1:0]         read_data,
    output logic [8*BUS_BYTES-1:0]         write_data
);
  logic loads, store_beat, unused_index, unused_load_finishes, unused_store_finishes;
  logic [WORD_BITS-1:0] loaded, stored, store_word;
  logic [8*BUS_BYTES-1:0] load_data, store_data;

  dma #(.BUS_BYTES(BUS_BYTES)) engine (
      .clk, .rst, .burst_bytes, .max_outstanding, .setup_cycles, .load_start, .load_first(1'b0), .load_last(1'b0),
      .load_descriptors(load_descriptor), .load_busy, .load_finishes(unused_load_finishes), .load_beat(loads),
      .load_data, .store_start, .store_descriptor, .store_busy, .store_finishes(unused_store_finishes), .store_beat,
      .store_data, .request, .request_write, .request_index(unused_index), .request_address, .request_bytes, .beat,
      .beat_write, .beat_index(1'b0), .last_beat, .read_data, .write_data
  );
  scratchpad #(.WIDTH(8 * BUS_BYTES), .ADDRESS_BITS(WORD_BITS)) memory (
      .clk, .write(loads), .write_address(loaded), .write_data(load_data), .read_address(store_word),
      .read_data(store_data)
  );
  // The word after the one that memory takes now; the first one in every cycle before.
  assign store_word = stored + WORD_BITS'(store_beat);
  always_ff @(posedge clk) begin
    stored <= (rst || store_start) ? '0 : store_word;
    loaded <= (rst || load_start) ? '0 : loaded + WORD_BITS'(loads);
    if (rst || load_start) load_cycles <= 32'd0;
    else if (load_busy) load_cycles <= load_cycles + 32'd1;
    if (rst || store_start) store_cycles <= 32'd0;
    else if (store_busy) store_cycles <= store_cycles + 32'd1;
  end
endmodule
