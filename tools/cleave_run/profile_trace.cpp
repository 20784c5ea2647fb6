// See profile_trace.h. Events are complete ("X"): a begin and a duration in microseconds,
// written to the nanosecond, on a time line that begins with the first step.
#include "tools/cleave_run/profile_trace.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <unistd.h>

namespace cleave::rt {
namespace {

enum Row { stepRow, opRow, callRow };
constexpr const char *rowNames[] = {"steps", "ops", "communication"};

constexpr const char *phaseNames[phaseCount] = {"prompt", "generation", "graph"};

/// In quotes, whatever bytes a program's names have.
std::string jsonOf(const std::string &text) {
  return nlohmann::json(text).dump(-1, ' ', /*ensure_ascii=*/true,
                                   nlohmann::json::error_handler_t::replace);
}

/// A file that has its name only when it is complete.
class NewFile {
public:
  explicit NewFile(const std::filesystem::path &path)
      : path(path), temporary(path.string() + "." + std::to_string(getpid()) + ".tmp") {
    std::error_code error;
    if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error))
      throw std::runtime_error(path.string() + ": not a regular file");
    file.reset(std::fopen(temporary.c_str(), "wx"));
    if (!file)
      fail();
  }
  ~NewFile() {
    if (file)
      std::filesystem::remove(temporary, ignored);
  }

  std::FILE *get() const { return file.get(); }

  void finish() {
    bool isWritten = std::fflush(file.get()) == 0 && !std::ferror(file.get());
    if (!isWritten || std::rename(temporary.c_str(), path.c_str()) != 0)
      fail();
    file.reset();
  }

private:
  [[noreturn]] void fail() const {
    throw std::runtime_error(path.string() +
                             ": the trace cannot be written: " + std::strerror(errno));
  }

  struct Close {
    void operator()(std::FILE *open) const { std::fclose(open); }
  };

  std::filesystem::path path;
  std::string temporary;
  std::error_code ignored;
  std::unique_ptr<std::FILE, Close> file;
};

class TraceWriter {
public:
  TraceWriter(std::FILE *file, int64_t start) : file(file), start(start) {}

  void metadata(size_t rank, int row, const char *what, const std::string &value) {
    separate();
    std::fprintf(file, R"({"ph":"M","pid":%zu,"tid":%d,"name":"%s","args":{%s}})", rank, row, what,
                 value.c_str());
  }

  /// `name` and `arguments` are JSON.
  void event(size_t rank, Row row, const std::string &name, const char *category, int64_t begin,
             int64_t end, const std::string &arguments) {
    separate();
    int64_t at = begin - start, duration = end - begin;
    std::fprintf(file,
                 R"({"ph":"X","pid":%zu,"tid":%d,"ts":%lld.%03d,"dur":%lld.%03d,"name":%s,)"
                 R"("cat":"%s","args":{%s}})",
                 rank, row, static_cast<long long>(at / 1000), static_cast<int>(at % 1000),
                 static_cast<long long>(duration / 1000), static_cast<int>(duration % 1000),
                 name.c_str(), category, arguments.c_str());
  }

private:
  void separate() {
    std::fputs(isFirst ? "\n" : ",\n", file);
    isFirst = false;
  }

  std::FILE *file;
  int64_t start;
  bool isFirst = true;
};

std::string number(const char *format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string workArguments(const OpEvent &event) {
  std::string text;
  // Per nanosecond is giga per second.
  double nanoseconds = std::max(1.0, static_cast<double>(event.end - event.begin));
  auto add = [&](const char *name, const char *rateName, double count) {
    if (count > 0)
      text += (text.empty() ? "\"" : ",\"") + std::string(name) + "\":" + number("%.0f", count) +
              ",\"" + rateName + "\":" + number("%.2f", count / nanoseconds);
  };
  add("bytes", "GB/s", event.bytes);
  add("FLOPs", "GFLOP/s", event.flops);
  return text;
}

std::string callArguments(const RankProfile &profile, const CallEvent &call) {
  std::string text = "\"bytes\":" + std::to_string(call.bytes);
  if (call.kind == CallKind::send || call.kind == CallKind::recv)
    return text + ",\"peer\":" + std::to_string(call.peer) + ",\"tag\":" + std::to_string(call.tag);
  text += ",\"ranks\":[";
  for (uint32_t rank : profile.groups[call.group])
    text += (text.ends_with('[') ? "" : ",") + std::to_string(rank);
  return text + "]";
}

void writeRank(TraceWriter &writer, size_t rank, const RankProfile &profile,
               const std::vector<CallParts> &parts) {
  std::string name = "rank " + std::to_string(rank);
  writer.metadata(rank, 0, "process_name", "\"name\":" + jsonOf(name));
  writer.metadata(rank, 0, "process_sort_index", "\"sort_index\":" + std::to_string(rank));
  for (int row : {stepRow, opRow, callRow}) {
    writer.metadata(rank, row, "thread_name", "\"name\":" + jsonOf(rowNames[row]));
    writer.metadata(rank, row, "thread_sort_index", "\"sort_index\":" + std::to_string(row));
  }
  for (const StepEvent &step : profile.steps) {
    const char *phase = phaseNames[static_cast<size_t>(step.phase)];
    writer.event(rank, stepRow, jsonOf(phase), phase, step.begin, step.end,
                 "\"tokens\":" + std::to_string(step.tokens));
  }
  std::vector<std::string> names;
  for (const OpName &op : profile.ops)
    names.push_back(jsonOf(op.name.empty() ? op.kind : op.kind + " " + op.name));
  for (const OpEvent &event : profile.opEvents)
    writer.event(rank, opRow, names[event.op], profile.ops[event.op].kind.c_str(), event.begin,
                 event.end, workArguments(event));
  for (size_t i = 0; i < profile.callEvents.size(); ++i) {
    const CallEvent &call = profile.callEvents[i];
    const std::string kind = nameOf(call.kind), arguments = callArguments(profile, call);
    int64_t ready = call.begin + parts[i].waiting;
    if (parts[i].waiting > 0)
      writer.event(rank, callRow, jsonOf("waiting: " + kind), "waiting", call.begin, ready,
                   arguments);
    writer.event(rank, callRow, jsonOf(kind), "exchange", ready, call.end, arguments);
  }
}

} // namespace

void checkTraceFile(const std::filesystem::path &path) {
  NewFile file(path); // and away
}

void writeTrace(const std::filesystem::path &path, std::span<const RankProfile> ranks,
                std::span<const std::vector<CallParts>> parts, const std::string &note) {
  int64_t start = INT64_MAX;
  for (const RankProfile &profile : ranks)
    if (!profile.steps.empty())
      start = std::min(start, profile.steps.front().begin);
  NewFile file(path);
  std::fprintf(file.get(),
               R"({"displayTimeUnit":"ms","otherData":{"producer":"cleave-run %s","note":%s},)"
               R"("traceEvents":[)",
               CLEAVE_VERSION, jsonOf(note).c_str());
  TraceWriter writer(file.get(), start);
  for (size_t rank = 0; rank < ranks.size(); ++rank)
    writeRank(writer, rank, ranks[rank], parts[rank]);
  std::fputs("\n]}\n", file.get());
  file.finish();
}

} // namespace cleave::rt
