// What engines, cores and the system are told and tell, each field named once. A field has as many bits as the greatest
// array needs; who needs fewer takes the lowest.
package fields;
  // Of a column's requantizer.
  typedef struct packed {
    logic signed [6:0] shift;
    logic [31:0]       multiplier;
  } scale_t;
  // A job, constant from `start` to the cycle before it finishes: in a system the next one's may stand there then.
  typedef struct packed {
    logic        continues;         // the accumulators of the job before
    logic [15:0] last_columns;      // valid columns of the last n fold
    logic [15:0] n_folds;
    logic [15:0] k_folds;           // output stationary: products
    logic [15:0] pixels;
  } job_t;
  // A job's place among those of a system; halves from the cycle after `start` on.
  typedef struct packed {
    logic result_half;              // of outputs
    logic weight_half;              // of weights, biases and scales
    logic counts_outputs;           // K ends in this job
    logic keeps_counts;             // of the jobs before
  } turn_t;
  typedef struct packed {
    logic signed [15:0] output_maximum;
    logic signed [15:0] output_minimum;
    logic signed [15:0] output_zero_point;
    logic signed [15:0] weight_zero_point;
    logic signed [15:0] activation_zero_point;
  } quantization_t;
  // A convolution; of pairs, [0] is vertical, [1] horizontal.
  typedef struct packed {
    logic [15:0]      out_width;
    logic [23:0]      origin_x;      // place of the first pixel's first tap: index, phase
    logic [1:0][7:0]  insertion;     // 1: no zeros are woven in
    logic [1:0][7:0]  dilation;
    logic [1:0][7:0]  stride;
    logic [15:0]      kernel_width;
    logic [15:0]      kernel_height;
    logic [15:0]      pitch;         // elements from row to row
    logic [15:0]      channels;
    logic [15:0]      width;         // of the feature map
  } convolution_t;
  // How far im2col_walker.sv is.
  typedef struct packed {
    logic [1:0][23:0] place;         // index, phase
    logic [15:0]      row;
    logic [15:0]      column;
    logic [15:0]      position;
  } walk_t;
  // The rows of it that a job makes, those that it reads, and its first tap.
  typedef struct packed {
    walk_t            first_tap;
    logic [15:0]      out_height;
    logic [15:0]      height;        // of the feature map
    logic [23:0]      origin_y;
  } band_t;
  // Max pool of the outputs; size 1 for none.
  typedef struct packed {
    logic [15:0]      width;         // of the map that is pooled
    logic [7:0]       right;         // padding, less than `size` and `stride`
    logic [7:0]       left;          // padding, less than `size`
    logic [7:0]       stride;
    logic [7:0]       size;
  } pool_t;
  // The rows of that map which a job makes; windows that begin in rows of a job before end here.
  typedef struct packed {
    logic [15:0]      line;          // where the rows before are kept: a word for each column, and n fold after n fold
    logic [7:0]       below;         // padding, less than `size` and `stride`; 0 but for the last row of the map
    logic [7:0]       rows_to_go;    // until a window ends, from the first row on
    logic [15:0]      last_row;
    logic [15:0]      first_row;
  } pool_rows_t;
  typedef struct packed {
    logic [31:0] saturations;
    logic [31:0] accumulator_events;
    logic [31:0] partial_sum_events;  // output stationary: 0, there is no such register
    logic [31:0] cycles;
  } counts_t;

  // Stretches of memory that the DMA moves one after another.
  typedef struct packed {
    logic [31:0] stride;            // from one stretch to the next
    logic [15:0] segment_bytes;
    logic [15:0] segments;
    logic [31:0] address;
  } descriptor_t;

  // A tile operation of the system, as each of its engines wants it.
  typedef struct packed {
    logic [15:0]       input_address;  // where the activations go; a tile behind the one before, around the end
    descriptor_t [2:0] descriptors;    // constants, weights, activations
    logic              takes_weight;   // weights and constants are loaded, to a new half
    logic              takes_input;
    logic [1:0]        last;           // which of the descriptors
    logic [1:0]        first;
  } load_t;
  typedef struct packed {
    pool_rows_t  pool_rows;
    band_t       band;
    job_t        job;
    logic [15:0] input_base;           // where its activations begin
    logic        finishes;             // K ends, so the outputs are what they should be
    logic        takes_result;         // its outputs go to a new half
    logic        takes_weight;
  } work_t;
  typedef struct packed {
    logic gives_weight;                // the half of its weights is free
    logic gives_input;
  } work_end_t;
  typedef struct packed {
    descriptor_t descriptor;
    logic        stores;
  } store_t;
  typedef struct packed {
    store_t    store;
    work_end_t work_end;
    work_t     work;
    load_t     load;
  } op_t;
endpackage
