// Profiles: what is recorded and what is left out, the time stamps of several ranks together,
// and what ops are said to move and compute.
#include "runtime/engine/profile.h"
#include "runtime/engine/profile_merge.h"
#include "runtime/engine/profiled_communicator.h"
#include "test/runtime/engine/engine_test_util.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cleave::rt {
namespace {

using testing::ElementsAre;

// ---- Recording ----

Profiler profilerOf(size_t maxEvents) {
  Profiler profiler(maxEvents);
  auto work = [](const int64_t *symbols) {
    return Work{4.0 * static_cast<double>(symbols[0]), 2.0 * static_cast<double>(symbols[0])};
  };
  profiler.setOps({{"check", "", {}}, {"linear", "blk.0.attn_q", work}});
  return profiler;
}

void runStep(Profiler &profiler, Phase phase, int64_t tokens) {
  profiler.beginStep();
  profiler.addCall({.begin = 10, .end = 15, .bytes = 64, .kind = CallKind::broadcast});
  profiler.setPhase(phase, tokens);
  for (size_t op : {0, 1}) {
    profiler.beginOp(op);
    profiler.endOp(&tokens);
  }
  profiler.endStep();
}

TEST(Profiler, SumsEachPhaseApart) {
  Profiler profiler = profilerOf(100);
  runStep(profiler, Phase::prompt, 7);
  runStep(profiler, Phase::generation, 1);
  runStep(profiler, Phase::generation, 1);
  RankProfile profile = profiler.take();
  const StepTotals &generation = profile.stepTotals[1];
  EXPECT_EQ(profile.stepTotals[0].tokens, 7);
  EXPECT_EQ(generation.count, 2);
  EXPECT_EQ(generation.tokens, 2);
  EXPECT_EQ(profile.opTotals[0][0].work.bytes, 0);
  EXPECT_EQ(profile.opTotals[1][0].count, 1);
  EXPECT_EQ(profile.opTotals[1][0].work.bytes, 28);
  EXPECT_EQ(profile.opTotals[1][1].count, 2);
  EXPECT_EQ(profile.opTotals[1][1].work.flops, 4);
  // What comes before the phase is known belongs to it.
  const CallTotals &calls = profile.callTotals[1][static_cast<size_t>(CallKind::broadcast)];
  EXPECT_EQ(calls.count, 2);
  EXPECT_EQ(calls.nanoseconds, 10);
  EXPECT_EQ(calls.bytes, 128);
  ASSERT_EQ(profile.steps.size(), 3u);
  EXPECT_EQ(profile.opEvents.size(), 6u);
  EXPECT_EQ(profile.steps[1].opEnd, 4u);
  EXPECT_EQ(profile.opEvents[3].flops, 2.0f);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_LE(profile.opEvents[i].begin, profile.opEvents[i].end);
    EXPECT_LE(profile.opEvents[i].end,
              i == 5 ? profile.steps[2].end : profile.opEvents[i + 1].begin);
  }
}

TEST(Profiler, LeavesOutWhatIsInNoStep) {
  Profiler profiler = profilerOf(100);
  int64_t tokens = 1;
  auto runOp = [&] {
    profiler.addCall({.begin = 1, .end = 2, .kind = CallKind::broadcast});
    profiler.beginOp(1);
    profiler.endOp(&tokens);
  };
  runOp();
  runStep(profiler, Phase::prompt, 2);
  runOp();
  profiler.beginStep(); // but there was nothing to do
  profiler.addCall({.begin = 1, .end = 2, .kind = CallKind::broadcast});
  RankProfile profile = profiler.take();
  EXPECT_EQ(profile.steps.size(), 1u);
  EXPECT_EQ(profile.opEvents.size(), 2u);
  EXPECT_EQ(profile.callEvents.size(), 1u);
  EXPECT_EQ(profile.opTotals[1][0].count, 1);
  EXPECT_EQ(profile.callTotals[0][static_cast<size_t>(CallKind::broadcast)].count, 1);
}

TEST(Profiler, TimesOpsWithoutTheirCalls) {
  Profiler profiler = profilerOf(100);
  int64_t tokens = 1;
  profiler.beginStep();
  profiler.setPhase(Phase::prompt, 1);
  profiler.beginOp(1);
  int64_t begin = profileClock();
  while (profileClock() < begin + 1000)
    ;
  profiler.addCall({.begin = begin, .end = profileClock(), .kind = CallKind::allReduce});
  profiler.endOp(&tokens);
  profiler.endStep();
  RankProfile profile = profiler.take();
  const OpEvent &op = profile.opEvents[0];
  const CallEvent &call = profile.callEvents[0];
  EXPECT_EQ(profile.opTotals[1][0].nanoseconds, op.end - op.begin - (call.end - call.begin));
}

/// The times of two ops, the second of which begins with a piece of work.
RankProfile twoOps(bool waited, bool isFirstPiece = true, bool withLibrary = false) {
  Profiler profiler = profilerOf(100);
  int64_t tokens = 1;
  profiler.beginStep();
  profiler.setPhase(Phase::prompt, 1);
  profiler.beginOp(0);
  profiler.endOp(&tokens);
  profiler.beginOp(1);
  if (withLibrary)
    profiler.beginOp(1);
  if (!isFirstPiece)
    profiler.beginPiece(false);
  int64_t waits = profileClock();
  while (profileClock() < waits + 1000)
    ;
  profiler.beginPiece(waited);
  profiler.endOp(&tokens);
  profiler.endStep();
  RankProfile profile = profiler.take();
  for (size_t i : {0, 1}) {
    EXPECT_EQ(profile.opTotals[i][0].count, 1);
    EXPECT_EQ(profile.opTotals[i][0].nanoseconds,
              profile.opEvents[i].end - profile.opEvents[i].begin);
  }
  return profile;
}

TEST(Profiler, AnOpLastsUntilAllThreadsHaveDoneIt) {
  std::vector<OpEvent> events = twoOps(/*waited=*/true).opEvents;
  EXPECT_EQ(events[0].end, events[1].begin);
  EXPECT_GE(events[0].end - events[0].begin, 1000);
  // Waiting within an op is its own affair.
  for (const RankProfile &profile : {twoOps(true, /*isFirstPiece=*/false), twoOps(false),
                                     twoOps(true, true, /*withLibrary=*/true)})
    EXPECT_GE(profile.opEvents[1].end - profile.opEvents[1].begin, 1000);
}

TEST(Profiler, KeepsWholeStepsAndAllTotalsWhenFull) {
  for (size_t maxEvents : {0, 1, 3, 4, 5}) {
    Profiler profiler = profilerOf(maxEvents);
    for (int i = 0; i < 4; ++i)
      runStep(profiler, Phase::generation, 1);
    RankProfile profile = profiler.take();
    EXPECT_EQ(profile.steps.size(), maxEvents / 2) << maxEvents;
    EXPECT_EQ(profile.opEvents.size(), maxEvents / 2 * 2) << maxEvents;
    EXPECT_EQ(profile.callEvents.size(), maxEvents / 2) << maxEvents;
    EXPECT_EQ(profile.opTotals[1][1].count, 4);
    EXPECT_EQ(profile.stepTotals[1].count, 4);
    EXPECT_EQ(profile.callTotals[1][static_cast<size_t>(CallKind::broadcast)].count, 4);
  }
}

TEST(Profiler, TravelsAsBytes) {
  Profiler profiler = profilerOf(100);
  EXPECT_EQ(profiler.addGroup(std::vector<uint32_t>{2, 0}), 0u);
  runStep(profiler, Phase::prompt, 7);
  RankProfile profile = profiler.take();
  std::vector<std::byte> bytes = profile.pack();
  RankProfile copy = RankProfile::unpack(bytes);
  EXPECT_EQ(copy.pack(), bytes);
  EXPECT_EQ(copy.ops[1].name, "blk.0.attn_q");
  EXPECT_THAT(copy.groups, ElementsAre(ElementsAre(2, 0)));
  EXPECT_EQ(copy.steps[0].end, profile.steps[0].end);
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_THROW(RankProfile::unpack(std::span(bytes).first(size)), std::runtime_error) << size;
}

// ---- Several ranks ----

/// A profile of steps, each of the given calls.
RankProfile profileOf(std::vector<std::vector<uint32_t>> groups,
                      const std::vector<std::vector<CallEvent>> &steps) {
  RankProfile profile;
  profile.groups = std::move(groups);
  for (const std::vector<CallEvent> &calls : steps) {
    for (const CallEvent &call : calls) {
      profile.callEvents.push_back(call);
      CallTotals &total = profile.callTotals[0][static_cast<size_t>(call.kind)];
      ++total.count;
      total.nanoseconds += call.end - call.begin;
    }
    profile.steps.push_back({.begin = calls.empty() ? 0 : calls.front().begin,
                             .end = calls.empty() ? 0 : calls.back().end,
                             .callEnd = static_cast<uint32_t>(profile.callEvents.size())});
    StepTotals &total = profile.stepTotals[0];
    ++total.count;
    total.nanoseconds += profile.steps.back().end - profile.steps.back().begin;
  }
  return profile;
}

CallEvent allReduce(int64_t begin, int64_t end, uint32_t group = 0) {
  return {.begin = begin, .end = end, .group = group, .kind = CallKind::allReduce};
}
CallEvent broadcast(int64_t begin, int64_t end, int32_t root) {
  return {.begin = begin, .end = end, .peer = root, .kind = CallKind::broadcast};
}
CallEvent message(CallKind kind, int64_t begin, int64_t end, int32_t peer, int32_t tag) {
  return {.begin = begin, .end = end, .peer = peer, .tag = tag, .kind = kind};
}

std::vector<int64_t> waitingOf(const std::vector<CallParts> &parts) {
  std::vector<int64_t> result;
  for (const CallParts &each : parts)
    result.push_back(each.waiting);
  return result;
}
std::vector<int64_t> exchangeOf(const std::vector<CallParts> &parts) {
  std::vector<int64_t> result;
  for (const CallParts &each : parts)
    result.push_back(each.exchange);
  return result;
}

TEST(SplitCalls, CollectivesWaitForTheLastMember) {
  // Rank 1 comes late to the first and early to the second, with a group of its own between.
  std::vector<RankProfile> ranks = {
      profileOf({{0, 1, 2}, {0, 2}},
                {{allReduce(100, 160), allReduce(170, 180, 1), allReduce(200, 210)}}),
      profileOf({{0, 1, 2}}, {{allReduce(150, 161), allReduce(165, 212)}}),
      profileOf({{0, 2}, {0, 1, 2}},
                {{allReduce(120, 163, 1), allReduce(164, 179, 0), allReduce(190, 211, 1)}}),
  };
  std::vector<std::vector<CallParts>> parts = splitCalls(ranks);
  EXPECT_THAT(waitingOf(parts[0]), ElementsAre(50, 0, 0));
  EXPECT_THAT(exchangeOf(parts[0]), ElementsAre(10, 10, 10));
  EXPECT_THAT(waitingOf(parts[1]), ElementsAre(0, 35));
  EXPECT_THAT(exchangeOf(parts[1]), ElementsAre(11, 12));
  EXPECT_THAT(waitingOf(parts[2]), ElementsAre(30, 6, 10));
  EXPECT_THAT(exchangeOf(parts[2]), ElementsAre(13, 9, 11));
}

TEST(SplitCalls, OnlyTheRootOfABroadcastIsWaitedFor) {
  // Member 1 of the group, which is rank 0; rank 1 comes when the root has long left.
  std::vector<RankProfile> ranks = {profileOf({{1, 0}}, {{broadcast(100, 110, 1)}}),
                                    profileOf({{1, 0}}, {{broadcast(500, 503, 1)}})};
  std::vector<std::vector<CallParts>> parts = splitCalls(ranks);
  EXPECT_THAT(waitingOf(parts[0]), ElementsAre(0));
  EXPECT_THAT(exchangeOf(parts[0]), ElementsAre(10));
  EXPECT_THAT(waitingOf(parts[1]), ElementsAre(0));
  EXPECT_THAT(exchangeOf(parts[1]), ElementsAre(3));
  std::swap(ranks[0].callEvents[0], ranks[1].callEvents[0]);
  parts = splitCalls(ranks);
  EXPECT_THAT(waitingOf(parts[1]), ElementsAre(10)); // to its end: it cannot have waited longer
  EXPECT_THAT(exchangeOf(parts[1]), ElementsAre(0));
}

TEST(SplitCalls, AReceiverWaitsForItsSender) {
  using enum CallKind;
  // Two messages of one tag, and one of another between them.
  std::vector<RankProfile> ranks = {
      profileOf({}, {{message(send, 50, 51, 1, 0), message(send, 60, 61, 1, 5),
                      message(send, 90, 92, 1, 0)}}),
      profileOf({}, {{message(recv, 10, 53, 0, 0), message(recv, 70, 72, 0, 0),
                      message(recv, 95, 96, 0, 5)}})};
  ranks[1].callEvents[1].end = 93;
  std::vector<std::vector<CallParts>> parts = splitCalls(ranks);
  EXPECT_THAT(waitingOf(parts[0]), ElementsAre(0, 0, 0));
  EXPECT_THAT(exchangeOf(parts[0]), ElementsAre(1, 1, 2));
  EXPECT_THAT(waitingOf(parts[1]), ElementsAre(40, 20, 0));
  EXPECT_THAT(exchangeOf(parts[1]), ElementsAre(3, 3, 1));
}

TEST(SplitCalls, CallsAreCountedInTheirStep) {
  // Rank 1 does not know the first step's call: its first call is not rank 0's first.
  std::vector<RankProfile> ranks = {profileOf({{0, 1}}, {{allReduce(1, 2)}, {allReduce(100, 110)}}),
                                    profileOf({{0, 1}}, {{}, {allReduce(105, 111)}})};
  std::vector<std::vector<CallParts>> parts = splitCalls(ranks);
  EXPECT_THAT(waitingOf(parts[0]), ElementsAre(0, 5));
}

TEST(AlignProfiles, ShiftsTimesAndDropsStepsThatOneHasNot) {
  std::vector<RankProfile> ranks = {
      profileOf({{0, 1}}, {{allReduce(100, 160)}, {allReduce(200, 210)}}),
      profileOf({{0, 1}}, {{allReduce(1150, 1162)}})};
  ranks[1].opEvents = {{.begin = 1100, .end = 1110}, {.begin = 1120, .end = 1125}};
  ranks[1].steps[0].opEnd = 1; // the second op is of a step that was cut
  alignProfiles(ranks, std::vector<int64_t>{0, 1000});
  EXPECT_EQ(ranks[0].steps.size(), 1u);
  EXPECT_EQ(ranks[0].callEvents.size(), 1u);
  ASSERT_EQ(ranks[1].opEvents.size(), 1u);
  EXPECT_EQ(ranks[1].opEvents[0].begin, 100);
  EXPECT_EQ(ranks[1].opEvents[0].end, 110);
  EXPECT_EQ(ranks[1].steps[0].begin, 150);
  std::vector<std::vector<CallParts>> parts = splitCalls(ranks);
  EXPECT_THAT(waitingOf(parts[0]), ElementsAre(50));
  EXPECT_THAT(exchangeOf(parts[1]), ElementsAre(12));
}

TEST(Summarize, AddsKindsAndRanks) {
  std::vector<RankProfile> ranks = {
      profileOf({{0, 1}}, {{broadcast(0, 5, 0), allReduce(100, 160)}}),
      profileOf({{0, 1}}, {{broadcast(0, 7, 0), allReduce(150, 162)}})};
  for (RankProfile &profile : ranks) {
    profile.ops = {{"linear", "a"}, {"add", "b"}, {"linear", "c"}};
    profile.opTotals.resize(3);
    profile.opTotals[0][0] = {1, 30, {4, 8}};
    profile.opTotals[1][0] = {1, 45, {1, 1}};
    profile.opTotals[2][0] = {1, 25, {2, 4}};
    profile.opTotals[2][1] = {9, 900, {9, 9}}; // another phase's
  }
  PhaseSummary summary = summarize(Phase::prompt, ranks, splitCalls(ranks));
  ASSERT_EQ(summary.ops.size(), 2u);
  EXPECT_EQ(summary.ops[0].kind, "linear");
  EXPECT_EQ(summary.ops[0].totals.count, 4);
  EXPECT_EQ(summary.ops[0].totals.nanoseconds, 110);
  EXPECT_EQ(summary.ops[0].totals.work.bytes, 12);
  EXPECT_EQ(summary.ops[0].totals.work.flops, 24);
  ASSERT_EQ(summary.calls.size(), 2u);
  EXPECT_EQ(summary.calls[0].kind, CallKind::allReduce);
  EXPECT_EQ(summary.calls[0].count, 2);
  EXPECT_EQ(summary.calls[0].waiting, 50);
  EXPECT_EQ(summary.calls[0].exchange, 22);
  EXPECT_EQ(summary.calls[0].medianExchange, 12);
  EXPECT_EQ(summary.ranks[0].step, 160);
  EXPECT_EQ(summary.ranks[0].ops, 100);
  EXPECT_EQ(summary.ranks[0].waiting, 50);
  EXPECT_EQ(summary.ranks[0].exchange, 15);
  EXPECT_EQ(summary.ranks[1].waiting, 0);
  EXPECT_EQ(summary.keptSteps, 1u);
}

TEST(Summarize, SplitsCallsThatWereCutAsThoseThatWereKept) {
  std::vector<RankProfile> ranks = {profileOf({{0, 1}}, {{allReduce(100, 160)}}),
                                    profileOf({{0, 1}}, {{allReduce(145, 162)}})};
  ranks[0].callTotals[0][static_cast<size_t>(CallKind::allReduce)] = {3, 240, 0};
  PhaseSummary summary = summarize(Phase::prompt, ranks, splitCalls(ranks));
  EXPECT_EQ(summary.calls[0].count, 4);
  EXPECT_EQ(summary.ranks[0].waiting, 180); // 45 of 60
  EXPECT_EQ(summary.ranks[0].exchange, 60);
}

// ---- Engines ----

/// Runs the entry once and returns what was recorded; its op number `op` is the first that
/// has the kind.
RankProfile profileOfRun(ProgramBuilder &b, EngineOptions options, int64_t tokens,
                         const std::function<void(Engine &)> &prepare = {}) {
  Profiler profiler(100);
  options.profiler = &profiler;
  SingleRank single(b, options);
  single.engine.setSymbol("tokens", tokens);
  if (prepare)
    prepare(single.engine);
  profiler.beginStep();
  profiler.setPhase(Phase::prompt, tokens);
  single.engine.run();
  profiler.endStep();
  return profiler.take();
}

Work workOf(const RankProfile &profile, std::string_view kind) {
  Work sum;
  for (size_t i = 0; i < profile.ops.size(); ++i)
    if (profile.ops[i].kind == kind) {
      sum.bytes += profile.opTotals[i][0].work.bytes;
      sum.flops += profile.opTotals[i][0].work.flops;
    }
  return sum;
}

std::vector<std::string> kindsOf(const RankProfile &profile) {
  std::vector<std::string> kinds;
  for (const OpEvent &event : profile.opEvents)
    kinds.push_back(profile.ops[event.op].kind);
  return kinds;
}

TEST(EngineProfile, SaysWhatOpsMoveAndCompute) {
  ProgramBuilder b;
  int64_t tokens = b.symbol("tokens");
  uint32_t x = b.input("x", {tokens, 8});
  uint32_t w = b.weight("w", {16, 8}, std::vector<float>(128, 1.0f));
  uint32_t y = b.linear(x, w, {tokens, 16});
  uint32_t z = b.silu(y, {tokens, 16});
  b.output("z", z);
  RankProfile profile = profileOfRun(b, {.bounds = {{"tokens", 10}}}, 3, [](Engine &engine) {
    setInput(engine, "x", std::vector<float>(24));
  });
  EXPECT_THAT(kindsOf(profile), ElementsAre("linear", "silu"));
  EXPECT_EQ(profile.ops[0].name, "linear");
  Work linear = workOf(profile, "linear"), silu = workOf(profile, "silu");
  EXPECT_EQ(linear.bytes, 4 * (3 * 8 + 128 + 3 * 16));
  EXPECT_EQ(linear.flops, 2 * 3 * 16 * 8);
  EXPECT_EQ(silu.bytes, 4 * 2 * 3 * 16);
  EXPECT_EQ(silu.flops, 4 * 3 * 16);
}

TEST(EngineProfile, AttentionReadsWhatThePositionsSay) {
  auto runAt = [](uint32_t window, const std::vector<int32_t> &slots,
                  const std::vector<int32_t> &positions) {
    ProgramBuilder b;
    int64_t tokens = b.symbol("tokens"), context = b.symbol("context");
    uint32_t q = b.input("q", {tokens, 8});
    uint32_t k = b.state("k", {2, context, 4}, ElementType::f16);
    uint32_t v = b.state("v", {2, context, 4}, ElementType::f16);
    uint32_t s = b.input("slots", {tokens}, ElementType::i32);
    uint32_t p = b.input("positions", {tokens}, ElementType::i32);
    uint32_t y = b.activation({tokens, 8});
    b.add(fb::CreateAttention(b.fbb, 4, 2, 0, 0.5f, window), {q, k, v, s, p}, {y});
    b.output("y", y);
    auto count = static_cast<int64_t>(slots.size());
    return workOf(profileOfRun(b, {.bounds = {{"tokens", 8}, {"context", 100}}}, count,
                               [&](Engine &engine) {
                                 setInput(engine, "q", std::vector<float>(slots.size() * 8));
                                 setInput(engine, "slots", slots);
                                 setInput(engine, "positions", positions);
                               }),
                  "attention");
  };
  constexpr double row = 2 * 4 * 2, token = 2 * 8 * 4, pair = 4 * 8;
  Work one = runAt(0, {0}, {63});
  EXPECT_EQ(one.bytes, token + 64 * row);
  EXPECT_EQ(one.flops, 64 * pair);
  // A prompt's tokens read the rows once, those of two slots have their own.
  Work prompt = runAt(0, {1, 1, 1}, {10, 11, 12});
  EXPECT_EQ(prompt.bytes, 3 * token + 13 * row);
  EXPECT_EQ(prompt.flops, (11 + 12 + 13) * pair);
  Work two = runAt(0, {0, 1}, {9, 4});
  EXPECT_EQ(two.bytes, 2 * token + 15 * row);
  Work window = runAt(4, {1, 1, 1}, {1, 10, 11});
  EXPECT_EQ(window.flops, (2 + 4 + 4) * pair);
  EXPECT_EQ(window.bytes, 3 * token + 12 * row);
}

TEST(EngineProfile, ShowsCallsOfAllRanks) {
  const std::vector<uint32_t> group = {0, 1};
  std::vector<RankProfile> profiles(2);
  std::filesystem::path folder = testFolder();
  std::vector<LoadedProgram> loaded;
  for (uint32_t rank : group) {
    ProgramBuilder b(rank, 2);
    int64_t tokens = b.symbol("tokens");
    uint32_t x = b.input("x", {tokens, 8});
    uint32_t sum = b.activation({tokens, 8}), normed = b.activation({tokens, 8});
    uint32_t w = b.weight("w", {8}, std::vector<float>(8, 1.0f));
    b.add(fb::CreateAllReduceAddDirect(b.fbb, &group, 1e-5f), {x, x, w}, {sum, normed}, "a + b");
    b.output("normed", normed);
    loaded.push_back(b.load(folder));
  }
  runRanks(2, [&](Communicator &threads) {
    Profiler profiler(100);
    ProfiledCommunicator communicator(threads, profiler);
    int rank = communicator.rank();
    Engine engine(*loaded[rank].program, *loaded[rank].weights, communicator,
                  {.bounds = {{"tokens", 4}}, .profiler = &profiler});
    for (int64_t tokens : {4, 1, 1}) {
      profiler.beginStep();
      engine.setSymbol("tokens", tokens);
      setInput(engine, "x", std::vector<float>(tokens * 8, 1.0f));
      profiler.setPhase(tokens == 4 ? Phase::prompt : Phase::generation, tokens);
      engine.run();
      profiler.endStep();
    }
    profiles[rank] = profiler.take();
  });
  for (const RankProfile &profile : profiles) {
    EXPECT_THAT(kindsOf(profile),
                ElementsAre("all_reduce_add", "all_reduce_add", "all_reduce_add"));
    EXPECT_THAT(profile.groups, testing::Contains(ElementsAre(0, 1)));
    ASSERT_EQ(profile.callEvents.size(), 3u);
    for (size_t i = 0; i < 3; ++i) {
      const CallEvent &call = profile.callEvents[i];
      EXPECT_EQ(call.kind, CallKind::allReduce);
      EXPECT_EQ(call.bytes, (i == 0 ? 4 : 1) * 8 * 4);
      EXPECT_LE(profile.opEvents[i].begin, call.begin);
      EXPECT_GE(profile.opEvents[i].end, call.end);
    }
    EXPECT_EQ(workOf(profile, "all_reduce_add").flops, 5 * 4 * 8);
    EXPECT_EQ(workOf(profile, "all_reduce_add").bytes, 4 * (4 * 4 * 8 + 8));
  }
  alignProfiles(profiles, std::vector<int64_t>{0, 0});
  std::vector<std::vector<CallParts>> parts = splitCalls(profiles);
  for (size_t i = 0; i < 3; ++i) // the last to enter waits for nobody
    EXPECT_EQ(std::min(parts[0][i].waiting, parts[1][i].waiting), 0) << i;
  PhaseSummary summary = summarize(Phase::generation, profiles, parts);
  EXPECT_EQ(summary.steps.count, 2);
  EXPECT_EQ(summary.calls[0].count, 4);
}

} // namespace
} // namespace cleave::rt
