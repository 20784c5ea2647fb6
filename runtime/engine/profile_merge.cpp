// See profile_merge.h. The same call on several ranks is found by the number of its step, and
// by how many calls of its group, or between its two ranks with its tag, came before it in
// that step: all members issue a group's collectives in one order.
#include "runtime/engine/profile_merge.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

namespace cleave::rt {

namespace {

/// Those who take part, and in what. Ranks of a message: sender, receiver, -1 - tag.
using Channel = std::vector<int64_t>;

bool isMessage(CallKind kind) {
  return kind == CallKind::send || kind == CallKind::recv;
}

Channel channelOf(const RankProfile &profile, int64_t rank, const CallEvent &call) {
  if (call.kind == CallKind::send)
    return {rank, call.peer, -1 - int64_t{call.tag}};
  if (call.kind == CallKind::recv)
    return {call.peer, rank, -1 - int64_t{call.tag}};
  const std::vector<uint32_t> &group = profile.groups[call.group];
  return {group.begin(), group.end()};
}

/// Calls `body(call's index, step's index)` for each.
template <typename Body> void forEachCall(const RankProfile &profile, const Body &body) {
  size_t call = 0;
  for (size_t step = 0; step < profile.steps.size(); ++step)
    for (; call < profile.steps[step].callEnd; ++call)
      body(call, step);
}

/// A call as all its ranks share it.
struct Meeting {
  int64_t lastEnter = INT64_MIN;   ///< of all
  int64_t sourceEnter = INT64_MIN; ///< of the sender or the root
};

/// Numbers the channels of all ranks, and finds the calls' meetings.
class Meetings {
public:
  explicit Meetings(std::span<const RankProfile> ranks) : ofCalls(ranks.size()) {
    for (size_t rank = 0; rank < ranks.size(); ++rank)
      addRank(ranks[rank], rank);
  }

  const Meeting &of(size_t rank, size_t call) const { return meetings[ofCalls[rank][call]]; }

private:
  void addRank(const RankProfile &profile, size_t rank) {
    std::map<std::pair<size_t, size_t>, size_t> before; // step and channel: calls up to now
    forEachCall(profile, [&](size_t index, size_t step) {
      const CallEvent &call = profile.callEvents[index];
      size_t channel =
          channels.emplace(channelOf(profile, static_cast<int64_t>(rank), call), channels.size())
              .first->second;
      size_t number = before[{step, channel}]++;
      auto [found, isNew] = numbers.emplace(std::tuple(step, channel, number), meetings.size());
      if (isNew)
        meetings.emplace_back();
      ofCalls[rank].push_back(found->second);
      Meeting &meeting = meetings[found->second];
      meeting.lastEnter = std::max(meeting.lastEnter, call.begin);
      bool isSource = call.kind == CallKind::broadcast
                          ? profile.groups[call.group][static_cast<size_t>(call.peer)] == rank
                          : call.kind == CallKind::send;
      if (isSource)
        meeting.sourceEnter = call.begin;
    });
  }

  std::map<Channel, size_t> channels;
  std::map<std::tuple<size_t, size_t, size_t>, size_t> numbers;
  std::vector<Meeting> meetings;
  std::vector<std::vector<size_t>> ofCalls; ///< by rank and call
};

/// Of one kind of call, on one rank: a time in two parts. Where events were cut, they are as
/// those of the events that were kept.
struct SplitTime {
  double waiting = 0;
  double exchange = 0;

  void scaleTo(double total) {
    double kept = waiting + exchange;
    if (kept == 0) {
      exchange = total;
      return;
    }
    waiting *= total / kept;
    exchange = total - waiting;
  }
};

} // namespace

void alignProfiles(std::span<RankProfile> ranks, std::span<const int64_t> offsets) {
  size_t kept = SIZE_MAX;
  for (const RankProfile &profile : ranks)
    kept = std::min(kept, profile.steps.size());
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    RankProfile &profile = ranks[rank];
    profile.steps.resize(kept);
    profile.opEvents.resize(kept == 0 ? 0 : profile.steps.back().opEnd);
    profile.callEvents.resize(kept == 0 ? 0 : profile.steps.back().callEnd);
    auto shift = [&](auto &events) {
      for (auto &event : events) {
        event.begin -= offsets[rank];
        event.end -= offsets[rank];
      }
    };
    shift(profile.steps);
    shift(profile.opEvents);
    shift(profile.callEvents);
  }
}

std::vector<std::vector<CallParts>> splitCalls(std::span<const RankProfile> ranks) {
  Meetings meetings(ranks);
  std::vector<std::vector<CallParts>> result(ranks.size());
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const std::vector<CallEvent> &calls = ranks[rank].callEvents;
    for (size_t i = 0; i < calls.size(); ++i) {
      const CallEvent &call = calls[i];
      const Meeting &meeting = meetings.of(rank, i);
      bool hasSource = isMessage(call.kind) || call.kind == CallKind::broadcast;
      int64_t ready = hasSource ? meeting.sourceEnter : meeting.lastEnter;
      // Clocks of two nodes agree but for some microseconds.
      ready = std::clamp(ready, call.begin, call.end);
      result[rank].push_back({ready - call.begin, call.end - ready});
    }
  }
  return result;
}

PhaseSummary summarize(Phase phase, std::span<const RankProfile> ranks,
                       std::span<const std::vector<CallParts>> parts) {
  const auto number = static_cast<size_t>(phase);
  PhaseSummary summary;
  summary.steps = ranks[0].stepTotals[number];
  summary.keptSteps =
      static_cast<size_t>(std::ranges::count(ranks[0].steps, phase, &StepEvent::phase));

  std::map<std::string, OpTotals> ops;
  std::array<PhaseSummary::Call, callKindCount> calls;
  std::array<std::vector<int64_t>, callKindCount> exchanges;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const RankProfile &profile = ranks[rank];
    PhaseSummary::Rank row;
    row.step = static_cast<double>(profile.stepTotals[number].nanoseconds);
    for (size_t i = 0; i < profile.ops.size(); ++i) {
      const OpTotals &own = profile.opTotals[i][number];
      if (own.count == 0)
        continue;
      OpTotals &sum = ops[profile.ops[i].kind];
      sum.count += own.count;
      sum.nanoseconds += own.nanoseconds;
      sum.work.bytes += own.work.bytes;
      sum.work.flops += own.work.flops;
      row.ops += static_cast<double>(own.nanoseconds);
    }
    std::array<SplitTime, callKindCount> times;
    forEachCall(profile, [&](size_t index, size_t step) {
      if (profile.steps[step].phase != phase)
        return;
      auto kind = static_cast<size_t>(profile.callEvents[index].kind);
      exchanges[kind].push_back(parts[rank][index].exchange);
      SplitTime &time = times[kind];
      time.waiting += static_cast<double>(parts[rank][index].waiting);
      time.exchange += static_cast<double>(parts[rank][index].exchange);
    });
    for (size_t kind = 0; kind < callKindCount; ++kind) {
      const CallTotals &total = profile.callTotals[number][kind];
      times[kind].scaleTo(static_cast<double>(total.nanoseconds));
      calls[kind].kind = static_cast<CallKind>(kind);
      calls[kind].count += total.count;
      calls[kind].bytes += total.bytes;
      calls[kind].waiting += times[kind].waiting;
      calls[kind].exchange += times[kind].exchange;
      row.waiting += times[kind].waiting;
      row.exchange += times[kind].exchange;
    }
    summary.ranks.push_back(row);
  }
  for (const auto &[kind, totals] : ops)
    summary.ops.push_back({kind, totals});
  std::ranges::stable_sort(summary.ops, std::ranges::greater(),
                           [](const PhaseSummary::Op &op) { return op.totals.nanoseconds; });
  for (size_t kind = 0; kind < callKindCount; ++kind) {
    if (calls[kind].count == 0)
      continue;
    if (std::vector<int64_t> &all = exchanges[kind]; !all.empty()) {
      auto middle = all.begin() + static_cast<ptrdiff_t>(all.size() / 2);
      std::nth_element(all.begin(), middle, all.end());
      calls[kind].medianExchange = *middle;
    }
    summary.calls.push_back(calls[kind]);
  }
  std::ranges::stable_sort(
      summary.calls, std::ranges::greater(),
      [](const PhaseSummary::Call &call) { return call.waiting + call.exchange; });
  return summary;
}

} // namespace cleave::rt
