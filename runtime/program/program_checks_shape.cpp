// The checks of operations that move elements: what program.fbs says of each.
#include "runtime/program/program_checks.h"

#include <algorithm>

namespace cleave::rt {

namespace {

/// Whether kernels that move elements compute with this type, too.
bool isNumber(ElementType type) {
  return type == ElementType::f32 || type == ElementType::f64 || isIntegerType(type);
}

void append(std::vector<int64_t> &dims, std::span<const int64_t> more) {
  dims.insert(dims.end(), more.begin(), more.end());
}

} // namespace

// ---- Sizes ----

SizeExpression InstructionCheck::sizeOf(int64_t dim) const {
  if (!isSymbolDim(dim))
    return dim;
  auto numbered = [](uint32_t number) {
    return SizeExpression::symbol("s" + std::to_string(number)).value();
  };
  const auto &symbols = *program.symbols();
  const auto own = static_cast<uint32_t>(symbolOfDim(dim));
  if (symbols.Get(own)->count() > 1)
    return numbered(own);
  MaybeSize size =
      expressionOf(*symbols.Get(own)).substitute([&](std::string_view name) -> MaybeSize {
        for (uint32_t i = 0; i < symbols.size(); ++i)
          if (symbols.Get(i)->count() == 1 && symbols.Get(i)->name()->string_view() == name)
            return numbered(i);
        return std::nullopt; // proved not to happen
      });
  // Too large to say: equal to itself alone.
  return size ? *size : numbered(own);
}

MaybeSize InstructionCheck::countOf(Dims dims) const {
  MaybeSize product = SizeExpression(1);
  for (int64_t dim : dims)
    product = sizeProduct(product, sizeOf(dim));
  return product;
}

void InstructionCheck::expectSymbol(int64_t number) const {
  if (!program.symbols() || number < 0 || number >= int64_t{program.symbols()->size()} ||
      program.symbols()->Get(static_cast<uint32_t>(number))->count() != 1)
    refuse("names symbol " + std::to_string(number) + ", which is no size");
}

// ---- Slice, Transpose, Reshape ----

void InstructionCheck::checkSlice(const fb::Slice &op) const {
  expectCounts(1, 1, 1);
  const fb::Value &x = operand(0);
  expectOperand(0, isDense(x), "a tensor of a plain type");
  expectResult(0, typeOf(result(0)) == typeOf(x), "of the operand's type");
  Dims whole = dimsOf(x), part = dimsOf(result(0));
  if (op.dim() >= whole.size())
    refuse("dimension " + std::to_string(op.dim()) + " is not one of " + text(whole));
  bool alike = whole.size() == part.size();
  for (size_t i = 0; alike && i < whole.size(); ++i)
    alike = i == op.dim() || whole[i] == part[i];
  if (!alike)
    refuse(text(part) + " is not like " + text(whole) + " outside of dimension " +
           std::to_string(op.dim()));
  int64_t size = whole[op.dim()], count = part[op.dim()];
  if (isSymbolDim(count) &&
      program.symbols()->Get(static_cast<uint32_t>(symbolOfDim(count)))->count() > 1) {
    const fb::Symbol *share = checkAlong(op.dim(), whole, part);
    if (share->count() == 1 || op.begin() != 0 || op.step() != 1)
      refuse("dimension " + std::to_string(op.dim()) + " of " + text(part) +
             " is no share of that of " + text(whole) + " with begin 0");
    return;
  }
  if (op.step() == 0)
    refuse("its step is 0");
  if (isSymbolDim(op.begin()))
    return expectSymbol(symbolOfDim(op.begin()));
  if (isSymbolDim(size) || isSymbolDim(count))
    return;
  int64_t last = op.begin();
  bool lies = op.begin() <= size - (count != 0 ? 1 : 0);
  if (count > 0)
    lies = lies && !__builtin_mul_overflow(count - 1, op.step(), &last) &&
           !__builtin_add_overflow(last, op.begin(), &last) && last >= 0 && last < size;
  if (!lies)
    refuse(std::to_string(count) + " from " + std::to_string(op.begin()) +
           " on are not within dimension " + std::to_string(op.dim()) + " of " + text(whole));
}

void InstructionCheck::checkTranspose(const fb::Transpose &op) const {
  expectCounts(1, 1, 1);
  const fb::Value &x = operand(0);
  expectOperand(0, isDense(x), "a tensor of a plain type");
  Dims from = dimsOf(x);
  uint32_t named = op.permutation() ? op.permutation()->size() : 0;
  if (named != from.size())
    refuse("its permutation does not have as many dimensions as " + text(from));
  std::vector<int64_t> to;
  std::vector<bool> seen(from.size(), false);
  for (uint32_t i = 0; i < named; ++i) {
    uint32_t dim = op.permutation()->Get(i);
    if (dim >= from.size() || seen[dim])
      refuse("its permutation does not name each dimension of " + text(from) + " once");
    seen[dim] = true;
    to.push_back(from[dim]);
  }
  expectResultDims(typeOf(x), to);
}

void InstructionCheck::checkReshape() const {
  expectCounts(1, 1, 1);
  const fb::Value &x = operand(0);
  expectOperand(0, isDense(x), "a tensor of a plain type");
  MaybeSize before = countOf(dimsOf(x));
  expectResult(0, typeOf(result(0)) == typeOf(x) && before && before == countOf(dimsOf(result(0))),
               "the elements of " + text(dimsOf(x)));
}

// ---- Concat, Expand, Range ----

void InstructionCheck::checkConcat(const fb::Concat &op) const {
  const uint32_t parts = std::max(operandCount(), 1u);
  expectCounts(parts, parts, 1);
  Dims whole = dimsOf(result(0));
  if (op.dim() >= whole.size())
    refuse("dimension " + std::to_string(op.dim()) + " is not one of " + text(whole));
  MaybeSize sum = SizeExpression(0);
  for (uint32_t i = 0; i < parts; ++i) {
    const fb::Value &part = operand(i);
    Dims dims = dimsOf(part);
    bool alike = isDense(part) && typeOf(part) == typeOf(result(0)) && dims.size() == whole.size();
    for (size_t d = 0; alike && d < dims.size(); ++d)
      alike = d == op.dim() || dims[d] == whole[d];
    expectOperand(i, alike, "like the result outside of dimension " + std::to_string(op.dim()));
    sum = sizeSum(sum, sizeOf(dims[op.dim()]));
  }
  expectResult(0, sum && *sum == sizeOf(whole[op.dim()]), "what the operands are together");
}

void InstructionCheck::checkExpand() const {
  expectCounts(1, 1, 1);
  const fb::Value &x = operand(0);
  Dims from = dimsOf(x), to = dimsOf(result(0));
  expectOperand(0, isDense(x), "a tensor of a plain type");
  bool fits = typeOf(x) == typeOf(result(0)) && from.size() <= to.size();
  for (size_t d = 0; fits && d < from.size(); ++d)
    fits = from[d] == 1 || from[d] == to[to.size() - from.size() + d];
  expectResult(0, fits, text(from) + " repeated");
}

void InstructionCheck::checkRange(const fb::Range &op) const {
  expectCounts(0, 0, 1);
  if (op.symbol() != -1)
    expectSymbol(op.symbol());
  expectResult(0, dimsOf(result(0)).size() == 1 && isNumber(typeOf(result(0))),
               "a vector of numbers that a range can have");
}

// ---- Elements by their numbers ----

void InstructionCheck::expectIndexed(uint32_t x, uint32_t indices) const {
  expectOperand(x, isDense(operand(x)), "a tensor of a plain type");
  ElementType type = typeOf(operand(indices));
  expectOperand(indices,
                isDense(operand(indices)) && (type == ElementType::i32 || type == ElementType::i64),
                "a tensor of i32 or i64");
}

void InstructionCheck::expectElements(uint32_t x, uint32_t indices, uint32_t dim) const {
  expectIndexed(x, indices);
  Dims from = dimsOf(operand(x)), places = dimsOf(operand(indices));
  if (dim >= from.size())
    refuse("dimension " + std::to_string(dim) + " is not one of " + text(from));
  bool lies = from.size() == places.size();
  for (size_t d = 0; lies && d < from.size(); ++d) {
    MaybeSize left = sizeDifference(sizeOf(from[d]), sizeOf(places[d]));
    lies = d == dim || (left && left->isNonNegative());
  }
  expectOperand(indices, lies,
                "within " + text(from) + " outside of dimension " + std::to_string(dim));
}

int64_t InstructionCheck::checkTuples(uint32_t x, uint32_t indices, uint32_t batchDims) const {
  expectIndexed(x, indices);
  Dims from = dimsOf(operand(x)), tuples = dimsOf(operand(indices));
  if (batchDims >= from.size() || batchDims >= tuples.size() ||
      !std::equal(from.begin(), from.begin() + batchDims, tuples.begin()))
    refuse("its operands do not have " + std::to_string(batchDims) +
           " dimensions in common and others behind them");
  int64_t length = tuples.back();
  expectOperand(indices, length >= 1 && length <= static_cast<int64_t>(from.size()) - batchDims,
                "of tuples that choose of " + text(from));
  return length;
}

void InstructionCheck::checkTake(const fb::Take &op) const {
  expectCounts(2, 2, 1);
  expectIndexed(0, 1);
  Dims from = dimsOf(operand(0));
  if (op.dim() >= from.size())
    refuse("dimension " + std::to_string(op.dim()) + " is not one of " + text(from));
  // A run-time size is negative here; the differences of numbers that are not do not overflow.
  const int64_t size = from[op.dim()];
  const bool isShare =
      size >= 0 && op.offset() >= 0 && op.whole() >= size && op.offset() <= op.whole() - size;
  if (op.whole() != 0 ? !isShare : op.offset() != 0)
    refuse("dimension " + std::to_string(op.dim()) + " of " + text(from) + " is no share from " +
           std::to_string(op.offset()) + " of " + std::to_string(op.whole()));
  std::vector<int64_t> dims(from.begin(), from.begin() + op.dim());
  append(dims, dimsOf(operand(1)));
  append(dims, from.subspan(op.dim() + 1));
  expectResultDims(typeOf(operand(0)), dims);
}

void InstructionCheck::checkGatherElements(const fb::GatherElements &op) const {
  expectCounts(2, 2, 1);
  expectElements(0, 1, op.dim());
  Dims indices = dimsOf(operand(1));
  expectResultDims(typeOf(operand(0)), {indices.begin(), indices.end()});
}

void InstructionCheck::checkGatherNd(const fb::GatherNd &op) const {
  expectCounts(2, 2, 1);
  int64_t length = checkTuples(0, 1, op.batch_dims());
  Dims from = dimsOf(operand(0)), tuples = dimsOf(operand(1));
  std::vector<int64_t> dims(tuples.begin(), tuples.end() - 1);
  append(dims, from.subspan(op.batch_dims() + static_cast<size_t>(length)));
  expectResultDims(typeOf(operand(0)), dims);
}

void InstructionCheck::checkScatterKind(fb::ScatterKind kind) const {
  if (kind > fb::ScatterKind::MAX)
    refuse("its kind is unknown");
  expectOperand(1, kind == fb::ScatterKind::Set || isNumber(typeOf(operand(1))),
                "of numbers that a scatter computes with");
}

void InstructionCheck::checkScatterElements(const fb::ScatterElements &op) const {
  expectCounts(3, 3, 1);
  expectElements(1, 2, op.dim());
  checkScatterKind(op.kind());
  Dims x = dimsOf(operand(1)), updates = dimsOf(operand(0)), indices = dimsOf(operand(2));
  expectOperand(0,
                isDense(operand(0)) && typeOf(operand(0)) == typeOf(operand(1)) &&
                    std::equal(updates.begin(), updates.end(), indices.begin(), indices.end()),
                "an update for each of operand 2");
  expectResultDims(typeOf(operand(1)), {x.begin(), x.end()});
}

void InstructionCheck::checkScatterNd(const fb::ScatterNd &op) const {
  expectCounts(3, 3, 1);
  int64_t length = checkTuples(1, 2, 0);
  checkScatterKind(op.kind());
  Dims x = dimsOf(operand(1)), updates = dimsOf(operand(0)), tuples = dimsOf(operand(2));
  std::vector<int64_t> expected(tuples.begin(), tuples.end() - 1);
  append(expected, x.subspan(static_cast<size_t>(length)));
  expectOperand(0,
                isDense(operand(0)) && typeOf(operand(0)) == typeOf(operand(1)) &&
                    std::equal(updates.begin(), updates.end(), expected.begin(), expected.end()),
                text(expected));
  expectResultDims(typeOf(operand(1)), {x.begin(), x.end()});
}

} // namespace cleave::rt
