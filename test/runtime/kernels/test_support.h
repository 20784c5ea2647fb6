// What the kernel tests share: random data, running a kernel for every vector unit
// of this machine and every number of parts, and the values of halves.
#pragma once

#include "runtime/kernels/part.h"
#include "runtime/program/block_formats.h"
#include "runtime/program/packing.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <new>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace cleave::rt {

/// Runs `body` once for each vector unit that the kernels were compiled for and this
/// machine has.
template <class Body> void forEachTarget(Body body) {
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    body();
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().DeInit();
    if (testing::Test::HasFatalFailure())
      return;
  }
}

/// Runs all parts of a kernel, the last first: they do not depend on each other.
template <class Kernel, class Args> void runParts(Kernel kernel, const Args &args, int count) {
  for (int index = count - 1; index >= 0; --index)
    kernel(args, Part{index, count});
}

/// Numbers of parts that tests try: fewer and more than there is work.
inline constexpr int partCounts[] = {1, 2, 3, 7};

class Random {
public:
  explicit Random(uint32_t seed) : generator(seed) {}

  float uniform(float low = -1, float high = 1) {
    return std::uniform_real_distribution<float>(low, high)(generator);
  }
  int integer(int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(generator);
  }
  std::vector<float> floats(size_t count) {
    std::vector<float> values(count);
    for (float &value : values)
      value = uniform();
    return values;
  }

private:
  std::mt19937 generator;
};

/// The types with blocks, and all types that products and gathers know.
inline std::vector<ElementType> blockTypes() {
  std::vector<ElementType> types;
  for (const ElementTypeInfo &info : elementTypes)
    if (isBlockType(info))
      types.push_back(info.type);
  return types;
}
inline std::vector<ElementType> weightTypes() {
  std::vector<ElementType> types = {ElementType::f32, ElementType::f16, ElementType::bf16};
  for (ElementType type : blockTypes())
    types.push_back(type);
  return types;
}

/// What a test of each type is called.
inline constexpr auto typeName = [](const auto &info) {
  return std::string(elementTypeInfo(info.param).name);
};

/// A copy of some bytes that ends where readable memory ends, as a mapped weight file
/// may: reading behind it is a fault.
class GuardedBytes {
public:
  explicit GuardedBytes(const std::vector<uint8_t> &bytes) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t readable = (bytes.size() + page - 1) / page * page;
    size = readable + page;
    memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      throw std::bad_alloc();
    mprotect(static_cast<char *>(memory) + readable, page, PROT_NONE);
    begin = static_cast<uint8_t *>(memory) + readable - bytes.size();
    std::copy(bytes.begin(), bytes.end(), begin);
  }
  ~GuardedBytes() { munmap(memory, size); }
  GuardedBytes(const GuardedBytes &) = delete;
  GuardedBytes &operator=(const GuardedBytes &) = delete;

  const uint8_t *data() const { return begin; }

private:
  void *memory;
  size_t size;
  uint8_t *begin;
};

inline double halfValue(uint16_t bits) {
  _Float16 half;
  std::memcpy(&half, &bits, sizeof(half));
  return static_cast<double>(half);
}

/// The nearest half, ties to even.
inline uint16_t nearestHalf(float value) {
  const auto half = static_cast<_Float16>(value);
  uint16_t bits;
  std::memcpy(&bits, &half, sizeof(bits));
  return bits;
}

/// A weight in some type's bytes, and the same as the f32 numbers it stands for. Where a
/// value is a difference, its magnitude is the sum of both parts' magnitudes; so it is for
/// kernels that shift integers to be without sign, which `shifted` is for.
struct TestWeight {
  std::vector<uint8_t> bytes;
  std::vector<double> values;
  std::vector<double> magnitudes;
  std::vector<double> shifted;

  /// After `values` and `magnitudes` of elements [first, first + count) that have one scale.
  void shift(int64_t first, int64_t count, double scale, int offset) {
    for (int64_t i = first; i < first + count; ++i)
      shifted[i] = offset == 0 ? magnitudes[i]
                               : std::abs(values[i] + scale * offset) + std::abs(scale * offset);
  }
};

/// `matrices` matrices of `rows` rows, in the layout that products want of this type.
inline std::vector<uint8_t> packed(ElementType type, const std::vector<uint8_t> &bytes,
                                   int64_t rows, int64_t matrices = 1) {
  if (matrixLayout(type) == Layout::rows)
    return bytes;
  std::vector<uint8_t> result;
  const int64_t rowBytes = rows == 0 ? 0 : static_cast<int64_t>(bytes.size()) / matrices / rows;
  MatrixPacker packer(elementTypeInfo(type), rows, rowBytes, [&](std::span<const std::byte> piece) {
    const auto *begin = reinterpret_cast<const uint8_t *>(piece.data());
    result.insert(result.end(), begin, begin + piece.size());
  });
  packer.append(std::as_bytes(std::span(bytes)));
  return result;
}

/// Fills a block of 256 with random bits but for its scales, and gives its numbers, from
/// the formulas of block_formats.h.
template <class Block>
void makeWideBlock(uint8_t *at, double *values, double *magnitudes, double *shifted,
                   Random &random) {
  for (size_t i = 0; i < sizeof(Block); ++i)
    at[i] = static_cast<uint8_t>(random.integer(0, 255));
  Block block;
  std::memcpy(&block, at, sizeof(block));
  block.scale = nearestHalf(random.uniform(-2e-3f, 2e-3f));
  if constexpr (requires { block.minimum; })
    block.minimum = nearestHalf(random.uniform(-2e-2f, 2e-2f));
  std::memcpy(at, &block, sizeof(block));
  for (int i = 0; i < 256; ++i) {
    double minimum = 0;
    double scale = halfValue(block.scale);
    int bits, offset = 0;
    if constexpr (requires { block.minimum; }) {
      const int s = i / 32;
      const auto sixBits = [&](int low, int high, int shift) {
        return s < 4 ? block.packed[low + s] & 63
                     : (block.packed[4 + s] >> shift & 15) + (block.packed[high + s] >> 6) * 16;
      };
      scale *= sixBits(0, -4, 0);
      minimum = halfValue(block.minimum) * sixBits(4, 0, 4);
      bits = block.nibbles[i / 64 * 32 + i % 32] >> (s % 2 * 4) & 15;
      if constexpr (requires { block.highBits; })
        bits += (block.highBits[i % 32] >> s & 1) * 16;
    } else {
      scale *= block.scales[i / 16];
      const int n = i % 128 / 32;
      bits = block.nibbles[i / 128 * 64 + n % 2 * 32 + i % 32] >> (n / 2 * 4) & 15;
      bits += (block.highBits[i / 128 * 32 + i % 32] >> (2 * n) & 3) * 16 - 32;
      offset = 32;
    }
    values[i] = static_cast<float>(scale * bits - minimum);
    magnitudes[i] = std::abs(scale * bits) + std::abs(minimum);
    shifted[i] =
        offset == 0 ? magnitudes[i] : std::abs(scale * (bits + offset)) + std::abs(scale * offset);
  }
}

/// The same for a block of 32 of 4 or 5 bits.
template <class Block>
void makeNarrowBlock(uint8_t *at, double *values, double *magnitudes, double *shifted,
                     Random &random) {
  for (size_t i = 0; i < sizeof(Block); ++i)
    at[i] = static_cast<uint8_t>(random.integer(0, 255));
  Block block;
  std::memcpy(&block, at, sizeof(block));
  block.scale = nearestHalf(random.uniform(-0.02f, 0.02f));
  const double scale = halfValue(block.scale);
  double minimum = 0;
  int offset = 8;
  if constexpr (requires { block.highBits; })
    offset = 16;
  if constexpr (requires { block.minimum; }) {
    block.minimum = nearestHalf(random.uniform(-0.2f, 0.2f));
    minimum = halfValue(block.minimum);
    offset = 0;
  }
  std::memcpy(at, &block, sizeof(block));
  for (int i = 0; i < 32; ++i) {
    int bits = block.nibbles[i % 16] >> (i / 16 * 4) & 15;
    if constexpr (requires { block.highBits; })
      bits += (block.highBits[i / 8] >> (i % 8) & 1) * 16;
    values[i] = static_cast<float>(scale * (bits - offset) + minimum);
    magnitudes[i] = std::abs(scale * (bits - offset)) + std::abs(minimum);
    shifted[i] = std::abs(scale * bits) + std::abs(scale * offset) + std::abs(minimum);
  }
}

/// Random elements of `type`, a whole number of blocks.
inline TestWeight makeWeight(ElementType type, int64_t count, Random &random) {
  const ElementTypeInfo &info = elementTypeInfo(type);
  TestWeight weight;
  weight.bytes.resize(count / info.blockLength * info.blockBytes);
  weight.values.resize(count);
  weight.magnitudes.resize(count);
  weight.shifted.resize(count);
  for (int64_t first = 0; first < count; first += info.blockLength) {
    uint8_t *at = weight.bytes.data() + first / info.blockLength * info.blockBytes;
    double *values = weight.values.data() + first;
    double *magnitudes = weight.magnitudes.data() + first;
    double *shifted = weight.shifted.data() + first;
    int offset = 0;
    const uint16_t scale = nearestHalf(random.uniform(-0.02f, 0.02f));
    switch (type) {
    case ElementType::f32: {
      const float value = random.uniform();
      std::memcpy(at, &value, 4);
      values[0] = value;
      break;
    }
    case ElementType::f16: {
      const uint16_t half = nearestHalf(random.uniform());
      std::memcpy(at, &half, 2);
      values[0] = halfValue(half);
      break;
    }
    case ElementType::bf16: {
      const float value = random.uniform();
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      bits &= 0xffff0000u;
      std::memcpy(at, reinterpret_cast<const uint8_t *>(&bits) + 2, 2);
      float truncated;
      std::memcpy(&truncated, &bits, 4);
      values[0] = truncated;
      break;
    }
    case ElementType::q8_0: {
      BlockQ8_0 block;
      block.scale = scale;
      for (int i = 0; i < 32; ++i) {
        block.values[i] = static_cast<int8_t>(random.integer(-128, 127));
        values[i] = halfValue(scale) * block.values[i];
      }
      offset = 128;
      std::memcpy(at, &block, sizeof(block));
      break;
    }
    case ElementType::q4_0:
      makeNarrowBlock<BlockQ4_0>(at, values, magnitudes, shifted, random);
      continue;
    case ElementType::q4_1:
      makeNarrowBlock<BlockQ4_1>(at, values, magnitudes, shifted, random);
      continue;
    case ElementType::q5_0:
      makeNarrowBlock<BlockQ5_0>(at, values, magnitudes, shifted, random);
      continue;
    case ElementType::q5_1:
      makeNarrowBlock<BlockQ5_1>(at, values, magnitudes, shifted, random);
      continue;
    case ElementType::q4_k:
      makeWideBlock<BlockQ4_K>(at, values, magnitudes, shifted, random);
      continue;
    case ElementType::q5_k:
      makeWideBlock<BlockQ5_K>(at, values, magnitudes, shifted, random);
      continue;
    case ElementType::q6_k:
      makeWideBlock<BlockQ6_K>(at, values, magnitudes, shifted, random);
      continue;
    default:
      ADD_FAILURE() << "no such weight type";
    }
    for (uint32_t i = 0; i < info.blockLength; ++i)
      magnitudes[i] = std::abs(values[i]);
    weight.shift(first, info.blockLength, halfValue(scale), offset);
  }
  return weight;
}

} // namespace cleave::rt
