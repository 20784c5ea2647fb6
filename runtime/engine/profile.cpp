// See profile.h. Events are appended to vectors that have their full capacity, and whose
// pages have been written to, from the start.
#include "runtime/engine/profile.h"

#include <chrono>
#include <cstring>
#include <stdexcept>
#include <type_traits>

namespace cleave::rt {

namespace {

template <typename T> std::vector<T> withRoom(size_t count) {
  std::vector<T> events(count);
  events.clear();
  return events;
}

// ---- Profiles as bytes ----

class Packer {
public:
  std::vector<std::byte> bytes;

  template <typename T> void value(const T &value) {
    static_assert(std::is_trivially_copyable_v<T>);
    raw(&value, sizeof value);
  }
  template <typename T> void vector(const std::vector<T> &values) {
    static_assert(std::is_trivially_copyable_v<T>);
    value(values.size());
    raw(values.data(), values.size() * sizeof(T));
  }
  void string(const std::string &text) {
    value(text.size());
    raw(text.data(), text.size());
  }

private:
  void raw(const void *data, size_t size) {
    const auto *begin = static_cast<const std::byte *>(data);
    bytes.insert(bytes.end(), begin, begin + size);
  }
};

class Unpacker {
public:
  explicit Unpacker(std::span<const std::byte> bytes) : rest(bytes) {}

  template <typename T> void value(T &value) { raw(&value, sizeof value); }
  template <typename T> void vector(std::vector<T> &values) {
    values.resize(sizeOf(sizeof(T)));
    raw(values.data(), values.size() * sizeof(T));
  }
  void string(std::string &text) {
    text.resize(sizeOf(1));
    raw(text.data(), text.size());
  }
  /// Of elements that take a byte or more each.
  size_t sizeOf(size_t elementBytes) {
    size_t size = 0;
    value(size);
    if (size > rest.size() / elementBytes)
      throw std::runtime_error("a rank's profile is damaged");
    return size;
  }

private:
  void raw(void *data, size_t size) {
    if (size > rest.size())
      throw std::runtime_error("a rank's profile is damaged");
    if (size > 0)
      std::memcpy(data, rest.data(), size);
    rest = rest.subspan(size);
  }

  std::span<const std::byte> rest;
};

} // namespace

int64_t profileClock() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

const char *nameOf(CallKind kind) {
  constexpr const char *names[callKindCount] = {
      "send", "recv", "all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast"};
  return names[static_cast<size_t>(kind)];
}

std::vector<std::byte> RankProfile::pack() const {
  Packer packer;
  packer.value(ops.size());
  for (const OpName &op : ops) {
    packer.string(op.kind);
    packer.string(op.name);
  }
  packer.value(groups.size());
  for (const std::vector<uint32_t> &group : groups)
    packer.vector(group);
  packer.value(stepTotals);
  packer.value(callTotals);
  packer.vector(opTotals);
  packer.vector(steps);
  packer.vector(opEvents);
  packer.vector(callEvents);
  return std::move(packer.bytes);
}

RankProfile RankProfile::unpack(std::span<const std::byte> bytes) {
  Unpacker unpacker(bytes);
  RankProfile result;
  result.ops.resize(unpacker.sizeOf(1));
  for (OpName &op : result.ops) {
    unpacker.string(op.kind);
    unpacker.string(op.name);
  }
  result.groups.resize(unpacker.sizeOf(1));
  for (std::vector<uint32_t> &group : result.groups)
    unpacker.vector(group);
  unpacker.value(result.stepTotals);
  unpacker.value(result.callTotals);
  unpacker.vector(result.opTotals);
  unpacker.vector(result.steps);
  unpacker.vector(result.opEvents);
  unpacker.vector(result.callEvents);
  return result;
}

// ---- Recording ----

Profiler::Profiler(size_t maxEvents) : maxEvents(maxEvents) {
  profile.steps = withRoom<StepEvent>(maxEvents);
  profile.opEvents = withRoom<OpEvent>(maxEvents);
  profile.callEvents = withRoom<CallEvent>(maxEvents);
}

void Profiler::setOps(std::vector<OpDescription> descriptions) {
  ops = std::move(descriptions);
  profile.ops.clear();
  for (const OpDescription &each : ops)
    profile.ops.push_back({each.kind, each.name});
  profile.opTotals.assign(ops.size(), {});
}

uint32_t Profiler::addGroup(std::span<const uint32_t> ranks) {
  profile.groups.emplace_back(ranks.begin(), ranks.end());
  return static_cast<uint32_t>(profile.groups.size() - 1);
}

void Profiler::beginStep() {
  profile.opEvents.resize(profile.steps.empty() ? 0 : profile.steps.back().opEnd);
  profile.callEvents.resize(profile.steps.empty() ? 0 : profile.steps.back().callEnd);
  stepCalls = {};
  isInStep = true;
  isInOp = hasLastOp = false;
  step = {};
  step.begin = profileClock();
}

void Profiler::setPhase(Phase phase, int64_t tokens) {
  step.phase = phase;
  step.tokens = tokens;
}

void Profiler::endStep() {
  isInStep = false;
  step.end = profileClock();
  auto phase = static_cast<size_t>(step.phase);
  StepTotals &total = profile.stepTotals[phase];
  ++total.count;
  total.tokens += step.tokens;
  total.nanoseconds += step.end - step.begin;
  for (size_t kind = 0; kind < callKindCount; ++kind) {
    CallTotals &calls = profile.callTotals[phase][kind];
    calls.count += stepCalls[kind].count;
    calls.nanoseconds += stepCalls[kind].nanoseconds;
    calls.bytes += stepCalls[kind].bytes;
  }
  hasRoom = hasRoom && profile.steps.size() < maxEvents;
  if (!hasRoom)
    return;
  step.opEnd = static_cast<uint32_t>(profile.opEvents.size());
  step.callEnd = static_cast<uint32_t>(profile.callEvents.size());
  profile.steps.push_back(step);
}

void Profiler::beginOp(size_t number) {
  isFirstPiece = !isInOp;
  if (isInOp || !isInStep)
    return;
  isInOp = true;
  op.op = static_cast<uint32_t>(number);
  callNanoseconds = 0;
  op.begin = profileClock();
}

void Profiler::beginPiece(bool waited) {
  if (isInOp && isFirstPiece && waited) {
    op.begin = profileClock();
    extendLastOp(op.begin);
  }
  isFirstPiece = false;
}

void Profiler::endOp(const int64_t *symbols) {
  if (!isInOp)
    return;
  isInOp = false;
  op.end = profileClock();
  Work work = ops[op.op].work ? ops[op.op].work(symbols) : Work{};
  OpTotals &total = profile.opTotals[op.op][static_cast<size_t>(step.phase)];
  ++total.count;
  total.nanoseconds += op.end - op.begin - callNanoseconds;
  total.work.bytes += work.bytes;
  total.work.flops += work.flops;
  hasLastOp = true;
  lastOp = op.op;
  lastOpEnd = op.end;
  hasRoom = hasRoom && profile.opEvents.size() < maxEvents;
  if (!hasRoom)
    return;
  op.bytes = static_cast<float>(work.bytes);
  op.flops = static_cast<float>(work.flops);
  profile.opEvents.push_back(op);
}

void Profiler::endRegion() {
  if (isInStep)
    extendLastOp(profileClock());
}

void Profiler::extendLastOp(int64_t end) {
  if (!hasLastOp)
    return;
  profile.opTotals[lastOp][static_cast<size_t>(step.phase)].nanoseconds += end - lastOpEnd;
  lastOpEnd = end;
  if (hasRoom)
    profile.opEvents.back().end = end;
}

void Profiler::addCall(const CallEvent &call) {
  if (!isInStep)
    return;
  CallTotals &total = stepCalls[static_cast<size_t>(call.kind)];
  ++total.count;
  total.nanoseconds += call.end - call.begin;
  total.bytes += call.bytes;
  callNanoseconds += call.end - call.begin;
  hasRoom = hasRoom && profile.callEvents.size() < maxEvents;
  if (hasRoom)
    profile.callEvents.push_back(call);
}

RankProfile Profiler::take() {
  isInStep = false;
  profile.opEvents.resize(profile.steps.empty() ? 0 : profile.steps.back().opEnd);
  profile.callEvents.resize(profile.steps.empty() ? 0 : profile.steps.back().callEnd);
  return std::move(profile);
}

} // namespace cleave::rt
