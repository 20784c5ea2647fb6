// What Program proves of products of matrices, norms, reductions, attention and images: each
// rule broken once.
#include "test/runtime/program/program_cases.h"

namespace cleave::rt {
namespace {

auto reduce(Values &v, const U &dims, fb::ReduceKind kind = fb::ReduceKind::Sum,
            int64_t count = 0) {
  return fb::CreateReduceDirect(v.b.fbb, kind, &dims, count);
}

void addPool(Values &v, const U &window, const U &strides, const U &pads, const U &dilations,
             const Dims &result, fb::PoolKind kind = fb::PoolKind::Max) {
  uint32_t x = v.b.input("images", {v.t, 4, 6});
  v.op(fb::CreatePoolDirect(v.b.fbb, kind, &window, &strides, &pads, &dilations), {x}, result);
}

void addPoolIndices(Values &v, const U &window, const Dims &result, ElementType type) {
  const U two{2}, none{0, 0}, one{1};
  uint32_t x = v.b.input("images", {v.t, 4, 6});
  v.op(fb::CreatePoolIndicesDirect(v.b.fbb, &window, &two, &none, &one), {x}, result, type);
}

void addTransposed(Values &v, const Dims &filter, const Dims &result) {
  const U strides{2}, pads{0, 1}, dilations{1};
  uint32_t x = v.b.input("images", {v.t, 4, 6}), w = v.b.input("filter", filter);
  v.op(fb::CreateConvTransposeDirect(v.b.fbb, &strides, &pads, &dilations), {x, w}, result);
}

auto resize(Values &v, uint32_t dim, double scale, double coefficient = 0) {
  return fb::CreateResize(v.b.fbb, fb::ResizeMode::Linear, dim, scale,
                          fb::ResizeCoordinates::HalfPixel, fb::ResizeRounding::Floor, coefficient);
}

/// Attention of 4 query heads in groups of 2, 8 wide.
void addAttention(Values &v, const Dims &k, const Dims &mask, const Dims &result,
                  uint32_t group = 2, uint32_t first = 0, ElementType maskType = f32) {
  uint32_t q = v.b.input("q", {2, 4, v.t, 8}), keys = v.b.input("k", k),
           values = v.b.input("v", {2, 2, v.context, 5});
  U operands{q, keys, values};
  if (!mask.empty())
    operands.push_back(v.b.input("mask", mask, maskType));
  v.op(FB(DotProductAttention, group, first, 1.0f), operands, result);
}

const Case acceptedDense[] = {
    {"MatMulBroadcast",
     [](Values &v) {
       uint32_t a = v.b.input("a", {2, 1, v.t, 8}), b = v.b.input("b", {3, 5, 8});
       v.op(FB(MatMul, false, true), {a, b}, {2, 3, v.t, 5});
     },
     ""},
    {"MatMulOfIntegers",
     [](Values &v) {
       uint32_t a = v.b.input("a", {2, v.t, 8}, ElementType::i16);
       uint32_t b = v.b.input("b", {5, 8}, ElementType::u8);
       v.op(FB(MatMul, false, true), {a, b}, {2, v.t, 5}, i32);
     },
     ""},
    {"ReduceIntegers",
     [](Values &v) {
       uint32_t x = v.b.input("counts", {v.t, 8}, ElementType::u64);
       v.op(reduce(v, {1}, fb::ReduceKind::Max), {x}, {v.t}, ElementType::u64);
     },
     ""},
    {"PoolIndices", [](Values &v) { addPoolIndices(v, {3}, {v.t, 4, 3}, ElementType::i64); }, ""},
    {"ReduceToAScalar", [](Values &v) { v.op(reduce(v, {0, 1}), {v.x}, {}); }, ""},
    {"PoolRoundedUp", [](Values &v) { addPool(v, {3}, {2}, {0, 0}, {1}, {v.t, 4, 3}); }, ""},
    {"ConvTransposeGroups", [](Values &v) { addTransposed(v, {4, 3, 1}, {v.t, 6, 10}); }, ""},
    {"AttentionOfAShare",
     [](Values &v) { addAttention(v, {2, 2, v.context, 8}, {4, 1, 1}, {2, 4, v.t, 5}, 3, 1); }, ""},
};
INSTANTIATE_TEST_SUITE_P(Dense, Accepts, testing::ValuesIn(acceptedDense), caseName);

const Case refusedDense[] = {
    {"MatMulVector", [](Values &v) { v.op(FB(MatMul), {v.vector, v.x}, {8}); }, "is not a matrix"},
    {"MatMulInner", [](Values &v) { v.op(FB(MatMul), {v.x, v.weight}, {v.t, 8}); },
     "do not have one inner dimension"},
    {"MatMulBatches",
     [](Values &v) {
       uint32_t a = v.b.input("a", {2, v.t, 8}), b = v.b.input("b", {3, 8, 5});
       v.op(FB(MatMul), {a, b}, {3, v.t, 5});
     },
     "do not broadcast"},
    {"MatMulResult", [](Values &v) { v.op(FB(MatMul, false, true), {v.x, v.weight}, {v.t, 8}); },
     "is not f32 ['tokens', 4]"},
    {"MatMulOfIntegersAsTheyAre",
     [](Values &v) {
       uint32_t a = v.b.input("a", {v.t, 8}, ElementType::i8);
       uint32_t b = v.b.input("b", {8, 5}, ElementType::i8);
       v.op(FB(MatMul), {a, b}, {v.t, 5}, i32);
     },
     "the second matrix alone must be transposed"},
    {"MatMulOfWideIntegers",
     [](Values &v) {
       uint32_t a = v.b.input("a", {v.t, 8}, ElementType::i8);
       uint32_t b = v.b.input("b", {5, 8}, i32);
       v.op(FB(MatMul, false, true), {a, b}, {v.t, 5}, i32);
     },
     "is not a matrix of i8, u8 or i16"},
    {"MatMulOfIntegersInFloats",
     [](Values &v) {
       uint32_t a = v.b.input("a", {v.t, 8}, ElementType::i8);
       uint32_t b = v.b.input("b", {5, 8}, ElementType::i8);
       v.op(FB(MatMul, false, true), {a, b}, {v.t, 5});
     },
     "is not i32 ['tokens', 5]"},
    {"ReduceMeanOfIntegers",
     [](Values &v) {
       uint32_t x = v.b.input("counts", {v.t, 8}, i32);
       v.op(reduce(v, {1}, fb::ReduceKind::Mean), {x}, {v.t}, i32);
     },
     "a mean or a logarithm of integers"},
    {"CumulativeSumOfSmallIntegers",
     [](Values &v) {
       uint32_t x = v.b.input("counts", {v.t, 8}, ElementType::i16);
       v.op(FB(CumulativeSum, 1), {x}, {v.t, 8}, ElementType::i16);
     },
     "is not a tensor of f32 or of integers of 32 or 64 bits"},
    {"TopElementsOfAnotherType",
     [](Values &v) {
       uint32_t x = v.b.input("counts", {v.t, 8}, i32);
       v.b.add(FB(TopElements, 1), {x},
               {v.b.activation({v.t, 2}), v.b.activation({v.t, 2}, ElementType::i64)});
     },
     "is not i32 ['tokens', 2]"},
    {"PoolIndicesWindow", [](Values &v) { addPoolIndices(v, {7}, {v.t, 4, 1}, ElementType::i64); },
     "a window over 7 elements does not fit 6"},
    {"PoolIndicesInFloats",
     [](Values &v) { addPoolIndices(v, {3}, {v.t, 4, 3}, ElementType::f32); },
     "is not an i64 batch"},
    {"SoftmaxDim", [](Values &v) { v.op(FB(Softmax, 2), {v.x}, {v.t, 8}); },
     "dimension 2 is not one of"},
    {"SoftmaxResult", [](Values &v) { v.op(FB(Softmax, 1), {v.x}, {v.t, 4}); }, "is not f32"},
    {"LayerNormDims", [](Values &v) { v.op(FB(LayerNorm, 3, 0.0f), {v.x}, {v.t, 8}); },
     "it normalizes 3 dimensions"},
    {"LayerNormWeight", [](Values &v) { v.op(FB(LayerNorm, 1, 0.0f), {v.x, v.weight}, {v.t, 8}); },
     "is not f32 [8]"},
    {"LayerNormEpsilon", [](Values &v) { v.op(FB(LayerNorm, 1, -1.0f), {v.x}, {v.t, 8}); },
     "its epsilon is not a finite number"},
    {"ReduceNothing", [](Values &v) { v.op(reduce(v, {}), {v.x}, {v.t, 8}); },
     "it reduces no dimension"},
    {"ReduceTwice", [](Values &v) { v.op(reduce(v, {1, 1}), {v.x}, {v.t}); },
     "it reduces dimension 1 twice"},
    {"ReduceKind",
     [](Values &v) { v.op(reduce(v, {1}, static_cast<fb::ReduceKind>(99)), {v.x}, {v.t}); },
     "its kind is unknown"},
    {"ReduceCount", [](Values &v) { v.op(reduce(v, {1}, fb::ReduceKind::Mean, -1), {v.x}, {v.t}); },
     "its count, -1, is negative"},
    {"ReduceResult", [](Values &v) { v.op(reduce(v, {1}), {v.x}, {8}); }, "is not f32 ['tokens']"},
    {"ArgOfNothing",
     [](Values &v) {
       uint32_t x = v.b.input("empty", {v.t, 0});
       v.op(FB(ArgReduce, 1), {x}, {v.t}, i32);
     },
     "is not of elements along dimension 1"},
    {"CumulativeSumDim", [](Values &v) { v.op(FB(CumulativeSum, 2), {v.x}, {v.t, 8}); },
     "dimension 2 is not one of"},
    {"TopElementsCount",
     [](Values &v) {
       v.b.add(FB(TopElements, 1), {v.x},
               {v.b.activation({v.t, 9}), v.b.activation({v.t, 9}, ElementType::i32)});
     },
     "has fewer elements"},
    {"TopElementsDim",
     [](Values &v) {
       v.b.add(FB(TopElements, 0), {v.x},
               {v.b.activation({1, 8}), v.b.activation({1, 8}, ElementType::i32)});
     },
     "is not constant"},
    {"PoolOfAMatrix",
     [](Values &v) {
       const U one{1}, none{0, 0};
       v.op(fb::CreatePoolDirect(v.b.fbb, fb::PoolKind::Max, &one, &one, &none, &one), {v.x},
            {v.t, 8});
     },
     "is not a batch of images"},
    {"PoolKind",
     [](Values &v) {
       addPool(v, {2}, {2}, {0, 0}, {1}, {v.t, 4, 3}, static_cast<fb::PoolKind>(9));
     },
     "its kind is unknown"},
    {"PoolWindow", [](Values &v) { addPool(v, {4}, {1}, {0, 0}, {2}, {v.t, 4, 1}); },
     "a window over 7 elements does not fit 6"},
    {"PoolPads", [](Values &v) { addPool(v, {4}, {1}, {0}, {1}, {v.t, 4, 3}); },
     "has 1 pads instead of 2"},
    {"PoolStride", [](Values &v) { addPool(v, {4}, {0}, {0, 0}, {1}, {v.t, 4, 3}); },
     "has 0 among its strides"},
    {"PoolChannels", [](Values &v) { addPool(v, {2}, {2}, {0, 0}, {1}, {v.t, 3, 3}); },
     "is not of as many channels"},
    {"PoolResult", [](Values &v) { addPool(v, {2}, {2}, {0, 0}, {1}, {v.t, 4, 4}); },
     "is not of 3 or 3 elements"},
    {"ConvTransposeChannels", [](Values &v) { addTransposed(v, {3, 3, 1}, {v.t, 3, 10}); },
     "is not a filter"},
    {"ConvTransposeOutputs", [](Values &v) { addTransposed(v, {4, 3, 1}, {v.t, 7, 10}); },
     "7 output channels are no whole groups"},
    {"ConvTransposeGroupsOfInputs", [](Values &v) { addTransposed(v, {4, 2, 1}, {v.t, 6, 10}); },
     "4 channels are not as many for each of 3 groups"},
    {"ConvTransposeSize", [](Values &v) { addTransposed(v, {4, 3, 1}, {v.t, 3, 12}); },
     "its sizes do not agree"},
    {"ResizeVaryingDim", [](Values &v) { v.op(resize(v, 0, 1), {v.x}, {v.t, 8}); },
     "does not have a constant size"},
    {"ResizeScale", [](Values &v) { v.op(resize(v, 1, 0), {v.x}, {v.t, 4}); },
     "its scale is not a positive number"},
    {"ResizeNumber",
     [](Values &v) {
       v.op(resize(v, 1, 1, std::numeric_limits<double>::infinity()), {v.x}, {v.t, 4});
     },
     "one of its numbers is not finite"},
    {"AttentionKeys", [](Values &v) { addAttention(v, {2, 2, v.context, 6}, {}, {2, 4, v.t, 5}); },
     "is not f32 [2, 2, 'context', 8]"},
    {"AttentionGroup",
     [](Values &v) { addAttention(v, {2, 2, v.context, 8}, {}, {2, 4, v.t, 5}, 0); },
     "its group is 0"},
    {"AttentionHeads",
     [](Values &v) { addAttention(v, {2, 2, v.context, 8}, {}, {2, 4, v.t, 5}, 2, 1); },
     "its last query head reads key head 2 of 2"},
    {"AttentionMask",
     [](Values &v) { addAttention(v, {2, 2, v.context, 8}, {3, 1, 1}, {2, 4, v.t, 5}); },
     "is not a mask"},
    {"AttentionMaskType",
     [](Values &v) {
       addAttention(v, {2, 2, v.context, 8}, {1, 1, 1}, {2, 4, v.t, 5}, 2, 0, ElementType::i32);
     },
     "is not a mask"},
    {"AttentionResult",
     [](Values &v) { addAttention(v, {2, 2, v.context, 8}, {}, {2, 4, v.t, 8}); },
     "is not f32 [2, 4, 'tokens', 5]"},
};
INSTANTIATE_TEST_SUITE_P(Dense, Refuses, testing::ValuesIn(refusedDense), caseName);

} // namespace
} // namespace cleave::rt
