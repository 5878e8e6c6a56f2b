// Accumulator memory of the output-stationary array: results of a block come row R - 1 first, are kept here, and are
// the start values of the job that continues this one. Word n_fold * pixels + pixel; blocks in the sequencer's order.
module accumulator_os #(
    parameter int ROWS = 8,
    parameter int COLS = 8,
    parameter int ACCUMULATOR_BITS = 32,
    parameter int ADDRESS_BITS = 10
) (
    input  logic                                  clk,
    input  logic                                  rst,
    input  logic                                  start,
    input  logic [15:0]                           pixels,
    input  logic [15:0]                           n_folds,
    input  logic                                  token_last,         // one cycle before the first row of a block
    input  logic [COLS-1:0][ACCUMULATOR_BITS-1:0] results,
    output logic [COLS-1:0][ACCUMULATOR_BITS-1:0] accumulators,
    output logic                                  valid,              // not a padded row
    output logic                                  last,
    output logic [ADDRESS_BITS-1:0]               address,
    output logic [ADDRESS_BITS-1:0]               n_fold,             // of this cycle's results
    output logic                                  result_valid,       // this cycle's results are a row
    input  logic [ADDRESS_BITS-1:0]               read_address,
    output logic [COLS-1:0][ACCUMULATOR_BITS-1:0] read_data
);
  logic [15:0] row, block_pixel, pixels_left;  // the first pixel of the block, those from it on
  logic [ADDRESS_BITS-1:0] block_address, result_address;
  logic last_m, last_n, row_valid;

  assign pixels_left = pixels - block_pixel;
  assign last_m = pixels_left <= 16'(ROWS);
  assign last_n = n_fold == ADDRESS_BITS'(n_folds - 16'd1);
  assign row_valid = result_valid && row < pixels_left;
  assign result_address = block_address + ADDRESS_BITS'(row);

  always_ff @(posedge clk) begin
    if (result_valid) begin
      row <= row - 16'd1;
      if (row == 16'd0) begin
        result_valid <= 1'b0;
        block_address <= last_n ? ADDRESS_BITS'(block_pixel + 16'(ROWS)) : block_address + ADDRESS_BITS'(pixels);
        n_fold <= last_n ? '0 : n_fold + ADDRESS_BITS'(1);
        if (last_n) block_pixel <= block_pixel + 16'(ROWS);
      end
    end
    if (token_last) begin
      result_valid <= 1'b1;
      row <= 16'(ROWS - 1);
    end
    if (rst || start) begin
      result_valid <= 1'b0;
      block_address <= '0;
      n_fold <= '0;
      block_pixel <= 16'd0;
    end
    accumulators <= results;
    address <= result_address;
    valid <= row_valid && !rst;
    last <= result_valid && !rst && last_m && last_n && row == 16'd0;
  end

  scratchpad #(.WIDTH(COLS * ACCUMULATOR_BITS), .ADDRESS_BITS(ADDRESS_BITS)) memory (
      .clk, .write(row_valid), .write_address(result_address), .write_data(results), .read_address, .read_data
  );
endmodule
