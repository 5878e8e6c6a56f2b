// Requests of a DMA command. Its descriptors, each of `segments` stretches, `stride` bytes apart, become requests of at
// most `burst_bytes` that do not cross the end of a stretch. After `setup_cycles` for each descriptor one request a
// cycle is issued, while this half of the DMA has the `grant` and fewer than `max_outstanding` are in flight. A request
// is in flight until its last beat. A command takes from the cycle after `start` to the one in which it finishes.
module dma_requests #(
    parameter int DESCRIPTORS = 1,
    parameter int INDEX_BITS = 1
) (
    input  logic                                          clk,
    input  logic                                          rst,
    input  logic [15:0]                                   burst_bytes,
    input  logic [15:0]                                   max_outstanding,
    input  logic [15:0]                                   setup_cycles,
    // Taken at `start`, which may come in the cycle in which the command before finishes.
    input  logic                                          start,
    input  logic [INDEX_BITS-1:0]                         first,            // descriptor of this command
    input  logic [INDEX_BITS-1:0]                         last,
    input  fields::descriptor_t [DESCRIPTORS-1:0]         descriptors,
    output logic                                          busy,
    output logic                                          finishes,
    // To the other half and to memory.
    input  logic                                          grant,
    output logic                                          issuing,
    output logic                                          last_request,
    output logic                                          request,
    output logic [INDEX_BITS-1:0]                         index,            // of the request's descriptor
    output logic [31:0]                       request_address,
    output logic [15:0]                                   request_bytes,
    input  logic                                          lands             // the last beat of a request
);
  localparam int SETUP_BITS = 16 + INDEX_BITS;  // as many descriptors as there are
  typedef enum logic [1:0] {
    IDLE,
    SETUP,
    ISSUE,
    DRAIN
  } state_t;
  state_t state;
  fields::descriptor_t [DESCRIPTORS-1:0] held;
  fields::descriptor_t next;
  logic [INDEX_BITS-1:0] next_index, last_index;
  logic [SETUP_BITS-1:0] setup_left, setup_total;
  logic [15:0] segment, segments, segment_bytes, left, in_flight;
  logic [31:0] segment_address, stride;
  logic segment_ends, descriptor_ends;

  assign next_index = start ? first : index + INDEX_BITS'(1);
  assign next = start ? descriptors[next_index] : held[next_index];
  assign setup_total = SETUP_BITS'(setup_cycles) * (SETUP_BITS'(last) - SETUP_BITS'(first) + SETUP_BITS'(1));
  assign busy = state != IDLE;
  assign issuing = state == ISSUE;
  assign request = issuing && grant && in_flight < max_outstanding;
  assign request_bytes = left < burst_bytes ? left : burst_bytes;
  assign segment_ends = request_bytes == left;
  assign descriptor_ends = segment_ends && segment == segments - 16'd1;
  assign last_request = request && descriptor_ends && index == last_index;
  assign finishes = state == DRAIN && lands && in_flight == 16'd1;

  always_ff @(posedge clk) begin
    in_flight <= in_flight + 16'(request) - 16'(lands);
    if (state == SETUP) begin
      setup_left <= setup_left - SETUP_BITS'(1);
      if (setup_left == SETUP_BITS'(1)) state <= ISSUE;
    end
    if (request) begin
      left <= segment_ends ? segment_bytes : left - request_bytes;
      request_address <= request_address + 32'(request_bytes);
      if (segment_ends) begin
        request_address <= segment_address + stride;
        segment_address <= segment_address + stride;
        segment <= segment + 16'd1;
      end
      if (last_request) state <= DRAIN;
    end
    if (finishes) state <= IDLE;
    if (start || (request && descriptor_ends)) begin
      index <= next_index;
      segment <= 16'd0;
      segments <= next.segments;
      segment_bytes <= next.segment_bytes;
      stride <= next.stride;
      left <= next.segment_bytes;
      segment_address <= next.address;
      request_address <= next.address;
    end
    if (start) begin
      state <= setup_total == '0 ? ISSUE : SETUP;
      setup_left <= setup_total;
      last_index <= last;
      held <= descriptors;
      in_flight <= 16'd0;
    end
    if (rst) state <= IDLE;
  end
endmodule
