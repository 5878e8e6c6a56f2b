// Memory of one write and one read port; a word is read in the cycle after its address. A word that is written in the
// cycle of its address is read as written.
module scratchpad #(
    parameter int WIDTH = 64,
    parameter int ADDRESS_BITS = 10
) (
    input  logic                    clk,
    input  logic                    write,
    input  logic [ADDRESS_BITS-1:0] write_address,
    input  logic [       WIDTH-1:0] write_data,
    input  logic [ADDRESS_BITS-1:0] read_address,
    output logic [       WIDTH-1:0] read_data
);
  logic [WIDTH-1:0] words[1 << ADDRESS_BITS];

  always_ff @(posedge clk) begin
    if (write) words[write_address] <= write_data;
    read_data <= (write && write_address == read_address) ? write_data : words[read_address];
  end
endmodule
