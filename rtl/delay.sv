// CYCLES registers in a row; none for 0.
module delay #(
    parameter int BITS = 1,
    parameter int CYCLES = 1
) (
    input  logic            clk,
    input  logic            rst,
    input  logic [BITS-1:0] d,
    output logic [BITS-1:0] q
);
  if (CYCLES == 0) begin : g_wire
    assign q = d;
    logic unused_clock;
    assign unused_clock = &{1'b0, clk, rst};
  end else begin : g_registers
    logic [CYCLES-1:0][BITS-1:0] stages;
    always_ff @(posedge clk) begin
      stages[0] <= rst ? '0 : d;
      for (int i = 1; i < CYCLES; i++) stages[i] <= rst ? '0 : stages[i-1];
    end
    assign q = stages[CYCLES-1];
  end
endmodule
