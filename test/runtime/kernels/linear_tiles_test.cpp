// Kernels of linear_bf16_tiles-inl.h with tile instructions that are emulated, so that CPUs
// without AMX test all but these.
#include "reference.h"
#include "test_support.h"

#include "runtime/kernels/linear.h"
#include "runtime/kernels/quantize.h"

#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "test/runtime/kernels/linear_tiles_test.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/linear_bf16_tiles-inl.h"

#ifndef CLEAVE_TEST_LINEAR_TILES_ONCE
#define CLEAVE_TEST_LINEAR_TILES_ONCE
namespace cleave::rt {
namespace {

/// What Intel's manual says of these instructions, but for the order of a pair's sums.
class EmulatedTiles {
public:
  void configure(int64_t first, int64_t second) {
    const int64_t counts[8] = {first, first, second, second, first, second, tileRows, tileRows};
    if (std::equal(counts, counts + 8, rows))
      return;
    std::copy_n(counts, 8, rows);
    // So that whoever reads a tile that is not set sees it.
    std::memset(tiles, 0xff, sizeof(tiles));
  }

  template <int tile> void zero() { std::memset(tiles[tile], 0, sizeof(tiles[tile])); }
  template <int tile> void load(const void *from, int64_t stride) {
    for (int64_t row = 0; row < rows[tile]; ++row)
      std::memcpy(tiles[tile][row], static_cast<const std::byte *>(from) + row * stride, tileBytes);
  }
  template <int tile> void store(void *to, int64_t stride) {
    for (int64_t row = 0; row < rows[tile]; ++row)
      std::memcpy(static_cast<std::byte *>(to) + row * stride, tiles[tile][row], tileBytes);
  }
  template <int sum, int x, int weight> void multiply() {
    for (int64_t token = 0; token < rows[sum]; ++token)
      for (int64_t output = 0; output < tileRows; ++output) {
        float total;
        std::memcpy(&total, tiles[sum][token] + 4 * output, sizeof(total));
        for (int64_t pair = 0; pair < tileRows; ++pair)
          for (int64_t half = 0; half < 4; half += 2)
            total += floatAt(tiles[x][token] + 4 * pair + half) *
                     floatAt(tiles[weight][pair] + 4 * output + half);
        std::memcpy(tiles[sum][token] + 4 * output, &total, sizeof(total));
      }
  }

private:
  static float floatAt(const std::byte *half) {
    uint16_t high;
    std::memcpy(&high, half, sizeof(high));
    const uint32_t bits = uint32_t{high} << 16;
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }

  std::byte tiles[8][tileRows][tileBytes];
  int64_t rows[8] = {};
};

} // namespace
} // namespace cleave::rt
#endif

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

LinearKernel emulatedKernel(ElementType weight) {
  return tileKernel<EmulatedTiles>(weight);
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(emulatedKernel);

namespace {

struct Shape {
  int64_t tokens, outputs, inputs;
};

/// Tokens and outputs with every remainder of tiles, inputs of several panels and blocks.
const Shape shapes[] = {{1, 1, 256},   {8, 16, 256},  {16, 32, 512},  {17, 33, 768},
                        {31, 47, 256}, {32, 48, 256}, {33, 49, 1280}, {45, 7, 2304},
                        {0, 16, 256},  {9, 0, 256},   {3, 17, 0},     {530, 18, 1280}};

float asFloat(uint16_t high) {
  const uint32_t bits = uint32_t{high} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

/// To nearest, ties away from zero.
double inBF16(double value) {
  const auto single = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &single, sizeof(bits));
  return asFloat(static_cast<uint16_t>((bits + 0x8000u) >> 16));
}

/// Whether f32 has the type's elements exactly, so that it is known what they are rounded to.
bool isExactInF32(ElementType type) {
  return type == ElementType::q4_0 || type == ElementType::q5_0 || type == ElementType::q8_0 ||
         type == ElementType::q6_k;
}

class LinearTiles : public testing::TestWithParam<ElementType> {};

TEST_P(LinearTiles, MatchTheReference) {
  for (const Shape &shape : shapes) {
    SCOPED_TRACE(std::to_string(shape.tokens) + " tokens, " + std::to_string(shape.outputs) +
                 " outputs, " + std::to_string(shape.inputs) + " inputs");
    Random random(21);
    TestWeight weight = makeWeight(GetParam(), shape.outputs * shape.inputs, random);
    const GuardedBytes bytes(packed(GetParam(), weight.bytes, shape.outputs));
    const std::vector<float> x = random.floats(shape.tokens * shape.inputs);
    std::vector<std::byte> rows(shape.tokens * bf16RowBytes(shape.inputs));
    quantizeBF16({x.data(), rows.data(), shape.tokens, shape.inputs, shape.inputs, 0, shape.inputs},
                 Part{});
    std::vector<double> values;
    for (int64_t t = 0; t < shape.tokens; ++t)
      for (int64_t j = 0; j < shape.inputs; ++j) {
        uint16_t high;
        std::memcpy(&high, rows.data() + t * bf16RowBytes(shape.inputs) + 2 * j, sizeof(high));
        values.push_back(asFloat(high));
      }
    if (isExactInF32(GetParam()))
      for (double &value : weight.values)
        value = inBF16(value);
    const auto expected = reference::linear(values, weight.values, weight.magnitudes, shape.tokens,
                                            shape.outputs, shape.inputs, shape.inputs, 0);
    LinearArgs args;
    args.quantized = rows.data();
    args.weight = bytes.data();
    args.tokens = shape.tokens;
    args.outputs = shape.outputs;
    args.yStride = shape.outputs + 5;
    args.inputs = args.xColumns = shape.inputs;
    // Others are rounded to 8 significant bits of what f32 makes of them.
    const bool isKnown = GetParam() == ElementType::bf16 || isExactInF32(GetParam());
    const double weightError = isKnown ? 0 : 0x1p-8;
    forEachTarget([&] {
      const LinearKernel kernel = HWY_DYNAMIC_DISPATCH(emulatedKernel)(GetParam());
      const auto run = [&](int parts) {
        std::vector<float> y(shape.tokens * args.yStride, 77.0f);
        args.y = y.data();
        runParts(kernel, args, parts);
        return y;
      };
      const std::vector<float> y = run(1);
      for (int64_t t = 0; t < shape.tokens; ++t)
        for (int64_t o = 0; o < args.yStride; ++o) {
          const float value = y[t * args.yStride + o];
          if (o >= shape.outputs) {
            ASSERT_EQ(value, 77.0f) << "written behind row " << t;
            continue;
          }
          const reference::Sum &sum = expected[t * shape.outputs + o];
          ASSERT_NEAR(value, sum.value,
                      (reference::roundingBound(shape.inputs + 1) + weightError) * sum.magnitude)
              << "token " << t << ", output " << o;
        }
      for (int parts : partCounts)
        ASSERT_EQ(run(parts), y) << parts << " parts";
    });
  }
}

std::vector<ElementType> typesInTiles() {
  std::vector<ElementType> types = blockTypes();
  types.push_back(ElementType::bf16);
  return types;
}

INSTANTIATE_TEST_SUITE_P(Types, LinearTiles, testing::ValuesIn(typesInTiles()), typeName);

TEST(LinearTilesOfF16, AreLeftToIntegers) {
  EXPECT_EQ(HWY_DYNAMIC_DISPATCH(emulatedKernel)(ElementType::f16), nullptr);
}

/// What decides whether a CPU's tiles are used tells a kernel that computes from one that does not.
TEST(LinearTilesCheck, TellsRightFromWrong) {
  static LinearKernel right = nullptr;
  right = HWY_DYNAMIC_DISPATCH(emulatedKernel)(ElementType::bf16);
  EXPECT_TRUE(isExact(right));
  EXPECT_FALSE(isExact([](const LinearArgs &, Part) {}));
  EXPECT_FALSE(isExact([](const LinearArgs &args, Part part) { // of the last element
    right(args, part);
    args.y[args.tokens * args.yStride - 1] += 1;
  }));
}

} // namespace
} // namespace cleave::rt
#endif
