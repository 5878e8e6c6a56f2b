// The next place on one axis of a feature map into which zeros are woven: place = index * insertion + phase, and what
// is stored has phase 0. Steps other than 1 only where no zeros are woven in (insertion 1).
module im2col_advance (
    input  logic [15:0] index,
    input  logic [ 7:0] phase,
    input  logic [ 7:0] insertion,
    input  logic [ 7:0] step,
    output logic [15:0] next_index,
    output logic [ 7:0] next_phase
);
  logic carries;
  assign carries = phase + 8'd1 == insertion;
  assign next_index = insertion == 8'd1 ? index + 16'(step) : index + 16'(carries);
  assign next_phase = (insertion == 8'd1 || carries) ? 8'd0 : phase + 8'd1;
endmodule
