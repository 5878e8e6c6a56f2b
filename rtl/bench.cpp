// Drives one verilated engine: fills its scratchpads, runs a job, reads the results back. Called through ctypes with
// arrays of int64; every lane of a port is packed and unpacked here, so that no one else knows about bits.
#include ENGINE_HEADER

#include <cstdint>
#include <memory>

#include "lanes.h"
#include "verilated.h"

double sc_time_stamp() { return 0; }

namespace {

#ifdef CONVOLUTION
constexpr int ACTIVATION_LANES = WORD_ELEMENTS;
#else
constexpr int ACTIVATION_LANES = ROWS;
#endif

// Fields of JOB and COUNTS in simulator/kernels/clocked.py, in their order.
struct Job {
  int64_t k_folds, weight_double_buffer, partial_sum_bits, partial_sum_saturates;
  int64_t pool_size, pool_stride, pool_padding[2], pool_end_padding[2], pool_width, pool_height;
  int64_t pool_first_row, pool_first_fold;
  int64_t k;
  int64_t pixels, n_folds, continues, last_columns, accumulator_bits, accumulator_saturates;
  Quantization quantization;
  int64_t requantizer, rounding, bias_matrix;
};
struct Counts {
  uint64_t digest;
  int64_t cycles, partial_sum_events, accumulator_events, saturations;
};

class Bench {
 public:
  Bench() : engine_(new ENGINE{&context_}) {}
  ~Bench() { engine_->final(); }

  void run(const int64_t* activations, int64_t activation_words, const int64_t* weights, int64_t weight_words,
           const int64_t* biases, int64_t bias_words, const int64_t* scales, int64_t channel_words,
           int64_t* accumulators, int64_t* outputs, int64_t result_words, const Job& job, const Geometry* geometry,
           Counts& counts, int64_t most_cycles) {
    engine_->rst = 1;  // registers; memories keep what they hold
    engine_->start = 0;
    tick();
    tick();
    engine_->rst = 0;
    fill(activations, activation_words, weights, weight_words, biases, bias_words, scales, channel_words);
    set(job, geometry);
    engine_->start = 1;
    tick();
    engine_->start = 0;
    for (int64_t cycle = 0; !engine_->done && cycle < most_cycles; ++cycle) {
      engine_->clk = 0;
      engine_->eval();
      if (engine_->running) mix_edges(*engine_, counts.digest);
      tick();
    }
    get_counts(*engine_, counts);
    for (int64_t word = 0; word < result_words; ++word) {
      engine_->read_address = word;
      tick();
      for (int c = 0; c < COLS; ++c) {
        accumulators[word * COLS + c] = get(engine_->read_accumulators, c, ACCUMULATOR_BITS);
        outputs[word * COLS + c] = get(engine_->read_outputs, c, OUTPUT_BITS);
      }
    }
  }

 private:
  void tick() {
    engine_->clk = 0;
    engine_->eval();
    engine_->clk = 1;
    engine_->eval();
  }

  void fill(const int64_t* activations, int64_t activation_words, const int64_t* weights, int64_t weight_words,
            const int64_t* biases, int64_t bias_words, const int64_t* scales, int64_t channel_words) {
    engine_->activation_write = 1;
    for (int64_t word = 0; word < activation_words; ++word) {
      for (int i = 0; i < ACTIVATION_LANES; ++i)
        put(engine_->activation_data, i, ACTIVATION_BITS, activations[word * ACTIVATION_LANES + i]);
      write(word);
    }
    engine_->activation_write = 0;
    engine_->weight_write = 1;
    for (int64_t word = 0; word < weight_words; ++word) {
      for (int c = 0; c < COLS; ++c) put(engine_->weight_data, c, WEIGHT_BITS, weights[word * COLS + c]);
      write(word);
    }
    engine_->weight_write = 0;
    engine_->bias_write = 1;
    for (int64_t word = 0; word < bias_words; ++word) {
      for (int c = 0; c < COLS; ++c) put(engine_->bias_data, c, 32, biases[word * COLS + c]);
      write(word);
    }
    engine_->bias_write = 0;
    engine_->scale_write = 1;
    for (int64_t word = 0; word < channel_words; ++word) {
      for (int c = 0; c < COLS; ++c) {
        const int64_t* scale = scales + word * 2 * COLS + c;
        put(engine_->scale_data, c, 39, scale[COLS] << 32 | scale[0]);
      }
      write(word);
    }
    engine_->scale_write = 0;
  }

  void write(int64_t word) {
    engine_->write_address = word;
    tick();
  }

  void set(const Job& job, [[maybe_unused]] const Geometry* geometry) {
#ifdef CONVOLUTION
    put_convolution(engine_->convolution, *geometry);
    put_fields(engine_->band, {{24, origin(geometry->padding[0], geometry->insertion[0])}, {16, geometry->height},
                               {16, geometry->out_height}});  // from its first tap on, 0
    put_pool(engine_->pool, job.pool_size, job.pool_stride, job.pool_padding[1], job.pool_end_padding[1],
             job.pool_width);
    put_fields(engine_->pool_rows, {{16, job.pool_first_row}, {16, job.pool_height - 1},
                                    {8, job.pool_size - 1 - job.pool_padding[0]}, {8, job.pool_end_padding[0]}});
#endif
#ifdef WEIGHT_STATIONARY
    const int64_t k_folds = job.k_folds;
#else
    const int64_t k_folds = job.k;
#endif
    put_fields(engine_->job, {{16, job.pixels}, {16, k_folds}, {16, job.n_folds}, {16, job.last_columns},
                              {1, job.continues}});
    engine_->bias_matrix = job.bias_matrix;
    put_quantization(engine_->quantization, job.quantization);
  }

  VerilatedContext context_;
  std::unique_ptr<ENGINE> engine_;
};

}  // namespace

extern "C" {
void* bench_new() { return new Bench; }
void bench_delete(void* bench) { delete static_cast<Bench*>(bench); }
void bench_run(void* bench, const int64_t* activations, int64_t activation_words, const int64_t* weights,
               int64_t weight_words, const int64_t* biases, int64_t bias_words, const int64_t* scales,
               int64_t channel_words, int64_t* accumulators, int64_t* outputs, int64_t result_words, const Job* job,
               const Geometry* geometry, Counts* counts, int64_t most_cycles) {
  static_cast<Bench*>(bench)->run(activations, activation_words, weights, weight_words, biases, bias_words, scales,
                                  channel_words, accumulators, outputs, result_words, *job, geometry, *counts,
                                  most_cycles);
}
}
