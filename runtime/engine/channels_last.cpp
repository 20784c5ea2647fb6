// See channels_last.h. What a result's order is follows from its instruction and its operands'
// orders; the ranks agree on those that are summed.
#include "runtime/engine/channels_last.h"

#include "runtime/engine/selection.h"
#include "runtime/program/element_type.h"

#include <algorithm>

namespace cleave::rt {

namespace {

using Dims = std::span<const int64_t>;

class Planner {
public:
  Planner(const fb::Entry &entry, const std::vector<bool> &selected)
      : entry(entry), selected(selected), isPlain(entry.instructions()->size(), false) {}

  /// Decides for all values, in the order of the instructions.
  void decide() {
    values.assign(entry.values()->size(), false);
    for (uint32_t i = 0; i < isPlain.size(); ++i) {
      const fb::Instruction &instruction = *entry.instructions()->Get(i);
      if (!selected[i] || !instruction.results())
        continue;
      const bool isLast = !isPlain[i] && givesChannelsLast(instruction);
      for (uint32_t result : *instruction.results())
        values[result] = isLast;
    }
  }

  bool exchangesChannelsLast(uint32_t i) const {
    const fb::Instruction &instruction = *entry.instructions()->Get(i);
    return instruction.results() && instruction.results()->size() > 0 &&
           values[instruction.results()->Get(0)];
  }

  /// From now on, instruction i is given plain operands.
  void makePlain(uint32_t i) { isPlain[i] = true; }

  bool hasConvolutions() const {
    return std::ranges::any_of(*entry.instructions(), [](const fb::Instruction *instruction) {
      return instruction->operation_type() == fb::Operation::Conv;
    });
  }

  std::vector<bool> take() { return std::move(values); }

private:
  /// Whether oneDNN has the transposed convolution: something is summed, and no output is as far
  /// behind the last products as a stride.
  bool isRegular(const fb::Instruction &instruction) const {
    const auto &op = *instruction.operation_as_ConvTranspose();
    Dims x = dims(instruction.operands()->Get(0)), filter = dims(instruction.operands()->Get(1)),
         y = dims(instruction.results()->Get(0));
    bool isRegular = x[1] > 0 && y[1] > 0;
    const auto spatial = static_cast<uint32_t>(x.size() - 2);
    for (uint32_t i = 0; i < spatial; ++i) {
      const int64_t stride = op.strides()->Get(i), dilation = op.dilations()->Get(i);
      const int64_t reached = (x[2 + i] - 1) * stride + (filter[2 + i] - 1) * dilation + 1 -
                              op.pads()->Get(i) - op.pads()->Get(spatial + i);
      isRegular &= y[2 + i] - reached < stride;
    }
    return isRegular;
  }

  Dims dims(uint32_t value) const { return dimsOf(entry.values()->Get(value)->dims()); }

  bool givesChannelsLast(const fb::Instruction &instruction) const {
    const auto *operands = instruction.operands();
    switch (instruction.operation_type()) {
    case fb::Operation::Conv:
      return true;
    case fb::Operation::ConvTranspose:
      return isRegular(instruction);
    case fb::Operation::Pool:
    case fb::Operation::Resize:
    case fb::Operation::Unary:
      return values[operands->Get(0)];
    case fb::Operation::AllReduce:
    case fb::Operation::AllGather:
    case fb::Operation::ReduceScatter:
      return operands->size() == 1 && values[operands->Get(0)];
    case fb::Operation::Concat:
      return std::ranges::any_of(*operands, [&](uint32_t operand) { return values[operand]; });
    case fb::Operation::Binary: {
      // An operand that is repeated must lie the same in both orders.
      Dims result = dims(instruction.results()->Get(0));
      bool any = false;
      for (uint32_t operand : *operands) {
        const bool isWhole = std::ranges::equal(dims(operand), result);
        if (!isWhole && (result.size() < 3 || hasOrders(padDims(dims(operand), result.size()))))
          return false;
        any |= isWhole && values[operand];
      }
      return any;
    }
    default:
      return false;
    }
  }

  const fb::Entry &entry;
  const std::vector<bool> &selected;
  std::vector<bool> isPlain; // of the instructions
  std::vector<bool> values;
};

} // namespace

std::vector<bool> planChannelsLast(const fb::Entry &entry, const std::vector<bool> &selected,
                                   Communicator &communicator,
                                   const std::map<std::vector<uint32_t>, GroupId> &groups,
                                   GroupId all) {
  Planner planner(entry, selected);
  planner.decide();
  if (communicator.size() == 1)
    return planner.take();
  int32_t convolutions = planner.hasConvolutions();
  communicator.allReduce(&convolutions, 1, ElementType::i32, all);
  // What one member has plain is exchanged plain by all; what follows from it changes, too.
  for (int32_t changed = convolutions; changed > 0;) {
    changed = 0;
    for (const auto &[members, group] : groups) {
      std::vector<uint32_t> own; // in one order on all members
      std::vector<int32_t> votes;
      for (uint32_t i = 0; i < entry.instructions()->size(); ++i)
        if (const auto *of = groupOf(*entry.instructions()->Get(i));
            of && selected[i] && std::ranges::equal(*of, members)) {
          own.push_back(i);
          votes.push_back(planner.exchangesChannelsLast(i));
        }
      communicator.allReduce(votes.data(), votes.size(), ElementType::i32, group);
      for (size_t i = 0; i < own.size(); ++i)
        if (planner.exchangesChannelsLast(own[i]) &&
            votes[i] < static_cast<int32_t>(members.size())) {
          planner.makePlain(own[i]);
          changed = 1;
        }
    }
    planner.decide();
    communicator.allReduce(&changed, 1, ElementType::i32, all);
  }
  return planner.take();
}

std::vector<int64_t> channelsLastDims(Dims dims) {
  std::vector<int64_t> result(dims.begin(), dims.end());
  std::rotate(result.begin() + 1, result.begin() + 2, result.end());
  return result;
}

uint32_t channelsLastDim(uint32_t dim, size_t rank) {
  if (dim == 0)
    return 0;
  return dim == 1 ? static_cast<uint32_t>(rank) - 1 : dim - 1;
}

bool hasOrders(Dims dims) {
  return dims.size() >= 3 && dims[1] != 1 &&
         std::any_of(dims.begin() + 2, dims.end(), [](int64_t dim) { return dim != 1; });
}

std::vector<int64_t> padDims(Dims dims, size_t rank) {
  std::vector<int64_t> result(rank - dims.size(), 1);
  result.insert(result.end(), dims.begin(), dims.end());
  return result;
}

} // namespace cleave::rt
