// Activation side of the array for convolutions: each row has a tap of the filter, and reads its element of the feature
// map for every pixel. The taps of the next fold come one a row with that fold's weights and wait, as those do, for its
// first pixel. A pixel is held until every row has its element: banks in conflict take more than one cycle.
module im2col_feed #(
    parameter int ROWS = 8,
    parameter int ROW_BITS = 3,
    parameter int BITS = 8,
    parameter int BANKS = 4,                  // a power of two, at least 2
    parameter int WORD_ELEMENTS = 1,          // of a bank's word, a power of two
    parameter int ADDRESS_BITS = 10,          // of an element: word, bank, element in its word
    localparam int BANK_BITS = $clog2(BANKS),
    localparam int ELEMENT_BITS = $clog2(WORD_ELEMENTS),
    localparam int WORD_BITS = ADDRESS_BITS - BANK_BITS - ELEMENT_BITS
) (
    input  logic                             clk,
    input  logic                             rst,
    input  logic                             start,
    input  logic        [BANKS-1:0]          write,          // a word of the feature map to each of these banks
    input  logic        [WORD_BITS-1:0]      write_word,
    input  logic        [BANKS-1:0][WORD_ELEMENTS-1:0][BITS-1:0] write_data,
    input  logic        [WORD_BITS-1:0]      base,           // word of the map's first element; around the end
    input  logic        [15:0]               k_folds,
    input  fields::convolution_t             convolution,
    input  fields::band_t                    band,
    input  logic signed [BITS-1:0]           zero_point,
    input  logic                             tap_step,       // a tap of the next fold, for the row tap_row
    input  logic        [ROW_BITS-1:0]       tap_row,
    input  logic                             wanted,         // a pixel
    input  logic                             first_wanted,   // the first of a fold
    input  logic                             read,           // wanted and not held
    output logic                             hold,
    output logic        [ROWS-1:0][BITS:0]   operands        // in the cycle after `read`
);
  localparam int TAP_BITS = 1 + 16 + 48;  // whether there is one, channel, place
  fields::walk_t tap, first_pixel, pixel;
  logic [15:0] tap_fold;
  logic beyond, last_tap, fold_ends, walk_ends;
  logic [ROWS-1:0][TAP_BITS-1:0] waiting, active;
  logic [ROWS-1:0] reads, lane_wants, served, had, offered, fresh;
  logic [ROWS-1:0][ADDRESS_BITS-1:0] address;
  logic [ROWS-1:0][BANK_BITS+WORD_BITS-1:0] word_address;
  logic [ROWS-1:0][BANK_BITS-1:0] bank;
  logic [ROWS-1:0][BITS-1:0] element, kept;
  logic [BANKS-1:0][WORD_BITS-1:0] word;
  logic [BANKS-1:0][WORD_ELEMENTS-1:0][BITS-1:0] bank_data;
  logic unused_last, unused_walk;

  // Taps, one a cycle; past the last one rows stay empty until the fold is full.
  assign fold_ends = tap_step && tap_row == ROW_BITS'(ROWS - 1);
  assign walk_ends = fold_ends && tap_fold == k_folds - 16'd1;
  im2col_walker taps (
      .clk, .restart(start || walk_ends), .advance(tap_step && !beyond), .depth(convolution.channels),
      .rows(convolution.kernel_height), .columns(convolution.kernel_width), .step(convolution.dilation),
      .insertion(convolution.insertion), .first(band.first_tap), .left('0), .present(tap), .last(last_tap)
  );
  always_ff @(posedge clk) begin
    if (rst || start || walk_ends) begin
      tap_fold <= 16'd0;
      beyond <= 1'b0;
    end else begin
      if (fold_ends) tap_fold <= tap_fold + 16'd1;
      if (tap_step && last_tap) beyond <= 1'b1;
    end
    if (tap_step) waiting[tap_row] <= {!beyond, tap.position, tap.place};
    if (first_wanted && read) active <= waiting;
  end

  assign first_pixel = '{place: {convolution.origin_x, band.origin_y}, default: '0};
  assign unused_walk = &{1'b0, tap, pixel};
  im2col_walker pixels (
      .clk, .restart(start), .advance(read), .depth(16'd1), .rows(band.out_height), .columns(convolution.out_width),
      .step(convolution.stride), .insertion(convolution.insertion), .first(first_pixel), .left(convolution.origin_x),
      .present(pixel), .last(unused_last)
  );

  for (genvar r = 0; r < ROWS; r++) begin : g_row
    logic [TAP_BITS-1:0] own_tap;
    logic stored;
    assign own_tap = first_wanted ? waiting[r] : active[r];
    im2col_lane #(.ADDRESS_BITS(ADDRESS_BITS)) lane (
        .height(band.height), .width(convolution.width), .channels(convolution.channels), .pitch(convolution.pitch),
        .insertion(convolution.insertion), .pixel(pixel.place), .tap(own_tap[47:0]), .channel(own_tap[63:48]),
        .reads(stored), .address(address[r])
    );
    assign reads[r] = own_tap[64] && stored;
    assign lane_wants[r] = wanted && reads[r] && !had[r];
    assign word_address[r] = address[r][ADDRESS_BITS-1:ELEMENT_BITS];
  end

  bank_arbiter #(.LANES(ROWS), .BANKS(BANKS), .BANK_BITS(BANK_BITS), .WORD_BITS(WORD_BITS)) arbiter (
      .wanted(lane_wants), .address(word_address), .served, .word
  );
  assign hold = |(lane_wants & ~served);
  for (genvar b = 0; b < BANKS; b++) begin : g_bank
    scratchpad #(.WIDTH(WORD_ELEMENTS * BITS), .ADDRESS_BITS(WORD_BITS)) memory (
        .clk, .write(write[b]), .write_address(write_word), .write_data(write_data[b]),
        .read_address(word[b] + base), .read_data(bank_data[b])
    );
  end

  // An element that comes while its pixel is held is kept.
  for (genvar r = 0; r < ROWS; r++) begin : g_element
    logic [BITS-1:0] came;
    if (WORD_ELEMENTS > 1) begin : g_select
      logic [ELEMENT_BITS-1:0] which;
      always_ff @(posedge clk) which <= address[r][ELEMENT_BITS-1:0];
      assign came = bank_data[bank[r]][which];
    end else begin : g_whole
      assign came = bank_data[bank[r]];
    end
    assign element[r] = fresh[r] ? came : kept[r];
    assign operands[r] = offered[r] ? (BITS + 1)'($signed(element[r])) - (BITS + 1)'(zero_point) : '0;
    always_ff @(posedge clk) begin
      had[r] <= !rst && hold && (had[r] || served[r]);
      fresh[r] <= served[r];
      bank[r] <= word_address[r][BANK_BITS-1:0];
      kept[r] <= element[r];
      offered[r] <= !rst && read && reads[r];
    end
  end
endmodule
