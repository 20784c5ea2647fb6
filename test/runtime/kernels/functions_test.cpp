// The kernels that compute element by element: functions of one and of two elements, where, cast.
#include "reference.h"
#include "test_support.h"

#include "runtime/kernels/binary.h"
#include "runtime/kernels/binary_functions.h"
#include "runtime/kernels/cast.h"
#include "runtime/kernels/plain_types.h"
#include "runtime/kernels/unary.h"
#include "runtime/kernels/unary_functions.h"
#include "runtime/kernels/where.h"
#include "runtime/program/half.h"

#include <limits>

namespace cleave::rt {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

constexpr std::array<float, 2> parametersOf(UnaryKind kind) {
  switch (kind) {
  case UnaryKind::clip:
    return {-1.5f, 2.25f};
  case UnaryKind::hardSigmoid:
    return {0.2f, 0.5f};
  case UnaryKind::selu:
    return {1.6732632f, 1.050701f};
  default:
    return {0.7f, 0};
  }
}

/// f(x), computed in double.
double referenceOf(UnaryKind kind, double x) {
  double y = 0;
  const auto [a, b] = parametersOf(kind);
  withFunction<double>(kind, a, b, [&](const auto &f) { y = f(x); });
  return y;
}

/// Where the function is defined, and not so steep that a result is all rounding.
std::pair<float, float> rangeOf(UnaryKind kind) {
  switch (kind) {
  case UnaryKind::log:
  case UnaryKind::sqrt:
    return {1e-6f, 1000};
  case UnaryKind::asin:
  case UnaryKind::acos:
  case UnaryKind::atanh:
    return {-0.99f, 0.99f};
  case UnaryKind::acosh:
    return {1.01f, 100};
  case UnaryKind::tan:
    return {-1.4f, 1.4f};
  default:
    return {-20, 20};
  }
}

std::vector<UnaryInfo> floatFunctions() {
  std::vector<UnaryInfo> functions;
  for (const UnaryInfo &info : unaryFunctions)
    if (contains(info.types, ElementType::f32) && !info.isTest)
      functions.push_back(info);
  return functions;
}

class FloatFunction : public testing::TestWithParam<UnaryInfo> {};
INSTANTIATE_TEST_SUITE_P(Unary, FloatFunction, testing::ValuesIn(floatFunctions()),
                         [](const auto &info) { return std::string(info.param.name); });

TEST_P(FloatFunction, MatchesDefinition) {
  const UnaryKind kind = GetParam().kind;
  Random random(3);
  const auto [low, high] = rangeOf(kind);
  for (int64_t count : {0, 1, 15, 64, 1000}) {
    std::vector<float> x(count);
    for (float &value : x)
      value = random.integer(0, 3) == 0 ? std::clamp(random.uniform(), low, high)
                                        : random.uniform(low, high);
    forEachTarget([&] {
      for (int parts : partCounts) {
        std::vector<float> y = x;
        UnaryArgs args{y.data(), y.data(), count, kind, ElementType::f32, parametersOf(kind)};
        runParts(unary, args, parts);
        for (int64_t i = 0; i < count; ++i) {
          const double expected = referenceOf(kind, x[i]);
          // A function and a few operations. An exponential moves by as much as its argument
          // is rounded, which is up to 20 times its own unit; a sum with one, such as 1 +
          // erf(x), by a unit of 1 times x.
          const double bound = reference::roundingBound(28) * std::abs(expected) +
                               reference::roundingBound(2) * std::max(1.0, std::abs(double{x[i]})) +
                               std::numeric_limits<float>::denorm_min();
          ASSERT_NEAR(y[i], expected, bound) << GetParam().name << " of " << x[i];
        }
      }
    });
  }
}

TEST_P(FloatFunction, KeepsNanAndExtremes) {
  const UnaryKind kind = GetParam().kind;
  const float x[] = {nan, 0, 1e30f, -1e30f, 200, -200};
  forEachTarget([&] {
    float y[6];
    unary({x, y, 6, kind, ElementType::f32, parametersOf(kind)}, Part{});
    EXPECT_TRUE(std::isnan(y[0]) || kind == UnaryKind::thresholdedRelu);
    for (int i = 1; i < 6; ++i) {
      const double expected = referenceOf(kind, x[i]);
      if (std::isnan(expected))
        EXPECT_TRUE(std::isnan(y[i])) << x[i];
      else if (std::abs(expected) > std::numeric_limits<float>::max())
        EXPECT_EQ(y[i], std::copysign(infinity, static_cast<float>(expected))) << x[i];
      else
        EXPECT_NEAR(y[i], expected, 1e-5 * std::abs(expected) + 1e-7) << x[i];
    }
  });
}

TEST_P(FloatFunction, OfHalvesIsThatOfFloatsRounded) {
  const UnaryKind kind = GetParam().kind;
  const auto [low, high] = rangeOf(kind);
  for (ElementType type : {ElementType::f16, ElementType::bf16})
    for (int64_t count : {1, 7, 600}) {
      Random random(4);
      std::vector<uint16_t> x(count), expected(count);
      std::vector<float> wide(count);
      for (int64_t i = 0; i < count; ++i) {
        const float value = random.uniform(low, high);
        x[i] = type == ElementType::f16 ? f16OfFloat(value) : bf16OfFloat(value);
        wide[i] = type == ElementType::f16 ? floatOfF16(x[i]) : floatOfBf16(x[i]);
      }
      forEachTarget([&] {
        std::vector<float> of = wide;
        unaryF32({of.data(), of.data(), count, kind, ElementType::f32, parametersOf(kind)}, Part{});
        for (int64_t i = 0; i < count; ++i)
          expected[i] = type == ElementType::f16 ? f16OfFloat(of[i]) : bf16OfFloat(of[i]);
        std::vector<uint16_t> y = x;
        runParts(unary, UnaryArgs{y.data(), y.data(), count, kind, type, parametersOf(kind)}, 3);
        ASSERT_EQ(y, expected);
      });
    }
}

TEST_P(FloatFunction, OfDoubles) {
  const double x[] = {0.5, 0.25};
  double y[2];
  unary({x, y, 2, GetParam().kind, ElementType::f64, parametersOf(GetParam().kind)}, Part{});
  for (int i = 0; i < 2; ++i) {
    const double expected = referenceOf(GetParam().kind, x[i]);
    EXPECT_TRUE(y[i] == expected || std::isnan(expected)) << y[i] << ", expected " << expected;
  }
}

template <typename T> std::vector<T> unaryOf(UnaryKind kind, ElementType type, std::vector<T> x) {
  unary({x.data(), x.data(), static_cast<int64_t>(x.size()), kind, type, {}}, Part{});
  return x;
}

TEST(Unary, OfIntegers) {
  using Bytes = std::vector<int8_t>;
  const Bytes x = {-128, -3, 0, 5, 127};
  EXPECT_EQ(unaryOf(UnaryKind::abs, ElementType::i8, x), (Bytes{-128, 3, 0, 5, 127}));
  EXPECT_EQ(unaryOf(UnaryKind::neg, ElementType::i8, x), (Bytes{-128, 3, 0, -5, -127}));
  EXPECT_EQ(unaryOf(UnaryKind::sign, ElementType::i8, x), (Bytes{-1, -1, 0, 1, 1}));
  EXPECT_EQ(unaryOf(UnaryKind::relu, ElementType::i8, x), (Bytes{0, 0, 0, 5, 127}));
  EXPECT_EQ(unaryOf(UnaryKind::bitwiseNot, ElementType::i8, x), (Bytes{127, 2, -1, -6, -128}));
  using Unsigned = std::vector<uint64_t>;
  EXPECT_EQ(unaryOf(UnaryKind::abs, ElementType::u64, Unsigned{~0ull}), Unsigned{~0ull});
  EXPECT_EQ(unaryOf(UnaryKind::logicalNot, ElementType::i1, std::vector<uint8_t>{0, 1, 2}),
            (std::vector<uint8_t>{1, 0, 0}));
}

TEST(Unary, Tests) {
  const float x[] = {1, nan, infinity, -infinity};
  const uint16_t half[] = {f16OfFloat(1), f16OfFloat(nan), f16OfFloat(infinity), 0xfc00};
  for (const auto &[type, values] :
       {std::pair{ElementType::f32, static_cast<const void *>(x)}, {ElementType::f16, half}}) {
    uint8_t y[4];
    unary({values, y, 4, UnaryKind::isNan, type, {}}, Part{});
    EXPECT_EQ(std::vector(y, y + 4), (std::vector<uint8_t>{0, 1, 0, 0}));
    unary({values, y, 4, UnaryKind::isInf, type, {}}, Part{});
    EXPECT_EQ(std::vector(y, y + 4), (std::vector<uint8_t>{0, 0, 1, 1}));
  }
}

// ---- Two elements ----

using Dims = std::vector<int64_t>;

int64_t countOf(const Dims &dims) {
  int64_t count = 1;
  for (int64_t size : dims)
    count *= size;
  return count;
}

Dims broadcast(const Dims &a, const Dims &b) {
  Dims result(std::max(a.size(), b.size()), 1);
  for (const Dims &each : {a, b})
    for (size_t back = 1; back <= each.size(); ++back)
      if (each[each.size() - back] != 1)
        result[result.size() - back] = each[each.size() - back];
  return result;
}

/// Where element `i` of a result of `to` has its operand of `dims`.
int64_t placeOf(int64_t i, const Dims &to, const Dims &dims) {
  int64_t place = 0, stride = 1;
  for (size_t back = 1; back <= to.size(); ++back) {
    const int64_t index = i % to[to.size() - back];
    i /= to[to.size() - back];
    if (back > dims.size())
      continue;
    const int64_t size = dims[dims.size() - back];
    place += (size == 1 ? 0 : index) * stride;
    stride *= size;
  }
  return place;
}

const std::pair<Dims, Dims> shapes[] = {
    {{}, {}},
    {{5}, {}},
    {{3, 0}, {1}},
    {{4, 100}, {4, 100}},
    {{3, 65}, {65}},
    {{65}, {3, 65}},
    {{3, 1, 5}, {2, 1}},
    {{2, 3, 4, 5}, {3, 1, 5}},
    {{1, 300}, {7, 1}},
    {{2, 1, 3, 1, 2, 1, 2, 1}, {1, 2, 1, 2, 1, 3, 1, 2}},
    {{4, 1, 1}, {4, 5, 6}},
};

template <typename T> T randomNumber(Random &random) {
  if constexpr (std::is_floating_point_v<T>)
    return static_cast<T>(random.uniform(-3, 3));
  else
    return static_cast<T>(random.integer(-9, 9));
}

template <typename T> void checkBinary(const BinaryInfo &info, ElementType type) {
  Random random(5);
  for (const auto &[xDims, yDims] : shapes) {
    const Dims zDims = broadcast(xDims, yDims);
    std::vector<T> x(countOf(xDims)), y(countOf(yDims));
    for (std::vector<T> *values : {&x, &y})
      for (T &value : *values)
        value = randomNumber<T>(random);
    BinaryArgs args;
    args.kind = info.kind;
    args.type = type;
    args.x = x.data();
    args.y = y.data();
    args.shape.set(zDims, {xDims, yDims});
    ASSERT_EQ(args.shape.count(), countOf(zDims));
    withFunction<T>(info.kind, [&](const auto &f) {
      using Result = decltype(f(T{}, T{}));
      std::vector<std::conditional_t<std::is_same_v<Result, bool>, uint8_t, Result>> expected, z;
      for (int64_t i = 0; i < countOf(zDims); ++i)
        expected.push_back(f(x[placeOf(i, zDims, xDims)], y[placeOf(i, zDims, yDims)]));
      forEachTarget([&] {
        for (int parts : partCounts) {
          z.assign(expected.size(), 77);
          args.z = z.data();
          runParts(binary, args, parts);
          for (size_t i = 0; i < z.size(); ++i)
            ASSERT_TRUE(z[i] == expected[i] || (z[i] != z[i] && expected[i] != expected[i]))
                << info.name << " " << elementTypeInfo(type).name << " at " << i << ": " << +z[i]
                << ", expected " << +expected[i];
        }
      });
    });
  }
}

TEST(Binary, FollowsDefinitionsInAllShapesAndTypes) {
  for (const ElementTypeInfo &element : elementTypes)
    withPlainType(element.type, [&]<typename T>() {
      if constexpr (!std::is_same_v<T, bool>)
        for (const BinaryInfo &info : binaryFunctions)
          if (contains(info.types, element.type))
            checkBinary<T>(info, element.type);
    });
}

TEST(Binary, HalvesAreComputedAsFloats) {
  for (ElementType type : {ElementType::f16, ElementType::bf16})
    for (const auto &[xDims, yDims] : shapes) {
      Random random(6);
      const Dims zDims = broadcast(xDims, yDims);
      auto make = [&](const Dims &dims) {
        std::vector<uint16_t> values(countOf(dims));
        for (uint16_t &value : values)
          value = type == ElementType::f16 ? f16OfFloat(random.uniform())
                                           : bf16OfFloat(random.uniform());
        return values;
      };
      auto floatOf = type == ElementType::f16 ? floatOfF16 : floatOfBf16;
      const std::vector<uint16_t> x = make(xDims), y = make(yDims);
      std::vector<uint16_t> z(countOf(zDims));
      std::vector<uint8_t> isLess(z.size());
      BinaryArgs args;
      args.type = type;
      args.x = x.data();
      args.y = y.data();
      args.shape.set(zDims, {xDims, yDims});
      forEachTarget([&] {
        args.kind = BinaryKind::mul;
        args.z = z.data();
        runParts(binary, args, 3);
        args.kind = BinaryKind::less;
        args.z = isLess.data();
        runParts(binary, args, 3);
        for (int64_t i = 0; i < countOf(zDims); ++i) {
          const float a = floatOf(x[placeOf(i, zDims, xDims)]);
          const float b = floatOf(y[placeOf(i, zDims, yDims)]);
          ASSERT_EQ(z[i], type == ElementType::f16 ? f16OfFloat(a * b) : bf16OfFloat(a * b));
          ASSERT_EQ(isLess[i], a < b);
        }
      });
    }
}

template <typename T>
std::vector<T> binaryOf(BinaryKind kind, ElementType type, std::vector<T> x,
                        const std::vector<T> &y) {
  BinaryArgs args;
  args.kind = kind;
  args.type = type;
  args.x = args.z = x.data();
  args.y = y.data();
  args.setCount(static_cast<int64_t>(x.size()));
  binary(args, Part{});
  return x;
}

TEST(Binary, IntegersHaveNoUndefinedResults) {
  using Ints = std::vector<int32_t>;
  constexpr int32_t least = std::numeric_limits<int32_t>::min();
  const auto of = [](BinaryKind kind, const Ints &x, const Ints &y) {
    return binaryOf(kind, ElementType::i32, x, y);
  };
  const Ints x = {7, -7, 7, -7, 5, least}, y = {2, 2, -2, -2, 0, -1};
  EXPECT_EQ(of(BinaryKind::div, x, y), (Ints{3, -3, -3, 3, 0, least}));
  EXPECT_EQ(of(BinaryKind::mod, x, y), (Ints{1, 1, -1, -1, 0, 0}));
  EXPECT_EQ(of(BinaryKind::fmod, x, y), (Ints{1, -1, 1, -1, 0, 0}));
  EXPECT_EQ(of(BinaryKind::pow, {2, -2, 2, -1, 0, 3}, {10, 3, -1, -3, 0, 40}),
            (Ints{1024, -8, 0, -1, 1, static_cast<int32_t>(12157665459056928801ull)}));
  EXPECT_EQ(of(BinaryKind::shiftLeft, {1, 1, -1}, {31, 32, 1}), (Ints{least, 0, -2}));
  EXPECT_EQ(of(BinaryKind::shiftRight, {-1, 8, 8}, {28, 3, -1}), (Ints{15, 1, 0}));
  EXPECT_EQ(of(BinaryKind::bitwiseXor, {6, 5, 4}, {3, 3, 3}), (Ints{5, 6, 7}));
}

TEST(Binary, FloatsKeepNansAndSigns) {
  const std::vector<float> x = {nan, 1, -5, 5, -infinity}, y = {1, nan, 3, -3, -2};
  forEachTarget([&] {
    for (BinaryKind kind : {BinaryKind::min, BinaryKind::max}) {
      std::vector<float> z = binaryOf(kind, ElementType::f32, x, y);
      EXPECT_TRUE(std::isnan(z[0]) && std::isnan(z[1]));
      EXPECT_EQ(z[2], kind == BinaryKind::min ? -5 : 3);
    }
    std::vector<float> mod = binaryOf(BinaryKind::mod, ElementType::f32, x, y);
    EXPECT_EQ(mod[2], 1);
    EXPECT_EQ(mod[3], -1);
    EXPECT_EQ(binaryOf(BinaryKind::fmod, ElementType::f32, x, y)[2], -2);
    EXPECT_EQ(binaryOf(BinaryKind::prelu, ElementType::f32, x, y)[4], infinity);
  });
}

TEST(Binary, OfBooleans) {
  using Bytes = std::vector<uint8_t>;
  const Bytes x = {0, 0, 1, 2}, y = {0, 1, 0, 1}; // any bits but 0 are true
  const auto of = [&](BinaryKind kind) { return binaryOf(kind, ElementType::i1, x, y); };
  EXPECT_EQ(of(BinaryKind::logicalAnd), (Bytes{0, 0, 0, 1}));
  EXPECT_EQ(of(BinaryKind::logicalOr), (Bytes{0, 1, 1, 1}));
  EXPECT_EQ(of(BinaryKind::logicalXor), (Bytes{0, 1, 1, 0}));
  EXPECT_EQ(of(BinaryKind::equal), (Bytes{1, 0, 0, 1}));
}

TEST(Where, Selects) {
  const Dims zDims = {3, 4, 5}, conditionDims = {4, 1}, xDims = {3, 4, 5}, yDims = {5};
  const std::vector<uint8_t> condition = {1, 0, 0, 2};
  for (int64_t bytes : {1, 2, 4, 8}) {
    std::vector<uint8_t> x(60 * bytes), y(5 * bytes), z(x.size());
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = static_cast<uint8_t>(i);
    for (size_t i = 0; i < y.size(); ++i)
      y[i] = static_cast<uint8_t>(200 - i);
    WhereArgs args{condition.data(), x.data(), y.data(), z.data(), bytes, {}};
    args.shape.set(zDims, {conditionDims, xDims, yDims});
    for (int parts : partCounts) {
      std::fill(z.begin(), z.end(), 0);
      runParts(where, args, parts);
      for (int64_t i = 0; i < 60; ++i)
        for (int64_t b = 0; b < bytes; ++b)
          ASSERT_EQ(z[i * bytes + b],
                    condition[i / 5 % 4] != 0 ? x[i * bytes + b] : y[i % 5 * bytes + b]);
    }
  }
}

// ---- Cast ----

template <typename To, typename From>
std::vector<To> castOf(ElementType from, const std::vector<From> &x, ElementType to) {
  std::vector<To> y(x.size());
  runParts(cast, CastArgs{x.data(), y.data(), static_cast<int64_t>(x.size()), from, to}, 2);
  return y;
}

TEST(Cast, RoundsTowardsZeroWithinTheRange) {
  const std::vector<float> x = {1.9f, -1.9f, 300, -300, 1e30f, nan, infinity};
  EXPECT_EQ(castOf<int8_t>(ElementType::f32, x, ElementType::i8),
            (std::vector<int8_t>{1, -1, 127, -128, 127, 0, 127}));
  EXPECT_EQ(castOf<uint8_t>(ElementType::f32, x, ElementType::u8),
            (std::vector<uint8_t>{1, 0, 255, 0, 255, 0, 255}));
  EXPECT_EQ(castOf<int64_t>(ElementType::f32, x, ElementType::i64)[4],
            std::numeric_limits<int64_t>::max());
  EXPECT_EQ(castOf<uint8_t>(ElementType::f32, x, ElementType::i1),
            (std::vector<uint8_t>{1, 1, 1, 1, 1, 1, 1}));
}

TEST(Cast, BetweenIntegers) {
  const std::vector<int32_t> x = {-1, 256, 70000, 0};
  EXPECT_EQ(castOf<uint8_t>(ElementType::i32, x, ElementType::u8),
            (std::vector<uint8_t>{255, 0, 112, 0}));
  EXPECT_EQ(castOf<int64_t>(ElementType::i32, x, ElementType::i64)[0], -1);
  EXPECT_EQ(castOf<uint8_t>(ElementType::i32, x, ElementType::i1),
            (std::vector<uint8_t>{1, 1, 1, 0}));
  EXPECT_EQ(castOf<float>(ElementType::i1, std::vector<uint8_t>{0, 1, 9}, ElementType::f32),
            (std::vector<float>{0, 1, 1}));
}

TEST(Cast, Halves) {
  Random random(7);
  std::vector<float> x = random.floats(700);
  x[0] = 65520; // rounds to infinity in f16
  x[1] = 1e-7f; // subnormal
  x[2] = nan;
  std::vector<uint16_t> f16, bf16;
  for (float value : x) {
    f16.push_back(f16OfFloat(value));
    bf16.push_back(bf16OfFloat(value));
  }
  forEachTarget([&] {
    auto narrowed = castOf<uint16_t>(ElementType::f32, x, ElementType::f16);
    EXPECT_TRUE(std::isnan(floatOfF16(narrowed[2])));
    narrowed[2] = f16[2];
    EXPECT_EQ(narrowed, f16);
    EXPECT_EQ(castOf<uint16_t>(ElementType::f32, x, ElementType::bf16), bf16);
    const std::vector<float> wide = castOf<float>(ElementType::f16, f16, ElementType::f32);
    for (size_t i = 3; i < wide.size(); ++i)
      ASSERT_EQ(wide[i], floatOfF16(f16[i]));
    EXPECT_EQ(castOf<uint16_t>(ElementType::bf16, bf16, ElementType::f16)[10],
              f16OfFloat(floatOfBf16(bf16[10])));
    EXPECT_EQ(castOf<int32_t>(ElementType::f16, std::vector<uint16_t>{f16OfFloat(-7.5f)},
                              ElementType::i32)[0],
              -7);
    // Rounded once: by way of f32 it would be a tie, and rounded down.
    EXPECT_EQ(castOf<uint16_t>(ElementType::f64, std::vector<double>{1 + 0x1p-11 + 0x1p-40},
                               ElementType::f16)[0],
              f16OfFloat(1 + 0x1p-10f));
  });
}

} // namespace
} // namespace cleave::rt
