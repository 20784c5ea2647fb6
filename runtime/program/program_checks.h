// The proof of each operation of a program against what program.fbs says of it.
// Private to this folder: program.cpp proves what all instructions share (numbers
// of values, order of definition) before it asks for these.
#pragma once

#include "runtime/program/element_type.h"
#include "runtime/program/elementwise.h"
#include "runtime/program/program.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace cleave::rt {

inline std::span<const int64_t> dimsOf(const fb::Value &value) {
  return dimsOf(value.dims());
}

inline ElementType typeOf(const fb::Value &value) {
  return static_cast<ElementType>(value.element_type());
}

/// Whether a value is an array of elements of a plain type.
inline bool isDense(const fb::Value &value) {
  return value.storage() != fb::Storage::State && !isBlockType(elementTypeInfo(typeOf(value)));
}

/// One instruction whose operands and results are known to be values of the entry.
class InstructionCheck {
public:
  InstructionCheck(const fb::Program &program, const fb::Entry &entry, uint32_t number,
                   const std::string &fileName)
      : program(program), entry(entry), number(number), fileName(fileName),
        instruction(*entry.instructions()->Get(number)) {}

  /// Throws unless the instruction keeps its operation's rules.
  void check() const;

  /// Throws: `why` after the file and the instruction.
  [[noreturn]] void refuse(const std::string &why) const;

private:
  using Dims = std::span<const int64_t>;

  void expectCounts(uint32_t leastOperands, uint32_t mostOperands, uint32_t results) const;
  uint32_t operandCount() const;
  const fb::Value &operand(uint32_t i) const;
  const fb::Value &result(uint32_t i) const;

  /// "operand 1, f32 [tokens, 64]".
  std::string describe(const char *role, uint32_t i, const fb::Value &value) const;
  std::string text(Dims dims) const;

  /// Each of these throws, describing the value, unless it is as named.
  void expectOperand(uint32_t i, bool good, const std::string &expected) const;
  void expectResult(uint32_t i, bool good, const std::string &expected) const;
  void expectActivation(uint32_t i, ElementType type) const;
  void expectResultDims(ElementType type, const std::vector<int64_t> &dims) const;
  void expectResultDims(uint32_t i, ElementType type, const std::vector<int64_t> &dims) const;
  void expectVector(uint32_t i, ElementType type, int64_t length) const;
  const fb::Value &expectState(uint32_t i) const;
  void expectFinite(const char *what, float value) const;
  /// f32 of these dimensions.
  void expectLike(uint32_t i, const std::vector<int64_t> &dims) const;
  /// Of f32, or integers of 32 or 64 bits. Returns which.
  ElementType expectWide(uint32_t i) const;
  /// One of operand 0.
  void expectDim(uint32_t dim) const;
  /// Result 0 is operand 0 but that its `reduced` dimensions are 1, or are left out.
  void expectReduced(ElementType type, const std::vector<bool> &reduced) const;
  /// `count` numbers of at least `least`, and none that is a mistake.
  void expectNumbers(const char *what, const flatbuffers::Vector<uint32_t> *numbers, size_t count,
                     uint32_t least) const;
  /// Operand 0 is f32 [n, c, s...], and so is result 0, but of `type`; all but n, which they share,
  /// is constant.
  void expectImages(ElementType type = ElementType::f32) const;
  /// The operand is dense and of one of these types.
  void expectPlain(uint32_t i, TypeSet types) const;
  /// The operands' dimensions are matched as Binary has it, and so are the result's, of `type`.
  void expectBroadcast(ElementType type) const;

  /// The group of a collective: ranks of the program, each once, this one among
  /// them. Returns this rank's place.
  uint32_t checkGroup(const flatbuffers::Vector<uint32_t> *group) const;
  /// The ranges of a collective lie in [0, whole) and, if they must, cover it, and member
  /// `own` has `share`.
  void checkRanges(const flatbuffers::Vector<uint32_t> *group,
                   const flatbuffers::Vector<int64_t> *ranges, uint32_t own, int64_t whole,
                   int64_t share, bool mustCover = true) const;
  void checkPeer(uint32_t peer, uint32_t tag) const;
  /// `whole` and `part` are alike but in dimension `dim`, which is constant in both, or a
  /// symbol and a share of it. Returns that share, or null where the dimension is constant.
  const fb::Symbol *checkAlong(uint32_t dim, Dims whole, Dims part) const;
  /// What `part` is of `whole` along `dim`: the range of member `own`, or share `own` of as
  /// many as the group has members.
  void checkMemberShare(const flatbuffers::Vector<uint32_t> *group,
                        const flatbuffers::Vector<int64_t> *ranges, uint32_t dim, Dims whole,
                        Dims part) const;

  /// A dimension as an expression over the numbers of symbols, so that no names can be
  /// mistaken for each other; a share is a symbol of its own.
  SizeExpression sizeOf(int64_t dim) const;
  /// The elements of a value; nothing where they are too many to say.
  MaybeSize countOf(Dims dims) const;
  /// `number` is a symbol that is no share.
  void expectSymbol(int64_t number) const;
  /// Operands that are plain tensors, of which `indices` is of i32 or i64.
  void expectIndexed(uint32_t x, uint32_t indices) const;
  /// Operand `indices` lies in operand `x` but along `dim`.
  void expectElements(uint32_t x, uint32_t indices, uint32_t dim) const;
  /// The length of the tuples in operand `indices`, which choose of operand `x`.
  int64_t checkTuples(uint32_t x, uint32_t indices, uint32_t batchDims) const;
  void checkScatterKind(fb::ScatterKind kind) const;

  /// Each weight lies as the operation reads it.
  void checkLayouts() const;

  void checkGather(const fb::Gather &op) const;
  void checkLinear(const fb::Linear &op) const;
  void checkConv(const fb::Conv &op) const;
  void checkRmsNorm(const fb::RmsNorm &op) const;
  void checkRope(const fb::Rope &op) const;
  void checkStateUpdate() const;
  void checkAttention(const fb::Attention &op) const;
  void checkUnary(const fb::Unary &op) const;
  void checkBinary(const fb::Binary &op) const;
  void checkWhere() const;
  void checkCast() const;
  void checkSlice(const fb::Slice &op) const;
  void checkTranspose(const fb::Transpose &op) const;
  void checkReshape() const;
  void checkConcat(const fb::Concat &op) const;
  void checkExpand() const;
  void checkRange(const fb::Range &op) const;
  void checkTake(const fb::Take &op) const;
  void checkGatherElements(const fb::GatherElements &op) const;
  void checkGatherNd(const fb::GatherNd &op) const;
  void checkScatterElements(const fb::ScatterElements &op) const;
  void checkScatterNd(const fb::ScatterNd &op) const;
  void checkTopK(const fb::TopK &op) const;
  void checkRoute() const;
  void checkRouteWeights(const fb::RouteWeights &op) const;
  void checkMoe(const fb::Moe &op) const;
  void checkMatMul(const fb::MatMul &op) const;
  void checkSoftmax(const fb::Softmax &op) const;
  void checkLayerNorm(const fb::LayerNorm &op) const;
  void checkReduce(const fb::Reduce &op) const;
  void checkArgReduce(const fb::ArgReduce &op) const;
  void checkTopElements(const fb::TopElements &op) const;
  void checkCumulativeSum(const fb::CumulativeSum &op) const;
  void checkPool(const fb::Pool &op) const;
  /// The window of a pool fits operand 0, and the result's sizes follow.
  template <typename PoolT> void checkWindow(const PoolT &op) const;
  void checkPoolIndices(const fb::PoolIndices &op) const;
  void checkConvTranspose(const fb::ConvTranspose &op) const;
  void checkResize(const fb::Resize &op) const;
  void checkDotProductAttention(const fb::DotProductAttention &op) const;
  void checkAllReduce(const fb::AllReduce &op) const;
  /// What AllReduceAdd and AddNorm share: x, what is added, and a norm's weight.
  void checkSumAndNorm(float epsilon) const;
  void checkAllReduceAdd(const fb::AllReduceAdd &op) const;
  void checkAddNorm(const fb::AddNorm &op) const;
  void checkAllGather(const fb::AllGather &op) const;
  void checkReduceScatter(const fb::ReduceScatter &op) const;
  void checkAllToAll(const fb::AllToAll &op) const;
  void checkBroadcast(const fb::Broadcast &op) const;
  void checkSend(const fb::Send &op) const;
  void checkRecv(const fb::Recv &op) const;

  const fb::Program &program;
  const fb::Entry &entry;
  uint32_t number;
  const std::string &fileName;
  const fb::Instruction &instruction;
};

} // namespace cleave::rt
