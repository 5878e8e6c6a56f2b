// Read addresses and tokens of an output-stationary job: m_blocks x n_blocks blocks, n fastest, each of k products. A
// block takes max(k, ROWS) cycles, since results leave a column in ROWS. Where start values differ from row to row, the
// start values of the next block are read meanwhile; those of the first take ROWS cycles before anything else.
// Scratchpads: activations word m_block * k + k; weights word n_block * k + k; bias word n_block;
// accumulators word (m_block * n_blocks + n_block) * ROWS + row.
module sequencer_os #(
    parameter int ROWS = 8,
    parameter int ROW_BITS = 3,
    parameter int ADDRESS_BITS = 10
) (
    input  logic                    clk,
    input  logic                    rst,
    input  logic                    start,
    input  logic                    preloads,
    input  logic [            15:0] m_blocks,
    input  logic [            15:0] n_blocks,
    input  logic [            15:0] k,
    input  logic [            15:0] last_rows,           // valid rows of the last m block
    output logic                    operand_read,
    output logic [ADDRESS_BITS-1:0] activation_address,
    output logic [ADDRESS_BITS-1:0] weight_address,
    output logic [ADDRESS_BITS-1:0] bias_address,
    output logic [        ROWS-1:0] first,
    output logic                    last,
    output logic                    start_read,
    output logic [ADDRESS_BITS-1:0] start_address,
    output logic [    ROW_BITS-1:0] start_row
);
  typedef enum logic [1:0] {
    IDLE,
    FILL,
    STREAM
  } state_t;
  state_t state;
  logic [15:0] step, m_block, n_block, slot;
  logic step_is_last, last_m, last_n;

  assign slot = (state == STREAM && k > 16'(ROWS)) ? k : 16'(ROWS);
  assign step_is_last = step == slot - 16'd1;
  assign last_m = m_block == m_blocks - 16'd1;
  assign last_n = n_block == n_blocks - 16'd1;

  assign operand_read = state == STREAM && step < k;
  assign last = operand_read && step == k - 16'd1;
  for (genvar r = 0; r < ROWS; r++) begin : g_row
    assign first[r] = operand_read && step == 16'd0 && (!last_m || last_rows > 16'(r));
  end
  assign start_read = state == FILL || (state == STREAM && preloads && !(last_m && last_n) && step < 16'(ROWS));
  assign start_row = step[ROW_BITS-1:0];
  assign bias_address = ADDRESS_BITS'(n_block);

  always_ff @(posedge clk) begin
    step <= step_is_last ? 16'd0 : step + 16'd1;
    if (operand_read) begin
      // At the end of a block of activations: back to its first word, or on to the next block's.
      activation_address <= (last && !last_n) ? activation_address - ADDRESS_BITS'(k - 16'd1)
                                              : activation_address + ADDRESS_BITS'(1);
      weight_address <= (last && last_n) ? '0 : weight_address + ADDRESS_BITS'(1);
    end
    if (start_read) start_address <= start_address + ADDRESS_BITS'(1);
    if (state == FILL && step_is_last) state <= STREAM;
    if (state == STREAM && step_is_last) begin
      n_block <= last_n ? 16'd0 : n_block + 16'd1;
      if (last_n) m_block <= m_block + 16'd1;
      if (last_n && last_m) state <= IDLE;
    end
    if (rst || start) begin
      state <= rst ? IDLE : (preloads ? FILL : STREAM);
      step <= 16'd0;
      m_block <= 16'd0;
      n_block <= 16'd0;
      activation_address <= '0;
      weight_address <= '0;
      start_address <= '0;
    end
  end
endmodule
