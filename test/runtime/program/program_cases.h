// What the cases of program_test.cpp and instruction_test.cpp are made of: a program's values,
// and a way to break one rule of program.fbs at a time.
#pragma once

#include "test/runtime/program/program_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

namespace cleave::rt {

using Dims = ProgramBuilder::Dims;

inline constexpr ElementType f16 = ElementType::f16, f32 = ElementType::f32, i32 = ElementType::i32,
                             q8_0 = ElementType::q8_0;

inline std::string messageOf(const std::function<void()> &action) {
  try {
    action();
  } catch (const std::runtime_error &error) {
    return error.what();
  }
  return "(nothing was thrown)";
}

/// A builder with the values that most cases need. Rank 1 of 3.
struct Values {
  ProgramBuilder b{1, 3};
  int64_t t = b.symbol("tokens"), context = b.symbol("context");
  int64_t second = b.share("tokens[1 of 2]", t, 1, 2), last = b.share("tokens[2 of 3]", t, 2, 3);
  uint32_t x = b.input("x", {t, 8});
  uint32_t vector = b.input("vector", {8});
  uint32_t ids = b.input("ids", {t}, i32);
  uint32_t others = b.input("others", {t}, i32);
  uint32_t fewer = b.input("fewer", {3}, i32);
  uint32_t weight = b.weight("w", {4, 8}, std::vector<float>(32));
  uint32_t norm = b.weight("norm", {8}, std::vector<float>(8));
  uint32_t halves = b.weight("halves", f16, {8}, std::vector<std::byte>(16));
  uint32_t keys = b.state("keys", {2, context, 8});
  uint32_t values = b.state("values", {2, context, 8});
  uint32_t narrow = b.state("narrow", {2, context, 4});

  /// An operation with one result of these dimensions.
  template <typename Op>
  void op(flatbuffers::Offset<Op> offset, const std::vector<uint32_t> &operands, const Dims &dims,
          ElementType type = f32) {
    b.add(offset, operands, {b.activation(dims, type)}, "name");
  }
};

/// What a mixture of experts needs besides.
struct Mixture {
  explicit Mixture(Values &v)
      : chosen(v.b.input("chosen", {v.t, 2}, i32)), shares(v.b.input("shares", {v.t, 2})),
        experts(v.b.weight("experts", {3, 8, 8}, std::vector<float>(192))),
        small(v.b.weight("small", {3, 6, 8}, std::vector<float>(144))) {}
  uint32_t chosen, shares, experts, small;
};

using Break = std::function<void(Values &)>;

/// Proves what `build` makes of the values and returns the message.
inline std::string proving(const Break &build) {
  Values v;
  build(v);
  return messageOf([&] { v.b.prove(); });
}

struct Case {
  const char *name;
  Break build;
  const char *message;
};

inline void PrintTo(const Case &c, std::ostream *out) {
  *out << c.name;
}

class ProgramCase : public testing::TestWithParam<Case> {};

inline std::string caseName(const testing::TestParamInfo<Case> &info) {
  return info.param.name;
}

class Accepts : public ProgramCase {};
class Refuses : public ProgramCase {};

#define FB(op, ...) fb::Create##op(v.b.fbb __VA_OPT__(, ) __VA_ARGS__)
using U = std::vector<uint32_t>;
using L = std::vector<int64_t>;

inline auto allGather(Values &v, const U &group, uint32_t dim, const L &ranges) {
  return fb::CreateAllGatherDirect(v.b.fbb, &group, dim, &ranges);
}
inline auto reduceScatter(Values &v, const U &group, uint32_t dim, const L &ranges) {
  return fb::CreateReduceScatterDirect(v.b.fbb, &group, dim, &ranges);
}
inline auto transpose(Values &v, const U &permutation) {
  return fb::CreateTransposeDirect(v.b.fbb, &permutation);
}
inline auto allToAll(Values &v, const U &group, uint32_t split, const L &wanted, uint32_t concat,
                     const L &held) {
  return fb::CreateAllToAllDirect(v.b.fbb, &group, split, &wanted, concat, &held);
}
inline auto allReduce(Values &v, const U &group, fb::ReductionKind kind = fb::ReductionKind::Sum) {
  return fb::CreateAllReduceDirect(v.b.fbb, &group, kind);
}
/// The best of other ranks' candidates of the columns from 12 on.
inline void mergeTop(Values &v, int64_t candidates, int64_t pair) {
  uint32_t list = v.b.input("list", {v.t, candidates, pair});
  v.op(allReduce(v, {2, 1}, fb::ReductionKind::Top), {list}, {v.t, candidates, pair});
}
inline auto allReduceAdd(Values &v, float epsilon = 1e-5f) {
  static const U group{2, 1};
  return fb::CreateAllReduceAddDirect(v.b.fbb, &group, epsilon);
}

inline auto conv(Values &v, const U &strides, const U &pads, const U &dilations) {
  return fb::CreateConvDirect(v.b.fbb, &strides, &pads, &dilations);
}

/// A convolution of a batch of 4 channels of 5 x 6 with a filter of these dimensions.
inline void addConv(Values &v, const Dims &filter, const Dims &result, const U &strides = {1, 1},
                    const U &pads = {0, 0, 0, 0}, const U &dilations = {1, 1},
                    const std::vector<uint32_t> &bias = {}) {
  uint32_t x = v.b.input("images", {v.t, 4, 5, 6});
  std::vector<uint32_t> operands{x, v.b.input("filter", filter)};
  operands.insert(operands.end(), bias.begin(), bias.end());
  v.op(conv(v, strides, pads, dilations), operands, result);
}

/// With strides, pads and dilations as given, of images of [t, 4, size].
inline void addNarrowConv(Values &v, int64_t size, int64_t taps, const U &strides, const U &pads,
                          const U &dilations) {
  uint32_t x = v.b.input("images", {v.t, 4, size}), filter = v.b.input("filter", {1, 4, taps});
  v.op(conv(v, strides, pads, dilations), {x, filter}, {v.t, 1, 1});
}

} // namespace cleave::rt
