// One function for each operation: what program.fbs says of it, as a check.
#include "runtime/program/program_checks.h"

#include "runtime/program/candidates.h"
#include "runtime/program/layout.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

namespace cleave::rt {

namespace {

/// Whether a product can read elements of this type as real numbers.
bool isReal(ElementType type) {
  return type == ElementType::f32 || type == ElementType::f16 || type == ElementType::bf16 ||
         isBlockType(elementTypeInfo(type));
}

/// Larger strides, dilations and pads of a convolution are a mistake.
constexpr uint32_t maxConvExtent = 32768;

bool equal(std::span<const int64_t> a, std::span<const int64_t> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

std::vector<int64_t> withLast(std::span<const int64_t> dims, int64_t last) {
  std::vector<int64_t> result(dims.begin(), dims.end());
  result.back() = last;
  return result;
}

} // namespace

// ---- What the operations' checks are made of ----

void InstructionCheck::refuse(const std::string &why) const {
  throw std::runtime_error(fileName + ": " + describeInstruction(entry, number) + ": " + why);
}

uint32_t InstructionCheck::operandCount() const {
  return instruction.operands() ? instruction.operands()->size() : 0;
}

const fb::Value &InstructionCheck::operand(uint32_t i) const {
  return *entry.values()->Get(instruction.operands()->Get(i));
}

const fb::Value &InstructionCheck::result(uint32_t i) const {
  return *entry.values()->Get(instruction.results()->Get(i));
}

void InstructionCheck::expectCounts(uint32_t leastOperands, uint32_t mostOperands,
                                    uint32_t results) const {
  uint32_t operands = operandCount();
  uint32_t found = instruction.results() ? instruction.results()->size() : 0;
  if (operands < leastOperands || operands > mostOperands)
    refuse("has " + std::to_string(operands) + " operands instead of " +
           std::to_string(leastOperands) +
           (leastOperands == mostOperands ? "" : " to " + std::to_string(mostOperands)));
  if (found != results)
    refuse("has " + std::to_string(found) + " results instead of " + std::to_string(results));
}

std::string InstructionCheck::text(Dims dims) const {
  std::string result = "[";
  for (int64_t dim : dims) {
    result += result.size() > 1 ? ", " : "";
    if (isSymbolDim(dim))
      result += quoted(program.symbols()->Get(static_cast<uint32_t>(symbolOfDim(dim)))->name());
    else
      result += std::to_string(dim);
  }
  return result + "]";
}

std::string InstructionCheck::describe(const char *role, uint32_t i, const fb::Value &value) const {
  return std::string(role) + " " + std::to_string(i) + ", " + fb::EnumNameStorage(value.storage()) +
         " " + std::string(elementTypeInfo(typeOf(value)).name) + " " + text(dimsOf(value)) + ",";
}

void InstructionCheck::expectOperand(uint32_t i, bool good, const std::string &expected) const {
  if (!good)
    refuse(describe("operand", i, operand(i)) + " is not " + expected);
}

void InstructionCheck::expectResult(uint32_t i, bool good, const std::string &expected) const {
  if (!good)
    refuse(describe("result", i, result(i)) + " is not " + expected);
}

void InstructionCheck::expectActivation(uint32_t i, ElementType type) const {
  const fb::Value &value = operand(i);
  expectOperand(i, isDense(value) && typeOf(value) == type && !dimsOf(value).empty(),
                "a tensor of " + std::string(elementTypeInfo(type).name));
}

void InstructionCheck::expectResultDims(ElementType type, const std::vector<int64_t> &dims) const {
  expectResultDims(0, type, dims);
}

void InstructionCheck::expectResultDims(uint32_t i, ElementType type,
                                        const std::vector<int64_t> &dims) const {
  expectResult(i, typeOf(result(i)) == type && equal(dimsOf(result(i)), dims),
               std::string(elementTypeInfo(type).name) + " " + text(dims));
}

void InstructionCheck::expectVector(uint32_t i, ElementType type, int64_t length) const {
  const fb::Value &value = operand(i);
  Dims dims = dimsOf(value);
  expectOperand(i, isDense(value) && typeOf(value) == type && dims.size() == 1 && dims[0] == length,
                std::string(elementTypeInfo(type).name) + " " + text(std::span(&length, 1)));
}

const fb::Value &InstructionCheck::expectState(uint32_t i) const {
  const fb::Value &value = operand(i);
  expectOperand(i, value.storage() == fb::Storage::State, "a state");
  return value;
}

void InstructionCheck::expectFinite(const char *what, float value) const {
  if (!std::isfinite(value))
    refuse(std::string(what) + " is not a finite number");
}

uint32_t InstructionCheck::checkGroup(const flatbuffers::Vector<uint32_t> *group) const {
  if (!group || group->size() == 0)
    refuse("its group is empty");
  if (group->size() > program.ranks())
    refuse("its group has " + std::to_string(group->size()) + " members of " +
           std::to_string(program.ranks()) + " ranks");
  std::vector<uint32_t> members(group->begin(), group->end());
  uint32_t own = static_cast<uint32_t>(std::find(members.begin(), members.end(), program.rank()) -
                                       members.begin());
  if (own == members.size())
    refuse("its group does not contain this rank, " + std::to_string(program.rank()));
  std::sort(members.begin(), members.end());
  if (members.back() >= program.ranks())
    refuse("its group names rank " + std::to_string(members.back()) + " of " +
           std::to_string(program.ranks()));
  if (auto twice = std::adjacent_find(members.begin(), members.end()); twice != members.end())
    refuse("its group names rank " + std::to_string(*twice) + " twice");
  return own;
}

void InstructionCheck::checkRanges(const flatbuffers::Vector<uint32_t> *group,
                                   const flatbuffers::Vector<int64_t> *ranges, uint32_t own,
                                   int64_t whole, int64_t share, bool mustCover) const {
  if (!ranges || ranges->size() != uint64_t{2} * group->size())
    refuse("has " + std::to_string(ranges ? ranges->size() : 0) + " range bounds for " +
           std::to_string(group->size()) + " members");
  if (!isAligned(ranges))
    refuse("has misaligned ranges");
  std::vector<std::pair<int64_t, int64_t>> sorted;
  for (uint32_t m = 0; m < group->size(); ++m) {
    int64_t begin = ranges->Get(2 * m), end = ranges->Get(2 * m + 1);
    if (begin < 0 || end < begin || end > whole)
      refuse("range " + std::to_string(begin) + ":" + std::to_string(end) +
             " is not within 0:" + std::to_string(whole));
    if (m == own && end - begin != share)
      refuse("this rank's range " + std::to_string(begin) + ":" + std::to_string(end) +
             " is not as long as its share, " + std::to_string(share));
    if (begin < end)
      sorted.emplace_back(begin, end);
  }
  std::sort(sorted.begin(), sorted.end());
  int64_t covered = 0;
  for (auto [begin, end] : sorted) {
    if (begin > covered)
      break;
    covered = std::max(covered, end);
  }
  if (mustCover && covered < whole)
    refuse("its ranges leave out index " + std::to_string(covered) + " of " +
           std::to_string(whole));
}

void InstructionCheck::checkPeer(uint32_t peer, uint32_t tag) const {
  if (peer >= program.ranks() || peer == program.rank())
    refuse("its peer, " + std::to_string(peer) + ", is not another of " +
           std::to_string(program.ranks()) + " ranks");
  if (tag > uint32_t{std::numeric_limits<int32_t>::max()})
    refuse("its tag, " + std::to_string(tag) + ", is too large");
}

const fb::Symbol *InstructionCheck::checkAlong(uint32_t dim, Dims whole, Dims part) const {
  if (dim >= whole.size())
    refuse("dimension " + std::to_string(dim) + " is not one of " + text(whole));
  bool alike = whole.size() == part.size();
  for (size_t i = 0; alike && i < whole.size(); ++i)
    alike = i == dim || whole[i] == part[i];
  if (!alike)
    refuse(text(part) + " is not like " + text(whole) + " outside of dimension " +
           std::to_string(dim));
  if (!isSymbolDim(whole[dim]) && !isSymbolDim(part[dim]))
    return nullptr;
  if (isSymbolDim(whole[dim]) && isSymbolDim(part[dim])) {
    const auto &symbols = *program.symbols();
    const fb::Symbol &share = *symbols.Get(static_cast<uint32_t>(symbolOfDim(part[dim])));
    // Of a group of one the share is all.
    bool isAll = part[dim] == whole[dim] && share.count() == 1;
    if (isAll || (share.count() > 1 && dimOfSymbol(share.base()) == whole[dim]))
      return &share;
  }
  refuse("dimension " + std::to_string(dim) + " of " + text(part) +
         " is neither constant as that of " + text(whole) + " nor a share of it");
}

void InstructionCheck::checkMemberShare(const flatbuffers::Vector<uint32_t> *group,
                                        const flatbuffers::Vector<int64_t> *ranges, uint32_t dim,
                                        Dims whole, Dims part) const {
  uint32_t own = checkGroup(group);
  const fb::Symbol *share = checkAlong(dim, whole, part);
  if (!share)
    return checkRanges(group, ranges, own, whole[dim], part[dim]);
  if (ranges && ranges->size() != 0)
    refuse("has ranges along dimension " + std::to_string(dim) + " of " + text(whole) +
           ", which is not constant");
  if (share->count() != group->size() || (share->count() > 1 && share->index() != own))
    refuse("dimension " + std::to_string(dim) + " of " + text(part) + " is not share " +
           std::to_string(own) + " of " + std::to_string(group->size()));
}

// ---- The operations ----

void InstructionCheck::checkGather(const fb::Gather &op) const {
  expectCounts(2, 2, 1);
  const fb::Value &source = operand(0);
  Dims from = dimsOf(source), indices = dimsOf(operand(1));
  bool readable = source.storage() == fb::Storage::Weight ? isReal(typeOf(source))
                                                          : typeOf(source) == ElementType::f32;
  expectOperand(0, source.storage() != fb::Storage::State && readable && from.size() == 2,
                "a matrix of real numbers");
  expectOperand(0, !isSymbolDim(from[1]), "a matrix of constant width");
  expectActivation(1, ElementType::i32);
  expectOperand(1, indices.size() == 1, "a vector");
  if (op.offset() < 0)
    refuse("its offset, " + std::to_string(op.offset()) + ", is negative");
  expectResultDims(ElementType::f32, {indices[0], from[1]});
}

void InstructionCheck::checkLinear(const fb::Linear &op) const {
  const uint32_t weights = std::max(operandCount(), 2u) - 1;
  expectCounts(2, weights + 1, weights);
  expectActivation(0, ElementType::f32);
  Dims x = dimsOf(operand(0));
  expectOperand(0, !isSymbolDim(x.back()), "a tensor whose last dimension is constant");
  for (uint32_t i = 1; i <= weights; ++i) {
    const fb::Value &weight = operand(i);
    Dims w = dimsOf(weight);
    expectOperand(
        i, weight.storage() == fb::Storage::Weight && w.size() == 2 && isReal(typeOf(weight)),
        "a weight matrix of real numbers");
    expectOperand(i, w[1] == dimsOf(operand(1))[1], "as wide as operand 1");
    // A weight's dimensions are bounded by its file; x's may be anything.
    if (x.back() > w[1] || op.pad_before() > w[1] - x.back())
      refuse(std::to_string(x.back()) + " columns after " + std::to_string(op.pad_before()) +
             " do not fit the weight's " + std::to_string(w[1]));
    expectResultDims(i - 1, ElementType::f32, withLast(x, w[0]));
  }
}

void InstructionCheck::checkConv(const fb::Conv &op) const {
  expectCounts(2, 3, 1);
  expectActivation(0, ElementType::f32);
  Dims x = dimsOf(operand(0)), filter = dimsOf(operand(1));
  auto constantFrom = [](Dims dims, size_t first) {
    return std::none_of(dims.begin() + static_cast<ptrdiff_t>(first), dims.end(), isSymbolDim);
  };
  expectOperand(0, x.size() >= 3 && x.size() <= 5 && constantFrom(x, 1),
                "a batch of images whose channels and sizes are constant");
  const fb::Value &weight = operand(1);
  expectOperand(1,
                isDense(weight) && typeOf(weight) == ElementType::f32 &&
                    filter.size() == x.size() && constantFrom(filter, 0),
                "an f32 filter of constant dimensions, as many as operand 0 has");
  int64_t outputs = filter[0], channels = filter[1];
  if (channels == 0 ? x[1] != 0 : x[1] % channels != 0)
    refuse(std::to_string(x[1]) + " channels are no whole groups of the filter's " +
           std::to_string(channels));
  // No channels in no groups are one group, of which nothing is summed.
  int64_t groups = channels == 0 ? 1 : x[1] / channels;
  if (groups == 0 ? outputs != 0 : outputs % groups != 0)
    refuse(std::to_string(outputs) + " output channels are not as many for each of " +
           std::to_string(groups) + " groups");
  if (operandCount() == 3)
    expectVector(2, ElementType::f32, outputs);

  size_t spatial = x.size() - 2;
  auto expectNumbers = [&](const char *what, const flatbuffers::Vector<uint32_t> *numbers,
                           size_t count, uint32_t least) {
    if (!numbers || numbers->size() != count)
      refuse("has " + std::to_string(numbers ? numbers->size() : 0) + " " + what + " for " +
             std::to_string(spatial) + " spatial dimensions");
    for (uint32_t number : *numbers)
      if (number < least || number > maxConvExtent)
        refuse("has " + std::to_string(number) + " among its " + what + ", not " +
               std::to_string(least) + " to " + std::to_string(maxConvExtent));
  };
  expectNumbers("strides", op.strides(), spatial, 1);
  expectNumbers("pads", op.pads(), 2 * spatial, 0);
  expectNumbers("dilations", op.dilations(), spatial, 1);
  std::vector<int64_t> y = {x[0], outputs};
  for (uint32_t i = 0; i < spatial; ++i) {
    // An input's dimensions may be anything: nothing here may overflow.
    int64_t size = x[2 + i], taps = filter[2 + i], reach = 0, padded = 0;
    bool fits = taps >= 1 && !__builtin_mul_overflow(taps - 1, op.dilations()->Get(i), &reach) &&
                !__builtin_add_overflow(reach, 1, &reach) &&
                !__builtin_add_overflow(
                    size, op.pads()->Get(i) + op.pads()->Get(static_cast<uint32_t>(spatial) + i),
                    &padded) &&
                reach <= padded;
    if (!fits)
      refuse("a filter of " + std::to_string(taps) + " elements does not fit " +
             std::to_string(size) + " with pads and dilation in spatial dimension " +
             std::to_string(i));
    y.push_back((padded - reach) / op.strides()->Get(i) + 1);
  }
  expectResultDims(ElementType::f32, y);
}

void InstructionCheck::checkRmsNorm(const fb::RmsNorm &op) const {
  expectCounts(2, 2, 1);
  expectActivation(0, ElementType::f32);
  Dims x = dimsOf(operand(0));
  expectOperand(0, !isSymbolDim(x.back()), "a tensor whose last dimension is constant");
  // Whole heads, where the weight is that of a head.
  Dims weight = dimsOf(operand(1));
  bool areHeads = weight.size() == 1 && weight[0] > 0 && x.back() % weight[0] == 0;
  expectVector(1, ElementType::f32, areHeads ? weight[0] : x.back());
  if (!(op.epsilon() >= 0) || !std::isfinite(op.epsilon()))
    refuse("its epsilon is not a finite number of at least 0");
  expectResultDims(ElementType::f32, {x.begin(), x.end()});
}

void InstructionCheck::checkRope(const fb::Rope &op) const {
  expectCounts(2, 3, 1);
  expectActivation(0, ElementType::f32);
  Dims x = dimsOf(operand(0));
  expectOperand(0, x.size() == 2 && !isSymbolDim(x[1]), "a matrix of constant width");
  if (op.head_dim() == 0 || x[1] % op.head_dim() != 0)
    refuse("a width of " + std::to_string(x[1]) + " is no whole number of heads of " +
           std::to_string(op.head_dim()));
  if (op.rotary_dim() == 0 || op.rotary_dim() % 2 != 0 || op.rotary_dim() > op.head_dim())
    refuse("its rotary_dim, " + std::to_string(op.rotary_dim()) +
           ", is not an even number from 2 to head_dim, " + std::to_string(op.head_dim()));
  expectVector(1, ElementType::i32, x[0]);
  if (operandCount() == 3) {
    expectVector(2, ElementType::f32, op.rotary_dim() / 2);
    expectOperand(2, operand(2).storage() == fb::Storage::Weight, "a weight");
  }
  expectFinite("its base", op.base());
  if (!(op.base() > 0))
    refuse("its base is not positive");
  expectFinite("its scale", op.scale());
  if (op.style() != fb::RopeStyle::Interleaved && op.style() != fb::RopeStyle::Halves)
    refuse("its style is unknown");
  expectResultDims(ElementType::f32, {x.begin(), x.end()});
}

void InstructionCheck::checkStateUpdate() const {
  expectCounts(4, 4, 0);
  Dims state = dimsOf(expectState(0));
  expectActivation(1, ElementType::f32);
  Dims x = dimsOf(operand(1));
  expectOperand(1, x.size() == 2 && x[1] == state[2], "rows of the state's width");
  expectVector(2, ElementType::i32, x[0]);
  expectVector(3, ElementType::i32, x[0]);
}

void InstructionCheck::checkAttention(const fb::Attention &op) const {
  expectCounts(5, 5, 1);
  expectActivation(0, ElementType::f32);
  Dims q = dimsOf(operand(0));
  expectOperand(0, q.size() == 2 && !isSymbolDim(q[1]), "a matrix of constant width");
  const fb::Value &k = expectState(1), &v = expectState(2);
  expectOperand(2, equal(dimsOf(k), dimsOf(v)) && typeOf(k) == typeOf(v), "like the keys' state");
  if (op.head_dim() == 0 || q[1] % op.head_dim() != 0)
    refuse("a query width of " + std::to_string(q[1]) + " is no whole number of heads of " +
           std::to_string(op.head_dim()));
  int64_t width = dimsOf(k)[2], heads = q[1] / op.head_dim(), keyHeads = width / op.head_dim();
  if (width % op.head_dim() != 0)
    refuse("a key width of " + std::to_string(width) + " is no whole number of heads of " +
           std::to_string(op.head_dim()));
  if (op.group() == 0)
    refuse("its group is 0");
  // heads is at most 2^62, first_head below 2^32: the sum fits.
  int64_t lastKeyHead = (int64_t{op.first_head()} + heads - 1) / op.group();
  if (heads > 0 && lastKeyHead >= keyHeads)
    refuse("its last query head reads key head " + std::to_string(lastKeyHead) + " of " +
           std::to_string(keyHeads));
  expectVector(3, ElementType::i32, q[0]);
  expectVector(4, ElementType::i32, q[0]);
  expectFinite("its scale", op.scale());
  expectResultDims(ElementType::f32, {q.begin(), q.end()});
}

/// Whether a value has the dimensions of candidates of `rows` rows.
static bool areCandidates(std::span<const int64_t> dims, int64_t rows) {
  return dims.size() == 3 && dims[0] == rows && dims[1] >= 1 && dims[1] <= maxCandidates &&
         dims[2] == 2;
}

void InstructionCheck::checkTopK(const fb::TopK &op) const {
  expectCounts(1, 1, 1);
  expectActivation(0, ElementType::f32);
  Dims x = dimsOf(operand(0));
  expectOperand(0, x.size() == 2 && !isSymbolDim(x[1]) && x[1] <= maxCandidateColumns,
                "a matrix of constant width of at most " + std::to_string(maxCandidateColumns));
  if (op.offset() < 0 || op.offset() > maxCandidateColumns - x[1])
    refuse("its columns, " + std::to_string(x[1]) + " from " + std::to_string(op.offset()) +
           " on, are not within 0:" + std::to_string(maxCandidateColumns));
  expectResult(0, typeOf(result(0)) == ElementType::f32 && areCandidates(dimsOf(result(0)), x[0]),
               "1 to " + std::to_string(maxCandidates) + " candidates of each row");
}

void InstructionCheck::checkRoute() const {
  expectCounts(1, 1, 1);
  expectActivation(0, ElementType::f32);
  Dims logits = dimsOf(operand(0)), chosen = dimsOf(result(0));
  expectOperand(0, logits.size() == 2 && !isSymbolDim(logits[1]), "a matrix of constant width");
  expectResult(0, chosen.size() == 2 && chosen[1] >= 1 && chosen[1] <= logits[1],
               "a matrix of 1 to " + std::to_string(logits[1]) + " columns");
  expectResultDims(ElementType::i32, {logits[0], chosen[1]});
}

void InstructionCheck::checkRouteWeights(const fb::RouteWeights &op) const {
  expectCounts(2, 2, 1);
  expectActivation(0, ElementType::f32);
  expectActivation(1, ElementType::i32);
  Dims logits = dimsOf(operand(0)), chosen = dimsOf(operand(1));
  expectOperand(0, logits.size() == 2 && !isSymbolDim(logits[1]), "a matrix of constant width");
  expectOperand(1, chosen.size() == 2 && chosen[0] == logits[0] && !isSymbolDim(chosen[1]),
                "a matrix of constant width with as many rows as operand 0");
  expectFinite("its scale", op.scale());
  expectResultDims(ElementType::f32, {chosen.begin(), chosen.end()});
}

void InstructionCheck::checkMoe(const fb::Moe &op) const {
  expectCounts(6, 6, 1);
  expectActivation(0, ElementType::f32);
  expectActivation(1, ElementType::i32);
  expectActivation(2, ElementType::f32);
  Dims x = dimsOf(operand(0)), chosen = dimsOf(operand(1)), weights = dimsOf(operand(2));
  expectOperand(0, x.size() == 2 && !isSymbolDim(x[1]), "a matrix of constant width");
  expectOperand(1, chosen.size() == 2 && chosen[0] == x[0] && !isSymbolDim(chosen[1]),
                "a matrix of constant width with as many rows as operand 0");
  expectOperand(2, equal(weights, chosen), "of operand 1's dimensions");
  for (uint32_t i : {3u, 4u, 5u})
    expectOperand(i,
                  operand(i).storage() == fb::Storage::Weight && dimsOf(operand(i)).size() == 3 &&
                      isReal(typeOf(operand(i))),
                  "a weight of real numbers with 3 dimensions");
  Dims gate = dimsOf(operand(3)), up = dimsOf(operand(4)), down = dimsOf(operand(5));
  expectOperand(3, gate[2] == x[1], "a weight of as many columns as operand 0");
  expectOperand(4, equal(up, gate), "of operand 3's dimensions");
  expectOperand(5, down[0] == gate[0], "a weight of as many experts as operand 3");
  // Weights' dimensions are bounded by their file.
  if (gate[1] > down[2] || op.pad_before() > down[2] - gate[1])
    refuse(std::to_string(gate[1]) + " columns after " + std::to_string(op.pad_before()) +
           " do not fit operand 5's " + std::to_string(down[2]));
  if (op.first_expert() < 0)
    refuse("its first expert, " + std::to_string(op.first_expert()) + ", is negative");
  expectResultDims(ElementType::f32, {x[0], down[1]});
}

void InstructionCheck::checkAllReduce(const fb::AllReduce &op) const {
  const uint32_t values = std::clamp(operandCount(), 1u, 16u);
  expectCounts(1, values, values);
  checkGroup(op.group());
  for (uint32_t i = 0; i < values; ++i) {
    expectOperand(i, isDense(operand(i)), "a tensor of a plain type");
    expectOperand(i, typeOf(operand(i)) != ElementType::i1, "of numbers, which have a sum");
    expectOperand(i, typeOf(operand(i)) == typeOf(operand(0)), "of operand 0's type");
    Dims x = dimsOf(operand(i));
    expectResultDims(i, typeOf(operand(i)), {x.begin(), x.end()});
  }
  if (op.kind() != fb::ReductionKind::Sum && op.kind() != fb::ReductionKind::Top)
    refuse("its kind is unknown");
  if (op.kind() == fb::ReductionKind::Sum)
    return;
  expectCounts(1, 1, 1);
  Dims x = dimsOf(operand(0));
  expectOperand(0, typeOf(operand(0)) == ElementType::f32 && !x.empty() && areCandidates(x, x[0]),
                "candidates");
}

void InstructionCheck::checkSumAndNorm(float epsilon) const {
  expectActivation(0, ElementType::f32);
  Dims x = dimsOf(operand(0));
  expectOperand(0, !isSymbolDim(x.back()), "a tensor whose last dimension is constant");
  expectActivation(1, ElementType::f32);
  expectOperand(1, equal(x, dimsOf(operand(1))), "like operand 0");
  expectResultDims(ElementType::f32, {x.begin(), x.end()});
  if (operandCount() == 2)
    return;
  expectVector(2, ElementType::f32, x.back());
  if (!(epsilon >= 0) || !std::isfinite(epsilon))
    refuse("its epsilon is not a finite number of at least 0");
  expectResultDims(1, ElementType::f32, {x.begin(), x.end()});
}

void InstructionCheck::checkAllReduceAdd(const fb::AllReduceAdd &op) const {
  expectCounts(2, 3, operandCount() == 3 ? 2 : 1);
  checkGroup(op.group());
  checkSumAndNorm(op.epsilon());
}

void InstructionCheck::checkAddNorm(const fb::AddNorm &op) const {
  expectCounts(3, 3, 2);
  checkSumAndNorm(op.epsilon());
}

void InstructionCheck::checkAllGather(const fb::AllGather &op) const {
  expectCounts(1, 1, 1);
  expectOperand(0, isDense(operand(0)), "a tensor of a plain type");
  expectResult(0, typeOf(result(0)) == typeOf(operand(0)), "of the operand's type");
  Dims whole = dimsOf(result(0)), part = dimsOf(operand(0));
  checkMemberShare(op.group(), op.ranges(), op.dim(), whole, part);
}

void InstructionCheck::checkReduceScatter(const fb::ReduceScatter &op) const {
  expectCounts(1, 1, 1);
  expectOperand(0, isDense(operand(0)), "a tensor of a plain type");
  expectOperand(0, typeOf(operand(0)) != ElementType::i1, "of numbers, which have a sum");
  expectResult(0, typeOf(result(0)) == typeOf(operand(0)), "of the operand's type");
  Dims whole = dimsOf(operand(0)), part = dimsOf(result(0));
  checkMemberShare(op.group(), op.ranges(), op.dim(), whole, part);
}

void InstructionCheck::checkAllToAll(const fb::AllToAll &op) const {
  expectCounts(1, 1, 1);
  expectOperand(0, isDense(operand(0)), "a tensor of a plain type");
  expectResult(0, typeOf(result(0)) == typeOf(operand(0)), "of the operand's type");
  Dims x = dimsOf(operand(0)), y = dimsOf(result(0));
  uint32_t own = checkGroup(op.group()), split = op.split_dim(), concat = op.concat_dim();
  // The value that has the dimension whole: x the one that is cut, y the one that is
  // joined; outside of these two they are alike.
  std::vector<int64_t> cut(x.begin(), x.end());
  if (split >= x.size() || x.size() != y.size())
    refuse("dimension " + std::to_string(split) + " is not one of " + text(x) + " and " + text(y));
  checkAlong(split, x, cut);
  if (isSymbolDim(x[split]) || isSymbolDim(y[split]))
    refuse("dimension " + std::to_string(split) + " of " + text(x) + " is not constant");
  cut[split] = y[split];
  checkAlong(concat, y, cut);
  if (isSymbolDim(y[concat]) || isSymbolDim(x[concat]))
    refuse("dimension " + std::to_string(concat) + " of " + text(y) + " is not constant");
  int64_t joined = y[concat];
  if (split == concat) { // whole on no member: as long as its ranges say
    joined = 0;
    if (op.concat_ranges() && isAligned(op.concat_ranges()))
      for (int64_t bound : *op.concat_ranges())
        joined = std::max(joined, bound);
    checkRanges(op.group(), op.split_ranges(), own, joined, y[split], /*mustCover=*/false);
  } else {
    checkRanges(op.group(), op.split_ranges(), own, x[split], y[split], /*mustCover=*/false);
  }
  checkRanges(op.group(), op.concat_ranges(), own, joined, x[concat]);
}

void InstructionCheck::checkBroadcast(const fb::Broadcast &op) const {
  expectCounts(1, 1, 1);
  expectOperand(0, isDense(operand(0)), "a tensor of a plain type");
  Dims x = dimsOf(operand(0));
  checkGroup(op.group());
  expectResultDims(typeOf(operand(0)), {x.begin(), x.end()});
}

void InstructionCheck::checkSend(const fb::Send &op) const {
  expectCounts(1, 1, 0);
  expectOperand(0, isDense(operand(0)), "a tensor of a plain type");
  checkPeer(op.peer(), op.tag());
}

void InstructionCheck::checkRecv(const fb::Recv &op) const {
  expectCounts(0, 0, 1);
  checkPeer(op.peer(), op.tag());
}

void InstructionCheck::checkLayouts() const {
  const fb::Operation type = instruction.operation_type();
  for (uint32_t i = 0; i < operandCount(); ++i) {
    if (operand(i).storage() != fb::Storage::Weight)
      continue;
    const auto layout = static_cast<Layout>(program.weights()->Get(operand(i).index())->layout());
    const bool isMatrix =
        (type == fb::Operation::Linear && i >= 1) || (type == fb::Operation::Moe && i >= 3);
    if (isMatrix && layout != matrixLayout(typeOf(operand(i))))
      expectOperand(i, false, "in the layout of matrices of its type");
    // A matrix may be a table as well, tied to the embedding.
    const fb::Take *take = instruction.operation_as_Take();
    const bool isTable = type == fb::Operation::Gather ||
                         (take && take->dim() == 0 && dimsOf(operand(i)).size() == 2);
    if (!isMatrix && !isTable)
      expectOperand(i, layout == Layout::rows, "in rows");
  }
}

void InstructionCheck::check() const {
  checkLayouts();
  switch (instruction.operation_type()) {
  case fb::Operation::NONE:
    break;
  case fb::Operation::Gather:
    return checkGather(*instruction.operation_as_Gather());
  case fb::Operation::Linear:
    return checkLinear(*instruction.operation_as_Linear());
  case fb::Operation::Conv:
    return checkConv(*instruction.operation_as_Conv());
  case fb::Operation::RmsNorm:
    return checkRmsNorm(*instruction.operation_as_RmsNorm());
  case fb::Operation::Rope:
    return checkRope(*instruction.operation_as_Rope());
  case fb::Operation::StateUpdate:
    return checkStateUpdate();
  case fb::Operation::Attention:
    return checkAttention(*instruction.operation_as_Attention());
  case fb::Operation::Unary:
    return checkUnary(*instruction.operation_as_Unary());
  case fb::Operation::Binary:
    return checkBinary(*instruction.operation_as_Binary());
  case fb::Operation::Slice:
    return checkSlice(*instruction.operation_as_Slice());
  case fb::Operation::Transpose:
    return checkTranspose(*instruction.operation_as_Transpose());
  case fb::Operation::Reshape:
    return checkReshape();
  case fb::Operation::AllReduce:
    return checkAllReduce(*instruction.operation_as_AllReduce());
  case fb::Operation::AllGather:
    return checkAllGather(*instruction.operation_as_AllGather());
  case fb::Operation::ReduceScatter:
    return checkReduceScatter(*instruction.operation_as_ReduceScatter());
  case fb::Operation::AllToAll:
    return checkAllToAll(*instruction.operation_as_AllToAll());
  case fb::Operation::Broadcast:
    return checkBroadcast(*instruction.operation_as_Broadcast());
  case fb::Operation::Send:
    return checkSend(*instruction.operation_as_Send());
  case fb::Operation::Recv:
    return checkRecv(*instruction.operation_as_Recv());
  case fb::Operation::AllReduceAdd:
    return checkAllReduceAdd(*instruction.operation_as_AllReduceAdd());
  case fb::Operation::AddNorm:
    return checkAddNorm(*instruction.operation_as_AddNorm());
  case fb::Operation::TopK:
    return checkTopK(*instruction.operation_as_TopK());
  case fb::Operation::Route:
    return checkRoute();
  case fb::Operation::RouteWeights:
    return checkRouteWeights(*instruction.operation_as_RouteWeights());
  case fb::Operation::Moe:
    return checkMoe(*instruction.operation_as_Moe());
  case fb::Operation::MatMul:
    return checkMatMul(*instruction.operation_as_MatMul());
  case fb::Operation::Softmax:
    return checkSoftmax(*instruction.operation_as_Softmax());
  case fb::Operation::LayerNorm:
    return checkLayerNorm(*instruction.operation_as_LayerNorm());
  case fb::Operation::Reduce:
    return checkReduce(*instruction.operation_as_Reduce());
  case fb::Operation::ArgReduce:
    return checkArgReduce(*instruction.operation_as_ArgReduce());
  case fb::Operation::TopElements:
    return checkTopElements(*instruction.operation_as_TopElements());
  case fb::Operation::CumulativeSum:
    return checkCumulativeSum(*instruction.operation_as_CumulativeSum());
  case fb::Operation::Pool:
    return checkPool(*instruction.operation_as_Pool());
  case fb::Operation::PoolIndices:
    return checkPoolIndices(*instruction.operation_as_PoolIndices());
  case fb::Operation::ConvTranspose:
    return checkConvTranspose(*instruction.operation_as_ConvTranspose());
  case fb::Operation::Resize:
    return checkResize(*instruction.operation_as_Resize());
  case fb::Operation::DotProductAttention:
    return checkDotProductAttention(*instruction.operation_as_DotProductAttention());
  case fb::Operation::Concat:
    return checkConcat(*instruction.operation_as_Concat());
  case fb::Operation::Expand:
    return checkExpand();
  case fb::Operation::Range:
    return checkRange(*instruction.operation_as_Range());
  case fb::Operation::Take:
    return checkTake(*instruction.operation_as_Take());
  case fb::Operation::GatherElements:
    return checkGatherElements(*instruction.operation_as_GatherElements());
  case fb::Operation::GatherNd:
    return checkGatherNd(*instruction.operation_as_GatherNd());
  case fb::Operation::ScatterElements:
    return checkScatterElements(*instruction.operation_as_ScatterElements());
  case fb::Operation::ScatterNd:
    return checkScatterNd(*instruction.operation_as_ScatterNd());
  case fb::Operation::Where:
    return checkWhere();
  case fb::Operation::Cast:
    return checkCast();
  }
  refuse("its operation is unknown");
}

} // namespace cleave::rt
