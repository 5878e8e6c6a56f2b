// Drives the verilated system, engine and DMA, against a memory: writes a program, runs it. Called through ctypes.
#include ENGINE_HEADER

#define BEAT_INDEX
#include "lanes.h"
#include "memory.h"
#include "verilated.h"

double sc_time_stamp() { return 0; }

extern "C" {
// Fields of SETTINGS in simulator/kernels/clocked_dma.py and SYSTEM_COUNTS in clocked_system.py, in their order.
struct Settings {
  int64_t burst_bytes, max_outstanding, setup_cycles, latency, interval, bus_bytes;
};
struct SystemCounts {
  uint64_t digest, edge_digest;
  int64_t cycles, partial_sum_events, accumulator_events, saturations;
};

// `program`: OP_FIELDS numbers for each tile operation, op_t of rtl/fields.sv from the lowest on.
// `geometry` is that of a convolution, or null; `pool` size, stride, padding on the left and right and width;
// `bytes` is the memory, with BUS_BYTES more at its end.
void system_run(const int64_t* program, int64_t ops, const Settings* settings, const Quantization* quantization,
                const Geometry* geometry, const int64_t* pool, uint8_t* bytes, SystemCounts* counts,
                int64_t most_cycles) {
  // load: which, what it takes, three descriptors
  constexpr int D[] = {32, 16, 16, 32};
  constexpr int WIDTHS[] = {2, 2, 1, 1, D[0], D[1], D[2], D[3], D[0], D[1], D[2], D[3], D[0], D[1], D[2], D[3], 16,
                            1, 1, 1, 16, 16, 16, 16, 16, 1, 24, 16, 16,  // work: its job,
                            16, 16, 16, 24, 24,                          // its band, from which tap on
                            16, 16, 8, 8, 16,                            // its rows of a pool
                            1, 1,                                        // its end
                            1, D[0], D[1], D[2], D[3]};                  // store
  constexpr int OP_FIELDS = sizeof(WIDTHS) / sizeof(int);
  VerilatedContext context;
  ENGINE engine{&context};
  const auto tick = [&engine] {
    engine.clk = 0;
    engine.eval();
    engine.clk = 1;
    engine.eval();
  };
  engine.beat = engine.start = engine.op_write = 0;
  engine.rst = 1;
  tick();
  tick();
  engine.rst = 0;
  engine.op_write = 1;
  for (int64_t op = 0; op < ops; ++op) {
    engine.op_address = op;
    for (int field = 0, bit = 0; field < OP_FIELDS; bit += WIDTHS[field++])
      put_bits(engine.op_data, bit, WIDTHS[field], program[op * OP_FIELDS + field]);
    tick();
  }
  engine.op_write = 0;
  engine.ops = ops;
  engine.burst_bytes = settings->burst_bytes;
  engine.max_outstanding = settings->max_outstanding;
  engine.setup_cycles = settings->setup_cycles;
  put_quantization(engine.quantization, *quantization);
  put_pool(engine.pool, pool[0], pool[1], pool[2], pool[3], pool[4]);
  if (geometry) put_convolution(engine.convolution, *geometry);
  engine.start = 1;
  tick();
  engine.start = 0;
  Memory memory(bytes, settings->latency, settings->interval);
  for (int64_t cycle = 0; !engine.done && cycle < most_cycles; ++cycle) {
    memory.offer(cycle, engine);
    engine.clk = 0;
    engine.eval();
    if (engine.request)
      memory.request(cycle, engine.request_write, engine.request_index, engine.request_address, engine.request_bytes);
    // The first cycle only starts the first load.
    if (cycle > 0 && engine.running) mix_bus(engine, counts->digest);
    if (engine.job_running) mix_edges(engine, counts->edge_digest);
    memory.take(engine);
    tick();
  }
  get_counts(engine, *counts);
  engine.final();
}
}
