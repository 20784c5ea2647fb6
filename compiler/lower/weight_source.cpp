// Slices of tensors, in whole quantization blocks, from wherever they are.
#include "compiler/lower/weight_source.h"

#include "compiler/import/onnx/block_matrix.h"
#include "compiler/lower/weight_layout.h"
#include "runtime/program/block_formats.h"
#include "runtime/program/npy.h"
#include "runtime/program/packing.h"

#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;
using namespace cleave;

static std::string join(ArrayRef<int64_t> shape) {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::interleave(shape, os, "x");
  return text;
}

/// The weight's ranges in its file's tensor of `shape`.
static FailureOr<SmallVector<ElementRange>> getRangesIn(WeightOp weight, ArrayRef<int64_t> shape,
                                                        StringRef file) {
  RankedTensorType type = weight.getTensorType();
  SmallVector<ElementRange> ranges;
  if (std::optional<ArrayRef<int64_t>> slice = weight.getSlice())
    ranges = getRanges(*slice);
  else
    for (int64_t size : type.getShape())
      ranges.push_back({0, size});
  bool fits = shape.size() == ranges.size() && (weight.getSlice() || shape == type.getShape());
  if (fits)
    for (auto [size, range] : llvm::zip_equal(shape, ranges))
      fits &= range.end <= size;
  if (!fits)
    return weight.emitError() << file << ": tensor '" << weight.getTensorName() << "' has shape "
                              << join(shape) << ", but weight '" << weight.getSymName()
                              << "' of type " << type
                              << (weight.getSlice() ? " is a slice that does not lie in it"
                                                    : " is not of that shape");
  const ElementTypeInfo &info = *getElementTypeInfo(type.getElementType());
  if (!ranges.empty() && ranges.back().size() > 0 &&
      (ranges.back().begin % info.blockLength || ranges.back().end % info.blockLength))
    return weight.emitError() << "the slice of weight '" << weight.getSymName()
                              << "' does not lie on whole blocks of " << info.blockLength;
  return ranges;
}

/// Gives `sink` the ranges of a row-major tensor at `data`.
static void readSlice(const std::byte *data, ArrayRef<int64_t> shape, ArrayRef<ElementRange> ranges,
                      const ElementTypeInfo &info, const WeightSources::Sink &sink) {
  for (ElementRange range : ranges)
    if (range.size() == 0)
      return;
  if (shape.empty())
    return sink({data, info.blockBytes});
  // The innermost dims that are whole join the last that is not into one run of bytes.
  auto bytesOf = [&](int64_t elements) { return elements / info.blockLength * info.blockBytes; };
  size_t run = shape.size() - 1;
  int64_t inner = 1;
  while (run > 0 && ranges[run] == ElementRange{0, shape[run]})
    inner *= shape[run--];
  int64_t offset = bytesOf(ranges[run].begin * inner), length = bytesOf(ranges[run].size() * inner);
  int64_t stride = bytesOf(shape[run] * inner);
  SmallVector<int64_t> index;
  for (size_t dim = 0; dim < run; ++dim)
    index.push_back(ranges[dim].begin);
  while (true) {
    int64_t row = 0;
    for (size_t dim = 0; dim < run; ++dim)
      row = row * shape[dim] + index[dim];
    sink({data + row * stride + offset, static_cast<size_t>(length)});
    size_t dim = run;
    while (dim > 0 && ++index[dim - 1] == ranges[dim - 1].end) {
      index[dim - 1] = ranges[dim - 1].begin;
      --dim;
    }
    if (dim == 0)
      return;
  }
}

LogicalResult WeightSources::readGguf(WeightOp weight, const Sink &sink) {
  std::string path = weight.getSource().getPath().str();
  auto it = ggufFiles.find(path);
  if (it == ggufFiles.end()) {
    llvm::Expected<gguf::File> file = gguf::File::open(path);
    if (!file)
      return weight.emitError() << llvm::toString(file.takeError());
    it = ggufFiles.emplace(path, std::move(*file)).first;
  }
  gguf::File &file = it->second;
  const gguf::Tensor *tensor = file.findTensor(weight.getTensorName());
  if (!tensor)
    return weight.emitError() << path << ": there is no tensor '" << weight.getTensorName() << "'";
  RankedTensorType type = weight.getTensorType();
  if (tensor->type != getElementTypeInfo(type.getElementType()))
    return weight.emitError() << path << ": tensor '" << weight.getTensorName() << "' is of type "
                              << tensor->typeName() << ", but weight '" << weight.getSymName()
                              << "' is declared as " << type;
  FailureOr<SmallVector<ElementRange>> ranges = getRangesIn(weight, tensor->shape(), path);
  if (failed(ranges))
    return failure();
  llvm::Expected<ArrayRef<uint8_t>> data = file.data(*tensor);
  if (!data)
    return weight.emitError() << llvm::toString(data.takeError());
  readSlice(reinterpret_cast<const std::byte *>(data->data()), tensor->shape(), *ranges,
            *tensor->type, sink);
  return success();
}

LogicalResult WeightSources::readNpy(WeightOp weight, const Sink &sink) {
  std::string path = weight.getSource().getPath().str();
  try {
    NpyArray array = cleave::readNpy(path);
    const ElementTypeInfo &info = elementTypeInfo(array.type);
    if (&info != getElementTypeInfo(weight.getTensorType().getElementType()))
      return weight.emitError() << path << ": the array is of type " << StringRef(info.name)
                                << ", but weight '" << weight.getSymName() << "' is declared as "
                                << weight.getType();
    FailureOr<SmallVector<ElementRange>> ranges = getRangesIn(weight, array.dims, path);
    if (failed(ranges))
      return failure();
    readSlice(array.data.data(), array.dims, *ranges, info, sink);
    return success();
  } catch (const std::exception &error) {
    return weight.emitError() << error.what();
  }
}

/// Gives `sink` the ranges of a tensor [.., r, c] of which `data` has [.., c, r].
template <typename T>
static void readTransposed(const std::byte *data, ArrayRef<int64_t> shape,
                           ArrayRef<ElementRange> ranges, const WeightSources::Sink &sink) {
  for (ElementRange range : ranges)
    if (range.size() == 0)
      return;
  // So many rows at a time that a cache line of what is read is used whole.
  constexpr int64_t most = 64;
  size_t outer = shape.size() - 2;
  ElementRange rows = ranges[outer], columns = ranges[outer + 1];
  std::vector<T> piece(std::min(most, rows.size()) * columns.size());
  SmallVector<int64_t> index;
  for (size_t dim = 0; dim < outer; ++dim)
    index.push_back(ranges[dim].begin);
  while (true) {
    int64_t matrix = 0;
    for (size_t dim = 0; dim < outer; ++dim)
      matrix = matrix * shape[dim] + index[dim];
    const std::byte *from = data + matrix * shape[outer] * shape[outer + 1] * sizeof(T);
    for (int64_t begin = rows.begin; begin < rows.end; begin += most) {
      int64_t count = std::min(most, rows.end - begin);
      for (int64_t column = columns.begin; column < columns.end; ++column)
        for (int64_t row = 0; row < count; ++row)
          std::memcpy(&piece[row * columns.size() + column - columns.begin],
                      from + (column * shape[outer] + begin + row) * sizeof(T), sizeof(T));
      sink(std::as_bytes(std::span(piece).first(count * columns.size())));
    }
    size_t dim = outer;
    while (dim > 0 && ++index[dim - 1] == ranges[dim - 1].end) {
      index[dim - 1] = ranges[dim - 1].begin;
      --dim;
    }
    if (dim == 0)
      return;
  }
}

static void readTransposed(const std::byte *data, ArrayRef<int64_t> shape,
                           ArrayRef<ElementRange> ranges, const ElementTypeInfo &info,
                           const WeightSources::Sink &sink) {
  switch (info.blockBytes) {
  case 1:
    return readTransposed<uint8_t>(data, shape, ranges, sink);
  case 2:
    return readTransposed<uint16_t>(data, shape, ranges, sink);
  case 4:
    return readTransposed<uint32_t>(data, shape, ranges, sink);
  default:
    return readTransposed<uint64_t>(data, shape, ranges, sink);
  }
}

/// Gives `sink` the ranges of a matrix that the file has as integers in blocks.
static LogicalResult readBlocks(WeightOp weight, cleave::onnx::ModelFile &file,
                                const SourceAttr::BlockForm &form,
                                const WeightSources::Sink &sink) {
  llvm::Expected<cleave::onnx::BlockMatrix> matrix =
      cleave::onnx::BlockMatrix::open(file, {form.bits, form.length, weight.getTensorName().str(),
                                             form.scales.str(), form.zeros.str()});
  if (!matrix)
    return weight.emitError() << llvm::toString(matrix.takeError());
  RankedTensorType type = weight.getTensorType();
  SmallVector<int64_t> shape = {matrix->outputs(), matrix->paddedInputs()};
  if (!weight.getSlice()) // the last block of a row may be padded
    shape[1] = std::min(shape[1], type.getDimSize(1));
  FailureOr<SmallVector<ElementRange>> ranges = getRangesIn(weight, shape, file.path());
  if (failed(ranges))
    return failure();
  ElementRange rows = (*ranges)[0], columns = (*ranges)[1];
  const ElementTypeInfo &info = *getElementTypeInfo(type.getElementType());
  const ElementType order[] = {ElementType::q4_0, ElementType::q5_0, ElementType::q8_0,
                               ElementType::f32};
  if (llvm::find(order, info.type) < llvm::find(order, matrix->exactType(columns.end)))
    return weight.emitError() << file.path() << ": tensor '" << weight.getTensorName()
                              << "' has elements that weight '" << weight.getSymName()
                              << "' of type " << type << " cannot have exactly";
  std::vector<std::byte> piece;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    piece.clear();
    matrix->read(row, columns.begin, columns.end, info.type, piece);
    sink(piece);
  }
  return success();
}

LogicalResult WeightSources::readOnnx(WeightOp weight, const Sink &sink) {
  SourceAttr source = weight.getSource();
  std::string path = source.getPath().str();
  auto it = onnxFiles.find(path);
  if (it == onnxFiles.end()) {
    llvm::Expected<onnx::ModelFile> file = onnx::ModelFile::open(path);
    if (!file)
      return weight.emitError() << llvm::toString(file.takeError());
    it = onnxFiles.emplace(path, std::move(*file)).first;
  }
  if (std::optional<SourceAttr::BlockForm> form = source.getBlockForm())
    return readBlocks(weight, it->second, *form, sink);
  const ::onnx::TensorProto *tensor = it->second.findTensor(weight.getTensorName());
  if (!tensor)
    return weight.emitError() << path << ": there is no tensor '" << weight.getTensorName() << "'";
  const ElementTypeInfo &info = *getElementTypeInfo(weight.getTensorType().getElementType());
  if (findElementTypeOfOnnx(tensor->data_type()) != &info)
    return weight.emitError() << path << ": tensor '" << weight.getTensorName() << "' is of type "
                              << getOnnxTypeName(tensor->data_type()) << ", but weight '"
                              << weight.getSymName() << "' is declared as " << weight.getType();
  llvm::Expected<onnx::TensorBytes> data = it->second.data(*tensor);
  if (!data)
    return weight.emitError() << llvm::toString(data.takeError());
  SmallVector<int64_t> shape(tensor->dims().begin(), tensor->dims().end());
  if (source.getShape()) {
    int64_t bytes = info.blockBytes;
    bool isTooLarge = false;
    for (int64_t size : source.getShape().asArrayRef())
      isTooLarge |= __builtin_mul_overflow(bytes, size, &bytes);
    if (isTooLarge || bytes != static_cast<int64_t>(data->bytes.size()))
      return weight.emitError() << path << ": tensor '" << weight.getTensorName() << "' has shape "
                                << join(shape) << ", which cannot be seen as "
                                << join(source.getShape().asArrayRef());
    shape.assign(source.getShape().asArrayRef().begin(), source.getShape().asArrayRef().end());
  }
  if (source.getTransposed() && shape.size() >= 2)
    std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  FailureOr<SmallVector<ElementRange>> ranges = getRangesIn(weight, shape, path);
  if (failed(ranges))
    return failure();
  if (source.getTransposed())
    readTransposed(data->bytes.data(), shape, *ranges, info, sink);
  else
    readSlice(data->bytes.data(), shape, *ranges, info, sink);
  return success();
}

/// The bytes that the module holds.
static LogicalResult readDense(WeightOp weight, const WeightSources::Sink &sink) {
  SourceAttr source = weight.getSource();
  ArrayRef<int64_t> shape = source.getShape().asArrayRef();
  FailureOr<SmallVector<ElementRange>> ranges = getRangesIn(weight, shape, "the module");
  if (failed(ranges))
    return failure();
  readSlice(reinterpret_cast<const std::byte *>(source.getData().data()), shape, *ranges,
            *getElementTypeInfo(weight.getTensorType().getElementType()), sink);
  return success();
}

// ---- Weights made from a seed ----

/// A step of splitmix64 (Steele, Lea and Flood, 2014).
static uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// 2^exponent as a half, which may be subnormal.
static constexpr uint16_t halfPower(int exponent) {
  return static_cast<uint16_t>(exponent >= -14 ? (exponent + 15) << 10 : 1 << (exponent + 24));
}
static constexpr uint16_t negated(uint16_t half) {
  return half | 1u << 15;
}

/// Gives a block of random bits scales with which magnitudes are at most 1/16, of either sign.
static void setScales(BlockQ8_0 &block) {
  block.scale = halfPower(-11);
}
static void setScales(BlockQ4_0 &block) {
  block.scale = halfPower(-7);
}
static void setScales(BlockQ4_1 &block) {
  block.scale = halfPower(-8);
  block.minimum = negated(halfPower(-5));
}
static void setScales(BlockQ5_0 &block) {
  block.scale = halfPower(-8);
}
static void setScales(BlockQ5_1 &block) {
  block.scale = halfPower(-9);
  block.minimum = negated(halfPower(-5));
}
static void setScales(BlockQ4_K &block) {
  block.scale = halfPower(-14);
  block.minimum = halfPower(-11);
}
static void setScales(BlockQ5_K &block) {
  block.scale = halfPower(-15);
  block.minimum = halfPower(-11);
}
static void setScales(BlockQ6_K &block) {
  block.scale = halfPower(-16);
}

/// One element or block from random bits: of either sign and, unquantized, of a magnitude
/// in [1/32, 1/16). Integers are 0 to 7.
static void makeBlock(const ElementTypeInfo &info, uint64_t bits, std::byte *block) {
  auto put = [&](auto value) { std::memcpy(block, &value, sizeof value); };
  uint64_t sign = bits >> 63;
  switch (info.type) {
  case ElementType::f32:
    return put(static_cast<uint32_t>(sign << 31 | 122u << 23 | (bits & 0x7fffff)));
  case ElementType::f16:
    return put(static_cast<uint16_t>(sign << 15 | 10u << 10 | (bits & 0x3ff)));
  case ElementType::bf16:
    return put(static_cast<uint16_t>(sign << 15 | 122u << 7 | (bits & 0x7f)));
  case ElementType::f64:
    return put(sign << 63 | 1018ull << 52 | (bits & 0xfffffffffffff));
  case ElementType::i1:
    return put(static_cast<uint8_t>(bits & 1));
  default:
    break;
  }
  if (isIntegerType(info.type)) { // 0 to 7: all types have them
    uint64_t small = bits & 7;
    std::memcpy(block, &small, info.blockBytes);
    return;
  }
  for (uint32_t at = 0; at < info.blockBytes; at += 8) {
    bits = mix(bits);
    std::memcpy(block + at, &bits, std::min<uint32_t>(8, info.blockBytes - at));
  }
  assert(isBlockType(info));
  withBlock(info.type, [&]<class Block>() { setScales(*reinterpret_cast<Block *>(block)); });
}

/// Depends on the seed, the name and each element's place in the whole tensor only, so
/// that slices agree.
static void makeRandom(WeightOp weight, const WeightSources::Sink &sink) {
  RankedTensorType type = weight.getTensorType();
  if (type.getRank() == 0) // as one of a vector
    type = RankedTensorType::get({1}, type.getElementType());
  const ElementTypeInfo &info = *getElementTypeInfo(type.getElementType());
  SmallVector<ElementRange> ranges;
  if (std::optional<ArrayRef<int64_t>> slice = weight.getSlice(); slice && !slice->empty())
    ranges = getRanges(*slice);
  else
    for (int64_t size : type.getShape())
      ranges.push_back({0, size});
  uint64_t base = mix(weight.getSource().getSeed() ^ llvm::xxh3_64bits(weight.getTensorName()));
  int64_t rows = 1;
  for (int64_t size : type.getShape().drop_back())
    rows *= size;
  const int64_t blocks = type.getShape().back() / info.blockLength;
  const int64_t pieceBlocks = std::min<int64_t>(blocks, 1 << 16);
  std::vector<std::byte> piece(pieceBlocks * info.blockBytes);
  for (int64_t r = 0; r < rows; ++r) {
    uint64_t ofRow = base;
    int64_t rest = r;
    for (size_t dim = ranges.size() - 1; dim-- > 0; rest /= type.getDimSize(dim))
      ofRow = mix(ofRow ^ static_cast<uint64_t>(ranges[dim].begin + rest % type.getDimSize(dim)));
    int64_t first = ranges.back().begin / info.blockLength;
    for (int64_t begin = 0; begin < blocks; begin += pieceBlocks) {
      int64_t count = std::min(pieceBlocks, blocks - begin);
      for (int64_t block = 0; block < count; ++block)
        makeBlock(info, mix(ofRow + first + begin + block), piece.data() + block * info.blockBytes);
      sink(std::span(piece).first(count * info.blockBytes));
    }
  }
}

LogicalResult WeightSources::read(WeightOp weight, const Sink &sink) {
  switch (weight.getSource().getKind()) {
  case SourceKind::Gguf:
    return readGguf(weight, sink);
  case SourceKind::Npy:
    return readNpy(weight, sink);
  case SourceKind::Onnx:
    return readOnnx(weight, sink);
  case SourceKind::Dense:
    return readDense(weight, sink);
  case SourceKind::Random:
    makeRandom(weight, sink);
    return success();
  case SourceKind::None:
    return weight.emitError()
           << "weight '" << weight.getSymName()
           << "' comes 'from none': its size is known but not its bytes, so it can "
              "be partitioned and reported on, but not packaged or checked";
  }
  llvm_unreachable("all sources are listed");
}

FailureOr<llvm::StringMap<WeightPlace>>
cleave::placeWeights(ModuleOp module, WeightSources &sources,
                     llvm::function_ref<uint64_t(WeightOp)> begin,
                     const WeightSources::Sink &append) {
  llvm::StringMap<WeightPlace> places;
  llvm::StringMap<Layout> layouts = chooseLayouts(module);
  for (WeightOp weight : module.getOps<WeightOp>()) {
    WeightPlace place{begin(weight), 0, layouts.lookup(weight.getSymName())};
    auto sink = [&](std::span<const std::byte> piece) {
      append(piece);
      place.size += piece.size();
    };
    WeightSources::Sink packing = sink;
    std::optional<MatrixPacker> packer;
    if (place.layout == Layout::interleaved) {
      RankedTensorType type = weight.getTensorType();
      const ElementTypeInfo &info = *getElementTypeInfo(type.getElementType());
      packer.emplace(info, type.getDimSize(type.getRank() - 2),
                     rowBytes(info, type.getShape().back()).value(), sink);
      packing = [&](std::span<const std::byte> piece) { packer->append(piece); };
    }
    if (failed(sources.read(weight, packing)))
      return failure();
    places[weight.getSymName()] = place;
  }
  return places;
}
