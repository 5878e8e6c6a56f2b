// Takes a program of tile operations through load DMA, engine and store DMA, each of which works on one of them at a
// time and in order. Scratchpads of inputs, of weights and of outputs have two halves: a load waits until those that it
// fills are free, a job until its operands are loaded and a half for its results is free, a store until its job is
// done. What ends in a cycle lets the next one start in that cycle. Every tile operation loads something, the last one
// stores. Cycles count from the first of the first load to the last beat of the last store, both included.
module system_control #(
    parameter int OP_BITS = 6
) (
    input  logic               clk,
    input  logic               rst,
    input  logic               start,
    input  logic [OP_BITS-1:0] ops,
    // Which operation each engine would take next, and what those need.
    output logic [OP_BITS-1:0] load_op,
    input  logic               takes_input,
    input  logic               takes_weight,
    output logic [OP_BITS-1:0] next_work_op,
    input  logic               takes_result,
    output logic [OP_BITS-1:0] work_op,          // the one at work
    input  logic               gives_input,
    input  logic               gives_weight,
    output logic [OP_BITS-1:0] store_op,
    input  logic               stores,
    output logic               load_start,
    input  logic               load_busy,
    input  logic               load_finishes,
    output logic               work_start,
    input  logic               work_finishes,
    output logic               store_start,
    input  logic               store_busy,
    input  logic               store_finishes,
    output logic               running,
    output logic               done,
    output logic [31:0]        cycles
);
  localparam logic [OP_BITS-1:0] ONE = 1;
  logic [OP_BITS-1:0] loaded;
  logic [1:0] inputs, weights, results, inputs_now, weights_now, results_now;  // free halves
  logic begun, work_busy, last;

  assign load_op = loaded + OP_BITS'(load_finishes);
  assign next_work_op = work_op + OP_BITS'(work_finishes);
  assign inputs_now = inputs + 2'(work_finishes && gives_input);
  assign weights_now = weights + 2'(work_finishes && gives_weight);
  assign results_now = results + 2'(store_finishes);

  assign load_start = running && (!load_busy || load_finishes) && load_op < ops && (!takes_input || inputs_now != '0) &&
                      (!takes_weight || weights_now != '0);
  assign work_start = running && (!work_busy || work_finishes) && next_work_op < load_op &&
                      (!takes_result || results_now != '0);
  assign store_start = running && (!store_busy || store_finishes) && store_op < next_work_op && stores;
  assign last = store_finishes && store_op == ops;

  always_ff @(posedge clk) begin
    loaded <= load_op;
    work_op <= next_work_op;
    // The next operation that stores is looked for while others work.
    if (running && store_op < ops && (store_start || !stores)) store_op <= store_op + ONE;
    inputs <= inputs_now - 2'(load_start && takes_input);
    weights <= weights_now - 2'(load_start && takes_weight);
    results <= results_now - 2'(work_start && takes_result);
    work_busy <= work_start || (work_busy && !work_finishes);
    begun <= running;
    if (begun) cycles <= cycles + 32'd1;
    done <= running && last && !rst;
    if (last) {running, begun} <= '0;
    if (rst || start) begin
      running <= start && !rst;
      {loaded, work_op, store_op} <= '0;
      {inputs, weights, results} <= {3{2'd2}};
      work_busy <= 1'b0;
      begun <= 1'b0;
      cycles <= 32'd0;
    end
  end
endmodule
