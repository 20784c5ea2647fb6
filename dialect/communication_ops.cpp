// Checks of transfer, share, send, recv and the collectives, as far as one op shows
// them; that partners agree is cleave-verify-ranks' to prove.
#include "dialect/dialect.h"

#include "mlir/IR/BuiltinOps.h"

using namespace mlir;
using namespace cleave;

bool cleave::communicates(Operation *op) {
  return isa<SendOp, RecvOp, AllReduceOp, AllGatherOp, ReduceScatterOp, BroadcastOp, AllReduceAddOp,
             MergedAllReduceOp>(op);
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
  SmallVector<ElementRange> sorted(ranges);
  llvm::sort(sorted, [](ElementRange a, ElementRange b) { return a.begin < b.begin; });
  int64_t covered = 0;
  for (ElementRange range : sorted) {
    if (range.begin > covered)
      break;
    covered = std::max(covered, range.end);
  }
  if (covered != whole.getDimSize(dim))
    return op->emitOpError("has ranges that cover the elements up to ")
           << covered << " of " << whole.getDimSize(dim) << " in dim " << dim;
  return success();
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
      (type.getRank() != 3 || type.getDimSize(2) != 2 || type.isDynamicDim(1)))
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
