// The kernels of rows and elements: norm, rotary embedding, slice, transpose.
#include "reference.h"
#include "test_support.h"

#include "runtime/kernels/rms_norm.h"
#include "runtime/kernels/rope.h"
#include "runtime/kernels/slice.h"
#include "runtime/kernels/transpose.h"

namespace cleave::rt {
namespace {

TEST(RmsNorm, MatchesReference) {
  for (int64_t tokens : {0, 1, 2, 5})
    for (int64_t columns : {1, 7, 64, 172, 2048}) {
      Random random(1);
      const std::vector<float> x = random.floats(tokens * (columns + 1));
      const std::vector<float> weight = random.floats(columns);
      RmsNormArgs args{.x = x.data(),
                       .weight = weight.data(),
                       .tokens = tokens,
                       .columns = columns,
                       .xStride = columns + 1,
                       .yStride = columns + 2,
                       .epsilon = 1e-5f};
      const std::vector<double> expected = reference::rmsNorm(args);
      forEachTarget([&] {
        for (int parts : partCounts) {
          std::vector<float> y(tokens * args.yStride, 77.0f);
          args.y = y.data();
          runParts(rmsNorm, args, parts);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t c = 0; c < args.yStride; ++c) {
              // The sum's terms are positive, so its error is relative, and the root
              // halves it; six operations more.
              const double value = c < columns ? expected[t * columns + c] : 77;
              const double bound =
                  c < columns ? reference::roundingBound(columns / 2 + 6) * std::abs(value) : 0;
              ASSERT_NEAR(y[t * args.yStride + c], value, bound)
                  << tokens << "x" << columns << ", " << parts << " parts";
            }
        }
      });
    }
}

struct RopeShape {
  int64_t heads;
  int64_t headDim;
  int64_t rotaryDim;
  RopePairs pairs;
  bool factors;
};

TEST(Rope, MatchesReference) {
  const RopeShape shapes[] = {
      {8, 8, 8, RopePairs::interleaved, false},    {4, 64, 64, RopePairs::interleaved, true},
      {3, 64, 64, RopePairs::halves, true},        {2, 80, 32, RopePairs::halves, false},
      {2, 80, 32, RopePairs::interleaved, false},  {1, 6, 6, RopePairs::halves, true},
      {5, 128, 128, RopePairs::interleaved, true}, {2, 4, 0, RopePairs::interleaved, false},
  };
  const std::vector<int32_t> positions = {0, 1, 17, 4095, 131072};
  const auto tokens = static_cast<int64_t>(positions.size());
  for (const RopeShape &shape : shapes) {
    Random random(2);
    std::vector<float> factors(shape.rotaryDim / 2);
    for (float &factor : factors)
      factor = random.uniform(1, 32);
    std::vector<float> table(tokens * shape.rotaryDim);
    RopeTableArgs tableArgs{.positions = positions.data(),
                            .factors = shape.factors ? factors.data() : nullptr,
                            .table = table.data(),
                            .tokens = tokens,
                            .rotaryDim = shape.rotaryDim,
                            .base = 500000.0f,
                            .scale = shape.factors ? 0.25f : 1.0f};
    const int64_t width = shape.heads * shape.headDim;
    const std::vector<float> x = random.floats(tokens * (width + 1));
    RopeArgs args{.x = x.data(),
                  .table = table.data(),
                  .tokens = tokens,
                  .heads = shape.heads,
                  .headDim = shape.headDim,
                  .rotaryDim = shape.rotaryDim,
                  .xStride = width + 1,
                  .yStride = width + 1,
                  .pairs = shape.pairs};
    const std::vector<double> expected = reference::rope(args, tableArgs);
    forEachTarget([&] {
      for (int parts : partCounts)
        for (bool inPlace : {false, true}) {
          std::fill(table.begin(), table.end(), 77.0f);
          runParts(ropeTable, tableArgs, parts);
          std::vector<float> y = inPlace ? x : std::vector<float>(x.size(), 77.0f);
          args.x = inPlace ? y.data() : x.data();
          args.y = y.data();
          runParts(rope, args, parts);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t c = 0; c < width; ++c)
              // Sine and cosine are rounded, and so are two products and a sum of values
              // up to 1. An angle of 131072 in double is good to 1e-10.
              ASSERT_NEAR(y[t * (width + 1) + c], expected[t * width + c],
                          2 * reference::roundingBound(3) + 1e-10)
                  << "token " << t << ", column " << c;
        }
    });
  }
}

/// Element by element, from the definition.
template <typename T>
void checkTranspose(const std::vector<int64_t> &from, std::vector<int> order) {
  TransposeArgs args{.elementBytes = sizeof(T), .rank = static_cast<int>(from.size())};
  int64_t count = 1;
  for (int64_t size : from)
    count *= size;
  for (int d = 0; d < args.rank; ++d) {
    args.dims[d] = from[order[d]];
    args.strides[d] = 1;
    for (size_t inner = order[d] + 1; inner < from.size(); ++inner)
      args.strides[d] *= from[inner];
  }
  std::vector<T> x(count), expected(count);
  for (int64_t i = 0; i < count; ++i)
    x[i] = static_cast<T>(i * 7 + 1);
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, source = 0;
    for (int d = args.rank - 1; d >= 0; rest /= args.dims[d], --d)
      source += rest % args.dims[d] * args.strides[d];
    expected[i] = x[source];
  }
  for (int parts : partCounts) {
    std::vector<T> y(count);
    args.x = x.data();
    args.y = y.data();
    runParts(transpose, args, parts);
    ASSERT_EQ(y, expected) << parts << " parts";
  }
}

TEST(Transpose, FollowsItsDefinition) {
  checkTranspose<float>({3, 5}, {1, 0});
  checkTranspose<float>({3, 5}, {0, 1});
  checkTranspose<int64_t>({2, 3, 4}, {2, 0, 1});
  checkTranspose<uint16_t>({4, 1, 3, 2}, {0, 2, 1, 3});
  checkTranspose<uint8_t>({2, 2, 3, 2, 2, 1, 2, 3}, {7, 0, 6, 1, 5, 2, 4, 3});
  checkTranspose<float>({0, 5}, {1, 0});
  checkTranspose<float>({7}, {0});
  checkTranspose<float>({}, {});
}

TEST(Slice, CopiesTheRangeOnly) {
  for (int64_t rows : {0, 1, 2, 9})
    for (int64_t bytes : {0, 3, 200}) {
      std::vector<uint8_t> x(rows * 300);
      for (size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<uint8_t>(i * 7 + i / 256);
      for (int parts : partCounts) {
        std::vector<uint8_t> y(rows * 250, 99);
        runParts(slice, SliceArgs{x.data() + 50, y.data(), rows, bytes, 300, 250}, parts);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t i = 0; i < 250; ++i)
            ASSERT_EQ(y[r * 250 + i], i < bytes ? x[r * 300 + 50 + i] : 99);
      }
    }
}

} // namespace
} // namespace cleave::rt
