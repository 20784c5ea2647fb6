// cleave-verify-ranks: one symbolic run of all ranks under synchronous sends. Entries are
// straight-line and no receive is a wildcard, so if this run ends, every run does, with
// the same messages.
#include "compiler/partition/verify_partials.h"
#include "compiler/passes.h"
#include "dialect/dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <map>

namespace cleave {
#define GEN_PASS_DEF_VERIFYRANKSPASS
#include "compiler/Passes.h.inc"
} // namespace cleave

using namespace mlir;
using namespace cleave;

namespace {

std::optional<int64_t> getRankNumber(Operation *module) {
  auto rank = module->getAttrOfType<IntegerAttr>(CleaveDialect::rankAttrName);
  return rank ? std::optional<int64_t>(rank.getInt()) : std::nullopt;
}

/// The group of a collective; nothing for other ops.
std::optional<ArrayRef<int64_t>> getGroup(Operation *op) {
  if (auto group = op->getAttrOfType<DenseI64ArrayAttr>("group"); group && !isa<SendOp, RecvOp>(op))
    return group.asArrayRef();
  return std::nullopt;
}

/// The ranks' ops of one entry that communicate, and how far each rank has come.
class SymbolicRun {
public:
  LogicalResult addRank(int64_t rank, func::FuncOp function) {
    Rank &mine = ranks[rank];
    mine.function = function;
    for (Operation &op : function.getFunctionBody().front())
      if (communicates(&op))
        mine.ops.push_back(&op);
    return success();
  }

  LogicalResult run() {
    for (auto &[rank, state] : ranks)
      for (Operation *op : state.ops)
        if (failed(checkNames(rank, op)))
          return failure();
    while (true) {
      bool progress = false, done = true;
      for (auto &[rank, state] : ranks) {
        if (!current(rank))
          continue;
        done = false;
        FailureOr<bool> stepped = step(rank);
        if (failed(stepped))
          return failure();
        progress |= *stepped;
      }
      if (done)
        return success();
      if (!progress)
        return explainStuck();
    }
  }

private:
  struct Rank {
    func::FuncOp function;
    SmallVector<Operation *> ops;
    size_t next = 0;
  };

  /// What the rank does next; null when it has ended.
  Operation *current(int64_t rank) {
    Rank &state = ranks[rank];
    return state.next < state.ops.size() ? state.ops[state.next] : nullptr;
  }

  /// Peers and groups name ranks that exist, and groups their own rank.
  LogicalResult checkNames(int64_t rank, Operation *op) {
    auto exists = [&](int64_t other) -> LogicalResult {
      if (ranks.count(other))
        return success();
      return op->emitOpError("on rank ") << rank << " names rank " << other
                                         << ", but there are only " << ranks.size() << " ranks";
    };
    auto peer = [&](int64_t other) -> LogicalResult {
      if (other == rank)
        return op->emitOpError("on rank ") << rank << " names its own rank";
      return exists(other);
    };
    if (auto send = dyn_cast<SendOp>(op))
      return peer(send.getTo());
    if (auto recv = dyn_cast<RecvOp>(op))
      return peer(recv.getFrom());
    ArrayRef<int64_t> group = *getGroup(op);
    for (int64_t member : group)
      if (failed(exists(member)))
        return failure();
    const int64_t *self = llvm::find(group, rank);
    if (self == group.end())
      return op->emitOpError("on rank ") << rank << " has a group that lacks this rank";
    return checkShare(rank, self - group.begin(), op);
  }

  /// The share of a gathered or scattered dim that this rank has is its range's, or of a
  /// run-time size the one of its place.
  LogicalResult checkShare(int64_t rank, size_t place, Operation *op) {
    auto check = [&](RankedTensorType share, RankedTensorType whole, unsigned dim,
                     ArrayRef<int64_t> ranges) -> LogicalResult {
      if (StringAttr base = getDimName(whole, dim)) {
        StringAttr expected = getDimShareName(base, place, getGroup(op)->size());
        if (getDimName(share, dim) == expected)
          return success();
        return op->emitOpError("on rank ")
               << rank << " has the share " << getDimName(share, dim)
               << ", but its place in the group is that of " << expected;
      }
      ElementRange range = getRanges(ranges)[place];
      if (share.getDimSize(dim) == range.size())
        return success();
      return op->emitOpError("on rank ")
             << rank << " has a share of " << share.getDimSize(dim)
             << " elements, but its range is " << range.begin << ":" << range.end;
    };
    if (auto gather = dyn_cast<AllGatherOp>(op))
      return check(cast<RankedTensorType>(gather.getX().getType()),
                   cast<RankedTensorType>(gather.getType()), gather.getDim(), gather.getRanges());
    if (auto scatter = dyn_cast<ReduceScatterOp>(op))
      return check(cast<RankedTensorType>(scatter.getType()),
                   cast<RankedTensorType>(scatter.getX().getType()), scatter.getDim(),
                   scatter.getRanges());
    if (auto exchange = dyn_cast<AllToAllOp>(op)) {
      auto held = cast<RankedTensorType>(exchange.getX().getType());
      auto wanted = cast<RankedTensorType>(exchange.getType());
      if (failed(check(held, wanted, exchange.getConcatDim(), exchange.getConcatRanges())))
        return failure();
      return check(wanted, held, exchange.getSplitDim(), exchange.getSplitRanges());
    }
    return success();
  }

  InFlightDiagnostic mismatch(int64_t rank, Operation *op, int64_t otherRank, Operation *other,
                              const Twine &what) {
    InFlightDiagnostic error = op->emitOpError("on rank ") << rank << " " << what;
    if (other)
      error.attachNote(other->getLoc())
          << "rank " << otherRank << " is at '" << other->getName() << "' here" << nameOf(other);
    else
      error.attachNote(ranks[otherRank].function.getLoc()) << "rank " << otherRank << " has ended";
    return error;
  }

  static std::string nameOf(Operation *op) {
    auto name = op->getAttrOfType<StringAttr>(CleaveDialect::nameAttrName);
    return name ? (" (" + name.getValue() + ")").str() : "";
  }

  FailureOr<bool> step(int64_t rank) {
    Operation *op = current(rank);
    if (auto send = dyn_cast<SendOp>(op)) {
      auto recv = dyn_cast_or_null<RecvOp>(current(send.getTo()));
      if (!recv || recv.getFrom() != rank)
        return false;
      if (recv.getTag() != send.getTag())
        return mismatch(rank, op, send.getTo(), recv,
                        "sends to rank " + Twine(send.getTo()) + " with tag " +
                            Twine(send.getTag()) + ", which waits for tag " + Twine(recv.getTag()));
      if (recv.getType() != send.getX().getType()) {
        auto error =
            mismatch(rank, op, send.getTo(), recv, "sends another type than its peer receives: ");
        return error << send.getX().getType() << " and " << recv.getType();
      }
      ++ranks[rank].next;
      ++ranks[send.getTo()].next;
      return true;
    }
    if (isa<RecvOp>(op))
      return false; // the sender steps
    return stepCollective(rank, op);
  }

  FailureOr<bool> stepCollective(int64_t rank, Operation *op) {
    ArrayRef<int64_t> group = *getGroup(op);
    for (int64_t member : group) {
      Operation *other = current(member);
      if (!other || !getGroup(other) || !llvm::is_contained(*getGroup(other), rank))
        return false; // not there yet, or never: explainStuck knows
    }
    for (int64_t member : group) {
      Operation *other = current(member);
      if (other == op)
        continue;
      if (other->getName() != op->getName() || *getGroup(other) != group)
        return mismatch(rank, op, member, other,
                        "does not meet the same collective of the same group on rank " +
                            Twine(member));
      if (failed(sameCollective(rank, op, member, other)))
        return failure();
    }
    for (int64_t member : group)
      ++ranks[member].next;
    return true;
  }

  LogicalResult sameCollective(int64_t rank, Operation *op, int64_t member, Operation *other) {
    for (StringRef attr :
         {StringRef("kind"), StringRef("dim"), StringRef("ranges"), StringRef("split_dim"),
          StringRef("split_ranges"), StringRef("concat_dim"), StringRef("concat_ranges"),
          StringRef(CleaveDialect::placeInMessageAttrName)})
      if (op->getAttr(attr) != other->getAttr(attr))
        return mismatch(rank, op, member, other,
                        "differs in " + attr + " from the same collective on rank " +
                            Twine(member));
    // The whole value has one type on all members, its shares need not.
    auto whole = [](Operation *each) -> Type {
      if (auto exchange = dyn_cast<AllToAllOp>(each)) {
        auto type = cast<RankedTensorType>(exchange.getX().getType());
        SmallVector<int64_t> shape(type.getShape());
        shape[exchange.getConcatDim()] = exchange.getConcatSize();
        return withShape(type, shape);
      }
      return isa<ReduceScatterOp>(each) ? each->getOperand(0).getType()
                                        : each->getResult(0).getType();
    };
    if (whole(op) != whole(other)) {
      auto error = mismatch(rank, op, member, other,
                            "has another type than on rank " + Twine(member) + ": ");
      return error << whole(op) << " and " << whole(other);
    }
    return success();
  }

  /// No rank can go on. A rank whose partner waits for something that cannot come, or has
  /// ended, is the cause; else the ranks wait for each other.
  LogicalResult explainStuck() {
    for (auto &[rank, state] : ranks) {
      Operation *op = current(rank);
      if (!op)
        continue;
      for (int64_t partner : partners(op)) {
        Operation *other = current(partner);
        if (partner == rank ||
            (other && llvm::is_contained(partners(other), rank) && !matches(op, other)) || !other) {
          if (partner == rank)
            continue;
          return mismatch(rank, op, partner, other,
                          describe(op) + " rank " + Twine(partner) +
                              ", which never comes to its part of it");
        }
      }
    }
    auto &[first, state] = *llvm::find_if(ranks, [&](auto &entry) { return current(entry.first); });
    InFlightDiagnostic error = current(first)->emitOpError("on rank ")
                               << first << " waits in a cycle of ranks that wait for each other";
    for (auto &[rank, waiting] : ranks)
      if (rank != first && current(rank))
        error.attachNote(current(rank)->getLoc())
            << "rank " << rank << " waits at '" << current(rank)->getName() << "' here"
            << nameOf(current(rank));
    return error;
  }

  static SmallVector<int64_t> partners(Operation *op) {
    if (auto send = dyn_cast<SendOp>(op))
      return {send.getTo()};
    if (auto recv = dyn_cast<RecvOp>(op))
      return {recv.getFrom()};
    return SmallVector<int64_t>(*getGroup(op));
  }

  static bool matches(Operation *op, Operation *other) {
    if (isa<SendOp>(op))
      return isa<RecvOp>(other);
    if (isa<RecvOp>(op))
      return isa<SendOp>(other);
    return op->getName() == other->getName() && *getGroup(op) == *getGroup(other);
  }

  static std::string describe(Operation *op) {
    if (isa<SendOp>(op))
      return "sends to";
    if (isa<RecvOp>(op))
      return "receives from";
    return "meets";
  }

  std::map<int64_t, Rank> ranks;
};

/// Ranks are numbered from 0, each has the same entries, and each output has one owner,
/// which has it.
LogicalResult collectRanks(ModuleOp module, std::map<int64_t, ModuleOp> &ranks) {
  for (ModuleOp rank : module.getOps<ModuleOp>()) {
    std::optional<int64_t> number = getRankNumber(rank);
    if (!number)
      return rank.emitError("a rank's module has no ") << CleaveDialect::rankAttrName;
    auto [it, isNew] = ranks.try_emplace(*number, rank);
    if (!isNew) {
      InFlightDiagnostic error = rank.emitError("rank ") << *number << " is there twice";
      error.attachNote(it->second.getLoc()) << "first here";
      return error;
    }
  }
  if (ranks.empty())
    return module.emitError("has no rank's module, expected the rank form");
  int64_t expected = 0;
  for (auto &[number, rank] : ranks)
    if (number != expected++)
      return rank.emitError("rank ") << number << " follows rank " << expected - 2
                                     << "; ranks are numbered from 0 without gaps";
  return success();
}

LogicalResult verifyOutputs(const std::map<int64_t, func::FuncOp> &functions) {
  std::map<std::string, std::pair<int64_t, func::FuncOp>> owners;
  std::set<std::string> owned;
  for (auto [rank, function] : functions)
    for (unsigned i = 0; i < function.getNumResults(); ++i) {
      auto name = function.getResultAttrOfType<StringAttr>(i, CleaveDialect::outputAttrName);
      auto owner = function.getResultAttrOfType<IntegerAttr>(i, CleaveDialect::ownerAttrName);
      if (!name || !owner)
        return function.emitOpError("on rank ")
               << rank << " has result " << i << " without " << CleaveDialect::outputAttrName
               << " and " << CleaveDialect::ownerAttrName;
      auto [it, isNew] = owners.try_emplace(name.str(), owner.getInt(), function);
      if (it->second.first != owner.getInt()) {
        InFlightDiagnostic error = function.emitOpError("on rank ")
                                   << rank << " says that rank " << owner.getInt()
                                   << " owns output " << name;
        error.attachNote(it->second.second.getLoc())
            << "rank " << it->second.first << " is said here";
        return error;
      }
      if (owner.getInt() == rank && !owned.insert(name.str()).second)
        return function.emitOpError("on rank ") << rank << " gives output " << name << " twice";
    }
  for (auto &[name, owner] : owners)
    if (!owned.count(name))
      return owner.second.emitOpError("says that rank ")
             << owner.first << " owns output \"" << name << "\", but that rank does not give it";
  return success();
}

/// What lowering to a program takes for granted of each rank's module.
LogicalResult verifyRankModule(ModuleOp rank, size_t ranks) {
  if (int64_t stage = getStage(rank); stage < 0 || stage >= static_cast<int64_t>(ranks))
    return rank.emitError("a rank's module has stage ") << stage << ", expected 0 to " << ranks - 1;
  for (StateOp state : rank.getOps<StateOp>())
    if (hasDimShare(state.getTensorType()))
      return state.emitOpError("has type ") << state.getType() << ", a share; states are whole";
  for (auto function : rank.getOps<func::FuncOp>()) {
    if (function.isExternal())
      return function.emitOpError("has no body");
    if (!llvm::hasSingleElement(function.getFunctionBody()))
      return function.emitOpError("has control flow, expected one block");
    for (Type type : function.getArgumentTypes()) {
      if (failed(verifyValueType(function, type)))
        return failure();
      if (hasDimShare(cast<RankedTensorType>(type)))
        return function.emitOpError("has an argument of type ")
               << type << ", a share; inputs come whole, and cleave.share takes a share";
    }
    for (Operation &op : function.getFunctionBody().front())
      for (Type type : op.getResultTypes())
        if (failed(verifyValueType(&op, type)))
          return failure();
  }
  return success();
}

struct VerifyRanksPass : public cleave::impl::VerifyRanksPassBase<VerifyRanksPass> {
  void runOnOperation() override {
    markAllAnalysesPreserved();
    IRMapping values;
    OwningOpRef<ModuleOp> module = cloneExpanded(getOperation(), values);
    std::map<int64_t, ModuleOp> ranks;
    if (failed(collectRanks(*module, ranks)))
      return signalPassFailure();
    std::map<std::string, std::map<int64_t, func::FuncOp>> entries;
    for (auto &[number, rank] : ranks) {
      if (failed(verifyRankModule(rank, ranks.size())))
        return signalPassFailure();
      for (auto function : rank.getOps<func::FuncOp>())
        entries[function.getName().str()][number] = function;
    }
    for (auto &[name, functions] : entries) {
      SymbolicRun run;
      for (auto &[number, rank] : ranks) {
        auto it = functions.find(number);
        if (it == functions.end()) {
          rank.emitError("rank ") << number << " has no entry '" << name
                                  << "', which other ranks have";
          return signalPassFailure();
        }
        if (failed(run.addRank(number, it->second)))
          return signalPassFailure();
      }
      if (failed(run.run()) || failed(verifyOutputs(functions)))
        return signalPassFailure();
    }
    if (failed(verifyPartials(ranks, entries)))
      return signalPassFailure();
  }
};

} // namespace
