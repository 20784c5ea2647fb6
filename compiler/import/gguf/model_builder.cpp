// Metadata and weights, proved before a module is built from them. The ops are in
// model_ops.cpp.
#include "compiler/import/gguf/model_builder.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"

#include <cmath>
#include <limits>

using namespace mlir;
using llvm::Twine;

namespace cleave::gguf {

namespace {

constexpr int32_t maxSize = std::numeric_limits<int32_t>::max();
/// How many names a list in a message has before it is cut short.
constexpr size_t maxListed = 8;

std::string shapeText(ArrayRef<int64_t> shape) {
  return shape.empty()
             ? "a scalar"
             : llvm::join(llvm::map_range(shape, [](int64_t size) { return std::to_string(size); }),
                          "x");
}

/// Whether the shapes are the same but for leading dims of 1, which ggml leaves out.
bool sameShape(ArrayRef<int64_t> a, ArrayRef<int64_t> b) {
  auto isOne = [](int64_t size) { return size == 1; };
  return ArrayRef<int64_t>(a).drop_while(isOne) == ArrayRef<int64_t>(b).drop_while(isOne);
}

} // namespace

ModelBuilder::ModelBuilder(const File &file, MLIRContext &context, StringRef architecture)
    : source(file), architecture(architecture.str()), context(context), declarations(&context),
      ops(&context) {
  context.loadDialect<CleaveDialect, func::FuncDialect>();
  module = ModuleOp::create(nameLoc(file.path()), llvm::sys::path::stem(file.path()));
  module.get()->setAttr(CleaveDialect::sourceAttrName, StringAttr::get(&context, file.path()));
  declarations.setInsertionPointToEnd(module->getBody());
}

void ModelBuilder::fail(llvm::Error e) {
  std::string message = llvm::toString(std::move(e));
  if (!failed)
    error = std::move(message);
  failed = true;
}

void ModelBuilder::warn(const Twine &message) {
  warnings.push_back((source.path() + ": " + message).str());
}

llvm::Error ModelBuilder::takeError() {
  if (!error)
    return llvm::Error::success();
  return llvm::make_error<FileError>(*std::exchange(error, std::nullopt));
}

Location ModelBuilder::nameLoc(StringRef name) {
  return NameLoc::get(StringAttr::get(&context, name));
}

// ---- Metadata ----

std::string ModelBuilder::fullKey(StringRef key) const {
  return architecture + "." + key.str();
}

std::optional<int64_t> ModelBuilder::findSize(StringRef shortKey) {
  std::string key = fullKey(shortKey);
  auto check = [&](auto value) -> std::optional<int64_t> {
    if (value >= 1 && value <= maxSize)
      return value;
    fail(
        source.keyError(key, "the value is " + Twine(value) + "; expected 1 to " + Twine(maxSize)));
    return std::nullopt;
  };
  if (source.isArray(key)) {
    llvm::Expected<std::optional<std::vector<int64_t>>> array = source.getInts(key);
    if (!array)
      return fail(array.takeError()), std::nullopt;
    if (!(*array)->empty() && llvm::all_equal(**array))
      return check((*array)->front());
    fail(source.keyError(key, "the value is an array whose elements are not all equal; layers of "
                              "different sizes are not supported"));
    return std::nullopt;
  }
  llvm::Expected<std::optional<uint64_t>> number = source.getUInt(key);
  if (!number)
    return fail(number.takeError()), std::nullopt;
  return *number ? check(**number) : std::nullopt;
}

int64_t ModelBuilder::size(StringRef key) {
  if (std::optional<int64_t> value = findSize(key))
    return *value;
  fail(source.error("key '" + fullKey(key) + "' is missing"));
  return 1;
}

int64_t ModelBuilder::sizeOr(StringRef key, int64_t fallback) {
  return findSize(key).value_or(fallback);
}

std::optional<float> ModelBuilder::findNumber(StringRef shortKey) {
  std::string key = fullKey(shortKey);
  llvm::Expected<std::optional<double>> number = source.getFloat(key);
  if (!number)
    return fail(number.takeError()), std::nullopt;
  if (!*number)
    return std::nullopt;
  if (!std::isfinite(float(**number)))
    return fail(source.keyError(key, "the value is " + std::to_string(**number) +
                                         "; expected a finite number")),
           std::nullopt;
  return float(**number);
}

float ModelBuilder::positive(StringRef key) {
  if (!source.has(fullKey(key)))
    fail(source.error("key '" + fullKey(key) + "' is missing"));
  return positiveOr(key, 1);
}

float ModelBuilder::positiveOr(StringRef key, float fallback) {
  float value = findNumber(key).value_or(fallback);
  if (value > 0)
    return value;
  fail(source.keyError(fullKey(key),
                       "the value is " + std::to_string(value) + "; expected more than 0"));
  return fallback;
}

std::optional<StringRef> ModelBuilder::findString(StringRef key) {
  llvm::Expected<std::optional<StringRef>> value = source.getString(fullKey(key));
  if (!value)
    return fail(value.takeError()), std::nullopt;
  return *value;
}

// ---- Weights ----

/// The tensor, proved to be of this shape and of a type that its use can take.
const Tensor *ModelBuilder::findTensor(StringRef name, ArrayRef<int64_t> shape, bool optional) {
  if (failed)
    return nullptr;
  const Tensor *tensor = source.findTensor(name);
  if (!tensor) {
    if (!optional)
      fail(source.error("tensor " + quoted(name) + " is missing; expected one of shape " +
                        shapeText(shape)));
    return nullptr;
  }
  if (!sameShape(tensor->shape(), shape)) {
    fail(source.tensorError(*tensor, "the shape is " + shapeText(tensor->shape()) + "; expected " +
                                         shapeText(shape)));
    return nullptr;
  }
  bool isMatrix = shape.size() > 1;
  const ElementTypeInfo *info = tensor->type;
  Type elementType = info ? getElementMlirType(&context, *info) : Type();
  bool isFloat = elementType && isa<FloatType>(elementType);
  bool accepted =
      isMatrix ? info && (isFloat || isBlockType(*info)) : info && info->type == ElementType::f32;
  if (!accepted) {
    fail(source.tensorError(*tensor, "the element type is " + tensor->typeName() + "; expected " +
                                         (isMatrix ? "f32, f16, bf16 or a type of blocks that is "
                                                     "supported"
                                                   : "f32")));
    return nullptr;
  }
  allMatricesF32 &= !isMatrix || info->type == ElementType::f32;
  used.insert(name);
  return tensor;
}

WeightOp ModelBuilder::createWeight(StringRef name, const Tensor &tensor, ArrayRef<int64_t> shape,
                                    StringAttr tensorName, DenseI64ArrayAttr slice) {
  auto path = StringAttr::get(&context, source.path());
  WeightOp weight = declarations.create<WeightOp>(
      nameLoc(name), StringAttr::get(&context, name),
      TypeAttr::get(RankedTensorType::get(shape, getElementMlirType(&context, *tensor.type))),
      SourceAttr::get(&context, SourceKind::Gguf, path, tensorName, /*seed=*/0), slice,
      /*splits=*/ArrayAttr(), /*sharding=*/ShardingAttr());
  declared[name] = weight;
  return weight;
}

WeightOp ModelBuilder::declare(StringRef name, ArrayRef<int64_t> shape, bool optional) {
  if (WeightOp known = declared.lookup(name))
    return known;
  const Tensor *tensor = findTensor(name, shape, optional);
  if (!tensor)
    return {};
  return createWeight(name, *tensor, shape, StringAttr(), DenseI64ArrayAttr());
}

/// Rows `begin` and on of a tensor, whose other dims are those of `shape`.
WeightOp ModelBuilder::declareSegment(const Tensor &tensor, ArrayRef<int64_t> shape,
                                      const Segment &segment, int64_t begin) {
  SmallVector<int64_t> own(shape), slice = {begin, begin + segment.outputs};
  own.front() = segment.outputs;
  for (int64_t size : shape.drop_front())
    slice.append({0, size});
  return createWeight((tensor.name + ":" + segment.name).str(), tensor, own,
                      StringAttr::get(&context, tensor.name),
                      DenseI64ArrayAttr::get(&context, slice));
}

WeightOp ModelBuilder::matrix(StringRef name, int64_t outputs, int64_t inputs) {
  return declare(name, {outputs, inputs}, /*optional=*/false);
}

WeightOp ModelBuilder::expertMatrices(StringRef name, int64_t experts, int64_t outputs,
                                      int64_t inputs) {
  return declare(name, {experts, outputs, inputs}, /*optional=*/false);
}

WeightOp ModelBuilder::vector(StringRef name, int64_t size) {
  return declare(name, {size}, /*optional=*/false);
}

WeightOp ModelBuilder::optionalMatrix(StringRef name, int64_t outputs, int64_t inputs) {
  return declare(name, {outputs, inputs}, /*optional=*/true);
}

WeightOp ModelBuilder::optionalVector(StringRef name, int64_t size) {
  return declare(name, {size}, /*optional=*/true);
}

LinearWeights ModelBuilder::linearWeights(StringRef name, int64_t outputs, int64_t inputs) {
  return {matrix((name + ".weight").str(), outputs, inputs),
          optionalVector((name + ".bias").str(), outputs)};
}

std::vector<LinearWeights>
ModelBuilder::fusedLinearWeights(StringRef name, ArrayRef<Segment> segments, int64_t inputs) {
  int64_t outputs = 0;
  for (const Segment &segment : segments)
    outputs += segment.outputs;
  SmallVector<int64_t, 2> matrixShape = {outputs, inputs}, vectorShape = {outputs};
  const Tensor *matrix = findTensor((name + ".weight").str(), matrixShape, /*optional=*/false);
  const Tensor *vector = findTensor((name + ".bias").str(), vectorShape, /*optional=*/true);
  std::vector<LinearWeights> result(segments.size());
  int64_t begin = 0;
  for (auto [weights, segment] : llvm::zip_equal(result, segments)) {
    if (matrix)
      weights.weight = declareSegment(*matrix, matrixShape, segment, begin);
    if (vector)
      weights.bias = declareSegment(*vector, vectorShape, segment, begin);
    begin += segment.outputs;
  }
  return result;
}

StateOp ModelBuilder::state(StringRef name, int64_t width) {
  auto dim = [&](StringRef dimName) { return StringAttr::get(&context, dimName); };
  Type elementType = allMatricesF32 ? declarations.getF32Type() : declarations.getF16Type();
  RankedTensorType type = getTensorType({ShapedType::kDynamic, ShapedType::kDynamic, width},
                                        elementType, {dim("slots"), dim("context"), StringAttr()});
  return declarations.create<StateOp>(nameLoc(name), dim(name), TypeAttr::get(type),
                                      /*sharding=*/ShardingAttr());
}

void ModelBuilder::warnOfUnusedTensors() {
  std::vector<std::string> names;
  size_t count = 0;
  for (const Tensor &tensor : source.tensors()) {
    if (used.contains(tensor.name))
      continue;
    if (++count <= maxListed)
      names.push_back(quoted(tensor.name));
  }
  if (count == 0)
    return;
  if (count > maxListed)
    names.push_back(std::to_string(count - maxListed) + " more");
  warn(Twine(count) + (count == 1 ? " tensor is" : " tensors are") +
       " not used by the architecture '" + architecture + "': " + llvm::join(names, ", "));
}

} // namespace cleave::gguf
