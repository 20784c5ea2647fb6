// What collectives make of the parts that their members hold: each summand is added once,
// each share is joined at its place.
#include "compiler/partition/part_verifier.h"

using namespace mlir;
using namespace cleave;

LogicalResult PartVerifier::evaluateCollective(ArrayRef<std::pair<int64_t, Operation *>> members) {
  for (auto [rank, op] : members)
    if (!known.lookup(op->getOperand(0)).isKnown())
      return success(); // nor are the results known
  Operation *op = members.front().second;
  if (isa<BroadcastOp>(op)) {
    RankValue sent = known[op->getOperand(0)];
    for (auto [rank, at] : members)
      known[at->getResult(0)] = sent;
    return success();
  }
  for (auto [rank, other] : members.drop_front()) {
    const RankValue &mine = known[op->getOperand(0)], &theirs = known[other->getOperand(0)];
    std::optional<int64_t> gathered;
    if (auto gather = dyn_cast<AllGatherOp>(op))
      gathered = gather.getDim();
    else if (auto exchange = dyn_cast<AllToAllOp>(op))
      gathered = exchange.getConcatDim();
    bool sameDims = mine.dims.size() == theirs.dims.size();
    for (size_t dim = 0; sameDims && dim < mine.dims.size(); ++dim)
      if (dim != gathered)
        sameDims = mine.dims[dim].size == theirs.dims[dim].size &&
                   mine.dims[dim].shares == theirs.dims[dim].shares &&
                   (mine.dims[dim].range == theirs.dims[dim].range ||
                    (mine.dims[dim].range.size() == 0 && theirs.dims[dim].range.size() == 0));
    if (mine.logical == theirs.logical && sameDims)
      continue;
    InFlightDiagnostic error =
        rankError(members.front().first, op)
        << " has " << (mine.logical == theirs.logical ? "other elements of '" : "'")
        << values.getName(mine.logical)
        << (mine.logical == theirs.logical ? "' than" : "', another value than") << " rank "
        << rank;
    error.attachNote(other->getLoc())
        << "rank " << rank << " has '" << values.getName(theirs.logical) << "' here";
    return error;
  }
  FailureOr<unsigned> decisions = 0;
  for (auto [rank, at] : members) {
    decisions =
        joinDecisions(*decisions, known[at->getOperand(0)].decisions, rank, at, "puts together");
    if (failed(decisions))
      return failure();
  }
  LogicalResult evaluated = isa<AllGatherOp>(op)  ? evaluateGather(members)
                            : isa<AllToAllOp>(op) ? evaluateExchange(members)
                                                  : evaluateReduction(members);
  if (failed(evaluated))
    return failure();
  for (auto [rank, at] : members)
    known[at->getResult(0)].decisions = *decisions;
  return success();
}

/// A result is whole when its summands, or candidates, were all there, each once. Where
/// shares are so uneven that one rank has all, its value is whole before, and the others'
/// are empty.
LogicalResult PartVerifier::evaluateReduction(ArrayRef<std::pair<int64_t, Operation *>> members) {
  auto [firstRank, op] = members.front();
  auto reduce = dyn_cast<AllReduceOp>(op);
  ReductionKind kind = reduce ? reduce.getKind() : ReductionKind::Sum;
  bool isSum = kind == ReductionKind::Sum;
  StringRef does = isSum ? "adds up" : "takes the best of";
  const auto *partial = llvm::find_if(members, [&](const auto &member) {
    return !known[member.second->getOperand(0)].partial.empty();
  });
  RankValue sum = known[(partial == members.end() ? op : partial->second)->getOperand(0)];
  if (members.size() > 1 && sum.partial.empty())
    return rankError(firstRank, op)
           << " " << does << " '" << values.getName(sum.logical) << "', which is no "
           << (isSum ? "partial sum" : "rank's own candidates")
           << " on any rank of the group, and so counts it " << members.size() << " times";
  // Who has which box, to name both ends.
  struct Held {
    int64_t rank;
    Summands::Box box;
  };
  for (auto [part, summands] : llvm::enumerate(sum.partial)) {
    if (getKind(summands, values) != kind)
      return partialError(partial->first, partial->second, sum, does);
    SmallVector<Held> held;
    for (auto [rank, at] : members) {
      const RankValue &value = known[at->getOperand(0)];
      if (value.partial.empty()) {
        Summands::Box all;
        for (unsigned factor : summands.factors)
          all.push_back({0, values.getCutFactor(factor).size});
        held.push_back({rank, all});
        continue;
      }
      if (value.partial.size() != sum.partial.size() ||
          value.partial[part].factors != summands.factors)
        return partialError(rank, at, value,
                            does + Twine(isSum ? " other partial sums" : " other candidates") +
                                " than its group, those of");
      for (const Summands::Box &box : value.partial[part].boxes)
        held.push_back({rank, box});
    }
    summands.boxes.clear();
    for (auto [i, mine] : llvm::enumerate(held)) {
      for (const Held &other : ArrayRef(held).take_front(i))
        if (std::optional<Summands::Box> common = intersect(mine.box, other.box)) {
          Summands twice{summands.factors, {*common}};
          InFlightDiagnostic error = rankError(firstRank, op)
                                     << " " << does << (isSum ? " the summands" : " the candidates")
                                     << " over " << describe(twice, values) << " twice, from rank "
                                     << other.rank << " and from rank " << mine.rank;
          error.attachNote(values.getCutFactor(summands.factors.front()).op->getLoc())
              << (isSum ? "the partial sum is made here" : "the candidates are found here");
          return error;
        }
      if (llvm::none_of(mine.box, [](ElementRange range) { return range.size() == 0; }))
        summands.boxes.push_back(mine.box);
    }
    llvm::sort(summands.boxes, [](const Summands::Box &a, const Summands::Box &b) {
      return std::lexicographical_compare(
          a.begin(), a.end(), b.begin(), b.end(),
          [](ElementRange x, ElementRange y) { return x.begin < y.begin; });
    });
  }
  if (llvm::all_of(sum.partial, [&](const Summands &each) { return isComplete(each, values); }))
    sum.partial.clear();
  for (auto [place, member] : llvm::enumerate(members)) {
    RankValue value = sum;
    if (auto scatter = dyn_cast<ReduceScatterOp>(member.second)) {
      PartDim &dim = value.dims[scatter.getDim()];
      if (isRuntime(dim.size)) {
        dim = getSharedDim(place, members.size());
      } else {
        // The ranges are of what the rank has.
        ElementRange range = getRanges(scatter.getRanges())[place];
        dim.range = {dim.range.begin + range.begin, dim.range.begin + range.end};
      }
    }
    known[member.second->getResult(0)] = value;
  }
  return success();
}

/// Where the members' shares begin in the logical value's dim, if each is as far from there
/// as its range says: what they join is then elements `begin` to `begin + size` of it.
static std::optional<int64_t> getBegin(ArrayRef<PartDim> shares, ArrayRef<ElementRange> ranges,
                                       int64_t size) {
  int64_t begin = shares.front().range.begin;
  for (auto [share, range] : llvm::zip_equal(shares, ranges))
    if (range.size() > 0)
      begin = share.range.begin - range.begin;
  for (auto [share, range] : llvm::zip_equal(shares, ranges))
    if (isRuntime(share.size) || share.range.size() != range.size() ||
        (range.size() > 0 && share.range.begin != begin + range.begin))
      return std::nullopt;
  if (begin < 0 || begin + size > shares.front().size)
    return std::nullopt;
  return begin;
}

/// What the members have together of a dim, `size` elements: each member's share must be the
/// one that its range says, of a run-time size the one of its place.
FailureOr<RankValue> PartVerifier::joinShares(ArrayRef<std::pair<int64_t, Operation *>> members,
                                              unsigned dim, ArrayRef<ElementRange> ranges,
                                              int64_t size) {
  Operation *op = members.front().second;
  RankValue joined = known[op->getOperand(0)];
  SmallVector<PartDim> shares;
  for (auto [rank, at] : members) {
    const RankValue &own = known[at->getOperand(0)];
    if (own.partial != joined.partial)
      return partialError(rank, at, own.partial.empty() ? joined : own,
                          "joins shares of different summands of");
    shares.push_back(own.dims[dim]);
  }
  if (isRuntime(size)) {
    for (auto [place, share] : llvm::enumerate(shares))
      if (share != getSharedDim(place, shares.size()))
        return rankError(members[place].first, members[place].second)
               << " joins " << describe(share) << " of '" << values.getName(joined.logical)
               << "', expected " << describe(getSharedDim(place, shares.size()));
    joined.dims[dim] = getSharedDim(0, 1);
    return joined;
  }
  std::optional<int64_t> begin = getBegin(shares, ranges, size);
  if (!begin) {
    size_t other = 0;
    while (other + 1 < shares.size() && shares[other].range == ranges[other])
      ++other;
    return rankError(members.front().first, op)
           << " joins what does not belong there: rank " << members[other].first << " has elements "
           << describe(shares[other].range, shares[other].size) << " of '"
           << values.getName(joined.logical) << "', but its range is "
           << describe(ranges[other], size);
  }
  PartDim &part = joined.dims[dim];
  part.range = {*begin, *begin + size};
  // Of the windows those stay that all have cut and of which this is a part. All of the dim
  // is no window.
  llvm::erase_if(part.windows, [&](ElementRange window) {
    return part.isWhole() || window.begin > part.range.begin || window.end < part.range.end ||
           llvm::any_of(
               shares,
               [&](const PartDim &share) { return !llvm::is_contained(share.windows, window); });
  });
  return joined;
}

LogicalResult PartVerifier::evaluateGather(ArrayRef<std::pair<int64_t, Operation *>> members) {
  auto gather = cast<AllGatherOp>(members.front().second);
  FailureOr<RankValue> joined =
      joinShares(members, gather.getDim(), getRanges(gather.getRanges()),
                 tensorOf(gather.getResult()).getDimSize(gather.getDim()));
  if (failed(joined))
    return failure();
  for (auto [rank, op] : members)
    known[op->getResult(0)] = *joined;
  return success();
}

/// Joined along one dim, and of that each member's range of another or of the same.
LogicalResult PartVerifier::evaluateExchange(ArrayRef<std::pair<int64_t, Operation *>> members) {
  auto exchange = cast<AllToAllOp>(members.front().second);
  FailureOr<RankValue> joined =
      joinShares(members, exchange.getConcatDim(), getRanges(exchange.getConcatRanges()),
                 exchange.getConcatSize());
  if (failed(joined))
    return failure();
  int64_t begin = joined->dims[exchange.getSplitDim()].range.begin;
  for (auto [member, range] : llvm::zip_equal(members, getRanges(exchange.getSplitRanges()))) {
    RankValue value = *joined;
    value.dims[exchange.getSplitDim()].range = {begin + range.begin, begin + range.end};
    known[member.second->getResult(0)] = value;
  }
  return success();
}
