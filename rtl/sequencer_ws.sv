// Read addresses and tokens of a weight-stationary job: n_folds x k_folds folds, k fastest, each of `pixels` pixels.
// The first weights take ROWS cycles. With double-buffered weights the next ones are read while pixels stream, and a
// fold takes max(pixels, ROWS) cycles; without, they follow the last pixel, and it takes pixels + ROWS.
// Scratchpads: activations word k_fold * pixels + pixel; weights word (n_fold * k_folds + k_fold) * ROWS + row.
module sequencer_ws #(
    parameter int ROWS = 8,
    parameter int ROW_BITS = 3,
    parameter int ADDRESS_BITS = 10,
    parameter bit DOUBLE_BUFFER = 1
) (
    input  logic                    clk,
    input  logic                    rst,
    input  logic                    start,
    input  logic [            15:0] pixels,
    input  logic [            15:0] k_folds,
    input  logic [            15:0] n_folds,
    output logic                    activation_wanted,
    input  logic                    hold,                // it cannot be read yet: everything waits
    output logic                    activation_read,
    output logic [ADDRESS_BITS-1:0] activation_address,
    output logic                    first_wanted,        // the first pixel of a fold
    output logic                    last_pixel,
    output logic                    first_fold,          // of the k folds
    output logic                    last_fold,           // of the k folds
    output logic                    last_of_all,         // the last fold of all
    output logic                    weight_read,
    output logic [ADDRESS_BITS-1:0] weight_address,
    output logic [    ROW_BITS-1:0] weight_row
);
  typedef enum logic [1:0] {
    IDLE,
    FILL,
    STREAM
  } state_t;
  state_t state;
  logic [15:0] step, k_fold, n_fold, slot, weight_step;
  logic step_is_last, waits;

  always_comb begin
    if (!DOUBLE_BUFFER) slot = pixels + 16'(ROWS);
    else slot = pixels > 16'(ROWS) ? pixels : 16'(ROWS);
  end
  assign step_is_last = step == (state == FILL ? 16'(ROWS) : slot) - 16'd1;
  assign first_fold = k_fold == 16'd0;
  assign last_fold = k_fold == k_folds - 16'd1;
  assign last_of_all = last_fold && n_fold == n_folds - 16'd1;

  assign activation_wanted = state == STREAM && step < pixels;
  assign activation_read = activation_wanted && !hold;
  assign waits = activation_wanted && hold;
  assign first_wanted = activation_wanted && step == 16'd0;
  assign last_pixel = activation_read && step == pixels - 16'd1;

  // Weights of the next fold: from the first step on, or after the last pixel.
  assign weight_step = (DOUBLE_BUFFER || state == FILL) ? step : step - pixels;
  assign weight_read = state == FILL || (state == STREAM && !waits && !last_of_all && weight_step < 16'(ROWS));
  assign weight_row = weight_step[ROW_BITS-1:0];

  always_ff @(posedge clk) begin
    if (!waits) step <= step_is_last ? 16'd0 : step + 16'd1;
    if (activation_read) begin
      activation_address <= (last_pixel && last_fold) ? '0 : activation_address + ADDRESS_BITS'(1);
    end
    if (weight_read) weight_address <= weight_address + ADDRESS_BITS'(1);
    if (state == FILL && step_is_last) state <= STREAM;
    if (state == STREAM && step_is_last && !waits) begin
      k_fold <= last_fold ? 16'd0 : k_fold + 16'd1;
      if (last_fold) n_fold <= n_fold + 16'd1;
      if (last_of_all) state <= IDLE;
    end
    if (rst || start) begin
      state <= rst ? IDLE : FILL;
      step <= 16'd0;
      k_fold <= 16'd0;
      n_fold <= 16'd0;
      activation_address <= '0;
      weight_address <= '0;
    end
  end
endmodule
