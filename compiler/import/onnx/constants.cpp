// What is known at import: elements as sizes, bytes, and as weights of the module.
#include "compiler/import/onnx/graph_importer.h"
#include "compiler/import/onnx/shape_arithmetic.h"

#include "llvm/ADT/StringExtras.h"

#include <cstring>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {

FailureOr<Operand> GraphImporter::tensorOperand(const ::onnx::TensorProto &tensor, StringRef name) {
  try {
    OnnxTensorInfo info = describeOnnxTensor(tensor, file.path().str() + ": tensor " + quote(name));
    if (info.dims.size() > maxValueDims)
      return fail("tensor " + quote(name) + " has " + Twine(info.dims.size()) +
                  " dimensions, expected at most " + Twine(maxValueDims));
    Operand operand;
    operand.type = RankedTensorType::get(info.dims, getElementMlirType(&context, *info.type));
    operand.constant = Constant{&tensor, false, {}, name.str()};
    // A name that another tensor has, in a branch or a function: it goes into the module.
    if (file.findTensor(name) != &tensor) {
      llvm::Expected<TensorBytes> data = file.data(tensor);
      if (!data) {
        if (std::string message = llvm::toString(data.takeError()); !error)
          error = message;
        return failure();
      }
      operand.constant->bytes = data->bytes.vec();
      operand.constant->tensor = nullptr;
    }
    return operand;
  } catch (const std::exception &caught) {
    if (!error)
      error = caught.what();
    return failure();
  }
}

// ---- Bytes ----

/// [.., o, i] from the bytes of [.., i, o].
static std::vector<std::byte> swapLastDims(ArrayRef<std::byte> bytes, ArrayRef<int64_t> dims,
                                           size_t size) {
  std::vector<std::byte> result(bytes.size());
  int64_t rows = dims[dims.size() - 2], columns = dims.back();
  size_t matrix = rows * columns * size;
  for (size_t base = 0; base < bytes.size(); base += matrix)
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column)
        std::memcpy(&result[base + (row * columns + column) * size],
                    &bytes[base + (column * rows + row) * size], size);
  return result;
}

/// The shape of the file's tensor, which is transposed where the constant is: of a segment that
/// of all.
static SmallVector<int64_t> shapeInFile(const Operand &operand) {
  if (operand.constant->segment.empty())
    return SmallVector<int64_t>(operand.type.getShape());
  SmallVector<int64_t> shape(operand.constant->tensor->dims().begin(),
                             operand.constant->tensor->dims().end());
  if (operand.constant->transposed)
    std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  return shape;
}

FailureOr<std::vector<std::byte>> GraphImporter::bytesOf(const Operand &operand) {
  const size_t size = getElementTypeInfo(operand.type.getElementType())->blockBytes;
  if (operand.constant && operand.constant->tensor) {
    llvm::Expected<TensorBytes> data = file.data(*operand.constant->tensor);
    if (!data) {
      std::string message = llvm::toString(data.takeError());
      if (!error)
        error = message;
      return failure();
    }
    if (!operand.constant->transposed && operand.constant->segment.empty())
      return data->bytes.vec();
    SmallVector<int64_t> whole = shapeInFile(operand);
    std::vector<std::byte> bytes =
        operand.constant->transposed ? swapLastDims(data->bytes, whole, size) : data->bytes.vec();
    if (operand.constant->segment.empty())
      return bytes;
    auto begin = bytes.begin() + operand.constant->firstRow * (bytes.size() / whole.front());
    return std::vector<std::byte>(begin, begin + operand.type.getNumElements() * size);
  }
  if (operand.constant)
    return operand.constant->bytes;
  std::vector<std::byte> bytes(operand.sizes->elements.size() * size);
  for (auto [index, element] : llvm::enumerate(operand.sizes->elements)) {
    if (!element.constant())
      return fail("the size " + element.text() +
                  " is needed as a number; give its symbols values "
                  "with --dim NAME=N");
    int64_t value = *element.constant();
    if (operand.type.getElementType().isF32()) {
      auto number = static_cast<float>(value);
      std::memcpy(&bytes[index * size], &number, size);
    } else {
      std::memcpy(&bytes[index * size], &value, size);
    }
  }
  return bytes;
}

template <typename T> static bool appendSizes(ArrayRef<std::byte> bytes, SizeArray &sizes) {
  for (size_t at = 0; at < bytes.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, &bytes[at], sizeof value);
    if (!std::in_range<int64_t>(value))
      return false;
    sizes.elements.push_back(static_cast<int64_t>(value));
  }
  return true;
}

std::optional<SizeArray> GraphImporter::sizesOf(Operand &operand) {
  if (operand.sizes || !operand.constant)
    return operand.sizes;
  auto type = dyn_cast<IntegerType>(operand.type.getElementType());
  if (!type || operand.type.getNumElements() > maxSizeElements)
    return std::nullopt;
  FailureOr<std::vector<std::byte>> bytes = bytesOf(operand);
  if (failed(bytes))
    return std::nullopt;
  SizeArray sizes{SmallVector<int64_t, 2>(operand.type.getShape()), {}};
  bool isUnsigned = type.isUnsigned(), fits = true;
  switch (type.getWidth()) {
  case 64:
    fits = isUnsigned ? appendSizes<uint64_t>(*bytes, sizes) : appendSizes<int64_t>(*bytes, sizes);
    break;
  case 32:
    fits = isUnsigned ? appendSizes<uint32_t>(*bytes, sizes) : appendSizes<int32_t>(*bytes, sizes);
    break;
  case 16:
    fits = isUnsigned ? appendSizes<uint16_t>(*bytes, sizes) : appendSizes<int16_t>(*bytes, sizes);
    break;
  case 8:
    fits = isUnsigned ? appendSizes<uint8_t>(*bytes, sizes) : appendSizes<int8_t>(*bytes, sizes);
    break;
  default:
    for (std::byte each : *bytes)
      sizes.elements.push_back(each != std::byte{0});
  }
  if (fits)
    operand.sizes = sizes;
  return operand.sizes;
}

// ---- Weights ----

/// Sizes as a tensor: a range of one element for each, put together.
Value GraphImporter::materializeSizes(const SizeArray &sizes, RankedTensorType type,
                                      StringRef name) {
  Location location = NameLoc::get(StringAttr::get(&context, name));
  auto oneType = RankedTensorType::get({1}, type.getElementType());
  if (sizes.elements.size() > maxOperands) {
    (void)fail("the value " + quote(name) + " has " + Twine(sizes.elements.size()) +
               " elements that depend on sizes, more than the " + Twine(maxOperands) +
               " that are supported; give symbols values with --dim NAME=N");
    return {};
  }
  SmallVector<Value> parts;
  for (const SizeExpression &size : sizes.elements)
    parts.push_back(ops.create<RangeOp>(location, oneType, size, 1));
  Value all = parts.front();
  if (parts.size() > 1)
    all = ops.create<ConcatOp>(
        location,
        RankedTensorType::get({static_cast<int64_t>(parts.size())}, type.getElementType()), parts,
        0);
  if (all.getType() == type)
    return all;
  int64_t groups[] = {1, type.getRank()};
  return ops.create<ReshapeOp>(location, type, all, ops.getDenseI64ArrayAttr(groups));
}

Value GraphImporter::materialize(Operand &operand, StringRef name) {
  if (operand.value)
    return operand.value;
  auto isOpen = [](const SizeExpression &size) { return !size.constant(); };
  if (!operand.constant && llvm::any_of(operand.sizes->elements, isOpen))
    return operand.value = materializeSizes(*operand.sizes, operand.type, name);
  SourceAttr source;
  DenseI64ArrayAttr slice;
  std::string segmentName;
  // A single number stands in the module, where passes that look for its value see it.
  const bool isNumber = operand.type.getNumElements() == 1 && operand.type.getRank() < 2;
  if (operand.constant && operand.constant->tensor && !isNumber) {
    const ::onnx::TensorProto &tensor = *operand.constant->tensor;
    SmallVector<int64_t> shape = shapeInFile(operand);
    bool transposed = operand.constant->transposed;
    SmallVector<int64_t> read = shape;
    if (transposed)
      std::swap(read[read.size() - 1], read[read.size() - 2]);
    // Of another shape than the file's.
    bool isViewed = !llvm::equal(read, tensor.dims());
    name = operand.constant->name;
    source = SourceAttr::getOnnx(&context, file.path(), name,
                                 isViewed ? std::optional<ArrayRef<int64_t>>(read) : std::nullopt,
                                 transposed);
    if (!operand.constant->segment.empty()) {
      SmallVector<int64_t> ranges = {operand.constant->firstRow,
                                     operand.constant->firstRow + operand.type.getDimSize(0)};
      for (int64_t size : ArrayRef<int64_t>(shape).drop_front())
        ranges.append({0, size});
      slice = DenseI64ArrayAttr::get(&context, ranges);
      segmentName = (name + ":" + operand.constant->segment).str();
      name = segmentName;
    }
  } else {
    FailureOr<std::vector<std::byte>> bytes = bytesOf(operand);
    if (failed(bytes))
      return {};
    if (bytes->size() > maxDenseBytes) {
      (void)fail("the value " + quote(name) + " is made at import and has " + Twine(bytes->size()) +
                 " bytes, more than the " + Twine(maxDenseBytes) + " that a module holds");
      return {};
    }
    source = SourceAttr::getDense(&context,
                                  {reinterpret_cast<const char *>(bytes->data()), bytes->size()},
                                  operand.type.getShape());
    if (operand.constant && !operand.constant->name.empty())
      name = operand.constant->name;
  }
  return operand.value = useWeight(name, operand.type, source, slice);
}

/// A use of the weight that has this source, which is declared once.
Value GraphImporter::useWeight(StringRef name, RankedTensorType type, SourceAttr source,
                               DenseI64ArrayAttr slice) {
  std::string key;
  llvm::raw_string_ostream(key) << source << slice << type;
  WeightOp &weight = weights[key];
  if (!weight)
    weight = declarations.create<WeightOp>(NameLoc::get(StringAttr::get(&context, name)),
                                           StringAttr::get(&context, uniqueWeightName(name)),
                                           TypeAttr::get(type), source, slice,
                                           /*splits=*/ArrayAttr(), /*sharding=*/ShardingAttr());
  return ops.create<UseOp>(weight.getLoc(), type, FlatSymbolRefAttr::get(weight.getSymNameAttr()));
}

FailureOr<BlockMatrix> GraphImporter::openBlockMatrix(const BlockMatrixSource &source) {
  llvm::Expected<BlockMatrix> matrix = BlockMatrix::open(file, source);
  if (matrix)
    return std::move(*matrix);
  std::string message = llvm::toString(matrix.takeError());
  if (!error)
    error = message;
  return failure();
}

Value GraphImporter::declareBlocks(const BlockMatrixSource &source, RankedTensorType type) {
  SourceAttr inFile =
      SourceAttr::getOnnx(&context, file.path(), source.values, std::nullopt, /*transposed=*/false)
          .withBlocks({source.bits, source.length, source.scales, source.zeros});
  return useWeight(source.values, type, inFile, DenseI64ArrayAttr());
}

} // namespace cleave::onnx
