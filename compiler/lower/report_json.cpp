// --report=json. docs/report.md describes the keys.
#include "compiler/lower/report.h"
#include "compiler/lower/report_data.h"

#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace cleave;

using llvm::json::fixUTF8;

static void writeTraffic(llvm::json::OStream &json, ArrayRef<Traffic> list) {
  json.attributeArray("communication", [&] {
    for (const Traffic &traffic : list)
      json.object([&] {
        json.attribute("op", traffic.op);
        if (!traffic.onlyFor.empty())
          json.attribute("only_for", fixUTF8(traffic.onlyFor));
        json.attribute("count", traffic.count);
        json.attribute("bytes_per_token", traffic.bytes);
      });
  });
}

static void writeRank(llvm::json::OStream &json, const RankReport &report) {
  json.attribute("rank", report.rank);
  json.attribute("stage", report.stage);
  json.attributeObject("coordinate", [&] {
    for (auto [axis, place] : report.coordinate)
      json.attribute(fixUTF8(axis), place);
  });
  json.attribute("weight_bytes", report.weightBytes);
  json.attribute("cache_bytes_per_token", report.cacheBytes);
  json.attribute("operations_per_token", report.operations);
  writeTraffic(json, report.traffic);
}

static void writeStage(llvm::json::OStream &json, const StageReport &report) {
  json.attribute("stage", report.stage);
  json.attribute("first_rank", report.firstRank);
  json.attribute("ranks", report.ranks);
  json.attributeArray("parts", [&] {
    for (const std::string &part : report.parts)
      json.value(fixUTF8(part));
  });
}

static void writeWeights(llvm::json::OStream &json, const Report &report) {
  auto writeList = [&](StringRef list, StringRef key, function_ref<int64_t(const Holding &)> get) {
    json.attributeArray(list, [&] {
      for (const Holding &holding : report.weights)
        if (int64_t value = get(holding))
          json.object([&] {
            json.attribute("name", fixUTF8(holding.name));
            json.attribute("ranks", holding.ranks);
            json.attribute(key, value);
          });
    });
  };
  json.attribute("bytes", report.weightBytes);
  json.attribute("copied_bytes", report.copiedBytes);
  writeList("copies", "copied_bytes", [](const Holding &each) { return each.getCopies(); });
  json.attributeArray("in_several_stages", [&] {
    for (const Holding &holding : report.weights)
      if (holding.stages.size() > 1)
        json.object([&] {
          json.attribute("name", fixUTF8(holding.name));
          json.attributeArray("stages", [&] {
            for (int64_t stage : holding.stages)
              json.value(stage);
          });
        });
  });
  writeList("empty_shares", "empty_ranks", [](const Holding &each) { return each.empty; });
}

void cleave::printJsonReport(ModuleOp module, llvm::raw_ostream &os) {
  Report report = makeReport(module);
  llvm::json::OStream json(os, /*IndentSize=*/2);
  json.object([&] {
    json.attributeArray("mesh", [&] {
      for (auto [axis, size] : report.mesh)
        json.object([&, axis = axis, size = size] {
          json.attribute("axis", fixUTF8(axis));
          json.attribute("size", size);
        });
    });
    json.attributeArray("stages", [&] {
      for (const StageReport &stage : report.stages)
        json.object([&] { writeStage(json, stage); });
    });
    json.attributeArray("ranks", [&] {
      for (const RankReport &rank : report.ranks)
        json.object([&] { writeRank(json, rank); });
    });
    writeTraffic(json, report.traffic);
    json.attributeObject("weights", [&] { writeWeights(json, report); });
  });
  os << "\n";
}
