// What Program proves of instructions: each rule of an operation broken once.
#include "test/runtime/program/program_cases.h"

namespace cleave::rt {
namespace {

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
     [](Values &v) {
       v.op(FB(Unary, static_cast<uint8_t>(unaryFunctions.size())), {v.x}, {v.t, 8});
     },
     "its kind is unknown"},
    {"UnaryType", [](Values &v) { v.op(FB(Unary), {v.ids}, {v.t}, i32); },
     "is not a tensor of a type that the function takes"},
    {"UnaryResult", [](Values &v) { v.op(FB(Unary, uint8_t(UnaryKind::isNan)), {v.x}, {v.t, 8}); },
     "is not i1 ['tokens', 8]"},
    {"BinaryKind",
     [](Values &v) {
       v.op(FB(Binary, static_cast<uint8_t>(binaryFunctions.size())), {v.x, v.x}, {v.t, 8});
     },
     "its kind is unknown"},
    {"BinaryTypes", [](Values &v) { v.op(FB(Binary), {v.x, v.ids}, {v.t, 8}); },
     "is not of operand 0's type"},
    {"BinaryOfBooleans",
     [](Values &v) { v.op(FB(Binary, uint8_t(BinaryKind::logicalAnd)), {v.x, v.x}, {v.t, 8}); },
     "is not a tensor of a type that the function takes"},
    {"BinaryShape", [](Values &v) { v.op(FB(Binary), {v.x, v.b.input("seven", {7})}, {v.t, 8}); },
     "is not of dimensions that are 1 or those of the operands before it"},
    {"BinaryResult", [](Values &v) { v.op(FB(Binary), {v.vector, v.x}, {8}); },
     "is not f32 ['tokens', 8]"},
    {"WhereCondition", [](Values &v) { v.op(FB(Where), {v.x, v.x, v.x}, {v.t, 8}); },
     "is not a tensor of a type that the function takes"},
    {"WhereTypes",
     [](Values &v) {
       v.op(FB(Where), {v.b.input("condition", {}, ElementType::i1), v.x, v.ids}, {v.t, 8});
     },
     "is not of operand 1's type"},
    {"CastShape", [](Values &v) { v.op(FB(Cast), {v.x}, {v.t}, i32); }, "is not i32 ['tokens', 8]"},
    {"AllReduceOfBooleans",
     [](Values &v) {
       uint32_t x = v.b.input("flags", {2}, ElementType::i1);
       v.op(allReduce(v, {2, 1}), {x}, {2}, ElementType::i1);
     },
     "is not of numbers, which have a sum"},
    {"UnaryParameter",
     [](Values &v) {
       v.op(FB(Unary, uint8_t(UnaryKind::scale), std::numeric_limits<float>::quiet_NaN()), {v.x},
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
    {"ReshapeOfAnotherSymbol", [](Values &v) { v.op(FB(Reshape), {v.x}, {v.context, 8}); },
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
    {"SliceOfAnotherShare",
     [](Values &v) { v.op(FB(Slice, 0, 0), {v.b.input("y", {v.context, 8})}, {v.second, 8}); },
     "nor a share of it"},
    {"SliceOfAShareWithSteps", [](Values &v) { v.op(FB(Slice, 0, 0, 2), {v.x}, {v.second, 8}); },
     "with begin 0"},
    {"SliceStep", [](Values &v) { v.op(FB(Slice, 1, 0, 0), {v.x}, {v.t, 4}); }, "its step is 0"},
    {"SliceBeforeTheFirst", [](Values &v) { v.op(FB(Slice, 1, 5, -2), {v.x}, {v.t, 4}); },
     "4 from 5 on are not within"},
    {"SliceHugeStep",
     [](Values &v) { v.op(FB(Slice, 1, 0, std::numeric_limits<int64_t>::max()), {v.x}, {v.t, 4}); },
     "are not within"},
    {"SliceOfAShareFromTheMiddle", [](Values &v) { v.op(FB(Slice, 0, 1), {v.x}, {v.second, 8}); },
     "with begin 0"},
    {"SliceBegin", [](Values &v) { v.op(FB(Slice, 1, -9), {v.x}, {v.t, 4}); },
     "names symbol 8, which is no size"},
    {"SliceBeginOfAShare", [](Values &v) { v.op(FB(Slice, 1, v.second), {v.x}, {v.t, 4}); },
     "names symbol 2, which is no size"},
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

} // namespace
} // namespace cleave::rt
