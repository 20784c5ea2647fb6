// Attention and the state update against the reference: head sizes with and without
// a vector's multiple, groups, several slots, both cache types, few and many rows a key
// head, keys in several blocks and shared between parts.
#include "reference.h"
#include "test_support.h"

#include "runtime/kernels/attention.h"
#include "runtime/kernels/key_panels.h"
#include "runtime/kernels/state_update.h"

#include <cmath>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <optional>

namespace cleave::rt {
namespace {

struct Shape {
  int64_t heads;
  int64_t headDim;
  int64_t group;
  int64_t firstHead = 0;
};

std::ostream &operator<<(std::ostream &out, const Shape &shape) {
  return out << shape.heads << " heads of " << shape.headDim << ", groups of " << shape.group
             << " from head " << shape.firstHead;
}

/// All parts of attention(), with just as much scratch memory as it asks for.
void attend(AttentionArgs args, int parts) {
  const int64_t bytes = attentionScratch(args, parts);
  const int64_t guard = 64;
  const std::unique_ptr<uint8_t, decltype(&std::free)> scratch(
      static_cast<uint8_t *>(std::aligned_alloc(64, (bytes + guard + 63) / 64 * 64)), &std::free);
  std::memset(scratch.get(), 0xff, bytes + guard); // NaNs
  args.scratch = reinterpret_cast<float *>(scratch.get());
  runParts(attention, args, parts);
  if (mayShareKeys(args, parts))
    runParts(mergeAttention, args, parts);
  ASSERT_EQ(std::count(scratch.get() + bytes, scratch.get() + bytes + guard, 0xff), guard);
}

constexpr int64_t slotCount = 3;

/// The keys [slots, context, width] as panels; what no key fills is NaN.
std::vector<uint8_t> asPanels(const std::vector<uint8_t> &keys, int64_t elementBytes,
                              int64_t context, int64_t width) {
  std::vector<uint8_t> panels(slotCount * roomForKeys(context) * width * elementBytes, 0xff);
  for (int64_t slot = 0; slot < slotCount; ++slot)
    for (int64_t position = 0; position < context; ++position)
      for (int64_t column = 0; column < width; ++column) {
        const int64_t to = placeOfKey(slot, position, context, width) + column * panelKeys;
        const int64_t from = (slot * context + position) * width + column;
        std::memcpy(panels.data() + to * elementBytes, keys.data() + from * elementBytes,
                    elementBytes);
      }
  return panels;
}

struct Problem {
  Problem(const Shape &shape, ElementType type, std::vector<int32_t> slotOfTokens,
          std::vector<int32_t> positionOfTokens, uint32_t seed, int64_t window = 0)
      : slots(std::move(slotOfTokens)), positions(std::move(positionOfTokens)) {
    Random random(seed);
    args.context = 200;
    for (int32_t position : positions)
      args.context = std::max<int64_t>(args.context, position + 1);
    args.tokens = static_cast<int64_t>(slots.size());
    args.heads = shape.heads;
    args.headDim = shape.headDim;
    args.group = shape.group;
    args.firstHead = shape.firstHead;
    args.kvWidth = ((shape.firstHead + shape.heads - 1) / shape.group + 1) * shape.headDim;
    args.qStride = shape.heads * shape.headDim + 1;
    args.yStride = shape.heads * shape.headDim + 2;
    args.scale = 1.5f;
    args.window = window;
    args.stateType = type;
    args.slots = slots.data();
    args.positions = positions.data();
    const int64_t count = slotCount * args.context * args.kvWidth;
    k = makeWeight(type, count, random);
    v = makeWeight(type, count, random);
    q = random.floats(args.tokens * args.qStride);
    guardedV.emplace(v.bytes);
    args.v = guardedV->data();
    placeKeys();
    args.q = q.data();
  }

  /// To be called again when k has been changed.
  void placeKeys() {
    guardedK.emplace(
        asPanels(k.bytes, elementTypeInfo(args.stateType).blockBytes, args.context, args.kvWidth));
    args.k = guardedK->data();
  }

  std::vector<float> run(int parts) {
    std::vector<float> y(args.tokens * args.yStride, 77.0f);
    args.y = y.data();
    attend(args, parts);
    return y;
  }

  void check() {
    const auto expected = reference::attention(args, k.values, v.values);
    const int64_t width = args.heads * args.headDim;
    forEachTarget([&] {
      const std::vector<float> y = run(1);
      for (int64_t t = 0; t < args.tokens; ++t)
        for (int64_t c = 0; c < args.yStride; ++c) {
          if (c >= width) {
            ASSERT_EQ(y[t * args.yStride + c], 77.0f);
            continue;
          }
          // Values: a product and a sum a key, three operations more. Weights: a score's
          // error is that of a sum of headDim products of at most 1, times the scale, and
          // exp makes of an error in its exponent one relative to the weight; it enters the
          // weight and the sum of weights. exp itself, and the factors of older chunks, are
          // within 4 units each.
          const reference::Sum &sum = expected[t * width + c];
          const int64_t keys = keysSeen(args, t);
          const double score = args.scale * static_cast<double>(args.headDim) *
                               reference::roundingBound(args.headDim + 3);
          const double bound = reference::roundingBound(2 * keys + 8 * (keys / 64 + 2));
          ASSERT_NEAR(y[t * args.yStride + c], sum.value, (bound + 2 * score) * sum.magnitude)
              << "token " << t << ", column " << c;
        }
      for (int parts : partCounts)
        ASSERT_EQ(run(parts), y) << parts << " parts";
    });
  }

  std::vector<int32_t> slots;
  std::vector<int32_t> positions;
  TestWeight k;
  TestWeight v;
  std::optional<GuardedBytes> guardedK, guardedV;
  std::vector<float> q;
  AttentionArgs args;
};

const Shape shapes[] = {
    {8, 8, 2},    {4, 64, 1},    {32, 64, 8}, {3, 80, 1}, {5, 12, 3, 1}, {2, 7, 1},
    {12, 20, 12}, {7, 16, 4, 3}, {1, 1, 1},   {9, 4, 1},  {2, 128, 2},   {0, 16, 1},
};

class Attention : public testing::TestWithParam<ElementType> {};

TEST_P(Attention, OneToken) {
  for (const Shape &shape : shapes)
    for (int32_t position : {0, 1, 62, 63, 64, 130, 199}) {
      SCOPED_TRACE(testing::PrintToString(shape) + " at " + std::to_string(position));
      Problem(shape, GetParam(), {1}, {position}, 1).check();
    }
}

TEST_P(Attention, Prompt) {
  for (const Shape &shape : shapes) {
    SCOPED_TRACE(testing::PrintToString(shape));
    std::vector<int32_t> positions;
    for (int32_t t = 0; t < 19; ++t)
      positions.push_back(50 + t);
    Problem(shape, GetParam(), std::vector<int32_t>(19, 2), positions, 2).check();
  }
}

TEST_P(Attention, SequencesInSeveralSlots) {
  for (const Shape &shape : shapes) {
    SCOPED_TRACE(testing::PrintToString(shape));
    Problem(shape, GetParam(), {0, 0, 2, 1, 1, 1, 0}, {3, 4, 150, 70, 71, 72, 90}, 3).check();
    Problem(shape, GetParam(), {}, {}, 3).check();
  }
}

TEST_P(Attention, Window) {
  for (const Shape &shape : shapes)
    for (int64_t window : {1, 5, 63, 64, 65, 150}) {
      SCOPED_TRACE(testing::PrintToString(shape) + " with window " + std::to_string(window));
      Problem(shape, GetParam(), {0, 0, 2, 1, 1, 1, 0}, {3, 4, 150, 127, 128, 129, 199}, 6, window)
          .check();
    }
}

std::vector<int32_t> positionsFrom(int32_t first, size_t count) {
  std::vector<int32_t> positions(count);
  std::iota(positions.begin(), positions.end(), first);
  return positions;
}

/// Several tiles of rows, several blocks of keys, the last of which rows see in part.
TEST_P(Attention, LongPrompt) {
  const Shape longShapes[] = {{4, 64, 4},    {8, 16, 8}, {2, 80, 1},
                              {5, 12, 3, 1}, {2, 7, 1},  {3, 5, 3}};
  for (const Shape &shape : longShapes)
    for (int64_t window : {0, 300}) {
      SCOPED_TRACE(testing::PrintToString(shape) + " with window " + std::to_string(window));
      Problem(shape, GetParam(), std::vector<int32_t>(75, 2), positionsFrom(470, 75), 7, window)
          .check();
    }
}

/// A prompt beside tokens of other slots, in one step.
TEST_P(Attention, PromptBesideOtherSlots) {
  std::vector<int32_t> slots(30, 1), positions = positionsFrom(240, 30);
  slots.insert(slots.end(), {0, 2, 0});
  positions.insert(positions.end(), {299, 17, 3});
  for (const Shape &shape : {Shape{6, 32, 2}, Shape{2, 20, 1}})
    Problem(shape, GetParam(), slots, positions, 8).check();
}

/// Few tokens that see many keys: the parts share the keys.
TEST_P(Attention, PartsShareKeys) {
  for (const Shape &shape : {Shape{6, 64, 2}, Shape{1, 16, 1}, Shape{5, 12, 3, 1}, Shape{4, 4, 4},
                             Shape{3, 128, 1}, Shape{8, 16, 2}})
    for (int64_t window : {0, 600}) {
      SCOPED_TRACE(testing::PrintToString(shape) + " with window " + std::to_string(window));
      Problem one(shape, GetParam(), {1}, {1100}, 9, window);
      for (int parts : {2, 7})
        ASSERT_TRUE(mayShareKeys(one.args, parts));
      one.check();
      Problem(shape, GetParam(), {0, 0, 2}, {767, 768, 530}, 10, window).check();
    }
}

/// What a token computes does not depend on the tokens that come with it.
TEST_P(Attention, TokensAreIndependent) {
  Problem together({6, 64, 2}, GetParam(), {0, 0, 0, 1, 1}, {63, 64, 65, 9, 130}, 4);
  forEachTarget([&] {
    const std::vector<float> y = together.run(1);
    for (int64_t t = 0; t < 5; ++t) {
      AttentionArgs args = together.args;
      std::vector<float> one(args.yStride, 77.0f);
      args.tokens = 1;
      args.q += t * args.qStride;
      args.slots += t;
      args.positions += t;
      args.y = one.data();
      attend(args, 1);
      ASSERT_EQ(one, std::vector<float>(y.begin() + t * args.yStride,
                                        y.begin() + (t + 1) * args.yStride));
    }
  });
}

/// Nor on whether they are many, nor, alone, on whether parts share its keys.
TEST_P(Attention, TokensOfLongPromptsAreIndependent) {
  for (const Shape &shape : {Shape{6, 64, 2}, Shape{3, 12, 1}})
    for (int64_t window : {0, 550}) {
      Problem together(shape, GetParam(), std::vector<int32_t>(40, 1), positionsFrom(700, 40), 11,
                       window);
      forEachTarget([&] {
        const std::vector<float> y = together.run(2);
        for (int64_t t : {0, 13, 39})
          for (int parts : {1, 7}) {
            AttentionArgs args = together.args;
            std::vector<float> one(args.yStride, 77.0f);
            args.tokens = 1;
            args.q += t * args.qStride;
            args.slots += t;
            args.positions += t;
            args.y = one.data();
            attend(args, parts);
            ASSERT_EQ(one, std::vector<float>(y.begin() + t * args.yStride,
                                              y.begin() + (t + 1) * args.yStride));
          }
      });
    }
}

/// Scores far from each other: the softmax neither overflows nor loses the maximum.
TEST_P(Attention, LargeScores) {
  Problem problem({2, 16, 1}, GetParam(), {0, 0}, {120, 121}, 5);
  // Key 100 is the query itself many times over: all weight falls on it.
  for (float &value : problem.q)
    value = 1;
  const int64_t at = 100 * problem.args.kvWidth;
  for (int64_t j = 0; j < problem.args.kvWidth; ++j) {
    const float large = 4096;
    const uint16_t half = nearestHalf(large);
    if (GetParam() == ElementType::f32)
      std::memcpy(problem.k.bytes.data() + (at + j) * 4, &large, 4);
    else
      std::memcpy(problem.k.bytes.data() + (at + j) * 2, &half, 2);
  }
  problem.placeKeys();
  forEachTarget([&] {
    const std::vector<float> y = problem.run(1);
    for (int64_t t = 0; t < 2; ++t)
      for (int64_t c = 0; c < 32; ++c)
        ASSERT_EQ(y[t * problem.args.yStride + c], static_cast<float>(problem.v.values[at + c]));
  });
}

INSTANTIATE_TEST_SUITE_P(CacheTypes, Attention, testing::Values(ElementType::f32, ElementType::f16),
                         [](const auto &info) {
                           return std::string(elementTypeInfo(info.param).name);
                         });

/// Of two keys with the scores 0 and -x, the second one's weight.
TEST(AttentionWeights, AreExponentials) {
  const float q = 1;
  const int32_t slot = 0, position = 1;
  const float v[] = {0, 1};
  forEachTarget([&] {
    for (float x = 0; x < 60; x += 0.0371f) {
      std::vector<float> k(panelKeys, NAN);
      k[0] = 0;
      k[1] = -x;
      float y = 77;
      AttentionArgs args;
      args.q = &q;
      args.k = k.data();
      args.v = v;
      args.slots = &slot;
      args.positions = &position;
      args.y = &y;
      args.tokens = args.heads = args.headDim = args.kvWidth = args.qStride = args.yStride = 1;
      args.context = 2;
      attend(args, 1);
      const double expected = 1 / (1 + std::exp(static_cast<double>(x)));
      // The score is rounded twice, and so is the factor that makes its base 2; the power is
      // within 3 units, and a sum and a quotient of two roundings follow.
      ASSERT_NEAR(y, expected, (3 * x + 7) * 0x1p-24 * expected) << x;
    }
  });
}

TEST(StateUpdate, WritesRowsRoundedToNearest) {
  const int64_t tokens = 4, context = 37;
  const int32_t slots[] = {0, 1, 1, 0};
  const int32_t positions[] = {36, 0, 32, 1};
  for (int64_t width : {1, 16, 77}) {
    Random random(6);
    std::vector<float> x = random.floats(tokens * (width + 1));
    x[0] = 70000;         // infinity as a half
    x[width + 1] = 1e-7f; // subnormal
    const auto check = [&]<class T>(ElementType type, T untouched, auto convert) {
      std::vector<T> expectedRows(2 * context * width, untouched);
      std::vector<T> expectedPanels(2 * roomForKeys(context) * width, untouched);
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t c = 0; c < width; ++c) {
          const T value = convert(x[t * (width + 1) + c]);
          expectedRows[(slots[t] * context + positions[t]) * width + c] = value;
          const int64_t panel = slots[t] * 2 + positions[t] / 32; // of 32 keys
          expectedPanels[(panel * width + c) * 32 + positions[t] % 32] = value;
        }
      for (int parts : partCounts)
        for (bool hasRows : {false, true})
          for (bool hasPanels : {false, true}) {
            std::vector<T> rows(expectedRows.size(), untouched);
            std::vector<T> panels(expectedPanels.size(), untouched);
            const std::vector<T> noRows = rows, noPanels = panels;
            runParts(stateUpdate,
                     StateUpdateArgs{.rows = hasRows ? rows.data() : nullptr,
                                     .panels = hasPanels ? panels.data() : nullptr,
                                     .stateType = type,
                                     .x = x.data(),
                                     .slots = slots,
                                     .positions = positions,
                                     .tokens = tokens,
                                     .context = context,
                                     .width = width,
                                     .xStride = width + 1},
                     parts);
            ASSERT_EQ(rows, hasRows ? expectedRows : noRows);
            ASSERT_EQ(panels, hasPanels ? expectedPanels : noPanels);
          }
    };
    forEachTarget([&] {
      check(ElementType::f32, 7.0f, [](float value) { return value; });
      check(ElementType::f16, uint16_t{7}, nearestHalf);
    });
  }
}

} // namespace
} // namespace cleave::rt
