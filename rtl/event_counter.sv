// Counts flags from one start of a job to the next.
module event_counter #(
    parameter int FLAGS = 64
) (
    input  logic             clk,
    input  logic             clear,
    input  logic [FLAGS-1:0] flags,
    output logic [     31:0] count
);
  always_ff @(posedge clk) count <= clear ? 32'd0 : count + 32'($countones(flags));
endmodule
