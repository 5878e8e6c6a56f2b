// Drives the verilated load engine against a memory of fixed latency and bandwidth. Called through ctypes.
#include ENGINE_HEADER

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>

#include "verilated.h"

double sc_time_stamp() { return 0; }

namespace {

// Answers requests in order: the data of one take the bus no sooner than `latency` cycles after it, and no sooner than
// those before have left it; a beat of BUS_BYTES takes `interval` cycles and is there in the last of them.
class Memory {
 public:
  Memory(const uint8_t* bytes, int64_t latency, int64_t interval)
      : bytes_(bytes), latency_(latency), interval_(interval) {}

  void request(int64_t cycle, int64_t address, int64_t size) {
    const int64_t begin = std::max(cycle + latency_, bus_free_);
    const int64_t beats = (size + BUS_BYTES - 1) / BUS_BYTES;
    for (int64_t i = 0; i < beats; ++i)
      beats_.push_back({begin + (i + 1) * interval_ - 1, address + i * BUS_BYTES, i == beats - 1});
    bus_free_ = begin + beats * interval_;
  }

  void drive(int64_t cycle, ENGINE& engine) {
    engine.beat = !beats_.empty() && beats_.front().cycle == cycle;
    if (!engine.beat) return;
    engine.last_beat = beats_.front().is_last;
    std::memcpy(&engine.beat_data, bytes_ + beats_.front().address, BUS_BYTES);
    beats_.pop_front();
  }

 private:
  struct Beat {
    int64_t cycle, address;
    bool is_last;
  };
  const uint8_t* bytes_;
  int64_t latency_, interval_, bus_free_ = 0;
  std::deque<Beat> beats_;
};

}  // namespace

extern "C" {
struct Transfer {
  int64_t address, segments, segment_bytes, stride, burst_bytes, max_outstanding, setup_cycles, latency, interval;
};

// Returns cycles, -1 where the transfer hangs. `bytes` is the memory, with BUS_BYTES more at its end; `words` receives
// the scratchpad. A latency below 1 has no meaning here.
int64_t dma_run(const Transfer* transfer, const uint8_t* bytes, uint8_t* words, int64_t word_count,
                int64_t most_cycles) {
  VerilatedContext context;
  ENGINE engine{&context};
  const auto tick = [&engine] {
    engine.clk = 0;
    engine.eval();
    engine.clk = 1;
    engine.eval();
  };
  engine.rst = 1;
  tick();
  engine.rst = 0;
  engine.address = transfer->address;
  engine.segments = transfer->segments;
  engine.segment_bytes = transfer->segment_bytes;
  engine.stride = transfer->stride;
  engine.burst_bytes = transfer->burst_bytes;
  engine.max_outstanding = transfer->max_outstanding;
  engine.setup_cycles = transfer->setup_cycles;
  engine.start = 1;
  tick();
  engine.start = 0;
  Memory memory(bytes, transfer->latency, transfer->interval);
  for (int64_t cycle = 0; !engine.done && cycle < most_cycles; ++cycle) {
    memory.drive(cycle, engine);
    engine.clk = 0;
    engine.eval();
    if (engine.request) memory.request(cycle, engine.request_address, engine.request_bytes);
    tick();
  }
  engine.beat = 0;
  const int64_t cycles = engine.done ? int64_t(engine.cycles) : -1;
  for (int64_t word = 0; word < word_count; ++word) {
    engine.read_address = word;
    tick();
    std::memcpy(words + word * BUS_BYTES, &engine.read_data, BUS_BYTES);
  }
  engine.final();
  return cycles;
}
}
