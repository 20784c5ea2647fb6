// See selection.h.
#include "runtime/engine/selection.h"

#include <stdexcept>

namespace cleave::rt {

namespace {

/// What the ranks must agree on, as one number.
uint64_t checksumOfWish(const fb::Entry &entry, const WantedOutputs &outputs) {
  std::string text = entry.name()->str();
  std::vector<std::string> names = outputs.value_or(std::vector<std::string>());
  std::sort(names.begin(), names.end());
  text += outputs ? '\1' : '\2';
  for (const std::string &name : names)
    text += '\0' + name;
  return checksumOf(text);
}

/// Whether the same is wanted everywhere.
bool agrees(uint64_t wish, Communicator &communicator, GroupId all) {
  uint64_t first = wish;
  communicator.broadcast(&first, 1, ElementType::i64, /*root=*/0, all);
  int32_t differing = first == wish ? 0 : 1;
  communicator.allReduce(&differing, 1, ElementType::i32, all);
  return differing == 0;
}

/// Adds to `selected` what those need that are selected.
void closeBackward(const fb::Entry &entry, const WantedOutputs &outputs,
                   std::vector<bool> &selected) {
  std::vector<bool> needed(entry.values()->size(), false);
  if (entry.outputs())
    for (const fb::OutputPort *port : *entry.outputs())
      if (isWanted(outputs, port->name()->string_view()))
        needed[port->value()] = true;
  for (uint32_t i = entry.instructions()->size(); i-- > 0;) {
    const fb::Instruction &instruction = *entry.instructions()->Get(i);
    const auto *results = instruction.results();
    // What has no result is there for its effect; what is sent must be received.
    bool isRoot =
        !results || results->size() == 0 || instruction.operation_type() == fb::Operation::Recv;
    selected[i] = selected[i] || isRoot ||
                  std::any_of(results->begin(), results->end(),
                              [&](uint32_t result) { return needed[result]; });
    if (selected[i] && instruction.operands())
      for (uint32_t operand : *instruction.operands())
        needed[operand] = true;
  }
}

} // namespace

const flatbuffers::Vector<uint32_t> *groupOf(const fb::Instruction &instruction) {
  if (const auto *op = instruction.operation_as_AllReduce())
    return op->group();
  if (const auto *op = instruction.operation_as_AllReduceAdd())
    return op->group();
  if (const auto *op = instruction.operation_as_AllGather())
    return op->group();
  if (const auto *op = instruction.operation_as_ReduceScatter())
    return op->group();
  if (const auto *op = instruction.operation_as_AllToAll())
    return op->group();
  if (const auto *op = instruction.operation_as_Broadcast())
    return op->group();
  return nullptr;
}

std::vector<bool> selectInstructions(const Program &program, const fb::Entry &entry,
                                     const WantedOutputs &outputs, Communicator &communicator,
                                     const std::map<std::vector<uint32_t>, GroupId> &groups,
                                     GroupId all) {
  const bool isAlone = communicator.size() == 1;
  if (!isAlone && !agrees(checksumOfWish(entry, outputs), communicator, all))
    throw std::runtime_error("the ranks were asked for different outputs or entries; start all "
                             "of them with the same options");
  const uint32_t count = entry.instructions()->size();
  if (!outputs)
    return std::vector<bool>(count, true);

  for (const std::string &name : *outputs) {
    int32_t owners = 0;
    if (entry.outputs())
      for (const fb::OutputPort *port : *entry.outputs())
        owners += port->name()->string_view() == name;
    if (!isAlone)
      communicator.allReduce(&owners, 1, ElementType::i32, all);
    if (owners == 0)
      throw std::runtime_error(program.fileName() + ": entry " + quoted(entry.name()) +
                               " has no output '" + name + "'");
  }

  std::vector<bool> selected(count, false);
  closeBackward(entry, outputs, selected);
  // A rank may need a collective of which another does not need the result. Then that one
  // needs what goes into it, and so on.
  for (int32_t changed = isAlone ? 0 : 1; changed > 0;) {
    changed = 0;
    for (const auto &[ranks, group] : groups) {
      // Members have their collectives in one order, so that numbers in it suffice.
      std::vector<uint32_t> own;
      std::vector<int32_t> votes;
      for (uint32_t i = 0; i < count; ++i)
        if (const auto *members = groupOf(*entry.instructions()->Get(i));
            members && std::equal(members->begin(), members->end(), ranks.begin(), ranks.end())) {
          own.push_back(i);
          votes.push_back(selected[i]);
        }
      communicator.allReduce(votes.data(), votes.size(), ElementType::i32, group);
      for (size_t i = 0; i < own.size(); ++i)
        if (votes[i] > 0 && !selected[own[i]]) {
          selected[own[i]] = true;
          changed = 1;
        }
    }
    closeBackward(entry, outputs, selected);
    communicator.allReduce(&changed, 1, ElementType::i32, all);
  }
  return selected;
}

} // namespace cleave::rt
