// Drives the verilated DMA with its scratchpad against a memory. Called through ctypes.
#include ENGINE_HEADER

#include "memory.h"
#include "verilated.h"

double sc_time_stamp() { return 0; }

extern "C" {
// Fields of SETTINGS, DESCRIPTOR and DMA_COUNTS in simulator/kernels/clocked_dma.py, in their order.
struct Settings {
  int64_t burst_bytes, max_outstanding, setup_cycles, latency, interval, bus_bytes;
};
struct Descriptor {
  int64_t address, segments, segment_bytes, stride;
};
struct DmaCounts {
  uint64_t digest;
  int64_t load_cycles, store_cycles;
};

// Runs a load and a store, each where it has segments, from the same cycle on; the scratchpad `words`, BUS_BYTES each,
// starts as given and is filled by the load. `bytes` is the memory, with BUS_BYTES more at its end.
void dma_run(const Descriptor* load, const Descriptor* store, const Settings* settings, uint8_t* bytes, uint8_t* words,
             int64_t word_count, DmaCounts* counts, int64_t most_cycles) {
  VerilatedContext context;
  ENGINE engine{&context};
  const auto tick = [&engine] {
    engine.clk = 0;
    engine.eval();
    engine.clk = 1;
    engine.eval();
  };
  // A port of two addresses, bytes and segments; address lowest.
  const auto set = [](auto& port, const Descriptor& value) {
    port[0] = uint32_t(value.address);
    port[1] = uint32_t(value.segment_bytes << 16 | value.segments);
    port[2] = uint32_t(value.stride);
  };
  engine.max_outstanding = settings->max_outstanding;
  const auto reset = [&] {
    engine.load_start = engine.store_start = engine.beat = 0;
    engine.rst = 1;
    tick();
    engine.rst = 0;
  };
  // Run what `start` begins against a memory; without a place for it nothing is digested.
  const auto run = [&](const Descriptor& load_it, const Descriptor& store_it, Memory& memory, uint64_t* digest) {
    reset();
    set(engine.load_descriptor, load_it);
    set(engine.store_descriptor, store_it);
    engine.load_start = load_it.segments > 0;
    engine.store_start = store_it.segments > 0;
    tick();
    engine.load_start = engine.store_start = 0;
    int64_t cycle = 0;
    for (; (engine.load_busy || engine.store_busy) && cycle < most_cycles; ++cycle) {
      memory.offer(cycle, engine);
      engine.clk = 0;
      engine.eval();
      if (engine.request)
        memory.request(cycle, engine.request_write, 0, engine.request_address, engine.request_bytes);
      if (digest) mix_bus(engine, *digest);
      memory.take(engine);
      tick();
    }
    return cycle < most_cycles;
  };
  const Descriptor nothing{0, 0, 0, 0}, all{0, 1, word_count * BUS_BYTES, 0};
  // The scratchpad has no port of its own: it is filled by a load, and read by a store.
  const auto move_words = [&](const Descriptor& load_it, const Descriptor& store_it) {
    engine.setup_cycles = 0;
    engine.burst_bytes = BUS_BYTES;
    Memory memory(words, 1, 1);
    run(load_it, store_it, memory, nullptr);
  };
  move_words(all, nothing);
  engine.setup_cycles = settings->setup_cycles;
  engine.burst_bytes = settings->burst_bytes;
  Memory memory(bytes, settings->latency, settings->interval);
  const bool ends = run(*load, *store, memory, &counts->digest);
  counts->load_cycles = ends ? engine.load_cycles : -1;
  counts->store_cycles = ends ? engine.store_cycles : -1;
  move_words(nothing, all);
  engine.final();
}
}
