// Checks of the ops that declare: mesh, weights, states.
#include "dialect/dialect.h"

#include "mlir/IR/BuiltinOps.h"

using namespace mlir;
using namespace cleave;

/// More ranks in a stage than this are a mistake in the file.
static constexpr int64_t maxCoordinates = 65536;

LogicalResult MeshOp::verify() {
  if (getAxes().size() != getSizes().size())
    return emitOpError("has ") << getAxes().size() << " axes and " << getSizes().size() << " sizes";
  llvm::DenseSet<Attribute> seen;
  int64_t coordinates = 1;
  for (auto [axis, size] : llvm::zip_equal(getAxes(), getSizes())) {
    if (!seen.insert(axis).second)
      return emitOpError("names axis ") << axis << " twice";
    if (size < 1)
      return emitOpError("gives axis ") << axis << " the size " << size << ", expected at least 1";
    if (size > maxCoordinates || (coordinates *= size) > maxCoordinates)
      return emitOpError("has more than ") << maxCoordinates << " coordinates";
  }
  if (getSequence() && !getAxisSize(*getSequence()))
    return emitOpError("has sequence ") << getSequenceAttr() << ", which is no axis of it";
  int64_t allShares = coordinates;
  for (NamedAttribute share : getShares().value_or(DictionaryAttr::get(getContext()))) {
    std::optional<int64_t> size = getAxisSize(share.getName());
    auto weights = dyn_cast<DenseI64ArrayAttr>(share.getValue());
    if (!size)
      return emitOpError("has shares for ") << share.getName() << ", which is no axis of it";
    if (!weights || weights.size() != *size ||
        llvm::any_of(weights.asArrayRef(), [](int64_t weight) { return weight < 1; }))
      return emitOpError("has shares ") << share.getValue() << " for axis " << share.getName()
                                        << ", expected " << *size << " positive numbers";
    // A dim that is cut over all axes has the products of their shares.
    int64_t sum = 0;
    for (int64_t weight : weights.asArrayRef())
      if (__builtin_add_overflow(sum, weight, &sum))
        return emitOpError("has shares ") << share.getValue() << ", which are too large";
    if (__builtin_mul_overflow(allShares, sum, &allShares))
      return emitOpError("has shares ") << share.getValue() << ", which are too large";
  }
  return success();
}

int64_t MeshOp::getNumCoordinates() {
  int64_t coordinates = 1;
  for (int64_t size : getSizes())
    coordinates *= size;
  return coordinates;
}

std::optional<int64_t> MeshOp::getAxisSize(StringRef axis) {
  for (auto [name, size] : llvm::zip_equal(getAxes(), getSizes()))
    if (cast<StringAttr>(name).getValue() == axis)
      return size;
  return std::nullopt;
}

/// A weight's or state's sharding has an entry for each dim.
static LogicalResult verifyDeclaredSharding(Operation *op, std::optional<ShardingAttr> sharding,
                                            RankedTensorType type) {
  if (!sharding)
    return success();
  if (static_cast<int64_t>(sharding->getDims().size()) != type.getRank())
    return op->emitOpError("has a sharding of ")
           << sharding->getDims().size() << " dims for type " << type;
  if (!sharding->getPartial().empty())
    return op->emitOpError("cannot hold partial sums");
  return success();
}

/// A source in blocks of integers can be decoded to the weight's type.
static LogicalResult verifyBlocks(WeightOp weight) {
  SourceAttr source = weight.getSource();
  std::optional<SourceAttr::BlockForm> form = source.getBlockForm();
  RankedTensorType type = weight.getTensorType();
  bool isPlain = type.getRank() == 2 && !source.getShape() && !source.getTransposed();
  if (!form || !isPlain || (form->bits != 4 && form->bits != 8) || form->length < 16 ||
      form->length > 32768 || !llvm::isPowerOf2_64(form->length))
    return weight.emitOpError("has a source in blocks of another form than 4 or 8 bits, in blocks "
                              "whose length is a power of 2 from 16 to 32768, of a matrix");
  auto block = dyn_cast<BlockType>(type.getElementType());
  bool fits = block ? form->length % block.getBlockLength() == 0 &&
                          (block.getElementType() == ElementType::q8_0 ||
                           (form->bits == 4 && (block.getElementType() == ElementType::q5_0 ||
                                                block.getElementType() == ElementType::q4_0)))
                    : type.getElementType().isF32();
  if (!fits)
    return weight.emitOpError("has type ") << type << ", which blocks of " << form->length
                                           << " integers of " << form->bits << " bits are not";
  return success();
}

/// A source with a shape has it in agreement with the rest.
static LogicalResult verifySource(WeightOp weight) {
  SourceAttr source = weight.getSource();
  RankedTensorType type = weight.getTensorType();
  if (source.getTransposed() && type.getRank() < 2)
    return weight.emitOpError("has type ") << type << ", expected two dims to transpose";
  if (source.getBlocks())
    return verifyBlocks(weight);
  if (!source.getShape())
    return success();
  if (isa<BlockType>(type.getElementType()))
    return weight.emitOpError("has type ") << type << ", expected plain elements for its source";
  SmallVector<int64_t> shape(source.getShape().asArrayRef());
  if (source.getTransposed() && shape.size() >= 2)
    std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  if (!weight.getSlice() && type.getShape() != ArrayRef<int64_t>(shape))
    return weight.emitOpError("has type ")
           << type << ", but its source has the shape [" << ArrayRef<int64_t>(shape) << "]";
  if (source.getKind() != SourceKind::Dense)
    return success();
  int64_t bytes = getElementTypeInfo(type.getElementType())->blockBytes;
  for (int64_t size : shape)
    if (__builtin_mul_overflow(bytes, size, &bytes))
      return weight.emitOpError("has a source that is too large");
  auto present = static_cast<int64_t>(source.getData().size());
  if (present != bytes)
    return weight.emitOpError("has a source of ")
           << present << " bytes, but its shape asks for " << bytes;
  if (present > maxDenseBytes)
    return weight.emitOpError("has a source of ")
           << present << " bytes, expected at most " << maxDenseBytes;
  return success();
}

LogicalResult WeightOp::verify() {
  RankedTensorType type = getTensorType();
  if (!type.hasStaticShape())
    return emitOpError("has type ") << type << ", expected static sizes";
  if (failed(verifyValueType(*this, type)))
    return failure();
  if (auto block = dyn_cast<BlockType>(type.getElementType())) {
    if (type.getRank() == 0)
      return emitOpError("has type ") << type << ", expected at least one dim for blocks";
    if (type.getShape().back() % block.getBlockLength() != 0)
      return emitOpError("has a last dim of size ")
             << type.getShape().back() << ", which is no whole number of blocks of "
             << block.getBlockLength();
  }
  if (std::optional<ArrayRef<int64_t>> slice = getSlice()) {
    SmallVector<ElementRange> ranges = getRanges(*slice);
    if (static_cast<int64_t>(ranges.size()) != type.getRank())
      return emitOpError("has a slice of ") << ranges.size() << " ranges for type " << type;
    for (auto [dim, range] : llvm::enumerate(ranges))
      if (range.size() != type.getDimSize(dim))
        return emitOpError("has a slice whose range ")
               << range.begin << ":" << range.end << " is not of the size " << type.getDimSize(dim)
               << " of dim " << dim;
  }
  if (failed(verifySource(*this)))
    return failure();
  return verifyDeclaredSharding(*this, getSharding(), type);
}

StringRef WeightOp::getTensorName() {
  return getSource().getTensor() ? getSource().getTensor().getValue() : getSymName();
}

LogicalResult UseOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto weight = symbols.lookupNearestSymbolFrom<WeightOp>(*this, getWeightAttr());
  if (!weight)
    return emitOpError("refers to ") << getWeightAttr() << ", which is no cleave.weight";
  if (weight.getType() == getType())
    return success();
  InFlightDiagnostic error = emitOpError("has type ")
                             << getType() << ", expected " << weight.getType();
  error.attachNote(weight.getLoc()) << "the weight is declared here";
  return error;
}

LogicalResult StateOp::verify() {
  RankedTensorType type = getTensorType();
  if (type.getRank() != 3 || !type.isDynamicDim(0) || !type.isDynamicDim(1) || type.isDynamicDim(2))
    return emitOpError("has type ") << type
                                    << ", expected [slots, context, width] with the first "
                                       "two known at run time";
  if (failed(verifyValueType(*this, type)))
    return failure();
  return verifyDeclaredSharding(*this, getSharding(), type);
}

LogicalResult StateUpdateOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto state = symbols.lookupNearestSymbolFrom<StateOp>(*this, getStateAttr());
  if (!state)
    return emitOpError("refers to ") << getStateAttr() << ", which is no cleave.state";
  if (state.getType() == getType())
    return success();
  InFlightDiagnostic error = emitOpError("has type ")
                             << getType() << ", expected " << state.getType();
  error.attachNote(state.getLoc()) << "the state is declared here";
  return error;
}
