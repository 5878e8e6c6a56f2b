// Lanes of ports, packed and unpacked, for the test benches of the engines.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>

// Put the low `bits` bits of a value into a port, from bit `at` on.
template <class Port>
void put_bits(Port& port, int at, int bits, int64_t value) {
  auto* bytes = reinterpret_cast<uint8_t*>(&port);
  for (int i = 0; i < bits; ++i, ++at) {
    const uint8_t mask = uint8_t(1u << (at & 7));
    bytes[at >> 3] = (value >> i & 1) ? bytes[at >> 3] | mask : bytes[at >> 3] & uint8_t(~mask);
  }
}

// Put lane `index` of `bits` bits into a port.
template <class Port>
void put(Port& port, int index, int bits, int64_t value) {
  put_bits(port, index * bits, bits, value);
}

struct Field {
  int bits;
  int64_t value;
};

// Put the fields of a packed struct into a port, the lowest first.
template <class Port>
void put_fields(Port& port, std::initializer_list<Field> fields) {
  int at = 0;
  for (const Field& field : fields) {
    put_bits(port, at, field.bits, field.value);
    at += field.bits;
  }
}

// Read lane `index` of `bits` bits of a port as a signed number.
template <class Port>
int64_t get(const Port& port, int index, int bits) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&port);
  const int at = index * bits;
  unsigned __int128 word = 0;
  std::memcpy(&word, bytes + (at >> 3), std::min<size_t>(16, sizeof(Port) - (at >> 3)));
  return int64_t(uint64_t(word >> (at & 7)) << (64 - bits)) >> (64 - bits);
}

// Place of the first pixel's first tap on one axis, as rtl/im2col_walker.sv has it: stored elements and woven places.
inline int64_t origin(int64_t padding, int64_t insertion) {
  const int64_t stored = (padding + insertion - 1) / insertion;  // stored elements that the padding has room for
  return -stored * 256 + (stored * insertion - padding);
}

// Fields of GEOMETRY in simulator/kernels/clocked_im2col.py.
struct Geometry {
  int64_t height, width, channels, kernel_height, kernel_width, stride[2], dilation[2], insertion[2], padding[2];
  int64_t out_height, out_width, pitch;
};

// convolution_t of rtl/fields.sv.
template <class Port>
void put_convolution(Port& port, const Geometry& of) {
  put_fields(port, {{16, of.width}, {16, of.channels}, {16, of.pitch}, {16, of.kernel_height}, {16, of.kernel_width},
                    {8, of.stride[0]}, {8, of.stride[1]}, {8, of.dilation[0]}, {8, of.dilation[1]},
                    {8, of.insertion[0]}, {8, of.insertion[1]}, {24, origin(of.padding[1], of.insertion[1])},
                    {16, of.out_width}});
}

// Zero points and clamp.
struct Quantization {
  int64_t activation_zero_point, weight_zero_point, output_zero_point, output_minimum, output_maximum;
};

// quantization_t of rtl/fields.sv.
template <class Port>
void put_quantization(Port& port, const Quantization& of) {
  put_fields(port, {{16, of.activation_zero_point}, {16, of.weight_zero_point}, {16, of.output_zero_point},
                    {16, of.output_minimum}, {16, of.output_maximum}});
}

// pool_t of rtl/fields.sv.
template <class Port>
void put_pool(Port& port, int64_t size, int64_t stride, int64_t left, int64_t right, int64_t width) {
  put_fields(port, {{8, size}, {8, stride}, {8, left}, {8, right}, {16, width}});
}

// counts_t of rtl/fields.sv; -1 cycles where the engine is not done.
template <class Engine, class Counts>
void get_counts(const Engine& engine, Counts& counts) {
  counts.cycles = engine.done ? get(engine.counts, 0, 32) : -1;
  counts.partial_sum_events = get(engine.counts, 1, 32);
  counts.accumulator_events = get(engine.counts, 2, 32);
  counts.saturations = get(engine.counts, 3, 32);
}

// Mix what leaves the array in a cycle into a digest, FNV-1a over words, as digest_edges in
// simulator/kernels/clocked.py.
template <class Engine>
void mix_edges(const Engine& engine, uint64_t& digest) {
  const auto mix = [&digest](int64_t value) { digest = (digest ^ uint64_t(value)) * 0x100000001B3u; };
  for (int r = 0; r < ROWS; ++r) mix(get(engine.edge_activations, r, ACTIVATION_BITS + 1));
  for (int c = 0; c < COLS; ++c) mix(get(engine.edge_weights, c, WEIGHT_BITS + 1));
  for (int c = 0; c < COLS; ++c) mix(get(engine.edge_sums, c, SUM_BITS));
  mix(engine.edge_valid);
}
