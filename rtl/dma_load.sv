// Load engine of the DMA: a descriptor of `segments` stretches, `stride` bytes apart, becomes requests of at most
// `burst_bytes` that do not cross the end of a stretch. One request a cycle is issued while fewer than
// `max_outstanding` are in flight. Data come back in order, a bus word (beat) at a time, and go to consecutive
// scratchpad words. Cycles count from the one after `start`, `setup_cycles` first, to the one of the last beat, both
// included.
module dma_load #(
    parameter int BUS_BYTES = 8,
    parameter int ADDRESS_BITS = 32,
    parameter int SCRATCHPAD_BITS = 12
) (
    input  logic                       clk,
    input  logic                       rst,
    // Descriptor and settings: constant from `start` to `done`.
    input  logic                       start,
    input  logic [ADDRESS_BITS-1:0]    address,
    input  logic [15:0]                segments,
    input  logic [15:0]                segment_bytes,
    input  logic [ADDRESS_BITS-1:0]    stride,
    input  logic [15:0]                burst_bytes,
    input  logic [15:0]                max_outstanding,
    input  logic [15:0]                setup_cycles,
    output logic                       done,
    output logic [31:0]                cycles,
    // To memory.
    output logic                       request,
    output logic [ADDRESS_BITS-1:0]    request_address,
    output logic [15:0]                request_bytes,
    // From memory.
    input  logic                       beat,
    input  logic                       last_beat,        // of a request
    input  logic [8*BUS_BYTES-1:0]     beat_data,
    // The scratchpad is read while no transfer runs.
    input  logic [SCRATCHPAD_BITS-1:0] read_address,
    output logic [8*BUS_BYTES-1:0]     read_data
);
  typedef enum logic [1:0] {
    IDLE,
    SETUP,
    ISSUE,
    DRAIN
  } state_t;
  state_t state;
  logic [15:0] waited, segment, left, in_flight;
  logic [ADDRESS_BITS-1:0] segment_address;
  logic [SCRATCHPAD_BITS-1:0] write_address;
  logic segment_ends, lands;

  assign request = state == ISSUE && in_flight < max_outstanding;
  assign request_bytes = left < burst_bytes ? left : burst_bytes;
  assign segment_ends = request_bytes == left;
  assign lands = beat && last_beat;

  always_ff @(posedge clk) begin
    done <= 1'b0;
    if (state != IDLE) cycles <= cycles + 32'd1;
    in_flight <= in_flight + 16'(request) - 16'(lands);
    if (beat) write_address <= write_address + SCRATCHPAD_BITS'(1);
    if (state == SETUP) begin
      waited <= waited + 16'd1;
      if (waited == setup_cycles - 16'd1) state <= ISSUE;
    end
    if (request) begin
      request_address <= segment_ends ? segment_address + stride : request_address + ADDRESS_BITS'(request_bytes);
      left <= segment_ends ? segment_bytes : left - request_bytes;
      if (segment_ends) begin
        segment_address <= segment_address + stride;
        segment <= segment + 16'd1;
        if (segment == segments - 16'd1) state <= DRAIN;
      end
    end
    if (state == DRAIN && lands && in_flight == 16'd1) begin
      state <= IDLE;
      done <= 1'b1;
    end
    if (rst || start) begin
      state <= rst ? IDLE : (setup_cycles == 16'd0 ? ISSUE : SETUP);
      cycles <= 32'd0;
      waited <= 16'd0;
      segment <= 16'd0;
      segment_address <= address;
      request_address <= address;
      left <= segment_bytes;
      in_flight <= 16'd0;
      write_address <= '0;
    end
  end

  scratchpad #(.WIDTH(8 * BUS_BYTES), .ADDRESS_BITS(SCRATCHPAD_BITS)) memory (
      .clk, .write(beat), .write_address, .write_data(beat_data), .read_address, .read_data
  );
endmodule
