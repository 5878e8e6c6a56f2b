// Test bench of one job on the weight-stationary engine: reads with $readmemh what `bittrue vectors --format memh` wrote
// (every tensor in words of ROWS = COLS lanes, first element low), stimuli and expected output, prints PASS or FAIL (and
// ends with a status that is not 0), and with +results=FOLDER writes what came out under the name of what was expected.
module vectors_bench #(
    parameter int LANES = 4,
    parameter int PIXELS = 6,
    parameter int K_FOLDS = 3,
    parameter int PARTIAL_SUM_BITS = 16,
    parameter bit PARTIAL_SUM_SATURATES = 1,
    parameter int ACCUMULATOR_BITS = 17,
    parameter bit ACCUMULATOR_SATURATES = 0
);
  localparam int ADDRESS_BITS = 8;
  string vectors, results;
  logic [LANES*8-1:0] x[PIXELS * K_FOLDS];  // [pixel][k fold]
  logic [LANES*8-1:0] w[LANES * K_FOLDS];  // [column][k fold], as the network's file has it
  logic [LANES*32-1:0] bias[1], multiplier[1], exponent[1];
  logic [LANES*8-1:0] y[PIXELS];
  // Read twice, over zeros and over ones: a word that the file does not have differs.
  logic [LANES*8-1:0] expected[PIXELS], over_ones[PIXELS];

  logic clk = 0, rst = 1, start = 0;
  logic activation_write = 0, weight_write = 0, channel_write = 0, done;
  logic [ADDRESS_BITS-1:0] write_address = '0, read_address = '0;
  logic [LANES-1:0][7:0] activation_data = '0, weight_data = '0, read_outputs;
  fields::scale_t [LANES-1:0] scale_data = '0;
  fields::job_t job = '{
      pixels: 16'(PIXELS), k_folds: 16'(K_FOLDS), n_folds: 16'd1, last_columns: 16'(LANES), continues: 1'b0
  };
  fields::quantization_t quantization = '{output_minimum: -16'sd128, output_maximum: 16'sd127, default: '0};
  always #5 clk = !clk;

  engine_ws #(
      .ROWS(LANES), .COLS(LANES), .PARTIAL_SUM_BITS(PARTIAL_SUM_BITS), .PARTIAL_SUM_SATURATES(PARTIAL_SUM_SATURATES),
      .ACCUMULATOR_BITS(ACCUMULATOR_BITS), .ACCUMULATOR_SATURATES(ACCUMULATOR_SATURATES), .ADDRESS_BITS(ADDRESS_BITS)
  ) engine (
      .clk, .rst, .activation_write, .weight_write, .bias_write(channel_write), .scale_write(channel_write),
      .write_address, .activation_data, .weight_data, .bias_data(bias[0]), .scale_data, .start, .job,
      .bias_matrix(1'b0), .quantization, .running(), .done, .counts(), .read_address, .read_accumulators(), .read_outputs,
      .edge_activations(), .edge_weights(), .edge_sums(), .edge_valid()
  );

  initial begin
    if (!$value$plusargs("vectors=%s", vectors)) $fatal(1, "give +vectors=FOLDER");
    $readmemh(path("input"), x);
    $readmemh(path("weights"), w);
    $readmemh(path("bias"), bias);
    $readmemh(path("output_requantizer.multiplier"), multiplier);
    $readmemh(path("output_requantizer.exponent"), exponent);
    for (int pixel = 0; pixel < PIXELS; pixel++) begin
      expected[pixel] = '0;
      over_ones[pixel] = '1;
    end
    $readmemh(path("output"), expected);
    $readmemh(path("output"), over_ones);
    repeat (2) @(negedge clk);
    rst = 0;
    fill();
    start = 1;
    @(negedge clk);
    start = 0;
    while (!done) @(negedge clk);
    for (int pixel = 0; pixel < PIXELS; pixel++) begin
      read_address = ADDRESS_BITS'(pixel);
      @(negedge clk);
      y[pixel] = read_outputs;
    end
    if ($value$plusargs("results=%s", results)) $writememh({results, "/output.memh"}, y);
    judge();
    $finish;
  end

  // A simulator may go on where a file is missing.
  function automatic string path(string name);
    int file;
    path = {vectors, "/", name, ".memh"};
    file = $fopen(path, "r");
    if (file == 0) $fatal(1, "%s cannot be read", path);
    $fclose(file);
  endfunction

  task automatic judge();
    int differ;
    differ = 0;
    for (int pixel = 0; pixel < PIXELS; pixel++) begin
      if (expected[pixel] !== over_ones[pixel]) $fatal(1, "%s has no word %0d", path("output"), pixel);
      if (y[pixel] !== expected[pixel]) begin
        differ++;
        if (differ == 1) $display("output word %0d is %h, expected %h", pixel, y[pixel], expected[pixel]);
      end
    end
    if (differ > 0) $fatal(1, "FAIL: %0d of %0d words differ", differ, PIXELS);
    $display("PASS: %0d words", PIXELS);
  endtask

  task automatic fill();
    activation_write = 1;
    for (int fold = 0; fold < K_FOLDS; fold++)
      for (int pixel = 0; pixel < PIXELS; pixel++) begin
        write_address = ADDRESS_BITS'(fold * PIXELS + pixel);
        activation_data = x[pixel*K_FOLDS+fold];
        @(negedge clk);
      end
    activation_write = 0;
    weight_write = 1;
    for (int fold = 0; fold < K_FOLDS; fold++)
      for (int row = 0; row < LANES; row++) begin
        write_address = ADDRESS_BITS'(fold * LANES + row);
        for (int column = 0; column < LANES; column++) weight_data[column] = w[column*K_FOLDS+fold][row*8+:8];
        @(negedge clk);
      end
    weight_write = 0;
    channel_write = 1;
    write_address = '0;
    for (int column = 0; column < LANES; column++)
      scale_data[column] = '{shift: 7'(32'sd31 - $signed(exponent[0][column*32+:32])),
                             multiplier: multiplier[0][column*32+:32]};
    @(negedge clk);
    channel_write = 0;
  endtask
endmodule
