// Address of the element that one row of the array multiplies: the pixel's place plus the tap's. Outside the feature
// map, and on a woven zero, nothing is read. The addresses are products here; running sums would give the same ones.
module im2col_lane #(
    parameter int ADDRESS_BITS = 10
) (
    input  logic [15:0]             height,
    input  logic [15:0]             width,
    input  logic [15:0]             channels,
    input  logic [15:0]             pitch,
    input  logic [1:0][7:0]         insertion,
    input  logic [1:0][23:0]        pixel,      // [0] vertical, [1] horizontal: index, phase
    input  logic [1:0][23:0]        tap,
    input  logic [15:0]             channel,
    output logic                    reads,
    output logic [ADDRESS_BITS-1:0] address
);
  logic [1:0][15:0] index;
  logic [1:0] stored;

  for (genvar i = 0; i < 2; i++) begin : g_axis
    logic [8:0] phase;
    logic carries;
    assign phase = 9'(pixel[i][7:0]) + 9'(tap[i][7:0]);
    assign carries = phase >= 9'(insertion[i]);
    assign index[i] = pixel[i][23:8] + tap[i][23:8] + 16'(carries);
    assign stored[i] = phase == 9'd0 || phase == 9'(insertion[i]);
  end
  // An index before the first is a large number here.
  assign reads = &stored && index[0] < height && index[1] < width;
  assign address = ADDRESS_BITS'(32'(index[0]) * 32'(pitch) + 32'(index[1]) * 32'(channels) + 32'(channel));
endmodule
