// What Program proves: each rule of program.fbs broken once, and programs that
// are damaged at random.
#include "test/runtime/program/program_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

namespace cleave::rt {
namespace {

using testing::HasSubstr;
using Dims = ProgramBuilder::Dims;

constexpr ElementType f16 = ElementType::f16, f32 = ElementType::f32, i32 = ElementType::i32,
                      q8_0 = ElementType::q8_0;

std::string messageOf(const std::function<void()> &action) {
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
std::string proving(const Break &build) {
  Values v;
  build(v);
  return messageOf([&] { v.b.prove(); });
}

struct Case {
  const char *name;
  Break build;
  const char *message;
};

void PrintTo(const Case &c, std::ostream *out) {
  *out << c.name;
}

class ProgramCase : public testing::TestWithParam<Case> {};

std::string caseName(const testing::TestParamInfo<Case> &info) {
  return info.param.name;
}

class Accepts : public ProgramCase {};
TEST_P(Accepts, IsProved) {
  EXPECT_EQ(proving(GetParam().build), "(nothing was thrown)");
}

class Refuses : public ProgramCase {};
TEST_P(Refuses, WithAMessage) {
  std::string message = proving(GetParam().build);
  EXPECT_THAT(message, HasSubstr(GetParam().message));
  EXPECT_THAT(message, testing::StartsWith("test.program: "));
}

#define FB(op, ...) fb::Create##op(v.b.fbb __VA_OPT__(, ) __VA_ARGS__)
using U = std::vector<uint32_t>;
using L = std::vector<int64_t>;

auto allGather(Values &v, const U &group, uint32_t dim, const L &ranges) {
  return fb::CreateAllGatherDirect(v.b.fbb, &group, dim, &ranges);
}
auto reduceScatter(Values &v, const U &group, uint32_t dim, const L &ranges) {
  return fb::CreateReduceScatterDirect(v.b.fbb, &group, dim, &ranges);
}
auto transpose(Values &v, const U &permutation) {
  return fb::CreateTransposeDirect(v.b.fbb, &permutation);
}
auto allToAll(Values &v, const U &group, uint32_t split, const L &wanted, uint32_t concat,
              const L &held) {
  return fb::CreateAllToAllDirect(v.b.fbb, &group, split, &wanted, concat, &held);
}
auto allReduce(Values &v, const U &group, fb::ReductionKind kind = fb::ReductionKind::Sum) {
  return fb::CreateAllReduceDirect(v.b.fbb, &group, kind);
}
/// The best of other ranks' candidates of the columns from 12 on.
void mergeTop(Values &v, int64_t candidates, int64_t pair) {
  uint32_t list = v.b.input("list", {v.t, candidates, pair});
  v.op(allReduce(v, {2, 1}, fb::ReductionKind::Top), {list}, {v.t, candidates, pair});
}
auto allReduceAdd(Values &v, float epsilon = 1e-5f) {
  static const U group{2, 1};
  return fb::CreateAllReduceAddDirect(v.b.fbb, &group, epsilon);
}

auto conv(Values &v, const U &strides, const U &pads, const U &dilations) {
  return fb::CreateConvDirect(v.b.fbb, &strides, &pads, &dilations);
}

/// A convolution of a batch of 4 channels of 5 x 6 with a filter of these dimensions.
void addConv(Values &v, const Dims &filter, const Dims &result, const U &strides = {1, 1},
             const U &pads = {0, 0, 0, 0}, const U &dilations = {1, 1},
             const std::vector<uint32_t> &bias = {}) {
  uint32_t x = v.b.input("images", {v.t, 4, 5, 6});
  std::vector<uint32_t> operands{x, v.b.input("filter", filter)};
  operands.insert(operands.end(), bias.begin(), bias.end());
  v.op(conv(v, strides, pads, dilations), operands, result);
}

/// With strides, pads and dilations as given, of images of [t, 4, size].
void addNarrowConv(Values &v, int64_t size, int64_t taps, const U &strides, const U &pads,
                   const U &dilations) {
  uint32_t x = v.b.input("images", {v.t, 4, size}), filter = v.b.input("filter", {1, 4, taps});
  v.op(conv(v, strides, pads, dilations), {x, filter}, {v.t, 1, 1});
}

const Case accepted[] = {
    {"Conv",
     [](Values &v) {
       // Two groups; (5 + 1 - 3) / 2 + 1 and 6 + 3 - 2 * 1 - 1 + 1.
       addConv(v, {6, 2, 3, 2}, {v.t, 6, 2, 7}, {2, 1}, {0, 1, 1, 2}, {1, 2});
     },
     ""},
    {"ConvOfNoChannels",
     [](Values &v) {
       uint32_t x = v.b.input("images", {v.t, 0, 5}), filter = v.b.input("filter", {6, 0, 5});
       v.op(conv(v, {1}, {0, 0}, {1}), {x, filter}, {v.t, 6, 1});
     },
     ""},
    {"Gather", [](Values &v) { v.op(FB(Gather, 100, true), {v.weight, v.ids}, {v.t, 8}); }, ""},
    {"Linear", [](Values &v) { v.op(FB(Linear), {v.x, v.weight}, {v.t, 4}); }, ""},
    {"LinearOfTwoWeights",
     [](Values &v) {
       v.b.add(FB(Linear), {v.x, v.weight, v.weight},
               {v.b.activation({v.t, 4}), v.b.activation({v.t, 4})});
     },
     ""},
    {"RmsNorm", [](Values &v) { v.op(FB(RmsNorm, 1e-5f), {v.x, v.norm}, {v.t, 8}); }, ""},
    {"RmsNormOfAVector", [](Values &v) { v.op(FB(RmsNorm), {v.vector, v.norm}, {8}); }, ""},
    {"RmsNormOfHeads",
     [](Values &v) {
       uint32_t head = v.b.weight("head", {4}, std::vector<float>(4));
       v.op(FB(RmsNorm), {v.x, head}, {v.t, 8});
     },
     ""},
    {"Rope", [](Values &v) { v.op(FB(Rope, 4, 2, 1e4f, 1), {v.x, v.ids}, {v.t, 8}); }, ""},
    {"StateUpdate", [](Values &v) { v.b.add(FB(StateUpdate), {v.keys, v.x, v.ids, v.others}, {}); },
     ""},
    {"Attention",
     [](Values &v) {
       // Query heads 2 and 3 of a group of 2 read key head 1.
       v.op(FB(Attention, 4, 2, 2, 0.5f), {v.x, v.keys, v.values, v.ids, v.others}, {v.t, 8});
     },
     ""},
    {"Unary", [](Values &v) { v.op(FB(Unary), {v.x}, {v.t, 8}); }, ""},
    {"BinaryWithAVector", [](Values &v) { v.op(FB(Binary), {v.x, v.norm}, {v.t, 8}); }, ""},
    {"Slice", [](Values &v) { v.op(FB(Slice, 1, 3), {v.x}, {v.t, 5}); }, ""},
    {"Scale", [](Values &v) { v.op(FB(Unary, fb::UnaryKind::Scale, 2), {v.x}, {v.t, 8}); }, ""},
    {"Transpose", [](Values &v) { v.op(transpose(v, {1, 0}), {v.x}, {8, v.t}); }, ""},
    {"Reshape", [](Values &v) { v.op(FB(Reshape), {v.x}, {1, v.t, 2, 4}); }, ""},
    {"SliceOfAShare", [](Values &v) { v.op(FB(Slice), {v.x}, {v.last, 8}); }, ""},
    {"Route", [](Values &v) { v.op(FB(Route), {v.x}, {v.t, 8}, i32); }, ""},
    {"RouteWeights",
     [](Values &v) {
       Mixture m(v);
       v.op(FB(RouteWeights, true, 1), {v.x, m.chosen}, {v.t, 2});
     },
     ""},
    {"Moe",
     [](Values &v) {
       Mixture m(v);
       v.op(FB(Moe, 7, 2), {v.x, m.chosen, m.shares, m.small, m.small, m.experts}, {v.t, 8});
     },
     ""},
    {"AllReduce", [](Values &v) { v.op(allReduce(v, {2, 1}), {v.x}, {v.t, 8}); }, ""},
    {"AllReduceOfTwo",
     [](Values &v) {
       v.b.add(allReduce(v, {2, 1}), {v.x, v.vector},
               {v.b.activation({v.t, 8}), v.b.activation({8})});
     },
     ""},
    {"AllReduceAdd", [](Values &v) { v.op(allReduceAdd(v), {v.x, v.x}, {v.t, 8}); }, ""},
    {"AllReduceAddAndNorm",
     [](Values &v) {
       v.b.add(allReduceAdd(v), {v.x, v.x, v.norm},
               {v.b.activation({v.t, 8}), v.b.activation({v.t, 8})});
     },
     ""},
    {"AddNorm",
     [](Values &v) {
       v.b.add(FB(AddNorm, 1e-5f), {v.x, v.x, v.norm},
               {v.b.activation({v.t, 8}), v.b.activation({v.t, 8})});
     },
     ""},
    {"TopK", [](Values &v) { v.op(FB(TopK, (1 << 24) - 8), {v.x}, {v.t, 1024, 2}); }, ""},
    {"AllReduceOfCandidates", [](Values &v) { mergeTop(v, 1024, 2); }, ""},
    {"AllGatherWithOverlapAndEmptyShare",
     [](Values &v) { v.op(allGather(v, {2, 1, 0}, 1, {4, 12, 0, 8, 12, 12}), {v.x}, {v.t, 12}); },
     ""},
    {"ReduceScatter",
     [](Values &v) { v.op(reduceScatter(v, {0, 1}, 1, {0, 3, 3, 8}), {v.x}, {v.t, 5}); }, ""},
    {"GatherAndScatterOfShares",
     [](Values &v) {
       v.op(FB(Slice), {v.x}, {v.second, 8});
       uint32_t share = v.narrow + 1;
       v.op(allGather(v, {2, 1}, 0, {}), {share}, {v.t, 8});
       v.op(reduceScatter(v, {0, 1}, 0, {}), {v.x}, {v.second, 8});
       v.op(allGather(v, {1}, 0, {}), {v.x}, {v.t, 8});
     },
     ""},
    {"AllToAll",
     [](Values &v) {
       uint32_t x = v.b.input("cube", {4, v.t, 8});
       v.op(allToAll(v, {2, 1}, 2, {0, 5, 5, 7}, 0, {0, 3, 2, 6}), {x}, {6, v.t, 2});
     },
     ""},
    {"AllToAllOfOneDimension",
     [](Values &v) {
       v.op(allToAll(v, {2, 1}, 1, {0, 5, 3, 13}, 1, {0, 5, 5, 13}), {v.x}, {v.t, 10});
     },
     ""},
    {"Scalars",
     [](Values &v) {
       // Vectors of no elements need not be aligned; all numbers of bytes before them.
       for (int i = 0; i < 4; ++i)
         v.b.input(std::string(static_cast<size_t>(i + 1), 'a'), {});
     },
     ""},
    {"SendAndRecv",
     [](Values &v) {
       v.b.add(FB(Send, 2, 7), {v.x}, {});
       v.op(FB(Recv, 0, 7), {}, {v.t, 8});
     },
     ""},
    {"OutputsOfActivationAndInput",
     [](Values &v) {
       v.op(FB(Unary), {v.x}, {v.t, 8});
       v.b.output("y", v.narrow + 1, 2);
       v.b.output("same", v.x);
     },
     ""},
};
INSTANTIATE_TEST_SUITE_P(Program, Accepts, testing::ValuesIn(accepted), caseName);

const Case refusedProgram[] = {
    {"Version", [](Values &v) { v.b.version = 9; }, "is of version 9; this program reads version"},
    {"PackageId", [](Values &v) { v.b.packageId = "other"; },
     "is from another package: its id is 'other', not 'test-package'"},
    {"Stage", [](Values &v) { v.b.stage = 1; }, "is of stage 1 of 1"},
    {"SameSymbol", [](Values &v) { v.b.symbol("tokens"); }, "has two of symbol 'tokens'"},
    {"ShareNumber", [](Values &v) { v.b.share("s", v.t, 2, 2); }, "symbol 's' is share 2 of 2"},
    {"ShareOfNone", [](Values &v) { v.b.share("s", v.t, 0, 0); }, "symbol 's' is share 0 of 0"},
    {"ShareOfAShare", [](Values &v) { v.b.share("s", v.second, 0, 2); },
     "symbol 's' is a share of symbol 2, which is no size of its own before it"},
    {"ShareOfItself", [](Values &v) { v.b.share("s", -5, 0, 2); }, "is a share of symbol 4"},
    {"ShareOfALaterSymbol", [](Values &v) { v.b.share("s", -9, 0, 2); }, "is a share of symbol 8"},
    {"StateOfAShare", [](Values &v) { v.b.state("bad", {2, v.second, 8}); },
     "state 'bad' has the share 'tokens[1 of 2]' as a dimension"},
    {"InputOfAShare", [](Values &v) { v.b.input("bad", {v.second}); },
     "input 'bad' of entry 'step' has the share 'tokens[1 of 2]' as a dimension"},
    {"SameState", [](Values &v) { v.b.state("keys", {1, 1, 1}); }, "has two of state 'keys'"},
    {"SameInput", [](Values &v) { v.b.input("x", {1}); }, "has two of input 'x'"},
    {"LongName", [](Values &v) { v.b.symbol(std::string(2000, 'x')); }, "has 2000 bytes"},
    {"WeightElementType",
     [](Values &v) { v.b.rawWeight("bad", static_cast<ElementType>(99), {1}, 4096, 4); },
     "weight 3 'bad' has element type 99, which is unknown"},
    {"WeightLayout", [](Values &v) { v.b.rawWeight("bad", f32, {1}, 4096, 4, 9); },
     "weight 3 'bad' has layout 9"},
    {"WeightSize", [](Values &v) { v.b.rawWeight("bad", f32, {3, 3}, 4096, 35); },
     "weight 3 'bad' has 35 bytes, but its type and dimensions make 36"},
    {"WeightOffsetInHeader", [](Values &v) { v.b.rawWeight("bad", f32, {1}, 64, 4); },
     "is at offset 64"},
    {"WeightOffsetUnaligned", [](Values &v) { v.b.rawWeight("bad", f32, {1}, 4100, 4); },
     "is at offset 4100, which is not a multiple of 64"},
    {"WeightBehindTheFile", [](Values &v) { v.b.rawWeight("bad", f32, {64}, 4160, 256); },
     "is not within the weight file's 4304 bytes"},
    {"WeightOffsetOverflows", [](Values &v) { v.b.rawWeight("bad", f32, {1}, ~uint64_t{63}, 4); },
     "is not within"},
    {"WeightDynamic", [](Values &v) { v.b.rawWeight("bad", f32, {-1}, 4096, 4); },
     "has a dimension that is not constant"},
    {"WeightOverflows",
     [](Values &v) { v.b.rawWeight("bad", f32, {int64_t{1} << 40, int64_t{1} << 40}, 4096, 0); },
     "is larger than any tensor can be"},
    {"WeightOverflowsBehindAZero",
     [](Values &v) { v.b.rawWeight("bad", f32, {0, int64_t{1} << 40, int64_t{1} << 40}, 4096, 0); },
     "is larger than any tensor can be"},
    {"WeightOfBrokenBlocks", [](Values &v) { v.b.rawWeight("bad", q8_0, {4, 33}, 4096, 34); },
     "has a last dimension of 33, which is no whole number of blocks of 32"},
    {"WeightScalarOfBlocks", [](Values &v) { v.b.rawWeight("bad", q8_0, {}, 4096, 34); },
     "is of the block type q8_0"},
    {"StateElementType", [](Values &v) { v.b.state("bad", {1, 1, 1}, i32); },
     "state 'bad' is of i32; a state is of f32 or f16"},
    {"StateDimensions", [](Values &v) { v.b.state("bad", {1, 1}); },
     "state 'bad' does not have the dimensions [slots, context, width]"},
    {"StateWidth", [](Values &v) { v.b.state("bad", {1, 1, v.t}); }, "width constant"},
    {"ValueSymbol", [](Values &v) { v.b.input("bad", {-9}); },
     "value 11 of entry 'step' has symbol 8 of 4 as a dimension"},
    {"ValueSymbolAtTheLimit",
     [](Values &v) { v.b.input("bad", {std::numeric_limits<int64_t>::min()}); },
     "has symbol 9223372036854775807 of 4"},
    {"ValueOverflows", [](Values &v) { v.b.input("bad", {int64_t{1} << 62, 16}); },
     "larger than any tensor"},
    {"ValueOfManyDimensions", [](Values &v) { v.b.input("bad", Dims(9, 1)); },
     "has 9 dimensions, more than 8"},
    {"ValueElementType", [](Values &v) { v.b.input("bad", {1}, f16); },
     "is of f16; inputs and activations are of f32 or i32"},
    {"ValueStorage", [](Values &v) { v.b.value(static_cast<fb::Storage>(77), 0, f32, {1}); },
     "value 11 of entry 'step' has an unknown storage"},
    {"ValueOfNoWeight", [](Values &v) { v.b.value(fb::Storage::Weight, 3, f32, {1}); },
     "is weight 3 of 3"},
    {"ValueUnlikeItsWeight", [](Values &v) { v.b.value(fb::Storage::Weight, 0, f32, {8, 4}); },
     "differs in type or dimensions from its weight 'w'"},
    {"ValueOfNoState", [](Values &v) { v.b.value(fb::Storage::State, 3, f32, {1, 1, 1}); },
     "is state 3 of 3"},
    {"InputWithoutAPort", [](Values &v) { v.b.value(fb::Storage::Input, 0, f32, {1}); },
     "value 11 of entry 'step' is never written"},
    {"ActivationNeverWritten", [](Values &v) { v.b.activation({1}); }, "is never written"},
    {"OutputOfNoValue", [](Values &v) { v.b.output("y", 11); },
     "output 'y' of entry 'step' is value 11 of 11"},
    {"OutputOfAWeight", [](Values &v) { v.b.output("y", v.weight); }, "is a weight or a state"},
    {"OutputOwner", [](Values &v) { v.b.output("y", v.x, 3); }, "is owned by rank 3 of 3"},
    {"OperandOfNoValue", [](Values &v) { v.op(FB(Unary), {99}, {v.t, 8}); },
     "instruction 0 (Unary 'name') of entry 'step': names value 99 of 12"},
    {"OperandBeforeItIsWritten",
     [](Values &v) {
       uint32_t late = v.b.activation({v.t, 8});
       v.op(FB(Unary), {late}, {v.t, 8});
       v.b.add(FB(Unary), {v.x}, {late});
     },
     "instruction 0 (Unary 'name') of entry 'step': reads value 11 before it is written"},
    {"OperandIsItsOwnResult",
     [](Values &v) {
       uint32_t y = v.b.activation({v.t, 8});
       v.b.add(FB(Unary), {y}, {y});
     },
     "reads value 11 before it is written"},
    {"ResultTwice",
     [](Values &v) {
       uint32_t y = v.b.activation({v.t, 8});
       v.b.add(FB(Unary), {v.x}, {y});
       v.b.add(FB(Unary), {v.x}, {y});
     },
     "instruction 1 (Unary) of entry 'step': writes value 11 a second time"},
    {"ResultIsAnInput", [](Values &v) { v.b.add(FB(Unary), {v.x}, {v.x}); },
     "writes value 0, which is not an activation"},
};
INSTANTIATE_TEST_SUITE_P(Program, Refuses, testing::ValuesIn(refusedProgram), caseName);

constexpr int64_t huge = int64_t{1} << 43;

const Case refusedConv[] = {
    {"Rank", [](Values &v) { v.op(conv(v, {}, {}, {}), {v.x, v.weight}, {v.t, 4}); },
     "is not a batch of images whose channels and sizes are constant"},
    {"VaryingChannels",
     [](Values &v) {
       uint32_t x = v.b.input("images", {1, v.t, 5}), filter = v.b.input("filter", {1, 1, 1});
       v.op(conv(v, {1}, {0, 0}, {1}), {x, filter}, {1, 1, 5});
     },
     "is not a batch of images whose channels and sizes are constant"},
    {"FilterRank", [](Values &v) { addConv(v, {4, 4, 3}, {v.t, 4, 3, 4}); },
     "is not an f32 filter of constant dimensions"},
    {"Channels", [](Values &v) { addConv(v, {3, 3, 1, 1}, {v.t, 3, 5, 6}); },
     "4 channels are no whole groups of the filter's 3"},
    {"NoChannels", [](Values &v) { addConv(v, {3, 0, 1, 1}, {v.t, 3, 5, 6}); },
     "4 channels are no whole groups of the filter's 0"},
    {"Groups", [](Values &v) { addConv(v, {5, 2, 1, 1}, {v.t, 5, 5, 6}); },
     "5 output channels are not as many for each of 2 groups"},
    {"Bias",
     [](Values &v) {
       addConv(v, {4, 4, 1, 1}, {v.t, 4, 5, 6}, {1, 1}, {0, 0, 0, 0}, {1, 1}, {v.norm});
     },
     "operand 2, Weight f32 [8], is not f32 [4]"},
    {"StrideOfNothing", [](Values &v) { addNarrowConv(v, 5, 5, {0}, {0, 0}, {1}); },
     "has 0 among its strides, not 1 to 32768"},
    {"LargePad", [](Values &v) { addNarrowConv(v, 5, 5, {1}, {0, 32769}, {1}); },
     "has 32769 among its pads"},
    {"DilationOfNothing", [](Values &v) { addNarrowConv(v, 5, 5, {1}, {0, 0}, {0}); },
     "has 0 among its dilations"},
    {"FewStrides", [](Values &v) { addNarrowConv(v, 5, 5, {}, {0, 0}, {1}); },
     "has 0 strides for 1 spatial dimensions"},
    {"FewPads", [](Values &v) { addNarrowConv(v, 5, 5, {1}, {0}, {1}); },
     "has 1 pads for 1 spatial dimensions"},
    {"LargeFilter", [](Values &v) { addNarrowConv(v, 5, 8, {1}, {1, 1}, {1}); },
     "a filter of 8 elements does not fit 5 with pads and dilation in spatial dimension 0"},
    {"FilterOfNothing", [](Values &v) { addNarrowConv(v, 5, 0, {1}, {0, 0}, {1}); },
     "a filter of 0 elements"},
    {"HugeReach", [](Values &v) { addNarrowConv(v, 5, huge, {1}, {0, 0}, {32768}); },
     "does not fit"},
    {"Result", [](Values &v) { addConv(v, {4, 4, 3, 3}, {v.t, 4, 3, 3}); },
     "is not f32 ['tokens', 4, 3, 4]"},
};
INSTANTIATE_TEST_SUITE_P(Conv, Refuses, testing::ValuesIn(refusedConv), caseName);

const Case refusedCompute[] = {
    {"OperandCount", [](Values &v) { v.op(FB(Linear), {v.x}, {v.t, 4}); },
     "has 1 operands instead of 2"},
    {"ResultCount", [](Values &v) { v.b.add(FB(Unary), {v.x}, {}); }, "has 0 results instead of 1"},
    {"GatherIndexType", [](Values &v) { v.op(FB(Gather), {v.weight, v.vector}, {8, 8}); },
     "operand 1, Input f32 [8], is not a tensor of i32"},
    {"GatherSource", [](Values &v) { v.op(FB(Gather), {v.ids, v.ids}, {v.t, 8}); },
     "operand 0, Input i32 ['tokens'], is not a matrix of real numbers"},
    {"GatherOffset", [](Values &v) { v.op(FB(Gather, -1), {v.weight, v.ids}, {v.t, 8}); },
     "its offset, -1, is negative"},
    {"GatherResult", [](Values &v) { v.op(FB(Gather), {v.weight, v.ids}, {v.t, 4}); },
     "result 0, Activation f32 ['tokens', 4], is not f32 ['tokens', 8]"},
    {"GatherState", [](Values &v) { v.op(FB(Gather), {v.keys, v.ids}, {v.t, 8}); },
     "is not a matrix of real numbers"},
    {"LinearOfAState", [](Values &v) { v.op(FB(Linear), {v.keys, v.weight}, {2, -2, 4}); },
     "operand 0, State f32 [2, 'context', 8], is not a tensor of f32"},
    {"LinearByAnInput", [](Values &v) { v.op(FB(Linear), {v.x, v.x}, {v.t, 8}); },
     "is not a weight matrix"},
    {"LinearPad", [](Values &v) { v.op(FB(Linear, 1), {v.x, v.weight}, {v.t, 4}); },
     "8 columns after 1 do not fit the weight's 8"},
    {"LinearResult", [](Values &v) { v.op(FB(Linear), {v.x, v.weight}, {v.t, 5}); },
     "is not f32 ['tokens', 4]"},
    {"LinearCounts", [](Values &v) { v.op(FB(Linear), {v.x, v.weight, v.weight}, {v.t, 4}); },
     "has 1 results instead of 2"},
    {"LinearSecondResult",
     [](Values &v) {
       v.b.add(FB(Linear), {v.x, v.weight, v.weight},
               {v.b.activation({v.t, 4}), v.b.activation({v.t, 5})});
     },
     "result 1, Activation f32 ['tokens', 5], is not f32 ['tokens', 4]"},
    {"LinearWidths",
     [](Values &v) {
       uint32_t wide = v.b.weight("wide", {4, 9}, std::vector<float>(36));
       v.b.add(FB(Linear), {v.x, v.weight, wide},
               {v.b.activation({v.t, 4}), v.b.activation({v.t, 4})});
     },
     "operand 2, Weight f32 [4, 9], is not as wide as operand 1"},
    {"AddNormCounts", [](Values &v) { v.op(FB(AddNorm), {v.x, v.x}, {v.t, 8}); },
     "has 2 operands instead of 3"},
    {"AddNormOperands",
     [](Values &v) {
       v.b.add(FB(AddNorm), {v.x, v.vector, v.norm},
               {v.b.activation({v.t, 8}), v.b.activation({v.t, 8})});
     },
     "operand 1, Input f32 [8], is not like operand 0"},
    {"AddNormWeight",
     [](Values &v) {
       v.b.add(FB(AddNorm), {v.x, v.x, v.halves},
               {v.b.activation({v.t, 8}), v.b.activation({v.t, 8})});
     },
     "operand 2, Weight f16 [8], is not f32 [8]"},
    {"AddNormResults",
     [](Values &v) {
       v.b.add(FB(AddNorm), {v.x, v.x, v.norm},
               {v.b.activation({v.t, 8}), v.b.activation({v.t, 4})});
     },
     "result 1, Activation f32 ['tokens', 4], is not f32 ['tokens', 8]"},
    {"AllReduceAddCounts",
     [](Values &v) {
       v.b.add(allReduceAdd(v), {v.x, v.x}, {v.b.activation({v.t, 8}), v.b.activation({v.t, 8})});
     },
     "has 2 results instead of 1"},
    {"AllReduceAddEpsilon",
     [](Values &v) {
       v.b.add(allReduceAdd(v, -1), {v.x, v.x, v.norm},
               {v.b.activation({v.t, 8}), v.b.activation({v.t, 8})});
     },
     "its epsilon"},
    {"NormWeightType", [](Values &v) { v.op(FB(RmsNorm), {v.x, v.halves}, {v.t, 8}); },
     "operand 1, Weight f16 [8], is not f32 [8]"},
    {"NormPartsOfHeads",
     [](Values &v) {
       uint32_t three = v.b.weight("three", {3}, std::vector<float>(3));
       v.op(FB(RmsNorm), {v.x, three}, {v.t, 8});
     },
     "operand 1, Weight f32 [3], is not f32 [8]"},
    {"NormEpsilon", [](Values &v) { v.op(FB(RmsNorm, -1.0f), {v.x, v.norm}, {v.t, 8}); },
     "its epsilon"},
    {"NormEpsilonNaN",
     [](Values &v) {
       v.op(FB(RmsNorm, std::numeric_limits<float>::quiet_NaN()), {v.x, v.norm}, {v.t, 8});
     },
     "its epsilon"},
    {"RopeHeads", [](Values &v) { v.op(FB(Rope, 3, 2, 1, 1), {v.x, v.ids}, {v.t, 8}); },
     "a width of 8 is no whole number of heads of 3"},
    {"RopeNoHeads", [](Values &v) { v.op(FB(Rope, 0, 2, 1, 1), {v.x, v.ids}, {v.t, 8}); },
     "heads of 0"},
    {"RopeOdd", [](Values &v) { v.op(FB(Rope, 4, 3, 1, 1), {v.x, v.ids}, {v.t, 8}); },
     "its rotary_dim, 3, is not an even number from 2 to head_dim, 4"},
    {"RopeWide", [](Values &v) { v.op(FB(Rope, 4, 6, 1, 1), {v.x, v.ids}, {v.t, 8}); },
     "its rotary_dim, 6"},
    {"RopePositions", [](Values &v) { v.op(FB(Rope, 4, 2, 1, 1), {v.x, v.fewer}, {v.t, 8}); },
     "operand 1, Input i32 [3], is not i32 ['tokens']"},
    {"RopeFactors", [](Values &v) { v.op(FB(Rope, 4, 2, 1, 1), {v.x, v.ids, v.norm}, {v.t, 8}); },
     "operand 2, Weight f32 [8], is not f32 [1]"},
    {"RopeBase", [](Values &v) { v.op(FB(Rope, 4, 2, 0, 1), {v.x, v.ids}, {v.t, 8}); },
     "its base is not positive"},
    {"RopeStyle",
     [](Values &v) {
       v.op(FB(Rope, 4, 2, 1, 1, static_cast<fb::RopeStyle>(9)), {v.x, v.ids}, {v.t, 8});
     },
     "its style is unknown"},
    {"UpdateOfNoState", [](Values &v) { v.b.add(FB(StateUpdate), {v.x, v.x, v.ids, v.ids}, {}); },
     "operand 0, Input f32 ['tokens', 8], is not a state"},
    {"UpdateWidth", [](Values &v) { v.b.add(FB(StateUpdate), {v.narrow, v.x, v.ids, v.ids}, {}); },
     "is not rows of the state's width"},
    {"UpdateSlots", [](Values &v) { v.b.add(FB(StateUpdate), {v.keys, v.x, v.fewer, v.ids}, {}); },
     "operand 2, Input i32 [3], is not i32 ['tokens']"},
    {"AttentionStates",
     [](Values &v) {
       v.op(FB(Attention, 4, 1, 0, 1), {v.x, v.keys, v.narrow, v.ids, v.ids}, {v.t, 8});
     },
     "is not like the keys' state"},
    {"AttentionHeads",
     [](Values &v) {
       v.op(FB(Attention, 3, 1, 0, 1), {v.x, v.keys, v.values, v.ids, v.ids}, {v.t, 8});
     },
     "a query width of 8 is no whole number of heads of 3"},
    {"AttentionGroup",
     [](Values &v) {
       v.op(FB(Attention, 4, 0, 0, 1), {v.x, v.keys, v.values, v.ids, v.ids}, {v.t, 8});
     },
     "its group is 0"},
    {"AttentionKeyHead",
     [](Values &v) {
       v.op(FB(Attention, 4, 2, 3, 1), {v.x, v.keys, v.values, v.ids, v.ids}, {v.t, 8});
     },
     "its last query head reads key head 2 of 2"},
    {"AttentionFirstHeadAtTheLimit",
     [](Values &v) {
       v.op(FB(Attention, 4, 1, 0xffffffff, 1), {v.x, v.keys, v.values, v.ids, v.ids}, {v.t, 8});
     },
     "its last query head reads key head 4294967296 of 2"},
    {"AttentionScale",
     [](Values &v) {
       v.op(FB(Attention, 4, 1, 0, std::numeric_limits<float>::infinity()),
            {v.x, v.keys, v.values, v.ids, v.ids}, {v.t, 8});
     },
     "its scale is not a finite number"},
    {"UnaryKind",
     [](Values &v) { v.op(FB(Unary, static_cast<fb::UnaryKind>(9)), {v.x}, {v.t, 8}); },
     "its kind is unknown"},
    {"UnaryType", [](Values &v) { v.op(FB(Unary), {v.ids}, {v.t}, i32); },
     "is not a tensor of f32"},
    {"BinaryKind",
     [](Values &v) { v.op(FB(Binary, static_cast<fb::BinaryKind>(9)), {v.x, v.x}, {v.t, 8}); },
     "its kind is unknown"},
    {"BinaryShape", [](Values &v) { v.op(FB(Binary), {v.vector, v.x}, {8}); },
     "is not like operand 0 or its last dimension"},
    {"UnaryParameter",
     [](Values &v) {
       v.op(FB(Unary, fb::UnaryKind::Scale, std::numeric_limits<float>::quiet_NaN()), {v.x},
            {v.t, 8});
     },
     "its parameter is not a finite number"},
    {"TransposeTwice", [](Values &v) { v.op(transpose(v, {0, 0}), {v.x}, {v.t, v.t}); },
     "does not name each dimension"},
    {"TransposeBeyond", [](Values &v) { v.op(transpose(v, {0, 2}), {v.x}, {v.t, 8}); },
     "does not name each dimension"},
    {"TransposeTooShort", [](Values &v) { v.op(transpose(v, {0}), {v.x}, {v.t}); },
     "as many dimensions"},
    {"TransposeWithout", [](Values &v) { v.op(FB(Transpose), {v.x}, {v.t, 8}); },
     "as many dimensions"},
    {"TransposeResult", [](Values &v) { v.op(transpose(v, {1, 0}), {v.x}, {v.t, 8}); },
     "is not f32"},
    {"ReshapeMore", [](Values &v) { v.op(FB(Reshape), {v.x}, {v.t, 2, 5}); },
     "is not the elements of"},
    {"ReshapeOverASymbol", [](Values &v) { v.op(FB(Reshape), {v.x}, {2, v.t, 4}); },
     "is not the elements of"},
    {"TopKOfAVector", [](Values &v) { v.op(FB(TopK), {v.vector}, {v.t, 4, 2}); },
     "is not a matrix of constant width"},
    {"TopKOffset", [](Values &v) { v.op(FB(TopK, -1), {v.x}, {v.t, 4, 2}); },
     "its columns, 8 from -1 on, are not within 0:16777216"},
    {"TopKOffsetTooFar", [](Values &v) { v.op(FB(TopK, (1 << 24) - 7), {v.x}, {v.t, 4, 2}); },
     "are not within 0:16777216"},
    {"TopKOffsetAtTheLimit",
     [](Values &v) { v.op(FB(TopK, std::numeric_limits<int64_t>::max()), {v.x}, {v.t, 4, 2}); },
     "are not within 0:16777216"},
    {"TopKOfTooMany", [](Values &v) { v.op(FB(TopK), {v.x}, {v.t, 1025, 2}); },
     "is not 1 to 1024 candidates of each row"},
    {"TopKOfNone", [](Values &v) { v.op(FB(TopK), {v.x}, {v.t, 0, 2}); }, "is not 1 to 1024"},
    {"TopKOfASymbol", [](Values &v) { v.op(FB(TopK), {v.x}, {v.t, v.t, 2}); }, "is not 1 to 1024"},
    {"TopKPairs", [](Values &v) { v.op(FB(TopK), {v.x}, {v.t, 4, 3}); }, "is not 1 to 1024"},
    {"TopKRows", [](Values &v) { v.op(FB(TopK), {v.x}, {3, 4, 2}); }, "is not 1 to 1024"},
    {"AllReduceKind",
     [](Values &v) { v.op(allReduce(v, {1}, static_cast<fb::ReductionKind>(9)), {v.x}, {v.t, 8}); },
     "its kind is unknown"},
    {"AllReduceTopOfAMatrix",
     [](Values &v) { v.op(allReduce(v, {1}, fb::ReductionKind::Top), {v.x}, {v.t, 8}); },
     "is not candidates"},
    {"AllReduceTopOfTooMany", [](Values &v) { mergeTop(v, 1025, 2); }, "is not candidates"},
    {"AllReduceTopPairs", [](Values &v) { mergeTop(v, 8, 1); }, "is not candidates"},
    {"RouteOperand", [](Values &v) { v.op(FB(Route), {v.vector}, {8, 1}, i32); },
     "operand 0, Input f32 [8], is not a matrix of constant width"},
    {"RouteOfMoreThanAll", [](Values &v) { v.op(FB(Route), {v.x}, {v.t, 9}, i32); },
     "result 0, Activation i32 ['tokens', 9], is not a matrix of 1 to 8 columns"},
    {"RouteOfNone", [](Values &v) { v.op(FB(Route), {v.x}, {v.t, 0}, i32); }, "1 to 8 columns"},
    {"RouteOfManyAtRunTime", [](Values &v) { v.op(FB(Route), {v.x}, {v.t, v.t}, i32); },
     "1 to 8 columns"},
    {"RouteToFloats", [](Values &v) { v.op(FB(Route), {v.x}, {v.t, 2}); }, "is not i32"},
    {"RouteWeightsOfOtherRows",
     [](Values &v) { v.op(FB(RouteWeights, true, 1), {v.x, v.fewer}, {3, 2}); },
     "operand 1, Input i32 [3], is not a matrix of constant width with as many rows"},
    {"RouteWeightsOfFloats",
     [](Values &v) {
       Mixture m(v);
       v.op(FB(RouteWeights, true, 1), {v.x, m.shares}, {v.t, 2});
     },
     "operand 1, Input f32 ['tokens', 2], is not a tensor of i32"},
    {"RouteWeightsScale",
     [](Values &v) {
       Mixture m(v);
       v.op(FB(RouteWeights, true, std::numeric_limits<float>::infinity()), {v.x, m.chosen},
            {v.t, 2});
     },
     "its scale is not a finite number"},
    {"RouteWeightsResult",
     [](Values &v) {
       Mixture m(v);
       v.op(FB(RouteWeights, true, 1), {v.x, m.chosen}, {v.t, 3});
     },
     "is not f32"},
    {"MoeChoices",
     [](Values &v) {
       Mixture m(v);
       v.op(FB(Moe), {v.x, v.ids, m.shares, m.experts, m.experts, m.experts}, {v.t, 8});
     },
     "operand 1, Input i32 ['tokens'], is not a matrix of constant width"},
    {"MoeWeightsOfChoices",
     [](Values &v) {
       Mixture m(v);
       v.op(FB(Moe), {v.x, m.chosen, v.x, m.experts, m.experts, m.experts}, {v.t, 8});
     },
     "operand 2, Input f32 ['tokens', 8], is not of operand 1's dimensions"},
    {"MoeExpertsWithoutExperts",
     [](Values &v) {
       Mixture m(v);
       v.op(FB(Moe), {v.x, m.chosen, m.shares, v.weight, m.experts, m.experts}, {v.t, 8});
     },
     "operand 3, Weight f32 [4, 8], is not a weight of real numbers with 3 dimensions"},
    {"MoeExpertsOfAnActivation",
     [](Values &v) {
       Mixture m(v);
       uint32_t x = v.b.input("y", {3, 8, 8});
       v.op(FB(Moe), {v.x, m.chosen, m.shares, m.experts, x, m.experts}, {v.t, 8});
     },
     "operand 4, Input f32 [3, 8, 8], is not a weight"},
    {"MoeWidth",
     [](Values &v) {
       Mixture m(v);
       v.op(FB(Moe), {m.shares, m.chosen, m.shares, m.experts, m.experts, m.experts}, {v.t, 8});
     },
     "operand 3, Weight f32 [3, 8, 8], is not a weight of as many columns as operand 0"},
    {"MoeUp",
     [](Values &v) {
       Mixture m(v);
       v.op(FB(Moe), {v.x, m.chosen, m.shares, m.experts, m.small, m.experts}, {v.t, 8});
     },
     "operand 4, Weight f32 [3, 6, 8], is not of operand 3's dimensions"},
    {"MoeNumberOfExperts",
     [](Values &v) {
       Mixture m(v);
       uint32_t two = v.b.weight("two", {2, 8, 8}, std::vector<float>(128));
       v.op(FB(Moe), {v.x, m.chosen, m.shares, m.experts, m.experts, two}, {v.t, 8});
     },
     "operand 5, Weight f32 [2, 8, 8], is not a weight of as many experts as operand 3"},
    {"MoePadding",
     [](Values &v) {
       Mixture m(v);
       v.op(FB(Moe, 0, 3), {v.x, m.chosen, m.shares, m.small, m.small, m.experts}, {v.t, 8});
     },
     "6 columns after 3 do not fit operand 5's 8"},
    {"MoeFirstExpert",
     [](Values &v) {
       Mixture m(v);
       v.op(FB(Moe, -1), {v.x, m.chosen, m.shares, m.experts, m.experts, m.experts}, {v.t, 8});
     },
     "its first expert, -1, is negative"},
    {"MoeResult",
     [](Values &v) {
       Mixture m(v);
       v.op(FB(Moe), {v.x, m.chosen, m.shares, m.experts, m.experts, m.experts}, {v.t, 7});
     },
     "is not f32 ['tokens', 8]"},
    {"SliceDimension", [](Values &v) { v.op(FB(Slice, 2, 0), {v.x}, {v.t, 8}); },
     "dimension 2 is not one of ['tokens', 8]"},
    {"SliceDynamic", [](Values &v) { v.op(FB(Slice, 0, 0), {v.x}, {1, 8}); },
     "dimension 0 of [1, 8] is neither constant as that of ['tokens', 8] nor a share of it"},
    {"SliceOfAnotherSymbol", [](Values &v) { v.op(FB(Slice, 0, 0), {v.x}, {v.context, 8}); },
     "nor a share of it"},
    {"SliceOfAll", [](Values &v) { v.op(FB(Slice, 0, 0), {v.x}, {v.t, 8}); },
     "is no share of that of ['tokens', 8]"},
    {"SliceOfAShareFromTheMiddle", [](Values &v) { v.op(FB(Slice, 0, 1), {v.x}, {v.second, 8}); },
     "with begin 0"},
    {"SliceBegin", [](Values &v) { v.op(FB(Slice, 1, -1), {v.x}, {v.t, 4}); },
     "4 from -1 on are not within dimension 1"},
    {"SliceEnd", [](Values &v) { v.op(FB(Slice, 1, 5), {v.x}, {v.t, 4}); }, "4 from 5 on"},
    {"SliceBeginAtTheLimit",
     [](Values &v) { v.op(FB(Slice, 1, std::numeric_limits<int64_t>::max()), {v.x}, {v.t, 4}); },
     "are not within"},
    {"SliceOtherDimension", [](Values &v) { v.op(FB(Slice, 1, 0), {v.x}, {3, 4}); },
     "[3, 4] is not like ['tokens', 8] outside of dimension 1"},
};
INSTANTIATE_TEST_SUITE_P(Compute, Refuses, testing::ValuesIn(refusedCompute), caseName);

const Case refusedCommunication[] = {
    {"GroupEmpty", [](Values &v) { v.op(allReduce(v, {}), {v.x}, {v.t, 8}); },
     "its group is empty"},
    {"GroupWithoutThisRank", [](Values &v) { v.op(allReduce(v, {0, 2}), {v.x}, {v.t, 8}); },
     "its group does not contain this rank, 1"},
    {"GroupRank", [](Values &v) { v.op(allReduce(v, {1, 3}), {v.x}, {v.t, 8}); },
     "its group names rank 3 of 3"},
    {"GroupTwice", [](Values &v) { v.op(allReduce(v, {1, 2, 2}), {v.x}, {v.t, 8}); },
     "its group names rank 2 twice"},
    {"GroupLarge", [](Values &v) { v.op(allReduce(v, {1, 2, 0, 1}), {v.x}, {v.t, 8}); },
     "its group has 4 members of 3 ranks"},
    {"ReduceOfAState", [](Values &v) { v.op(allReduce(v, {1}), {v.keys}, {2, v.context, 8}); },
     "is not a tensor of a plain type"},
    {"ReduceResult", [](Values &v) { v.op(allReduce(v, {1}), {v.x}, {v.t, 7}); },
     "is not f32 ['tokens', 8]"},
    {"GatherRangeCount",
     [](Values &v) { v.op(allGather(v, {1, 2}, 1, {0, 8, 8}), {v.x}, {v.t, 12}); },
     "has 3 range bounds for 2 members"},
    {"GatherRangeOrder",
     [](Values &v) { v.op(allGather(v, {1, 2}, 1, {0, 8, 12, 8}), {v.x}, {v.t, 12}); },
     "range 12:8 is not within 0:12"},
    {"GatherRangeEnd",
     [](Values &v) { v.op(allGather(v, {1, 2}, 1, {0, 8, 8, 13}), {v.x}, {v.t, 12}); },
     "range 8:13 is not within 0:12"},
    {"GatherRangeNegative",
     [](Values &v) { v.op(allGather(v, {1, 2}, 1, {-1, 7, 7, 12}), {v.x}, {v.t, 12}); },
     "range -1:7 is not within 0:12"},
    {"GatherGap", [](Values &v) { v.op(allGather(v, {1, 2}, 1, {0, 8, 9, 12}), {v.x}, {v.t, 12}); },
     "its ranges leave out index 8 of 12"},
    {"GatherEndGap",
     [](Values &v) { v.op(allGather(v, {1, 2}, 1, {0, 8, 8, 11}), {v.x}, {v.t, 12}); },
     "its ranges leave out index 11 of 12"},
    {"GatherOwnShare",
     [](Values &v) { v.op(allGather(v, {2, 1}, 1, {0, 8, 8, 12}), {v.x}, {v.t, 12}); },
     "this rank's range 8:12 is not as long as its share, 8"},
    {"GatherType",
     [](Values &v) { v.op(allGather(v, {1, 2}, 1, {0, 8, 8, 12}), {v.x}, {v.t, 12}, i32); },
     "is not of the operand's type"},
    {"ScatterOwnShare",
     [](Values &v) { v.op(reduceScatter(v, {0, 1}, 1, {0, 3, 3, 8}), {v.x}, {v.t, 3}); },
     "this rank's range 3:8 is not as long as its share, 3"},
    {"GatherRangesOfShares",
     [](Values &v) {
       v.op(FB(Slice), {v.x}, {v.second, 8});
       v.op(allGather(v, {2, 1}, 0, {0, 1, 1, 2}), {v.narrow + 1}, {v.t, 8});
     },
     "has ranges along dimension 0 of ['tokens', 8], which is not constant"},
    {"GatherShareOfAnother",
     [](Values &v) {
       v.op(FB(Slice), {v.x}, {v.second, 8});
       v.op(allGather(v, {1, 2}, 0, {}), {v.narrow + 1}, {v.t, 8});
     },
     "dimension 0 of ['tokens[1 of 2]', 8] is not share 0 of 2"},
    {"ScatterShareOfMore",
     [](Values &v) { v.op(reduceScatter(v, {2, 1}, 0, {}), {v.x}, {v.last, 8}); },
     "dimension 0 of ['tokens[2 of 3]', 8] is not share 1 of 2"},
    {"ScatterToAll", [](Values &v) { v.op(reduceScatter(v, {2, 1}, 0, {}), {v.x}, {v.t, 8}); },
     "dimension 0 of ['tokens', 8] is not share 1 of 2"},
    {"ExchangeDimension",
     [](Values &v) {
       v.op(allToAll(v, {1, 2}, 2, {0, 3, 3, 8}, 1, {0, 8, 8, 12}), {v.x}, {v.t, 12});
     },
     "dimension 2 is not one of"},
    {"ExchangeJoinedDimension",
     [](Values &v) {
       v.op(allToAll(v, {1, 2}, 1, {0, 3, 3, 8}, 2, {0, 8, 8, 12}), {v.x}, {v.t, 3});
     },
     "dimension 2 is not one of"},
    {"ExchangeOfASymbol",
     [](Values &v) {
       v.op(allToAll(v, {1, 2}, 1, {0, 3, 3, 8}, 0, {0, 8, 8, 12}), {v.x}, {v.t, 3});
     },
     "is not constant"},
    {"ExchangeOwnShare",
     [](Values &v) {
       uint32_t x = v.b.input("square", {4, 8});
       v.op(allToAll(v, {1, 2}, 1, {0, 3, 3, 8}, 0, {0, 4, 4, 6}), {x}, {6, 4});
     },
     "this rank's range 0:3 is not as long as its share, 4"},
    {"ExchangeOwnHeldShare",
     [](Values &v) {
       uint32_t x = v.b.input("square", {4, 8});
       v.op(allToAll(v, {1, 2}, 1, {0, 3, 3, 8}, 0, {0, 2, 2, 6}), {x}, {6, 3});
     },
     "this rank's range 0:2 is not as long as its share, 4"},
    {"ExchangeGap",
     [](Values &v) {
       uint32_t x = v.b.input("square", {4, 8});
       v.op(allToAll(v, {1, 2}, 1, {0, 3, 3, 8}, 0, {0, 4, 5, 6}), {x}, {6, 3});
     },
     "its ranges leave out index 4 of 6"},
    {"ExchangeOutside",
     [](Values &v) {
       uint32_t x = v.b.input("square", {4, 8});
       v.op(allToAll(v, {1, 2}, 1, {0, 3, 3, 9}, 0, {0, 4, 4, 6}), {x}, {6, 3});
     },
     "range 3:9 is not within 0:8"},
    {"ExchangeOtherDimension",
     [](Values &v) {
       uint32_t x = v.b.input("cube", {4, 8, 2});
       v.op(allToAll(v, {1, 2}, 1, {0, 3, 3, 8}, 0, {0, 4, 4, 6}), {x}, {6, 3, 3});
     },
     "outside of dimension"},
    {"ExchangeRank",
     [](Values &v) {
       uint32_t x = v.b.input("cube", {4, 8, 2});
       v.op(allToAll(v, {1, 2}, 1, {0, 3, 3, 8}, 0, {0, 4, 4, 6}), {x}, {6, 3});
     },
     "dimension 1 is not one of"},
    {"ExchangeType",
     [](Values &v) {
       uint32_t x = v.b.input("square", {4, 8});
       v.op(allToAll(v, {1, 2}, 1, {0, 3, 3, 8}, 0, {0, 4, 4, 6}), {x}, {6, 3}, i32);
     },
     "is not of the operand's type"},
    {"SendToNobody", [](Values &v) { v.b.add(FB(Send, 3, 0), {v.x}, {}); },
     "its peer, 3, is not another of 3 ranks"},
    {"SendToItself", [](Values &v) { v.b.add(FB(Send, 1, 0), {v.x}, {}); }, "its peer, 1"},
    {"SendTag", [](Values &v) { v.b.add(FB(Send, 0, 0x80000000), {v.x}, {}); },
     "its tag, 2147483648, is too large"},
    {"SendOfAState", [](Values &v) { v.b.add(FB(Send, 0, 0), {v.keys}, {}); },
     "is not a tensor of a plain type"},
    {"RecvFromItself", [](Values &v) { v.op(FB(Recv, 1, 0), {}, {v.t, 8}); }, "its peer, 1"},
};
INSTANTIATE_TEST_SUITE_P(Communication, Refuses, testing::ValuesIn(refusedCommunication), caseName);

TEST(Program, RefusesWhatIsNotAProgram) {
  ProgramIdentity identity{"test-package", 0, 1, 1, 4096};
  for (size_t size : {0, 1, 7, 8, 100}) {
    FileBytes bytes(size);
    std::memset(bytes.data(), 'x', size);
    EXPECT_EQ(messageOf([&] { Program(std::move(bytes), "p", identity); }), "p: is not a program");
  }
}

TEST(Program, RefusesAnotherRank) {
  ProgramBuilder b(1, 2);
  ProgramIdentity identity{"test-package", 0, 2, 1, 4096};
  EXPECT_EQ(messageOf([&] { Program(b.finish(), "p", identity); }),
            "p: is for rank 1 of 2, not for rank 0 of 2");
}

TEST(Program, FindsEntries) {
  ProgramBuilder b;
  Program program = b.prove();
  EXPECT_EQ(program.entry("").name()->str(), "step");
  EXPECT_EQ(program.entry("step").name()->str(), "step");
  EXPECT_EQ(messageOf([&] { program.entry("other"); }), "test.program: has no entry 'other'");
}

TEST(Program, OpensFromAPackageAndChecksItsFile) {
  std::filesystem::path folder = testFolder();
  ProgramBuilder b;
  Manifest manifest;
  manifest.packageId = "test-package";
  manifest.files.resize(1);
  manifest.files[0].weightsSize = b.weightFileBytes();
  FileBytes bytes = b.finish();
  manifest.files[0].program = {bytes.size(), checksumOf(bytes.span())};
  writeFile(folder / "rank-0.program", bytes.span());
  EXPECT_EQ(Program::open(folder, manifest, 0).entry("").name()->str(), "step");
  bytes.data()[bytes.size() - 1] ^= std::byte{1};
  writeFile(folder / "rank-0.program", bytes.span());
  EXPECT_THAT(messageOf([&] { Program::open(folder, manifest, 0); }),
              HasSubstr("rank-0.program: differs from the checksum in the manifest"));
  writeFile(folder / "rank-0.program", bytes.span().first(bytes.size() - 1));
  EXPECT_THAT(messageOf([&] { Program::open(folder, manifest, 0); }),
              HasSubstr("it is truncated or from another package"));
  std::filesystem::remove(folder / "rank-0.program");
  EXPECT_THAT(messageOf([&] { Program::open(folder, manifest, 0); }),
              HasSubstr("rank-0.program: cannot be opened: No such file or directory"));
}

} // namespace
} // namespace cleave::rt
