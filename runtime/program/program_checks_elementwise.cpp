// The checks of operations that compute element by element.
#include "runtime/program/elementwise.h"
#include "runtime/program/program_checks.h"

#include <cmath>

namespace cleave::rt {

void InstructionCheck::expectPlain(uint32_t i, TypeSet types) const {
  expectOperand(i, isDense(operand(i)) && contains(types, typeOf(operand(i))),
                "a tensor of a type that the function takes");
}

void InstructionCheck::expectBroadcast(ElementType type) const {
  std::vector<int64_t> to;
  for (uint32_t i = 0; i < operandCount(); ++i)
    to.resize(std::max(to.size(), dimsOf(operand(i)).size()), 1);
  for (uint32_t i = 0; i < operandCount(); ++i) {
    Dims dims = dimsOf(operand(i));
    int64_t *at = to.data() + (to.size() - dims.size());
    for (size_t d = 0; d < dims.size(); ++d) {
      if (dims[d] == 1 || dims[d] == at[d])
        continue;
      expectOperand(i, at[d] == 1, "of dimensions that are 1 or those of the operands before it");
      at[d] = dims[d];
    }
  }
  expectResultDims(type, to);
}

void InstructionCheck::checkUnary(const fb::Unary &op) const {
  expectCounts(1, 1, 1);
  const UnaryInfo *info = findUnary(op.kind());
  if (!info)
    refuse("its kind is unknown");
  expectPlain(0, info->types);
  const float parameters[] = {op.parameter(), op.second()};
  for (uint8_t i = 0; i < info->parameters; ++i)
    if (std::isnan(parameters[i]) || (std::isinf(parameters[i]) && info->kind != UnaryKind::clip))
      refuse("its parameter is not a finite number");
  Dims x = dimsOf(operand(0));
  expectResultDims(info->isTest ? ElementType::i1 : typeOf(operand(0)), {x.begin(), x.end()});
}

void InstructionCheck::checkBinary(const fb::Binary &op) const {
  expectCounts(2, 2, 1);
  const BinaryInfo *info = findBinary(op.kind());
  if (!info)
    refuse("its kind is unknown");
  expectPlain(0, info->types);
  expectPlain(1, info->types);
  expectOperand(1, typeOf(operand(1)) == typeOf(operand(0)), "of operand 0's type");
  expectBroadcast(info->isTest ? ElementType::i1 : typeOf(operand(0)));
}

void InstructionCheck::checkWhere() const {
  expectCounts(3, 3, 1);
  expectPlain(0, TypeSet::booleans);
  expectPlain(1, TypeSet::plain);
  expectPlain(2, TypeSet::plain);
  expectOperand(2, typeOf(operand(2)) == typeOf(operand(1)), "of operand 1's type");
  expectBroadcast(typeOf(operand(1)));
}

void InstructionCheck::checkCast() const {
  expectCounts(1, 1, 1);
  expectPlain(0, TypeSet::plain);
  Dims x = dimsOf(operand(0));
  expectResultDims(typeOf(result(0)), {x.begin(), x.end()}); // activations are of plain types
}

} // namespace cleave::rt
