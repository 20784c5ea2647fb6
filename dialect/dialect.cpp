// Registration, types, and the checks of the dialect's discardable attributes.
#include "dialect/dialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace cleave;

#include "dialect/Dialect.cpp.inc"

#include "dialect/Enums.cpp.inc"

#include "dialect/Interfaces.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialect/Types.cpp.inc"

/// A size as a word: "past_plus_seq".
static std::string getAliasName(StringAttr name) {
  std::string word;
  for (StringRef rest = name.getValue(); !rest.empty();) {
    if (rest.consume_front("//"))
      word += "_div_";
    else if (rest.consume_front("+"))
      word += "_plus_";
    else if (rest.consume_front("-"))
      word += "_minus_";
    else if (rest.consume_front("*"))
      word += "_times_";
    else if (!rest.consume_front("(") && !rest.consume_front(")") && !rest.consume_front(",")) {
      word += rest.front();
      rest = rest.drop_front();
    }
  }
  return word;
}

namespace {
/// Names the encodings in printed IR after their symbols: `#tokens`.
struct DimsAliases : public OpAsmDialectInterface {
  using OpAsmDialectInterface::OpAsmDialectInterface;

  AliasResult getAlias(Attribute attr, raw_ostream &os) const override {
    auto dims = dyn_cast<DimsAttr>(attr);
    if (!dims)
      return AliasResult::NoAlias;
    llvm::interleave(
        dims.getNames(), os,
        [&](StringAttr name) {
          // Not last the number: the printer puts one of its own behind it.
          if (std::optional<DimShare> share = getDimShare(name))
            os << "share_" << share->index << "_of_" << share->count << "_"
               << getAliasName(share->base);
          else
            os << getAliasName(name);
        },
        "_");
    return AliasResult::OverridableAlias;
  }
};
} // namespace

void CleaveDialect::initialize() {
  registerTypes();
  registerAttributes();
  registerOps();
  addInterfaces<DimsAliases>();
}

// ---- Types ----

void CleaveDialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialect/Types.cpp.inc"
      >();
}

Type CleaveDialect::parseType(DialectAsmParser &parser) const {
  StringRef word;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&word))
    return {};
  const ElementTypeInfo *info = findElementType(std::string_view(word));
  if (info && isBlockType(*info))
    return BlockType::get(getContext(), info->type);
  auto error = parser.emitError(loc) << "unknown block type '" << word << "', expected one of";
  for (const ElementTypeInfo &known : elementTypes)
    if (isBlockType(known))
      error << " " << StringRef(known.name);
  return {};
}

void CleaveDialect::printType(Type type, DialectAsmPrinter &printer) const {
  printer << StringRef(elementTypeInfo(cast<BlockType>(type).getElementType()).name);
}

int64_t BlockType::getBlockLength() const {
  return elementTypeInfo(getElementType()).blockLength;
}
int64_t BlockType::getBlockBytes() const {
  return elementTypeInfo(getElementType()).blockBytes;
}

const ElementTypeInfo *cleave::getElementTypeInfo(Type type) {
  if (auto block = dyn_cast<BlockType>(type))
    return &elementTypeInfo(block.getElementType());
  for (const ElementTypeInfo &info : elementTypes)
    if (!isBlockType(info) && type == getElementMlirType(type.getContext(), info))
      return &info;
  return nullptr;
}

Type cleave::getElementMlirType(MLIRContext *context, const ElementTypeInfo &info) {
  if (isBlockType(info))
    return BlockType::get(context, info.type);
  Builder builder(context);
  switch (info.type) {
  case ElementType::f32:
    return builder.getF32Type();
  case ElementType::f16:
    return builder.getF16Type();
  case ElementType::bf16:
    return builder.getBF16Type();
  case ElementType::f64:
    return builder.getF64Type();
  case ElementType::u8:
  case ElementType::u16:
  case ElementType::u32:
  case ElementType::u64:
    return builder.getIntegerType(info.blockBytes * 8, /*isSigned=*/false);
  case ElementType::i1:
    return builder.getI1Type();
  default:
    return builder.getIntegerType(info.blockBytes * 8);
  }
}

int64_t cleave::getTensorBytes(RankedTensorType type) {
  const ElementTypeInfo &info = *getElementTypeInfo(type.getElementType());
  return type.getNumElements() / info.blockLength * info.blockBytes;
}

/// Counts zeros as ones, so that they hide nothing.
static bool isTooLarge(RankedTensorType type, const ElementTypeInfo &info) {
  int64_t bytes = info.blockBytes;
  for (int64_t size : type.getShape())
    if (!ShapedType::isDynamic(size) &&
        (__builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes) ||
         bytes / info.blockLength > maxTensorBytes))
      return true;
  return false;
}

LogicalResult cleave::verifyValueType(Operation *op, Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return op->emitOpError("has a value of type ") << type << ", expected a ranked tensor";
  const ElementTypeInfo *info = getElementTypeInfo(tensor.getElementType());
  if (!info) {
    InFlightDiagnostic error = op->emitOpError("has a value of type ")
                               << type << ", expected elements of type";
    for (const ElementTypeInfo &known : elementTypes)
      error << " " << StringRef(known.name);
    return error;
  }
  if (tensor.getRank() > static_cast<int64_t>(maxValueDims))
    return op->emitOpError("has a value of type ")
           << tensor << ", which has more than " << maxValueDims << " dimensions";
  if (!tensor.hasStaticShape() && !isa_and_nonnull<DimsAttr>(tensor.getEncoding()))
    return op->emitOpError("has a value of type ")
           << tensor << " whose run-time sizes have no names; write them as #cleave.dims<...>";
  if (isTooLarge(tensor, *info))
    return op->emitOpError("has a value of type ")
           << tensor << ", which is larger than " << maxTensorBytes << " bytes";
  return success();
}

StringAttr cleave::getDimName(RankedTensorType type, unsigned dim) {
  auto dims = dyn_cast_or_null<DimsAttr>(type.getEncoding());
  if (!dims || !type.isDynamicDim(dim))
    return {};
  return dims.getNames()[llvm::count(type.getShape().take_front(dim), ShapedType::kDynamic)];
}

bool cleave::hasDimShare(RankedTensorType type) {
  auto dims = dyn_cast_or_null<DimsAttr>(type.getEncoding());
  return dims && llvm::any_of(dims.getNames(),
                              [](StringAttr name) { return getDimShare(name).has_value(); });
}

RankedTensorType cleave::getTensorType(ArrayRef<int64_t> shape, Type elementType,
                                       ArrayRef<StringAttr> names) {
  SmallVector<StringAttr> dynamic;
  for (auto [size, name] : llvm::zip_equal(shape, names))
    if (ShapedType::isDynamic(size) && name)
      dynamic.push_back(name);
  Attribute encoding;
  if (!dynamic.empty())
    encoding = DimsAttr::get(elementType.getContext(), dynamic);
  return RankedTensorType::get(shape, elementType, encoding);
}

RankedTensorType cleave::withShape(RankedTensorType type, ArrayRef<int64_t> shape) {
  SmallVector<StringAttr> names;
  for (unsigned dim = 0; dim < shape.size(); ++dim)
    names.push_back(getDimName(type, dim));
  return getTensorType(shape, type.getElementType(), names);
}

RankedTensorType cleave::withDimName(RankedTensorType type, unsigned dim, StringAttr name) {
  SmallVector<StringAttr> names;
  for (unsigned each = 0; each < type.getRank(); ++each)
    names.push_back(each == dim ? name : getDimName(type, each));
  return getTensorType(type.getShape(), type.getElementType(), names);
}

StringRef cleave::getModelName(Operation *op) {
  if (auto name = op->getAttrOfType<StringAttr>(CleaveDialect::nameAttrName))
    return name.getValue();
  return op->getName().getStringRef();
}

int64_t cleave::getStage(Operation *op) {
  auto stage = op->getAttrOfType<IntegerAttr>(CleaveDialect::stageAttrName);
  return stage ? stage.getInt() : 0;
}

ShardingAttr cleave::getSharding(Value value) {
  if (auto result = dyn_cast<OpResult>(value)) {
    auto shardings = result.getOwner()->getAttrOfType<ArrayAttr>(CleaveDialect::shardingAttrName);
    return shardings ? dyn_cast<ShardingAttr>(shardings[result.getResultNumber()]) : ShardingAttr();
  }
  auto argument = cast<BlockArgument>(value);
  auto function = dyn_cast<FunctionOpInterface>(argument.getOwner()->getParentOp());
  return function ? function.getArgAttrOfType<ShardingAttr>(argument.getArgNumber(),
                                                            CleaveDialect::shardingAttrName)
                  : ShardingAttr();
}

// ---- Discardable attributes ----

/// A sharding has an entry for each dimension of its value; that its axes exist and fit is
/// checked by cleave-verify-sharded, which knows the mesh, or by propagation.
static LogicalResult verifySharding(Operation *op, ShardingAttr sharding, Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return op->emitOpError("has a sharding for a value of type ") << type << ", which is no tensor";
  if (static_cast<int64_t>(sharding.getDims().size()) != tensor.getRank())
    return op->emitOpError("has a sharding of ")
           << sharding.getDims().size() << " dims for a value of type " << type;
  return success();
}

template <typename AttrT>
static LogicalResult expectAttr(Operation *op, NamedAttribute attr, StringRef what) {
  if (isa<AttrT>(attr.getValue()))
    return success();
  return op->emitOpError("has attribute '")
         << attr.getName().getValue() << "' = " << attr.getValue() << ", expected " << what;
}

LogicalResult CleaveDialect::verifyOperationAttribute(Operation *op, NamedAttribute attr) {
  StringRef name = attr.getName();
  if (name == nameAttrName || name == sourceAttrName || name == planAttrName)
    return expectAttr<StringAttr>(op, attr, "a string");
  if (name == stageAttrName || name == rankAttrName)
    return expectAttr<IntegerAttr>(op, attr, "an integer");
  if (name == coordinateAttrName) {
    auto places = dyn_cast<DictionaryAttr>(attr.getValue());
    if (places && llvm::all_of(places, [](NamedAttribute place) {
          return isa<IntegerAttr>(place.getValue());
        }))
      return success();
    return op->emitOpError("has attribute '")
           << name << "' = " << attr.getValue() << ", expected an integer for each axis";
  }
  if (name == modelAttrName)
    return expectAttr<DictionaryAttr>(op, attr, "a dictionary");
  if (name == shardingAttrName) {
    auto shardings = dyn_cast<ArrayAttr>(attr.getValue());
    if (!shardings || shardings.size() != op->getNumResults() ||
        !llvm::all_of(shardings, llvm::IsaPred<ShardingAttr, UnitAttr>))
      return op->emitOpError("expects attribute '")
             << name << "' to hold one sharding for each result, or unit where none is given";
    for (auto [given, type] : llvm::zip_equal(shardings, op->getResultTypes()))
      if (auto sharding = dyn_cast<ShardingAttr>(given);
          sharding && failed(verifySharding(op, sharding, type)))
        return failure();
    return success();
  }
  return op->emitOpError("has unknown attribute '") << name << "'";
}

LogicalResult CleaveDialect::verifyRegionArgAttribute(Operation *op, unsigned region,
                                                      unsigned index, NamedAttribute attr) {
  StringRef name = attr.getName();
  if (name == inputAttrName)
    return expectAttr<StringAttr>(op, attr, "a string");
  if (name == shardingAttrName) {
    auto sharding = dyn_cast<ShardingAttr>(attr.getValue());
    if (!sharding)
      return expectAttr<ShardingAttr>(op, attr, "a sharding");
    return verifySharding(op, sharding, cast<FunctionOpInterface>(op).getArgumentTypes()[index]);
  }
  return op->emitOpError("has unknown argument attribute '") << name << "'";
}

LogicalResult CleaveDialect::verifyRegionResultAttribute(Operation *op, unsigned region,
                                                         unsigned index, NamedAttribute attr) {
  if (attr.getName() == outputAttrName)
    return expectAttr<StringAttr>(op, attr, "a string");
  if (attr.getName() == ownerAttrName)
    return expectAttr<IntegerAttr>(op, attr, "an integer");
  return op->emitOpError("has unknown result attribute '") << attr.getName().getValue() << "'";
}
