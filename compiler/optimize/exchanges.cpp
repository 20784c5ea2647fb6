// Communication ops that meet, by their order: ranks know no wildcard receives, so the n-th
// send from one rank to another meets the n-th receive there, and the n-th collectives of
// one group meet.
#include "compiler/optimize/exchanges.h"

using namespace mlir;
using namespace cleave;

std::map<std::string, EntryOfRanks> cleave::findEntries(ModuleOp module) {
  std::map<std::string, EntryOfRanks> entries;
  for (ModuleOp rank : module.getOps<ModuleOp>()) {
    auto number = rank->getAttrOfType<IntegerAttr>(CleaveDialect::rankAttrName);
    for (auto function : rank.getOps<func::FuncOp>()) {
      if (!number || function.isExternal() || !llvm::hasSingleElement(function.getFunctionBody()) ||
          !entries[function.getName().str()].try_emplace(number.getInt(), function).second)
        return {};
    }
  }
  return entries;
}

namespace {
/// What the n-th ops of several ranks have in common: a sender and a receiver, or a group.
struct Key {
  bool isMessage;
  SmallVector<int64_t> ranks;
  size_t number;

  bool operator<(const Key &other) const {
    return std::tie(isMessage, ranks, number) <
           std::tie(other.isMessage, other.ranks, other.number);
  }
};
} // namespace

/// Whether all members are there and do the same.
static bool isComplete(const Key &key, const Exchange &exchange) {
  if (llvm::is_contained(exchange, nullptr))
    return false;
  if (key.isMessage)
    return cast<SendOp>(exchange[0]).getTag() == cast<RecvOp>(exchange[1]).getTag();
  return llvm::all_of(exchange,
                      [&](Operation *op) { return op->getName() == exchange.front()->getName(); });
}

FailureOr<std::vector<Exchange>> cleave::findExchanges(EntryOfRanks &entry) {
  std::map<Key, unsigned> numbers;
  std::vector<Exchange> exchanges;
  // Of the rank at hand: how many exchanges of a kind, with the same ranks, came before.
  std::map<std::pair<bool, SmallVector<int64_t>>, size_t> counts;
  // A rank that is no member, or twice one, has no place; nor has a peer that does not exist.
  auto add = [&](Operation *op, bool isMessage, ArrayRef<int64_t> ranks, size_t place) {
    if (place >= ranks.size() ||
        !llvm::all_of(ranks, [&](int64_t rank) { return entry.count(rank); }))
      return false;
    SmallVector<int64_t> list(ranks);
    Key key{isMessage, list, counts[{isMessage, list}]++};
    auto [it, isNew] = numbers.try_emplace(key, exchanges.size());
    if (isNew)
      exchanges.emplace_back(ranks.size(), nullptr);
    exchanges[it->second][place] = op;
    return true;
  };
  for (auto &[rank, function] : entry) {
    counts.clear();
    for (Operation &op : function.getFunctionBody().front()) {
      bool fits = true;
      if (auto send = dyn_cast<SendOp>(op))
        fits = add(&op, true, {rank, send.getTo()}, 0);
      else if (auto recv = dyn_cast<RecvOp>(op))
        fits = add(&op, true, {recv.getFrom(), rank}, 1);
      else if (communicates(&op)) {
        auto group = op.getAttrOfType<DenseI64ArrayAttr>("group");
        ArrayRef<int64_t> ranks = group ? group.asArrayRef() : ArrayRef<int64_t>();
        fits = add(&op, false, ranks, llvm::find(ranks, rank) - ranks.begin());
      }
      if (!fits)
        return failure();
    }
  }
  for (auto &[key, number] : numbers)
    if (!isComplete(key, exchanges[number]))
      return failure();
  return exchanges;
}
