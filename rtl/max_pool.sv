// Max pool on the way to the output scratchpad. Pixels come row by row, a value for each column of the array; a window
// is written in the cycle after its last pixel inside the map. Windows of up to MAX_SIZE x MAX_SIZE pixels; padding
// below and to the right is less than the stride, so that no two windows end in a cycle. Lines of horizontal maxima of
// the rows before are kept, those of a job's last rows too, for the job that goes on below. Size 1: values pass as they
// are, at once.
module max_pool #(
    parameter int COLS = 8,
    parameter int BITS = 8,
    parameter int ADDRESS_BITS = 10,
    parameter int MAX_SIZE = 3
) (
    input  logic                      clk,
    input  logic                      rst,
    input  logic                      start,
    input  fields::pool_t             pool,
    input  fields::pool_rows_t        rows,
    input  logic                      finished,       // K ends in this job: its values are outputs
    input  logic                      valid,
    input  logic                      last,           // pixel of the job
    input  logic [ADDRESS_BITS-1:0]   address,
    input  logic [COLS-1:0][BITS-1:0] values,
    output logic                      write,
    output logic                      last_write,
    output logic [ADDRESS_BITS-1:0]   write_address,
    output logic [COLS-1:0][BITS-1:0] write_data
);
  localparam int BEFORE = MAX_SIZE - 1;
  logic [BEFORE-1:0][COLS-1:0][BITS-1:0] columns_before, rows_before, rows_kept;
  logic [COLS-1:0][BITS-1:0] across, pooled, window;
  logic [15:0] column, row, next_column;
  logic [7:0] columns_to_go, rows_to_go;  // until a window ends
  logic [7:0] columns_over, rows_over;    // of the window that ends here, outside of the map
  logic [7:0] columns_in, rows_in;        // of it, inside
  logic pixel, last_column, last_row, ends, written, written_last;
  logic [ADDRESS_BITS-1:0] pooled_address, line, next_line;

  logic unused_bits;
  assign unused_bits = &{1'b0, rows};
  assign pixel = valid && finished;
  assign last_column = column == pool.width - 16'd1;
  assign last_row = row == rows.last_row;
  assign columns_over = last_column && columns_to_go <= pool.right ? columns_to_go : 8'd0;
  assign rows_over = last_row && rows_to_go <= rows.below ? rows_to_go : 8'd0;
  assign columns_in = pool.size - columns_over;
  assign rows_in = pool.size - rows_over;
  assign ends = pixel && columns_to_go == columns_over && rows_to_go == rows_over;
  always_comb begin
    next_column = column;
    if (pixel) next_column = last_column ? 16'd0 : column + 16'd1;
    next_line = pixel && last_column && last_row ? line + ADDRESS_BITS'(pool.width) : line;
    for (int c = 0; c < COLS; c++) begin
      across[c] = values[c];
      for (int i = 0; i < BEFORE; i++) begin
        if (8'(i + 1) < columns_in && column > 16'(i) && $signed(columns_before[i][c]) > $signed(across[c])) begin
          across[c] = columns_before[i][c];
        end
      end
      window[c] = across[c];
      for (int i = 0; i < BEFORE; i++) begin
        if (8'(i + 1) < rows_in && row > 16'(i) && $signed(rows_before[i][c]) > $signed(window[c])) begin
          window[c] = rows_before[i][c];
        end
      end
    end
    rows_kept[0] = across;
    for (int i = 1; i < BEFORE; i++) rows_kept[i] = rows_before[i-1];
  end

  // In each cycle `rows_before` is that of the pixel's column: the address is one cycle ahead.
  scratchpad #(.WIDTH(BEFORE * COLS * BITS), .ADDRESS_BITS(ADDRESS_BITS)) lines (
      .clk, .write(pixel), .write_address(line + ADDRESS_BITS'(column)), .write_data(rows_kept),
      .read_address(next_line + ADDRESS_BITS'(next_column)), .read_data(rows_before)
  );

  always_ff @(posedge clk) begin
    column <= next_column;
    line <= next_line;
    if (pixel) begin
      columns_before <= {columns_before[BEFORE-2:0], values};
      columns_to_go <= columns_to_go == 8'd0 ? pool.stride - 8'd1 : columns_to_go - 8'd1;
      if (last_column) begin
        columns_to_go <= pool.size - 8'd1 - pool.left;
        rows_to_go <= rows_to_go == 8'd0 ? pool.stride - 8'd1 : rows_to_go - 8'd1;
        row <= row + 16'd1;
        if (last_row) begin
          rows_to_go <= rows.rows_to_go;
          row <= rows.first_row;
        end
      end
    end
    if (written) pooled_address <= pooled_address + ADDRESS_BITS'(1);
    pooled <= window;
    written <= ends && !rst;
    written_last <= last && !rst;
    if (rst || start) begin
      column <= 16'd0;
      row <= rows.first_row;
      line <= ADDRESS_BITS'(rows.line);
      columns_to_go <= pool.size - 8'd1 - pool.left;
      rows_to_go <= rows.rows_to_go;
      pooled_address <= '0;
    end
  end

  always_comb begin
    if (pool.size == 8'd1) {write, last_write, write_address, write_data} = {valid, last, address, values};
    else {write, last_write, write_address, write_data} = {written, written_last, pooled_address, pooled};
  end
endmodule
