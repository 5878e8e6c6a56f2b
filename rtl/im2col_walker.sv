// Walks over a rectangle of places, horizontally fastest, and over `depth` positions at each before moving on; back to
// the first place at the end. Serves both for the taps of a filter (depth = channels) and for the pixels (depth 1).
module im2col_walker (
    input  logic             clk,
    input  logic             restart,
    input  logic             advance,
    input  logic [15:0]      depth,
    input  logic [15:0]      rows,
    input  logic [15:0]      columns,
    input  logic [1:0][7:0]  step,        // [0] vertical, [1] horizontal
    input  logic [1:0][7:0]  insertion,
    input  logic [1:0][23:0] origin,      // index, phase
    output logic [15:0]      position,
    output logic [1:0][23:0] place,
    output logic             last
);
  logic [15:0] row, column;
  logic [1:0][23:0] next_place;
  logic last_position, last_column;

  for (genvar i = 0; i < 2; i++) begin : g_axis
    im2col_advance advance_axis (
        .index(place[i][23:8]), .phase(place[i][7:0]), .insertion(insertion[i]), .step(step[i]),
        .next_index(next_place[i][23:8]), .next_phase(next_place[i][7:0])
    );
  end
  assign last_position = position == depth - 16'd1;
  assign last_column = column == columns - 16'd1;
  assign last = last_position && last_column && row == rows - 16'd1;

  always_ff @(posedge clk) begin
    if (restart || (advance && last)) begin
      position <= 16'd0;
      column <= 16'd0;
      row <= 16'd0;
      place <= origin;
    end else if (advance) begin
      position <= last_position ? 16'd0 : position + 16'd1;
      if (last_position) begin
        column <= last_column ? 16'd0 : column + 16'd1;
        place[1] <= last_column ? origin[1] : next_place[1];
        if (last_column) begin
          row <= row + 16'd1;
          place[0] <= next_place[0];
        end
      end
    end
  end
endmodule
