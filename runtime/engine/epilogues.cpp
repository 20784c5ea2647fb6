// See epilogues.h.
#include "runtime/engine/epilogues.h"

#include "runtime/program/element_type.h"

#include <algorithm>

namespace cleave::rt {

namespace {

using Dims = std::span<const int64_t>;

constexpr int64_t never = -1;

/// Whether it makes one value of what the members of a group have.
bool isExchange(const fb::Instruction &instruction) {
  const auto *reduce = instruction.operation_as_AllReduce();
  return (reduce && reduce->kind() == fb::ReductionKind::Sum &&
          instruction.results()->size() == 1) ||
         instruction.operation_type() == fb::Operation::ReduceScatter ||
         instruction.operation_type() == fb::Operation::AllGather;
}

class Finder {
public:
  Finder(const fb::Entry &entry, const WantedOutputs &outputs,
         const std::vector<bool> &channelsLast, std::vector<bool> &selected)
      : entry(entry), channelsLast(channelsLast), selected(selected),
        madeAt(entry.values()->size(), never), readers(entry.values()->size()),
        isWritten(entry.values()->size(), false) {
    for (uint32_t i = 0; i < entry.instructions()->size(); ++i) {
      if (!selected[i])
        continue;
      const fb::Instruction &instruction = *entry.instructions()->Get(i);
      if (instruction.results())
        for (uint32_t result : *instruction.results())
          madeAt[result] = i;
      if (instruction.operands())
        for (uint32_t operand : *instruction.operands())
          readers[operand].push_back({i, i});
    }
    if (entry.outputs())
      for (const fb::OutputPort *port : *entry.outputs())
        if (isWanted(outputs, port->name()->string_view()))
          isWritten[port->value()] = true;
  }

  /// The epilogue of a result of instruction i, if anything follows that can be one.
  std::optional<FusedEpilogue> find(uint32_t i, uint32_t value) {
    FusedEpilogue epilogue;
    epilogue.result = value;
    position = i;
    exchanges = isExchange(*entry.instructions()->Get(i));
    while (!epilogue.activation && extend(epilogue)) {
    }
    return epilogue.result == value ? std::nullopt : std::optional(std::move(epilogue));
  }

private:
  struct Reader {
    uint32_t instruction;
    uint32_t runsAt; ///< the instruction with which it runs
  };

  const fb::Value &valueOf(uint32_t number) const { return *entry.values()->Get(number); }
  Dims dims(uint32_t number) const { return dimsOf(valueOf(number).dims()); }

  /// Takes in the instruction that alone reads the result, if it can be.
  bool extend(FusedEpilogue &epilogue) {
    const uint32_t value = epilogue.result;
    if (isWritten[value] || readers[value].size() != 1)
      return false;
    const uint32_t reader = readers[value][0].instruction;
    const fb::Instruction &next = *entry.instructions()->Get(reader);
    const bool fits = next.operation_type() == fb::Operation::Unary ? takeUnary(next, epilogue)
                                                                    : takeBinary(next, epilogue);
    if (!fits)
      return false;
    epilogue.result = next.results()->Get(0);
    madeAt[epilogue.result] = position;
    selected[reader] = false;
    return true;
  }

  bool takeUnary(const fb::Instruction &next, FusedEpilogue &epilogue) {
    const auto &op = *next.operation_as_Unary();
    const Activation activation{static_cast<UnaryKind>(op.kind()), {op.parameter(), op.second()}};
    if (exchanges ? activation.kind != UnaryKind::relu : !canBeEpilogue(activation))
      return false;
    epilogue.activation = activation;
    return true;
  }

  bool takeBinary(const fb::Instruction &next, FusedEpilogue &epilogue) {
    const auto *op = next.operation_as_Binary();
    if (!op)
      return false;
    const auto kind = static_cast<BinaryKind>(op->kind());
    const uint32_t value = epilogue.result, result = next.results()->Get(0);
    const uint32_t other = next.operands()->Get(next.operands()->Get(0) == value ? 1 : 0);
    if ((kind != BinaryKind::add && kind != BinaryKind::mul) || other == value ||
        !std::ranges::equal(dims(result), dims(value)) ||
        channelsLast[result] != channelsLast[value])
      return false;
    const uint32_t reader = readers[value][0].instruction;
    if (std::optional<uint32_t> weight = numbersOfOutputs(other, result);
        weight && !epilogue.residual) {
      epilogue.affine.push_back({kind == BinaryKind::mul, *weight});
      forget(other, reader);
      return true;
    }
    if (kind != BinaryKind::add || epilogue.residual || !canBeResidual(other, result, reader))
      return false;
    epilogue.residual = other;
    for (Reader &each : readers[other])
      if (each.instruction == reader)
        each.runsAt = position;
    return true;
  }

  /// The weight that `number` is, perhaps reshaped, where it has one number for each output of
  /// `result`, or one.
  std::optional<uint32_t> numbersOfOutputs(uint32_t number, uint32_t result) const {
    Dims to = dims(result), from = dims(number);
    const size_t channel = channelsLast[result] ? 1 : to.size() - 1;
    for (size_t i = 0; i < from.size(); ++i)
      if (const size_t at = i + to.size() - from.size();
          from[i] != 1 && (at != channel || from[i] != to[channel]))
        return std::nullopt;
    while (madeAt[number] != never) {
      const auto &maker = *entry.instructions()->Get(static_cast<uint32_t>(madeAt[number]));
      if (maker.operation_type() != fb::Operation::Reshape)
        return std::nullopt;
      number = maker.operands()->Get(0);
    }
    return valueOf(number).storage() == fb::Storage::Weight ? std::optional(number) : std::nullopt;
  }

  bool canBeResidual(uint32_t number, uint32_t result, uint32_t reader) const {
    if (valueOf(number).storage() != fb::Storage::Activation || madeAt[number] >= position ||
        !std::ranges::equal(dims(number), dims(result)) ||
        channelsLast[number] != channelsLast[result])
      return false;
    // Products add to what is there. An exchange may overwrite what it exchanges.
    const bool isFree = std::ranges::all_of(readers[number], [&](const Reader &each) {
      return each.instruction == reader ||
             (exchanges ? each.runsAt != position : each.runsAt < position);
    });
    return isFree && (exchanges || !isWritten[number]);
  }

  /// `reader` reads the value no more; reshapes that nobody reads any more do not run.
  void forget(uint32_t number, uint32_t reader) {
    std::erase_if(readers[number], [&](const Reader &each) { return each.instruction == reader; });
    const int64_t maker = madeAt[number];
    if (!readers[number].empty() || isWritten[number] || maker == never)
      return;
    const auto made = static_cast<uint32_t>(maker);
    selected[made] = false;
    forget(entry.instructions()->Get(made)->operands()->Get(0), made);
  }

  const fb::Entry &entry;
  const std::vector<bool> &channelsLast;
  std::vector<bool> &selected;
  std::vector<int64_t> madeAt; // of each value: the instruction with which it is made
  std::vector<std::vector<Reader>> readers;
  std::vector<bool> isWritten; // wanted outputs
  int64_t position = 0;        // of the instruction whose epilogue is sought
  bool exchanges = false;
};

} // namespace

FusedEpilogues findEpilogues(const fb::Entry &entry, const WantedOutputs &outputs,
                             const std::vector<bool> &channelsLast,
                             const std::function<bool(uint32_t, uint32_t)> &canFuse,
                             std::vector<bool> &selected) {
  Finder finder(entry, outputs, channelsLast, selected);
  FusedEpilogues found;
  for (uint32_t i = 0; i < entry.instructions()->size(); ++i) {
    const fb::Instruction &instruction = *entry.instructions()->Get(i);
    const auto type = instruction.operation_type();
    if (!selected[i] ||
        (type != fb::Operation::Conv && type != fb::Operation::Linear && !isExchange(instruction)))
      continue;
    for (uint32_t k = 0; k < instruction.results()->size(); ++k)
      if (auto epilogue =
              canFuse(i, k) ? finder.find(i, instruction.results()->Get(k)) : std::nullopt)
        found[{i, k}] = std::move(*epilogue);
  }
  return found;
}

} // namespace cleave::rt
