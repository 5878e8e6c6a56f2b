// A job's clock and ledger. Cycles count from the one in which the first operand is offered to the array (the second
// after `start`) to the one in which the last output is written, both included.
module job_counters #(
    parameter int SUM_FLAGS = 64,
    parameter int ACCUMULATOR_FLAGS = 16,
    parameter int OUTPUT_FLAGS = 8
) (
    input  logic                         clk,
    input  logic                         rst,
    input  logic                         start,
    input  logic                         keeps_counts,       // of events, of the jobs before
    input  logic                         last_write,
    input  logic [        SUM_FLAGS-1:0] sum_overflow,
    input  logic [ACCUMULATOR_FLAGS-1:0] accumulator_overflow,
    input  logic [     OUTPUT_FLAGS-1:0] saturated,
    output logic                         running,
    output logic                         finishes,           // in this cycle
    output logic                         done,
    output fields::counts_t              counts
);
  logic [31:0] cycles;
  logic reading, clears;

  assign counts.cycles = cycles;
  assign finishes = running && last_write;
  assign clears = rst || (start && !keeps_counts);
  always_ff @(posedge clk) begin
    reading <= start && !rst;
    done <= finishes && !rst;
    if (rst || start) begin
      running <= 1'b0;
      cycles <= 32'd0;
    end else begin
      if (reading) running <= 1'b1;
      else if (last_write) running <= 1'b0;
      if (running) cycles <= cycles + 32'd1;
    end
  end

  event_counter #(.FLAGS(SUM_FLAGS)) count_sums (
      .clk, .clear(clears), .flags(sum_overflow), .count(counts.partial_sum_events)
  );
  event_counter #(.FLAGS(ACCUMULATOR_FLAGS)) count_accumulators (
      .clk, .clear(clears), .flags(accumulator_overflow), .count(counts.accumulator_events)
  );
  event_counter #(.FLAGS(OUTPUT_FLAGS)) count_outputs (
      .clk, .clear(clears), .flags(saturated), .count(counts.saturations)
  );
endmodule
