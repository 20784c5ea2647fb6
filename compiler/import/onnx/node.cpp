// Operands, attributes and results of a node.
#include "compiler/import/onnx/node.h"

#include "compiler/import/onnx/graph_importer.h"
#include "compiler/import/onnx/shape_arithmetic.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {

// ---- Shapes ----

Shape getShape(RankedTensorType type) {
  Shape shape;
  for (unsigned dim = 0; dim < type.getRank(); ++dim) {
    if (!type.isDynamicDim(dim)) {
      shape.push_back(type.getDimSize(dim));
      continue;
    }
    // The importer's own names are texts of expressions.
    MaybeSize size = SizeExpression::parse(getDimName(type, dim).getValue());
    assert(size && "a run-time size is named by an expression");
    shape.push_back(*size);
  }
  return shape;
}

std::string describe(ArrayRef<SizeExpression> shape) {
  std::string text = "[";
  for (const SizeExpression &size : shape)
    text += (text.size() > 1 ? ", " : "") + size.text();
  return text + "]";
}

// ---- The node ----

Node::Node(GraphImporter &importer, const ::onnx::NodeProto &proto, int64_t version,
           std::string name)
    : importer(importer), proto(proto), opsetVersion(version), nodeName(std::move(name)) {}

OpBuilder &Node::builder() {
  return importer.ops;
}

MLIRContext *Node::context() {
  return &importer.context;
}

LogicalResult Node::fail(const Twine &message) {
  return importer.fail("node " + quote(nodeName) + " (" + proto.op_type() + "): " + message);
}

Location Node::location() {
  return NameLoc::get(StringAttr::get(context(), nodeName));
}

void Node::nameOp(Operation *op) {
  std::string name = opsMade == 0 ? nodeName : nodeName + ":" + std::to_string(opsMade + 1);
  ++opsMade;
  op->setAttr(CleaveDialect::nameAttrName, StringAttr::get(context(), name));
}

bool Node::wants(unsigned i) const {
  return i < numOutputs() && !proto.output(i).empty();
}

Operand &Node::operand(unsigned i) {
  if (has(i))
    return *inputs[i];
  (void)fail("operand " + Twine(i) + " is missing; the node has " + Twine(numInputs()));
  none.type = RankedTensorType::get({}, builder().getF32Type());
  none.constant = Constant{nullptr, false, std::vector<std::byte>(4), "none"};
  return none;
}

Value Node::value(unsigned i) {
  Operand &wanted = operand(i);
  return importer.materialize(wanted, has(i) ? StringRef(proto.input(i)) : StringRef("none"));
}

std::optional<SizeArray> Node::findSizes(unsigned i) {
  return has(i) ? importer.sizesOf(*inputs[i]) : std::nullopt;
}

/// Names an input of the graph that operand `i` is computed from, so that the user can fix it.
LogicalResult Node::failUnknown(unsigned i, StringRef what) {
  constexpr size_t most = 4096;
  SmallVector<Value> pending = {operand(i).value};
  llvm::DenseSet<Value> seen;
  std::string advice;
  while (!pending.empty() && seen.size() < most && advice.empty()) {
    Value value = pending.pop_back_val();
    if (!seen.insert(value).second)
      continue;
    if (Operation *op = value.getDefiningOp()) {
      llvm::append_range(pending, llvm::reverse(op->getOperands()));
      continue;
    }
    auto argument = mlir::cast<BlockArgument>(value);
    StringRef name =
        importer.function
            .getArgAttrOfType<StringAttr>(argument.getArgNumber(), CleaveDialect::inputAttrName)
            .getValue();
    advice = "; it comes from the input " + quote(name) + ", which gets a value with --value " +
             name.str() + "=FILE";
  }
  return fail("operand " + Twine(i) + ", " + what + ", is " + quote(proto.input(i)) +
              ", which is not known before the model runs" + advice);
}

FailureOr<SizeArray> Node::sizes(unsigned i, StringRef what) {
  if (std::optional<SizeArray> known = findSizes(i))
    return *known;
  if (!has(i))
    return fail("operand " + Twine(i) + ", " + what + ", is missing");
  if (!operand(i).isKnown())
    return failUnknown(i, what);
  return fail("operand " + Twine(i) + ", " + what + ", has elements of type " +
              std::string(getElementTypeInfo(elementType(i))->name) + " in a shape of " +
              describe(shape(i)) + ", expected a few integers");
}

FailureOr<SmallVector<int64_t>> Node::integers(unsigned i, StringRef what) {
  FailureOr<SizeArray> known = sizes(i, what);
  if (failed(known))
    return failure();
  SmallVector<int64_t> values;
  for (const SizeExpression &element : known->elements) {
    if (!element.constant())
      return fail("operand " + Twine(i) + ", " + what + ", depends on the size " + element.text() +
                  ", expected numbers; give sizes a value with --dim NAME=N");
    values.push_back(*element.constant());
  }
  return values;
}

/// A 16-bit float's value.
static double decodeHalf(const std::byte *data, const llvm::fltSemantics &semantics) {
  uint16_t bits = 0;
  std::memcpy(&bits, data, sizeof bits);
  llvm::APFloat value(semantics, llvm::APInt(16, bits));
  return value.convertToDouble();
}

template <typename T> static double decodeAs(const std::byte *data) {
  T value;
  std::memcpy(&value, data, sizeof value);
  return static_cast<double>(value);
}

static double decode(Type type, const std::byte *data) {
  if (type.isF32())
    return decodeAs<float>(data);
  if (type.isF64())
    return decodeAs<double>(data);
  if (type.isF16())
    return decodeHalf(data, llvm::APFloat::IEEEhalf());
  if (type.isBF16())
    return decodeHalf(data, llvm::APFloat::BFloat());
  bool isUnsigned = type.isUnsignedInteger();
  switch (type.getIntOrFloatBitWidth()) {
  case 64:
    return isUnsigned ? decodeAs<uint64_t>(data) : decodeAs<int64_t>(data);
  case 32:
    return isUnsigned ? decodeAs<uint32_t>(data) : decodeAs<int32_t>(data);
  case 16:
    return isUnsigned ? decodeAs<uint16_t>(data) : decodeAs<int16_t>(data);
  case 8:
    return isUnsigned ? decodeAs<uint8_t>(data) : decodeAs<int8_t>(data);
  default:
    return decodeAs<uint8_t>(data) != 0;
  }
}

FailureOr<SmallVector<double>> Node::numbers(unsigned i, StringRef what) {
  if (!operand(i).isKnown())
    return failUnknown(i, what);
  FailureOr<std::vector<std::byte>> bytes = importer.bytesOf(operand(i));
  if (failed(bytes))
    return failure();
  Type type = elementType(i);
  const int64_t size = getElementTypeInfo(type)->blockBytes;
  constexpr size_t most = size_t{1} << 20;
  if (bytes->size() / size > most)
    return fail("operand " + Twine(i) + ", " + what + ", has more than " + Twine(most) +
                " elements");
  SmallVector<double> values;
  for (size_t at = 0; at < bytes->size(); at += size)
    values.push_back(decode(type, bytes->data() + at));
  return values;
}

std::optional<SizeArray> Node::findWholeNumbers(unsigned i) {
  if (std::optional<SizeArray> sizes = findSizes(i))
    return sizes;
  Operand &known = operand(i);
  if (!known.isKnown() || known.type.getNumElements() > maxSizeElements)
    return std::nullopt;
  FailureOr<SmallVector<double>> values = numbers(i, "an operand");
  if (failed(values))
    return std::nullopt;
  SizeArray sizes{SmallVector<int64_t, 2>(known.type.getShape()), {}};
  for (double value : *values) {
    if (!(std::abs(value) < static_cast<double>(maxWholeFloat)) || value != std::floor(value))
      return std::nullopt;
    sizes.elements.push_back(static_cast<int64_t>(value));
  }
  return sizes;
}

// ---- Attributes ----

const ::onnx::AttributeProto *Node::attribute(StringRef name) {
  for (const ::onnx::AttributeProto &each : proto.attribute()) {
    if (each.name() != name)
      continue;
    if (each.ref_attr_name().empty())
      return &each;
    // In a function: the caller's.
    for (auto *scope = importer.current; scope; scope = scope->outer)
      if (scope->isFunction)
        return scope->attributes.lookup(each.ref_attr_name());
    return nullptr;
  }
  return nullptr;
}

int64_t Node::integerAttr(StringRef name, int64_t fallback) {
  const ::onnx::AttributeProto *found = attribute(name);
  if (!found)
    return fallback;
  if (found->type() == ::onnx::AttributeProto::INT)
    return found->i();
  (void)fail("attribute " + quote(name) + " is not an integer");
  return fallback;
}

float Node::numberAttr(StringRef name, float fallback) {
  const ::onnx::AttributeProto *found = attribute(name);
  if (!found)
    return fallback;
  if (found->type() == ::onnx::AttributeProto::FLOAT)
    return found->f();
  (void)fail("attribute " + quote(name) + " is not a number");
  return fallback;
}

std::string Node::stringAttr(StringRef name, StringRef fallback) {
  const ::onnx::AttributeProto *found = attribute(name);
  if (!found)
    return fallback.str();
  if (found->type() == ::onnx::AttributeProto::STRING)
    return found->s();
  (void)fail("attribute " + quote(name) + " is not a string");
  return fallback.str();
}

std::optional<SmallVector<int64_t>> Node::integersAttr(StringRef name) {
  const ::onnx::AttributeProto *found = attribute(name);
  if (!found)
    return std::nullopt;
  if (found->type() == ::onnx::AttributeProto::INTS)
    return SmallVector<int64_t>(found->ints().begin(), found->ints().end());
  (void)fail("attribute " + quote(name) + " is not a list of integers");
  return std::nullopt;
}

FailureOr<std::optional<SmallVector<int64_t>>> Node::integersOf(unsigned i, StringRef name) {
  if (!has(i))
    return integersAttr(name);
  FailureOr<SmallVector<int64_t>> known = integers(i, name);
  if (failed(known))
    return failure();
  return std::optional(*known);
}

FailureOr<int64_t> Node::axis(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    return fail("has the axis " + Twine(axis) + " for " + Twine(rank) + " dimensions");
  return axis < 0 ? axis + rank : axis;
}

FailureOr<SmallVector<int64_t>> Node::axes(ArrayRef<int64_t> given, int64_t rank) {
  SmallVector<int64_t> result;
  for (int64_t each : given) {
    FailureOr<int64_t> normal = axis(each, rank);
    if (failed(normal))
      return failure();
    result.push_back(*normal);
  }
  llvm::sort(result);
  if (std::adjacent_find(result.begin(), result.end()) != result.end())
    return fail("names an axis twice");
  return result;
}

// ---- Results ----

void Node::set(unsigned i, Value value) {
  if (!value || i >= outputs.size())
    return;
  auto operand = std::make_shared<Operand>();
  operand->type = cast<RankedTensorType>(value.getType());
  operand->value = value;
  outputs[i] = std::move(operand);
}

void Node::set(unsigned i, Operand operand) {
  if (i < outputs.size())
    outputs[i] = std::make_shared<Operand>(std::move(operand));
}

void Node::set(unsigned i, SizeArray sizes, Type elementType) {
  Operand operand;
  operand.type = RankedTensorType::get(sizes.dims, elementType);
  operand.sizes = std::move(sizes);
  set(i, std::move(operand));
}

FailureOr<Shape> Node::broadcast(ArrayRef<Shape> shapes) {
  Shape result;
  for (const Shape &shape : shapes) {
    if (shape.size() > result.size())
      result.insert(result.begin(), shape.size() - result.size(), SizeExpression(1));
    size_t missing = result.size() - shape.size();
    for (auto [dim, size] : llvm::enumerate(shape)) {
      SizeExpression &found = result[missing + dim];
      if (found == size || size.constant() == 1)
        continue;
      if (found.constant() == 1) {
        found = size;
        continue;
      }
      bool isKnown = found.constant() && size.constant();
      return fail("the sizes " + found.text() + " and " + size.text() + " " +
                  (isKnown ? "do not broadcast"
                           : "are not known to be equal; give them values, or each other's name, "
                             "with --dim NAME=SIZE"));
    }
  }
  return result;
}

FailureOr<SizeExpression> Node::size(const MaybeSize &size) {
  if (size)
    return *size;
  return fail("makes a size that is too complicated an expression of the model's symbols; give "
              "some of them values with --dim NAME=N");
}

Value Node::materialize(Operand &operand) {
  return importer.materialize(operand, nodeName);
}

Value Node::convert(Value value, Type elementType) {
  if (!value)
    return {};
  auto type = mlir::cast<RankedTensorType>(value.getType());
  if (type.getElementType() == elementType)
    return value;
  return create<CastOp>(getTensorType(getShape(type), elementType), value);
}

Operand Node::makeConstant(ArrayRef<int64_t> dims, Type elementType, std::vector<std::byte> bytes) {
  Operand operand;
  operand.type = RankedTensorType::get(dims, elementType);
  operand.constant = Constant{nullptr, false, std::move(bytes), nodeName};
  return operand;
}

Value Node::sizeValue(const SizeExpression &size) {
  return create<RangeOp>(RankedTensorType::get({1}, builder().getI64Type()), size, 1);
}

Value Node::scalar(double number, Type elementType) {
  std::vector<std::byte> bytes(getElementTypeInfo(elementType)->blockBytes);
  auto put = [&](auto value) { std::memcpy(bytes.data(), &value, bytes.size()); };
  if (auto floatType = dyn_cast<FloatType>(elementType)) {
    llvm::APFloat value(number);
    bool losesInfo = false;
    value.convert(floatType.getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven, &losesInfo);
    put(value.bitcastToAPInt().getZExtValue());
  } else {
    put(static_cast<int64_t>(number));
  }
  Operand operand = makeConstant({}, elementType, std::move(bytes));
  return importer.materialize(operand, nodeName);
}

} // namespace cleave::onnx
