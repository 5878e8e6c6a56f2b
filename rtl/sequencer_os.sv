// Read addresses and tokens of an output-stationary job: blocks of ROWS pixels by COLS channels, channels fastest, each
// of k products. A block takes max(k, ROWS) cycles, since results leave a column in ROWS. Where start values differ
// from row to row, those of the next block are read meanwhile; those of the first take ROWS cycles before anything
// else. Scratchpads: activations word m_block * k + k; weights word n_fold * k + k; bias word n_fold; accumulators word
// n_fold * pixels + pixel. Where `pixels` end within a block, its other rows are padding, whose words do not matter.
module sequencer_os #(
    parameter int ROWS = 8,
    parameter int ROW_BITS = 3,
    parameter int ADDRESS_BITS = 10
) (
    input  logic                    clk,
    input  logic                    rst,
    input  logic                    start,
    input  logic                    preloads,
    input  logic [            15:0] pixels,
    input  logic [            15:0] k,
    input  logic [            15:0] n_folds,
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
  logic [15:0] step, pixels_before, pixels_left, n_fold, slot, start_n_fold;
  logic [ADDRESS_BITS-1:0] start_pixel;  // the first of the block whose start values are read
  logic step_is_last, last_m, last_n;

  assign slot = (state == STREAM && k > 16'(ROWS)) ? k : 16'(ROWS);
  assign step_is_last = step == slot - 16'd1;
  assign pixels_left = pixels - pixels_before;
  assign last_m = pixels_left <= 16'(ROWS);
  assign last_n = n_fold == n_folds - 16'd1;

  assign operand_read = state == STREAM && step < k;
  assign last = operand_read && step == k - 16'd1;
  for (genvar r = 0; r < ROWS; r++) begin : g_row
    assign first[r] = operand_read && step == 16'd0 && pixels_left > 16'(r);
  end
  assign start_read = state == FILL || (state == STREAM && preloads && !(last_m && last_n) && step < 16'(ROWS));
  assign start_row = step[ROW_BITS-1:0];
  assign bias_address = ADDRESS_BITS'(n_fold);

  always_ff @(posedge clk) begin
    step <= step_is_last ? 16'd0 : step + 16'd1;
    if (operand_read) begin
      // At the end of a block of activations: back to its first word, or on to the next block's.
      activation_address <= (last && !last_n) ? activation_address - ADDRESS_BITS'(k - 16'd1)
                                              : activation_address + ADDRESS_BITS'(1);
      weight_address <= (last && last_n) ? '0 : weight_address + ADDRESS_BITS'(1);
    end
    if (start_read) begin
      start_address <= start_address + ADDRESS_BITS'(1);
      if (step == 16'(ROWS - 1)) begin
        // On to the same pixels of the next channels, or to the next pixels of the first channels.
        start_address <= start_address + ADDRESS_BITS'(pixels - 16'(ROWS - 1));
        start_n_fold <= start_n_fold + 16'd1;
        if (start_n_fold == n_folds - 16'd1) begin
          start_address <= start_pixel + ADDRESS_BITS'(ROWS);
          start_pixel <= start_pixel + ADDRESS_BITS'(ROWS);
          start_n_fold <= 16'd0;
        end
      end
    end
    if (state == FILL && step_is_last) state <= STREAM;
    if (state == STREAM && step_is_last) begin
      n_fold <= last_n ? 16'd0 : n_fold + 16'd1;
      if (last_n) pixels_before <= pixels_before + 16'(ROWS);
      if (last_n && last_m) state <= IDLE;
    end
    if (rst || start) begin
      state <= rst ? IDLE : (preloads ? FILL : STREAM);
      {step, pixels_before, n_fold, start_n_fold} <= '0;
      {activation_address, weight_address, start_address, start_pixel} <= '0;
    end
  end
endmodule
