// A DMA of two halves, load and store, that share a path to memory: one request a cycle, one beat (bus word) a cycle,
// answered in the order of the requests. While one half issues the requests of a command the other waits; load goes
// first where both begin in the same cycle. A beat of a load brings a word; in a beat of a store memory takes one.
module dma #(
    parameter int BUS_BYTES = 8,
    parameter int LOADS = 1,              // descriptors that a load command may have
    parameter int INDEX_BITS = 1
) (
    input  logic                                    clk,
    input  logic                                    rst,
    input  logic [15:0]                             burst_bytes,
    input  logic [15:0]                             max_outstanding,
    input  logic [15:0]                             setup_cycles,       // of each descriptor
    input  logic                                    load_start,
    input  logic [INDEX_BITS-1:0]                   load_first,
    input  logic [INDEX_BITS-1:0]                   load_last,
    input  fields::descriptor_t [LOADS-1:0]         load_descriptors,
    output logic                                    load_busy,
    output logic                                    load_finishes,
    output logic [LOADS-1:0]                        load_beat,          // of which descriptor
    output logic [8*BUS_BYTES-1:0]                  load_data,
    input  logic                                    store_start,
    input  fields::descriptor_t                     store_descriptor,
    output logic                                    store_busy,
    output logic                                    store_finishes,
    output logic                                    store_beat,         // takes `store_data`; the next word comes next
    input  logic [8*BUS_BYTES-1:0]                  store_data,
    // Memory.
    output logic                                    request,
    output logic                                    request_write,
    output logic [INDEX_BITS-1:0]                   request_index,      // comes back with each beat
    output logic [31:0]                             request_address,
    output logic [15:0]                             request_bytes,
    input  logic                                    beat,
    input  logic                                    beat_write,
    input  logic [INDEX_BITS-1:0]                   beat_index,
    input  logic                                    last_beat,          // of a request
    input  logic [8*BUS_BYTES-1:0]                  read_data,
    output logic [8*BUS_BYTES-1:0]                  write_data
);
  typedef enum logic [1:0] {
    NOBODY,
    LOAD,
    STORE
  } owner_t;
  owner_t owner;
  logic load_grant, load_issuing, load_last_request, load_request;
  logic store_grant, store_issuing, store_last_request, store_request, unused_index;
  logic [INDEX_BITS-1:0] load_index;
  logic [31:0] load_address, store_address;
  logic [15:0] load_bytes, store_bytes;

  assign load_grant = owner == LOAD || (owner == NOBODY && load_issuing);
  assign store_grant = owner == STORE || (owner == NOBODY && !load_issuing);
  always_ff @(posedge clk) begin
    if (rst || load_last_request || store_last_request) owner <= NOBODY;
    else if (load_grant) owner <= LOAD;
    else if (store_grant && store_issuing) owner <= STORE;
  end

  dma_requests #(.DESCRIPTORS(LOADS), .INDEX_BITS(INDEX_BITS)) load (
      .clk, .rst, .burst_bytes, .max_outstanding, .setup_cycles, .start(load_start), .first(load_first),
      .last(load_last), .descriptors(load_descriptors), .busy(load_busy), .finishes(load_finishes),
      .grant(load_grant), .issuing(load_issuing), .last_request(load_last_request), .request(load_request),
      .index(load_index), .request_address(load_address), .request_bytes(load_bytes),
      .lands(beat && last_beat && !beat_write)
  );
  dma_requests #(.DESCRIPTORS(1), .INDEX_BITS(1)) store (
      .clk, .rst, .burst_bytes, .max_outstanding, .setup_cycles, .start(store_start), .first(1'b0), .last(1'b0),
      .descriptors(store_descriptor), .busy(store_busy), .finishes(store_finishes), .grant(store_grant),
      .issuing(store_issuing), .last_request(store_last_request), .request(store_request), .index(unused_index),
      .request_address(store_address), .request_bytes(store_bytes), .lands(beat && last_beat && beat_write)
  );
  assign request = load_request || store_request;
  assign request_write = store_request;
  assign request_index = store_request ? '0 : load_index;
  assign request_address = store_request ? store_address : load_address;
  assign request_bytes = store_request ? store_bytes : load_bytes;

  for (genvar i = 0; i < LOADS; i++) begin : g_load
    assign load_beat[i] = beat && !beat_write && beat_index == INDEX_BITS'(i);
  end
  assign load_data = read_data;
  assign store_beat = beat && beat_write;
  assign write_data = store_data;
endmodule
