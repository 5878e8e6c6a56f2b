// add(register, addend) of docs/numerics.md: the exact sum is judged, the addend is not narrowed first; a sum that
// does not fit is an overflow, and wraps or stays at the nearest end.
module register_add #(
    parameter int BITS = 32,
    parameter int ADDEND_BITS = 18,
    parameter bit SATURATES = 0
) (
    input  logic signed [BITS-1:0]        present,
    input  logic signed [ADDEND_BITS-1:0] addend,
    output logic signed [BITS-1:0]        next,
    output logic                          overflow
);
  localparam int EXACT_BITS = (BITS > ADDEND_BITS ? BITS : ADDEND_BITS) + 1;
  logic signed [EXACT_BITS-1:0] exact;

  assign exact = EXACT_BITS'(present) + EXACT_BITS'(addend);
  // It fits iff every bit from the register's sign bit upwards is the sign.
  assign overflow = exact[EXACT_BITS-1:BITS-1] != {(EXACT_BITS - BITS + 1) {exact[EXACT_BITS-1]}};
  assign next = (SATURATES && overflow) ? {exact[EXACT_BITS-1], {(BITS - 1) {~exact[EXACT_BITS-1]}}} : exact[BITS-1:0];
endmodule
