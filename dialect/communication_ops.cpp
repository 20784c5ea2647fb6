// Checks of transfer, share, send, recv and the collectives, as far as one op shows
// them; that partners agree is cleave-verify-ranks' to prove.
#include "dialect/dialect.h"

#include "mlir/IR/BuiltinOps.h"

using namespace mlir;
using namespace cleave;

bool cleave::communicates(Operation *op) {
  return isa<SendOp, RecvOp, AllReduceOp, AllGatherOp, ReduceScatterOp, AllToAllOp, BroadcastOp,
             AllReduceAddOp, MergedAllReduceOp>(op);
}

LogicalResult TransferOp::verify() {
  if (getTo() <= getStage(*this))
    return emitOpError("goes from stage ")
           << getStage(*this) << " to stage " << getTo() << ", expected a later one";
  return success();
}

/// The largest rank and tag that a program can name.
static constexpr int64_t maxRank = 65535;
static constexpr int64_t maxTag = 32767; // what MPI guarantees (MPI 4.0, section 9.1.2)

static LogicalResult verifyPeer(Operation *op, int64_t peer, int64_t tag) {
  if (peer < 0 || peer > maxRank)
    return op->emitOpError("names rank ") << peer << ", expected 0 to " << maxRank;
  if (tag < 0 || tag > maxTag)
    return op->emitOpError("has tag ") << tag << ", expected 0 to " << maxTag;
  return success();
}

LogicalResult SendOp::verify() {
  return verifyPeer(*this, getTo(), getTag());
}
LogicalResult RecvOp::verify() {
  return verifyPeer(*this, getFrom(), getTag());
}

LogicalResult cleave::verifyGroup(Operation *op, ArrayRef<int64_t> group) {
  llvm::DenseSet<int64_t> seen;
  if (group.empty())
    return op->emitOpError("has an empty group");
  for (int64_t rank : group) {
    if (rank < 0 || rank > maxRank)
      return op->emitOpError("names rank ") << rank << ", expected 0 to " << maxRank;
    if (!seen.insert(rank).second)
      return op->emitOpError("names rank ") << rank << " twice";
  }
  return success();
}

/// The ranges cover dim `dim` of `size` elements.
static LogicalResult verifyCover(Operation *op, SmallVector<ElementRange> ranges, int64_t size,
                                 int64_t dim) {
  llvm::sort(ranges, [](ElementRange a, ElementRange b) { return a.begin < b.begin; });
  int64_t covered = 0;
  for (ElementRange range : ranges) {
    if (range.begin > covered)
      break;
    covered = std::max(covered, range.end);
  }
  if (covered != size)
    return op->emitOpError("has ranges that cover the elements up to ")
           << covered << " of " << size << " in dim " << dim;
  return success();
}

/// `share` and `whole` are alike but in dim `dim`.
static LogicalResult verifyAlong(Operation *op, RankedTensorType share, RankedTensorType whole,
                                 int64_t dim, StringRef does) {
  if (dim < 0 || dim >= whole.getRank() || share.getRank() != whole.getRank() ||
      share.getElementType() != whole.getElementType())
    return op->emitOpError(does) << share << " to " << whole << " along dim " << dim;
  for (int64_t d = 0; d < whole.getRank(); ++d)
    if (d != dim && (share.getDimSize(d) != whole.getDimSize(d) ||
                     getDimName(share, d) != getDimName(whole, d)))
      return op->emitOpError("changes dim ") << d << " between " << share << " and " << whole;
  return success();
}

/// Run-time dim `dim` of `share` is a share of `whole`'s, one of `count` where that is given.
static LogicalResult verifyDimShare(Operation *op, RankedTensorType share, RankedTensorType whole,
                                    int64_t dim, std::optional<int64_t> count) {
  StringAttr name = getDimName(share, dim), base = getDimName(whole, dim);
  if (name && base) {
    std::optional<DimShare> found = getDimShare(name);
    if (!getDimShare(base) && found && found->base == base && (!count || found->count == *count))
      return success();
    if (count == 1 && name == base)
      return success();
  }
  InFlightDiagnostic error = op->emitOpError("has dim ") << dim << " of " << share << ", expected ";
  if (count)
    error << "one of " << *count << " shares of";
  else
    error << "a share of";
  return error << " that of " << whole;
}

/// The ranges cover `whole`'s dim, and one of them has the size of `share`'s.
static LogicalResult verifyShares(Operation *op, RankedTensorType share, RankedTensorType whole,
                                  int64_t dim, ArrayRef<int64_t> flat, ArrayRef<int64_t> group) {
  if (failed(verifyAlong(op, share, whole, dim, "joins ")))
    return failure();
  if (whole.isDynamicDim(dim) || share.isDynamicDim(dim)) {
    if (!flat.empty())
      return op->emitOpError("has ranges for run-time dim ")
             << dim << " of " << whole << ", which is cut evenly";
    return verifyDimShare(op, share, whole, dim, group.size());
  }
  SmallVector<ElementRange> ranges = getRanges(flat);
  if (ranges.size() != group.size() || flat.size() % 2 != 0)
    return op->emitOpError("has ") << ranges.size() << " ranges for a group of " << group.size();
  if (llvm::none_of(ranges, [&](ElementRange r) { return r.size() == share.getDimSize(dim); }))
    return op->emitOpError("has no range of this rank's size ") << share.getDimSize(dim);
  return verifyCover(op, ranges, whole.getDimSize(dim), dim);
}

LogicalResult ShareOp::verify() {
  auto whole = cast<RankedTensorType>(getX().getType());
  auto share = cast<RankedTensorType>(getResult().getType());
  if (failed(verifyAlong(*this, share, whole, getDim(), "takes a share, from ")))
    return failure();
  return verifyDimShare(*this, share, whole, getDim(), std::nullopt);
}

LogicalResult AllReduceOp::verify() {
  RankedTensorType type = getType();
  if (getKind() == ReductionKind::Top &&
      (type.getRank() != 3 || type.getDimSize(2) != 2 || type.isDynamicDim(1) ||
       !type.getElementType().isF32()))
    return emitOpError("expects candidates [r, k, 2], found ") << type;
  return verifyGroup(*this, getGroup());
}
LogicalResult BroadcastOp::verify() {
  return verifyGroup(*this, getGroup());
}

LogicalResult AllGatherOp::verify() {
  if (failed(verifyGroup(*this, getGroup())))
    return failure();
  return verifyShares(*this, cast<RankedTensorType>(getX().getType()),
                      cast<RankedTensorType>(getResult().getType()), getDim(), getRanges(),
                      getGroup());
}

LogicalResult ReduceScatterOp::verify() {
  if (getKind() != ReductionKind::Sum)
    return emitOpError("has kind ")
           << stringifyReductionKind(getKind()) << ", of which there is only an all_reduce";
  if (failed(verifyGroup(*this, getGroup())))
    return failure();
  return verifyShares(*this, cast<RankedTensorType>(getResult().getType()),
                      cast<RankedTensorType>(getX().getType()), getDim(), getRanges(), getGroup());
}

int64_t AllToAllOp::getConcatSize() {
  if (getConcatDim() != getSplitDim())
    return cast<RankedTensorType>(getResult().getType()).getDimSize(getConcatDim());
  int64_t size = 0;
  for (ElementRange range : cleave::getRanges(getConcatRanges()))
    size = std::max(size, range.end);
  return size;
}

LogicalResult AllToAllOp::verify() {
  if (failed(verifyGroup(*this, getGroup())))
    return failure();
  auto held = cast<RankedTensorType>(getX().getType());
  auto wanted = cast<RankedTensorType>(getResult().getType());
  SmallVector<ElementRange> split = cleave::getRanges(getSplitRanges()),
                            concat = cleave::getRanges(getConcatRanges());
  for (ArrayRef<int64_t> flat : {getSplitRanges(), getConcatRanges()})
    if (flat.size() != 2 * getGroup().size())
      return emitOpError("has ") << flat.size() / 2 << " ranges for a group of "
                                 << getGroup().size();
  int64_t splitDim = getSplitDim(), concatDim = getConcatDim();
  if (splitDim < 0 || splitDim >= held.getRank() || concatDim < 0 || concatDim >= held.getRank() ||
      held.getRank() != wanted.getRank() || held.getElementType() != wanted.getElementType())
    return emitOpError("makes ") << wanted << " of " << held << " along dims " << splitDim
                                 << " and " << concatDim;
  for (int64_t dim = 0; dim < held.getRank(); ++dim) {
    if (dim != splitDim && dim != concatDim) {
      if (held.getDimSize(dim) != wanted.getDimSize(dim) ||
          getDimName(held, dim) != getDimName(wanted, dim))
        return emitOpError("changes dim ") << dim << " between " << held << " and " << wanted;
    } else if (held.isDynamicDim(dim) || wanted.isDynamicDim(dim)) {
      return emitOpError("cuts or joins run-time dim ") << dim << " of " << held;
    }
  }
  auto isMember = [&](auto ranges) {
    auto [holds, gets] = ranges;
    return holds.size() == held.getDimSize(concatDim) && gets.size() == wanted.getDimSize(splitDim);
  };
  if (llvm::none_of(llvm::zip_equal(concat, split), isMember))
    return emitOpError("has no member with this rank's shares, ")
           << held.getDimSize(concatDim) << " elements of dim " << concatDim << " before and "
           << wanted.getDimSize(splitDim) << " of dim " << splitDim << " after";
  int64_t size = splitDim == concatDim ? getConcatSize() : held.getDimSize(splitDim);
  for (ElementRange range : split)
    if (range.end > size)
      return emitOpError("has range ") << range.begin << ":" << range.end << " outside dim "
                                       << splitDim << " of size " << size;
  return verifyCover(*this, concat, getConcatSize(), concatDim);
}
