// What program.fbs says of products of matrices, norms, reductions, attention and images, as
// checks.
#include "runtime/program/program_checks.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace cleave::rt {

namespace {

/// Larger strides, dilations, windows and pads are a mistake.
constexpr uint32_t maxExtent = 32768;

} // namespace

void InstructionCheck::expectLike(uint32_t i, const std::vector<int64_t> &dims) const {
  expectActivation(i, ElementType::f32);
  Dims found = dimsOf(operand(i));
  expectOperand(i, std::equal(found.begin(), found.end(), dims.begin(), dims.end()),
                "f32 " + text(dims));
}

ElementType InstructionCheck::expectWide(uint32_t i) const {
  const ElementType type = typeOf(operand(i));
  expectOperand(
      i, type == ElementType::f32 || (isIntegerType(type) && elementTypeInfo(type).blockBytes >= 4),
      "a tensor of f32 or of integers of 32 or 64 bits");
  expectActivation(i, type);
  return type;
}

void InstructionCheck::expectDim(uint32_t dim) const {
  if (dim >= dimsOf(operand(0)).size())
    refuse("dimension " + std::to_string(dim) + " is not one of " + text(dimsOf(operand(0))));
}

void InstructionCheck::expectReduced(ElementType type, const std::vector<bool> &reduced) const {
  Dims x = dimsOf(operand(0));
  std::vector<int64_t> kept, left;
  for (size_t i = 0; i < x.size(); ++i) {
    kept.push_back(reduced[i] ? 1 : x[i]);
    if (!reduced[i])
      left.push_back(x[i]);
  }
  expectResultDims(type, dimsOf(result(0)).size() == x.size() ? kept : left);
}

void InstructionCheck::expectNumbers(const char *what, const flatbuffers::Vector<uint32_t> *numbers,
                                     size_t count, uint32_t least) const {
  if (!numbers || numbers->size() != count)
    refuse("has " + std::to_string(numbers ? numbers->size() : 0) + " " + what + " instead of " +
           std::to_string(count));
  for (uint32_t number : *numbers)
    if (number < least || number > maxExtent)
      refuse("has " + std::to_string(number) + " among its " + what + ", not " +
             std::to_string(least) + " to " + std::to_string(maxExtent));
}

void InstructionCheck::expectImages(ElementType type) const {
  expectActivation(0, ElementType::f32);
  Dims x = dimsOf(operand(0)), y = dimsOf(result(0));
  expectOperand(0,
                x.size() >= 3 && x.size() <= 5 && std::none_of(x.begin() + 1, x.end(), isSymbolDim),
                "a batch of images whose channels and sizes are constant");
  expectResult(0,
               typeOf(result(0)) == type && y.size() == x.size() && y[0] == x[0] &&
                   std::none_of(y.begin() + 1, y.end(), isSymbolDim),
               "an " + std::string(elementTypeInfo(type).name) +
                   " batch of as many images of as many dimensions");
}

void InstructionCheck::checkMatMul(const fb::MatMul &op) const {
  expectCounts(2, 2, 1);
  const bool isInteger = isIntegerType(typeOf(operand(0)));
  if (isInteger && (op.transpose_a() || !op.transpose_b()))
    refuse("it multiplies integers, but the second matrix alone must be transposed");
  for (uint32_t i : {0u, 1u}) {
    const ElementType type = typeOf(operand(i));
    if (isInteger)
      expectOperand(i,
                    type == ElementType::i8 || type == ElementType::u8 || type == ElementType::i16,
                    "a matrix of i8, u8 or i16");
    expectActivation(i, isInteger ? type : ElementType::f32);
    expectOperand(i, dimsOf(operand(i)).size() >= 2, "a matrix");
  }
  Dims a = dimsOf(operand(0)), b = dimsOf(operand(1));
  auto dimOf = [](Dims dims, size_t fromEnd) { return dims[dims.size() - fromEnd]; };
  if (dimOf(a, op.transpose_a() ? 2 : 1) != dimOf(b, op.transpose_b() ? 1 : 2))
    refuse("matrices " + text(a) + " and " + text(b) + " do not have one inner dimension");
  const size_t rank = std::max(a.size(), b.size());
  std::vector<int64_t> y;
  for (size_t i = 0; i + 2 < rank; ++i) {
    auto sizeOf = [&](Dims dims) {
      return i + dims.size() < rank ? 1 : dims[i + dims.size() - rank];
    };
    const int64_t ofA = sizeOf(a), ofB = sizeOf(b);
    if (ofA != ofB && ofA != 1 && ofB != 1)
      refuse("batches of " + text(a) + " and " + text(b) + " do not broadcast");
    y.push_back(ofA == 1 ? ofB : ofA);
  }
  y.push_back(dimOf(a, op.transpose_a() ? 1 : 2));
  y.push_back(dimOf(b, op.transpose_b() ? 2 : 1));
  expectResultDims(isInteger ? ElementType::i32 : ElementType::f32, y);
}

void InstructionCheck::checkSoftmax(const fb::Softmax &op) const {
  expectCounts(1, 1, 1);
  expectActivation(0, ElementType::f32);
  expectDim(op.dim());
  Dims x = dimsOf(operand(0));
  expectResultDims(ElementType::f32, {x.begin(), x.end()});
}

void InstructionCheck::checkLayerNorm(const fb::LayerNorm &op) const {
  expectCounts(1, 3, 1);
  expectActivation(0, ElementType::f32);
  Dims x = dimsOf(operand(0));
  if (op.dims() < 1 || op.dims() > x.size())
    refuse("it normalizes " + std::to_string(op.dims()) + " dimensions of " + text(x));
  Dims last = x.last(op.dims());
  for (uint32_t i = 1; i < operandCount(); ++i)
    expectLike(i, {last.begin(), last.end()});
  if (!(op.epsilon() >= 0) || !std::isfinite(op.epsilon()))
    refuse("its epsilon is not a finite number of at least 0");
  expectResultDims(ElementType::f32, {x.begin(), x.end()});
}

void InstructionCheck::checkReduce(const fb::Reduce &op) const {
  expectCounts(1, 1, 1);
  const ElementType type = expectWide(0);
  if (op.kind() > fb::ReduceKind::MAX)
    refuse("its kind is unknown");
  if (type != ElementType::f32 &&
      (op.kind() == fb::ReduceKind::Mean || op.kind() == fb::ReduceKind::LogSumExp))
    refuse("it is a mean or a logarithm of integers");
  if (op.count() < 0)
    refuse("its count, " + std::to_string(op.count()) + ", is negative");
  std::vector<bool> reduced(dimsOf(operand(0)).size(), false);
  if (!op.dims() || op.dims()->size() == 0)
    refuse("it reduces no dimension");
  for (uint32_t dim : *op.dims()) {
    expectDim(dim);
    if (reduced[dim])
      refuse("it reduces dimension " + std::to_string(dim) + " twice");
    reduced[dim] = true;
  }
  expectReduced(type, reduced);
}

void InstructionCheck::checkArgReduce(const fb::ArgReduce &op) const {
  expectCounts(1, 1, 1);
  expectWide(0);
  expectDim(op.dim());
  expectOperand(0, dimsOf(operand(0))[op.dim()] != 0,
                "of elements along dimension " + std::to_string(op.dim()));
  std::vector<bool> reduced(dimsOf(operand(0)).size(), false);
  reduced[op.dim()] = true;
  expectReduced(ElementType::i64, reduced);
}

void InstructionCheck::checkTopElements(const fb::TopElements &op) const {
  expectCounts(1, 1, 2);
  const ElementType type = expectWide(0);
  expectDim(op.dim());
  Dims x = dimsOf(operand(0)), values = dimsOf(result(0));
  std::vector<int64_t> expected(x.begin(), x.end());
  if (values.size() == x.size())
    expected[op.dim()] = values[op.dim()];
  if (isSymbolDim(x[op.dim()]) || isSymbolDim(expected[op.dim()]) ||
      expected[op.dim()] > x[op.dim()])
    refuse("dimension " + std::to_string(op.dim()) + " of " + text(x) +
           " is not constant, or has fewer elements than that of " + text(values));
  expectResultDims(0, type, expected);
  expectResultDims(1, ElementType::i64, expected);
}

void InstructionCheck::checkCumulativeSum(const fb::CumulativeSum &op) const {
  expectCounts(1, 1, 1);
  const ElementType type = expectWide(0);
  expectDim(op.dim());
  Dims x = dimsOf(operand(0));
  expectResultDims(type, {x.begin(), x.end()});
}

void InstructionCheck::checkPool(const fb::Pool &op) const {
  expectCounts(1, 1, 1);
  expectImages();
  if (op.kind() > fb::PoolKind::MAX)
    refuse("its kind is unknown");
  checkWindow(op);
}

void InstructionCheck::checkPoolIndices(const fb::PoolIndices &op) const {
  expectCounts(1, 1, 1);
  expectImages(ElementType::i64);
  checkWindow(op);
}

template <typename PoolT> void InstructionCheck::checkWindow(const PoolT &op) const {
  Dims x = dimsOf(operand(0)), y = dimsOf(result(0));
  const auto spatial = static_cast<uint32_t>(x.size() - 2);
  expectNumbers("sizes of its window", op.window(), spatial, 1);
  expectNumbers("strides", op.strides(), spatial, 1);
  expectNumbers("pads", op.pads(), 2 * spatial, 0);
  expectNumbers("dilations", op.dilations(), spatial, 1);
  expectResult(0, y[1] == x[1], "of as many channels");
  for (uint32_t i = 0; i < spatial; ++i) {
    // An image's size is below 2^48, the others are below 2^15.
    const int64_t padded = x[2 + i] + op.pads()->Get(i) + op.pads()->Get(spatial + i);
    const int64_t reach = (int64_t{op.window()->Get(i)} - 1) * op.dilations()->Get(i) + 1;
    const int64_t stride = op.strides()->Get(i);
    const int64_t down = (padded - reach) / stride + 1;
    const int64_t up = (padded - reach + stride - 1) / stride + 1;
    if (reach > padded)
      refuse("a window over " + std::to_string(reach) + " elements does not fit " +
             std::to_string(padded) + " with pads in spatial dimension " + std::to_string(i));
    expectResult(0, y[2 + i] == down || y[2 + i] == up,
                 "of " + std::to_string(down) + " or " + std::to_string(up) +
                     " elements in spatial dimension " + std::to_string(i));
  }
}

void InstructionCheck::checkConvTranspose(const fb::ConvTranspose &op) const {
  expectCounts(2, 2, 1);
  expectImages();
  expectActivation(1, ElementType::f32);
  Dims x = dimsOf(operand(0)), filter = dimsOf(operand(1)), y = dimsOf(result(0));
  expectOperand(1,
                filter.size() == x.size() && filter[0] == x[1] &&
                    std::none_of(filter.begin(), filter.end(), isSymbolDim),
                "a filter of constant dimensions for as many channels as operand 0 has");
  if (filter[1] == 0 ? y[1] != 0 : y[1] % filter[1] != 0)
    refuse(std::to_string(y[1]) + " output channels are no whole groups of the filter's " +
           std::to_string(filter[1]));
  const int64_t groups = filter[1] == 0 ? 1 : std::max<int64_t>(y[1] / filter[1], 1);
  if (x[1] % groups != 0)
    refuse(std::to_string(x[1]) + " channels are not as many for each of " +
           std::to_string(groups) + " groups");
  const auto spatial = static_cast<uint32_t>(x.size() - 2);
  expectNumbers("strides", op.strides(), spatial, 1);
  expectNumbers("pads", op.pads(), 2 * spatial, 0);
  expectNumbers("dilations", op.dilations(), spatial, 1);
  for (uint32_t i = 0; i < spatial; ++i) {
    const int64_t stride = op.strides()->Get(i), dilation = op.dilations()->Get(i);
    const int64_t pads = int64_t{op.pads()->Get(i)} + op.pads()->Get(spatial + i);
    // Sizes are below 2^48, strides and dilations at most 2^15.
    int64_t whole = 0, reach = 0;
    const bool fits = x[2 + i] >= 1 && filter[2 + i] >= 1 &&
                      !__builtin_mul_overflow(x[2 + i] - 1, stride, &whole) &&
                      !__builtin_mul_overflow(filter[2 + i] - 1, dilation, &reach) &&
                      !__builtin_add_overflow(whole, reach + 1, &whole);
    if (!fits || y[2 + i] < 1 || y[2 + i] < whole - pads ||
        y[2 + i] - (whole - pads) >= std::max(stride, dilation))
      refuse("its sizes do not agree in spatial dimension " + std::to_string(i));
  }
}

void InstructionCheck::checkResize(const fb::Resize &op) const {
  expectCounts(1, 1, 1);
  expectActivation(0, ElementType::f32);
  expectDim(op.dim());
  Dims x = dimsOf(operand(0)), y = dimsOf(result(0));
  std::vector<int64_t> expected(x.begin(), x.end());
  if (y.size() == x.size())
    expected[op.dim()] = y[op.dim()];
  if (isSymbolDim(x[op.dim()]) || isSymbolDim(expected[op.dim()]) || x[op.dim()] < 1)
    refuse("dimension " + std::to_string(op.dim()) + " of " + text(x) +
           " is empty, or does not have a constant size before and after");
  expectResultDims(ElementType::f32, expected);
  if (op.mode() > fb::ResizeMode::MAX || op.coordinates() > fb::ResizeCoordinates::MAX ||
      op.rounding() > fb::ResizeRounding::MAX)
    refuse("its mode, coordinates or rounding is unknown");
  if (!std::isfinite(op.scale()) || !(op.scale() > 0))
    refuse("its scale is not a positive number");
  for (double number : {op.cubic_coefficient(), op.crop_begin(), op.crop_end(),
                        static_cast<double>(op.extrapolation())})
    if (!std::isfinite(number))
      refuse("one of its numbers is not finite");
}

void InstructionCheck::checkDotProductAttention(const fb::DotProductAttention &op) const {
  expectCounts(3, 4, 1);
  for (uint32_t i : {0u, 1u, 2u}) {
    expectActivation(i, ElementType::f32);
    Dims dims = dimsOf(operand(i));
    expectOperand(i, dims.size() == 4 && !isSymbolDim(dims[1]) && !isSymbolDim(dims[3]),
                  "of 4 dimensions, heads of constant number and size");
  }
  Dims q = dimsOf(operand(0)), k = dimsOf(operand(1)), v = dimsOf(operand(2));
  expectLike(1, {q[0], k[1], k[2], q[3]});
  expectLike(2, {k[0], k[1], k[2], v[3]});
  if (op.group() == 0)
    refuse("its group is 0");
  if (int64_t last = (int64_t{op.first_head()} + q[1] - 1) / op.group(); q[1] > 0 && last >= k[1])
    refuse("its last query head reads key head " + std::to_string(last) + " of " +
           std::to_string(k[1]));
  if (operandCount() == 4) {
    const fb::Value &mask = operand(3);
    Dims dims = dimsOf(mask);
    const int64_t products[] = {q[0], q[1], q[2], k[2]};
    bool fits = (mask.storage() == fb::Storage::Activation ||
                 mask.storage() == fb::Storage::Input || mask.storage() == fb::Storage::Weight) &&
                (typeOf(mask) == ElementType::f32 || typeOf(mask) == ElementType::i1) &&
                dims.size() <= 4;
    for (size_t i = 0; fits && i < dims.size(); ++i)
      fits = dims[i] == 1 || dims[i] == products[4 - dims.size() + i];
    expectOperand(3, fits, "a mask, f32 or i1, that broadcasts to " + text(products));
  }
  expectFinite("its scale", op.scale());
  expectFinite("its softcap", op.softcap());
  expectResultDims(ElementType::f32, {q[0], q[1], q[2], v[3]});
}

} // namespace cleave::rt
