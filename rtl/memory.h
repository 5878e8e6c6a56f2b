// Memory of fixed latency and bandwidth, as the test benches of the DMA have it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>

struct Beat {
  int64_t cycle, address, bytes, index;
  bool is_write, is_last;
};

// Answers requests, reads and writes alike, in their order: the beats of one begin no sooner than `latency` cycles
// after it, and no sooner than those before have left the bus; a beat of BUS_BYTES takes `interval` cycles and is there
// in the last of them. A latency below 1 has no meaning here.
class Memory {
 public:
  Memory(uint8_t* bytes, int64_t latency, int64_t interval) : bytes_(bytes), latency_(latency), interval_(interval) {}

  void request(int64_t cycle, bool is_write, int64_t index, int64_t address, int64_t size) {
    const int64_t begin = std::max(cycle + latency_, bus_free_);
    const int64_t beats = (size + BUS_BYTES - 1) / BUS_BYTES;
    for (int64_t i = 0; i < beats; ++i)
      beats_.push_back({begin + (i + 1) * interval_ - 1, address + i * BUS_BYTES,
                        std::min<int64_t>(BUS_BYTES, size - i * BUS_BYTES), index, is_write, i == beats - 1});
    bus_free_ = begin + beats * interval_;
  }

  // Set the engine's inputs for a cycle; read data are a whole bus word, whatever the request's size.
  template <class Engine>
  void offer(int64_t cycle, Engine& engine) {
    beat_ = !beats_.empty() && beats_.front().cycle == cycle;
    engine.beat = beat_;
    if (!beat_) return;
    const Beat& beat = beats_.front();
    engine.beat_write = beat.is_write;
    engine.last_beat = beat.is_last;
#ifdef BEAT_INDEX
    engine.beat_index = beat.index;
#endif
    if (!beat.is_write) std::memcpy(&engine.read_data, bytes_ + beat.address, BUS_BYTES);
  }

  // After the engine's outputs are settled: take what it writes.
  template <class Engine>
  void take(const Engine& engine) {
    if (!beat_) return;
    const Beat& beat = beats_.front();
    if (beat.is_write) std::memcpy(bytes_ + beat.address, &engine.write_data, beat.bytes);
    beats_.pop_front();
  }

 private:
  uint8_t* bytes_;
  int64_t latency_, interval_, bus_free_ = 0;
  std::deque<Beat> beats_;
  bool beat_ = false;
};

// Mix what passes between the DMA and memory in a cycle into a digest, FNV-1a over words, as digest_bus in
// simulator/kernels/clocked_dma.py.
template <class Engine>
void mix_bus(const Engine& engine, uint64_t& digest) {
  const auto mix = [&digest](uint64_t value) { digest = (digest ^ value) * 0x100000001B3u; };
  mix(engine.request | engine.request_write << 1 | engine.beat << 2 | (engine.beat && engine.beat_write) << 3 |
      (engine.beat && engine.last_beat) << 4);
  if (!engine.request) return;
  mix(engine.request_address);
  mix(engine.request_bytes);
}
