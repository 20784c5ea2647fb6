// See profile_table.h. Times are sums over the ranks, so that all shares of a table together
// are the whole step, and a rate is that of one rank while it is in such ops.
#include "tools/cleave_run/profile_table.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace cleave::rt {
namespace {

/// Appends what printf would print. Lines are far shorter than the room here, but for the
/// first column, which is cut.
[[gnu::format(printf, 2, 3)]] void append(std::string &text, const char *format, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  text += line;
}

double milliseconds(double nanoseconds) {
  return nanoseconds / 1e6;
}

/// As "12.3"; empty where there is nothing to speak of.
std::string shown(const char *format, double value) {
  if (value == 0)
    return "-";
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

class Tables {
public:
  explicit Tables(const PhaseSummary &summary) : summary(summary) {
    for (const PhaseSummary::Rank &rank : summary.ranks) {
      sum.step += rank.step;
      sum.ops += rank.ops;
      sum.waiting += rank.waiting;
      sum.exchange += rank.exchange;
    }
  }

  std::string text;

  void printTitle(const char *phase) {
    const StepTotals &steps = summary.steps;
    append(text, "%s: %lld %s", phase, static_cast<long long>(steps.count),
           steps.count == 1 ? "step" : "steps");
    if (steps.tokens > 0)
      append(text, ", %lld tokens", static_cast<long long>(steps.tokens));
    append(text, ", %.3f ms a step",
           milliseconds(static_cast<double>(steps.nanoseconds) / static_cast<double>(steps.count)));
    if (summary.ranks.size() > 1)
      append(text, "; sums over %zu ranks, rates of one rank", summary.ranks.size());
    text += '\n';
  }

  void printOps() {
    append(text, "  %-16s %9s %11s %7s %10s %10s %8s %10s %9s\n", "op", "count", "time ms", "share",
           "us each", "MB", "GB/s", "GFLOP", "GFLOP/s");
    for (const PhaseSummary::Op &op : summary.ops) {
      auto time = static_cast<double>(op.totals.nanoseconds);
      const Work &work = op.totals.work;
      double divisor = std::max(time, 1.0);
      append(text, "  %-16s %9lld %11.3f %6.1f%% %10.2f %10s %8s %10s %9s\n", op.kind.c_str(),
             static_cast<long long>(op.totals.count), milliseconds(time), share(time),
             time / 1e3 / static_cast<double>(op.totals.count),
             shown("%.1f", work.bytes / 1e6).c_str(), shown("%.2f", work.bytes / divisor).c_str(),
             shown("%.3f", work.flops / 1e9).c_str(), shown("%.2f", work.flops / divisor).c_str());
    }
    auto printRest = [&](const char *name, double time) {
      append(text, "  %-16s %9s %11.3f %6.1f%%\n", name, "", milliseconds(time), share(time));
    };
    if (!summary.calls.empty()) {
      printRest("exchange", sum.exchange);
      printRest("waiting", sum.waiting);
    }
    printRest("between ops", sum.step - sum.ops - sum.waiting - sum.exchange);
    printRest("all", sum.step);
  }

  void printCalls() {
    if (summary.calls.empty())
      return;
    append(text, "  %-16s %9s %11s %7s %10s %10s %8s %10s %9s\n", "communication", "count",
           "exchange ms", "share", "us each", "us median", "kB each", "waiting ms", "share");
    for (const PhaseSummary::Call &call : summary.calls) {
      auto count = static_cast<double>(call.count);
      append(text, "  %-16s %9lld %11.3f %6.1f%% %10.2f %10.2f %8.2f %10.3f %8.1f%%\n",
             nameOf(call.kind), static_cast<long long>(call.count), milliseconds(call.exchange),
             share(call.exchange), call.exchange / 1e3 / count,
             static_cast<double>(call.medianExchange) / 1e3,
             static_cast<double>(call.bytes) / 1e3 / count, milliseconds(call.waiting),
             share(call.waiting));
    }
  }

  void printRanks() {
    if (summary.ranks.size() == 1)
      return;
    append(text, "  %-16s %9s %11s %7s %10s %10s\n", "rank", "", "time ms", "ops", "exchange",
           "waiting");
    for (size_t rank = 0; rank < summary.ranks.size(); ++rank) {
      const PhaseSummary::Rank &row = summary.ranks[rank];
      auto part = [&](double time) { return row.step > 0 ? 100 * time / row.step : 0; };
      append(text, "  %-16zu %9s %11.3f %6.1f%% %9.1f%% %9.1f%%\n", rank, "",
             milliseconds(row.step), part(row.ops), part(row.exchange), part(row.waiting));
    }
  }

private:
  double share(double time) const { return sum.step > 0 ? 100 * time / sum.step : 0; }

  const PhaseSummary &summary;
  PhaseSummary::Rank sum;
};

} // namespace

std::string describeProfile(Phase phase, const PhaseSummary &summary) {
  if (summary.steps.count == 0)
    return "";
  constexpr const char *names[phaseCount] = {"prompt", "generation", "graph"};
  Tables tables(summary);
  tables.printTitle(names[static_cast<size_t>(phase)]);
  tables.printOps();
  tables.printCalls();
  tables.printRanks();
  return std::move(tables.text);
}

} // namespace cleave::rt
