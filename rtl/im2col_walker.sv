// Walks over a rectangle of places, horizontally fastest, and over `depth` positions at each before moving on; back to
// `first` at the end. Serves both for the taps of a filter (depth = channels) and for the pixels (depth 1).
module im2col_walker (
    input  logic             clk,
    input  logic             restart,
    input  logic             advance,
    input  logic [15:0]      depth,
    input  logic [15:0]      rows,
    input  logic [15:0]      columns,
    input  logic [1:0][7:0]  step,        // [0] vertical, [1] horizontal
    input  logic [1:0][7:0]  insertion,
    input  fields::walk_t    first,
    input  logic [23:0]      left,        // place of the first column
    output fields::walk_t    present,
    output logic             last
);
  logic [1:0][23:0] next_place;
  logic last_position, last_column;

  for (genvar i = 0; i < 2; i++) begin : g_axis
    im2col_advance advance_axis (
        .index(present.place[i][23:8]), .phase(present.place[i][7:0]), .insertion(insertion[i]), .step(step[i]),
        .next_index(next_place[i][23:8]), .next_phase(next_place[i][7:0])
    );
  end
  assign last_position = present.position == depth - 16'd1;
  assign last_column = present.column == columns - 16'd1;
  assign last = last_position && last_column && present.row == rows - 16'd1;

  always_ff @(posedge clk) begin
    if (restart || (advance && last)) begin
      present <= first;
    end else if (advance) begin
      present.position <= last_position ? 16'd0 : present.position + 16'd1;
      if (last_position) begin
        present.column <= last_column ? 16'd0 : present.column + 16'd1;
        present.place[1] <= last_column ? left : next_place[1];
        if (last_column) begin
          present.row <= present.row + 16'd1;
          present.place[0] <= next_place[0];
        end
      end
    end
  end
endmodule
