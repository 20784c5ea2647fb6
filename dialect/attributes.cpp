// Text and checks of the dialect's attributes.
#include "dialect/dialect.h"

#include "runtime/program/size_expression.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace cleave;

#define GET_ATTRDEF_CLASSES
#include "dialect/Attributes.cpp.inc"

void CleaveDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/Attributes.cpp.inc"
      >();
}

// ---- Ranges ----

SmallVector<ElementRange> cleave::getRanges(ArrayRef<int64_t> flat) {
  SmallVector<ElementRange> ranges;
  for (size_t i = 0; i + 1 < flat.size(); i += 2)
    ranges.push_back({flat[i], flat[i + 1]});
  return ranges;
}

void cleave::printRanges(AsmPrinter &printer, ArrayRef<int64_t> flat) {
  printer << "[";
  llvm::interleaveComma(getRanges(flat), printer,
                        [&](ElementRange range) { printer << range.begin << ":" << range.end; });
  printer << "]";
}

ParseResult cleave::parseRanges(AsmParser &parser, SmallVectorImpl<int64_t> &flat) {
  return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&]() -> ParseResult {
    SMLoc loc = parser.getCurrentLocation();
    int64_t begin = 0, end = 0;
    if (parser.parseInteger(begin) || parser.parseColon() || parser.parseInteger(end))
      return failure();
    if (begin < 0 || end < begin)
      return parser.emitError(loc) << "range " << begin << ":" << end
                                   << " is not of the form begin:end with 0 <= begin <= end";
    flat.append({begin, end});
    return success();
  });
}

// ---- #cleave.dims ----

/// More shares of a size than this are a mistake in the file.
static constexpr int64_t maxShares = 65536;

std::optional<DimShare> cleave::getDimShare(StringAttr name) {
  auto [base, rest] = name.getValue().split('[');
  auto [index, count] = rest.split(" of ");
  DimShare share;
  if (base.empty() || !count.consume_back("]") || index.getAsInteger(10, share.index) ||
      count.getAsInteger(10, share.count) || share.count < 2 || share.count > maxShares ||
      share.index < 0 || share.index >= share.count)
    return std::nullopt;
  share.base = StringAttr::get(name.getContext(), base);
  // One way to write a share, so that names can be compared.
  if (getDimShareName(share.base, share.index, share.count) != name)
    return std::nullopt;
  return share;
}

StringAttr cleave::getDimShareName(StringAttr base, int64_t index, int64_t count) {
  if (count == 1)
    return base;
  return StringAttr::get(base.getContext(),
                         base.getValue() + "[" + Twine(index) + " of " + Twine(count) + "]");
}

/// `tokens` or `tokens[1 of 4]`
static ParseResult parseDimName(AsmParser &parser, SmallVectorImpl<StringAttr> &names) {
  std::string name;
  if (parser.parseKeywordOrString(&name))
    return failure();
  if (succeeded(parser.parseOptionalLSquare())) {
    int64_t index = 0, count = 0;
    if (parser.parseInteger(index) || parser.parseKeyword("of") || parser.parseInteger(count) ||
        parser.parseRSquare())
      return failure();
    name += ("[" + Twine(index) + " of " + Twine(count) + "]").str();
  }
  names.push_back(StringAttr::get(parser.getContext(), name));
  return success();
}

Attribute DimsAttr::parse(AsmParser &parser, Type) {
  SmallVector<StringAttr> names;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::LessGreater,
                                     [&] { return parseDimName(parser, names); }))
    return {};
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(), names);
}

void DimsAttr::print(AsmPrinter &printer) const {
  printer << "<";
  llvm::interleaveComma(getNames(), printer, [&](StringAttr name) {
    if (std::optional<DimShare> share = getDimShare(name)) {
      printer.printKeywordOrString(share->base.getValue());
      printer << "[" << share->index << " of " << share->count << "]";
    } else {
      printer.printKeywordOrString(name.getValue());
    }
  });
  printer << ">";
}

LogicalResult DimsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               ArrayRef<StringAttr> names) {
  for (StringAttr name : names) {
    std::optional<DimShare> share = getDimShare(name);
    if (name.getValue().find_first_of("[]") != StringRef::npos && !share)
      return emitError() << "the run-time size " << name
                         << " is no share of another; expected NAME[INDEX of COUNT] with an "
                            "index below the count, and a count of 2 to "
                         << maxShares;
    StringRef whole = share ? share->base : name;
    std::string why;
    MaybeSize size = SizeExpression::parse(whole, &why);
    if (!size)
      return emitError() << "the run-time size \"" << whole
                         << "\" is no expression of sizes: " << why;
    if (size->symbols().empty())
      return emitError() << "the run-time size \"" << whole << "\" is a constant";
    if (size->text() != whole)
      return emitError() << "the run-time size \"" << whole << "\" is written \"" << size->text()
                         << "\", so that equal sizes have equal names";
  }
  return success();
}

SizeExpression cleave::getSize(StringAttr name) {
  return *SizeExpression::parse(name.getValue());
}

MaybeSize cleave::getDimSize(RankedTensorType type, unsigned dim) {
  if (!type.isDynamicDim(dim))
    return SizeExpression(type.getDimSize(dim));
  StringAttr name = getDimName(type, dim);
  return name && !getDimShare(name) ? MaybeSize(getSize(name)) : std::nullopt;
}

RankedTensorType cleave::getTensorType(ArrayRef<SizeExpression> shape, Type elementType) {
  SmallVector<int64_t> sizes;
  SmallVector<StringAttr> names;
  for (const SizeExpression &size : shape) {
    std::optional<int64_t> constant = size.constant();
    sizes.push_back(constant.value_or(ShapedType::kDynamic));
    names.push_back(constant ? StringAttr()
                             : StringAttr::get(elementType.getContext(), size.text()));
  }
  return getTensorType(sizes, elementType, names);
}

LogicalResult DimsAttr::verifyEncoding(ArrayRef<int64_t> shape, Type,
                                       function_ref<InFlightDiagnostic()> emitError) const {
  size_t dynamic = llvm::count(shape, ShapedType::kDynamic);
  if (dynamic != getNames().size())
    return emitError() << *this << " names " << getNames().size()
                       << " run-time sizes of a tensor that has " << dynamic;
  return success();
}

// ---- #cleave.dim and #cleave.sharding ----

static ParseResult parseAxisList(AsmParser &parser, SmallVectorImpl<StringAttr> &axes) {
  while (true) {
    std::string axis;
    if (parser.parseString(&axis))
      return failure();
    axes.push_back(StringAttr::get(parser.getContext(), axis));
    if (failed(parser.parseOptionalComma()))
      return success();
  }
}

/// `{"tp" : [0:1, 1:2]}`, its braces included.
static FailureOr<DimShardingAttr> parseDimSharding(AsmParser &parser) {
  SmallVector<StringAttr> axes;
  SmallVector<int64_t> ranges;
  if (parser.parseLBrace())
    return failure();
  if (failed(parser.parseOptionalRBrace())) {
    if (parseAxisList(parser, axes))
      return failure();
    if (succeeded(parser.parseOptionalColon()) && parseRanges(parser, ranges))
      return failure();
    if (parser.parseRBrace())
      return failure();
  }
  return DimShardingAttr::get(parser.getContext(), axes, ranges);
}

static void printDimSharding(AsmPrinter &printer, DimShardingAttr dim) {
  printer << "{";
  llvm::interleaveComma(dim.getAxes(), printer);
  if (dim.hasRanges()) {
    printer << " : ";
    printRanges(printer, dim.getRanges());
  }
  printer << "}";
}

Attribute DimShardingAttr::parse(AsmParser &parser, Type) {
  if (parser.parseLess())
    return {};
  FailureOr<DimShardingAttr> dim = parseDimSharding(parser);
  if (failed(dim) || parser.parseGreater())
    return {};
  return *dim;
}

void DimShardingAttr::print(AsmPrinter &printer) const {
  printer << "<";
  printDimSharding(printer, *this);
  printer << ">";
}

Attribute ShardingAttr::parse(AsmParser &parser, Type) {
  SmallVector<DimShardingAttr> dims;
  SmallVector<StringAttr> partial;
  ReductionKind partialKind = ReductionKind::Sum;
  auto parseDim = [&]() -> ParseResult {
    FailureOr<DimShardingAttr> dim = parseDimSharding(parser);
    if (failed(dim))
      return failure();
    dims.push_back(*dim);
    return success();
  };
  auto parsePartial = [&]() -> ParseResult {
    std::string axis;
    StringRef word;
    if (parser.parseString(&axis) || parser.parseColon())
      return failure();
    SMLoc loc = parser.getCurrentLocation();
    if (parser.parseKeyword(&word))
      return failure();
    std::optional<ReductionKind> kind = symbolizeReductionKind(word);
    if (!kind)
      return parser.emitError(loc) << "unknown kind '" << word << "', expected sum or top";
    if (!partial.empty() && *kind != partialKind)
      return parser.emitError(loc) << "a value is partial by " << word << " and by "
                                   << stringifyReductionKind(partialKind) << ", expected one kind";
    partialKind = *kind;
    partial.push_back(StringAttr::get(parser.getContext(), axis));
    return success();
  };
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseDim))
    return {};
  if (succeeded(parser.parseOptionalComma()))
    if (parser.parseKeyword("partial") || parser.parseEqual() ||
        parser.parseCommaSeparatedList(AsmParser::Delimiter::Braces, parsePartial))
      return {};
  if (parser.parseGreater())
    return {};
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(), dims, partial,
                    partialKind);
}

void ShardingAttr::print(AsmPrinter &printer) const {
  printer << "<[";
  llvm::interleaveComma(getDims(), printer,
                        [&](DimShardingAttr dim) { printDimSharding(printer, dim); });
  printer << "]";
  if (!getPartial().empty()) {
    printer << ", partial = {";
    llvm::interleaveComma(getPartial(), printer, [&](StringAttr axis) {
      printer << axis << " : " << stringifyReductionKind(getPartialKind());
    });
    printer << "}";
  }
  printer << ">";
}

LogicalResult ShardingAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   ArrayRef<DimShardingAttr> dims, ArrayRef<StringAttr> partial,
                                   ReductionKind partialKind) {
  // One text, one attribute.
  assert((!partial.empty() || partialKind == ReductionKind::Sum) && "no part is missing");
  llvm::DenseSet<StringAttr> seen;
  auto check = [&](StringAttr axis) -> LogicalResult {
    if (seen.insert(axis).second)
      return success();
    return emitError() << "axis " << axis << " appears twice in a sharding";
  };
  for (DimShardingAttr dim : dims) {
    if (dim.getAxes().empty() && dim.hasRanges())
      return emitError() << "a dim has ranges but no axis";
    for (StringAttr axis : dim.getAxes())
      if (failed(check(axis)))
        return failure();
  }
  for (StringAttr axis : partial)
    if (failed(check(axis)))
      return failure();
  return success();
}

ShardingAttr ShardingAttr::getReplicated(MLIRContext *context, int64_t rank) {
  SmallVector<DimShardingAttr> dims(rank, DimShardingAttr::get(context, {}, {}));
  return get(context, dims, {});
}

bool ShardingAttr::isReplicated() const {
  return getPartial().empty() &&
         llvm::none_of(getDims(), [](DimShardingAttr dim) { return dim.isSplit(); });
}

bool ShardingAttr::hasSamePartial(ShardingAttr other) const {
  return getPartial() == other.getPartial() && getPartialKind() == other.getPartialKind();
}

bool ShardingAttr::usesAxis(StringAttr axis) const {
  return llvm::is_contained(getPartial(), axis) ||
         llvm::any_of(getDims(),
                      [&](DimShardingAttr dim) { return llvm::is_contained(dim.getAxes(), axis); });
}

StringRef cleave::describePartial(ReductionKind kind) {
  return kind == ReductionKind::Top ? "a rank's own candidates" : "a partial sum";
}

// ---- #cleave.split ----

Attribute SplitAttr::parse(AsmParser &parser, Type) {
  if (parser.parseLess())
    return {};
  SMLoc loc = parser.getCurrentLocation();
  StringRef word;
  if (parser.parseKeyword(&word))
    return {};
  std::optional<SplitKind> kind = symbolizeSplitKind(word);
  if (!kind) {
    parser.emitError(loc) << "unknown split type '" << word
                          << "', expected column, row, head, expert or none";
    return {};
  }
  StringAttr axis;
  if (std::string name; succeeded(parser.parseOptionalString(&name)))
    axis = StringAttr::get(parser.getContext(), name);
  if (parser.parseGreater())
    return {};
  return get(parser.getContext(), *kind, axis);
}

void SplitAttr::print(AsmPrinter &printer) const {
  printer << "<" << stringifySplitKind(getKind());
  if (getAxis())
    printer << " " << getAxis();
  printer << ">";
}

// ---- #cleave.source ----

/// `gguf<"F">`, without the angle brackets of the attribute itself; WeightOp prints it so.
static void printSourceBody(AsmPrinter &printer, SourceAttr source) {
  printer << stringifySourceKind(source.getKind());
  switch (source.getKind()) {
  case SourceKind::Gguf:
  case SourceKind::Npy:
    printer << "<" << source.getPath();
    if (source.getTensor())
      printer << ", " << source.getTensor();
    printer << ">";
    break;
  case SourceKind::Random:
    printer << "<" << source.getSeed() << ">";
    break;
  case SourceKind::None:
    break;
  case SourceKind::Onnx:
    printer << "<" << source.getPath() << ", " << source.getTensor();
    if (source.getShape())
      printer << " as [" << source.getShape().asArrayRef() << "]";
    if (source.getTransposed())
      printer << " transposed";
    if (source.getBlocks())
      printer << " blocks " << source.getBlocks();
    printer << ">";
    break;
  case SourceKind::Dense:
    printer << "<[" << source.getShape().asArrayRef() << "], \"0x"
            << llvm::toHex(source.getData().getValue(), /*LowerCase=*/true) << "\">";
    break;
  }
}

SourceAttr SourceAttr::getOnnx(MLIRContext *context, StringRef path, StringRef tensor,
                               std::optional<ArrayRef<int64_t>> shape, bool transposed) {
  return get(context, SourceKind::Onnx, StringAttr::get(context, path),
             StringAttr::get(context, tensor), /*seed=*/0,
             shape ? DenseI64ArrayAttr::get(context, *shape) : DenseI64ArrayAttr(), transposed,
             /*data=*/StringAttr(), /*blocks=*/DictionaryAttr());
}

SourceAttr SourceAttr::getDense(MLIRContext *context, StringRef bytes, ArrayRef<int64_t> shape) {
  return get(context, SourceKind::Dense, /*path=*/StringAttr(), /*tensor=*/StringAttr(),
             /*seed=*/0, DenseI64ArrayAttr::get(context, shape), /*transposed=*/false,
             StringAttr::get(context, bytes), /*blocks=*/DictionaryAttr());
}

SourceAttr SourceAttr::withPath(StringAttr path) const {
  return get(getContext(), getKind(), path, getTensor(), getSeed(), getShape(), getTransposed(),
             getData(), getBlocks());
}

SourceAttr SourceAttr::withBlocks(const BlockForm &form) const {
  Builder builder(getContext());
  NamedAttrList blocks;
  blocks.set("bits", builder.getI64IntegerAttr(form.bits));
  blocks.set("length", builder.getI64IntegerAttr(form.length));
  blocks.set("scales", builder.getStringAttr(form.scales));
  if (!form.zeros.empty())
    blocks.set("zeros", builder.getStringAttr(form.zeros));
  return get(getContext(), getKind(), getPath(), getTensor(), getSeed(), getShape(),
             getTransposed(), getData(), blocks.getDictionary(getContext()));
}

std::optional<SourceAttr::BlockForm> SourceAttr::getBlockForm() const {
  DictionaryAttr blocks = getBlocks();
  if (!blocks)
    return std::nullopt;
  auto bits = blocks.getAs<IntegerAttr>("bits"), length = blocks.getAs<IntegerAttr>("length");
  auto scales = blocks.getAs<StringAttr>("scales"), zeros = blocks.getAs<StringAttr>("zeros");
  const size_t known = 3 + (zeros ? 1 : 0);
  if (!bits || !length || !scales || blocks.size() != known ||
      !bits.getType().isSignlessInteger(64) || !length.getType().isSignlessInteger(64))
    return std::nullopt;
  return BlockForm{bits.getInt(), length.getInt(), scales.getValue(),
                   zeros ? zeros.getValue() : StringRef()};
}

/// `[256, 10]`
static FailureOr<DenseI64ArrayAttr> parseSourceShape(AsmParser &parser) {
  SmallVector<int64_t> shape;
  auto parseSize = [&]() -> ParseResult {
    SMLoc loc = parser.getCurrentLocation();
    if (parser.parseInteger(shape.emplace_back()))
      return failure();
    if (shape.back() < 0)
      return parser.emitError(loc) << "size " << shape.back() << " is negative";
    return success();
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseSize))
    return failure();
  return DenseI64ArrayAttr::get(parser.getContext(), shape);
}

static FailureOr<SourceAttr> parseOnnxSource(AsmParser &parser) {
  std::string path, tensor;
  std::optional<ArrayRef<int64_t>> shape;
  if (parser.parseLess() || parser.parseString(&path) || parser.parseComma() ||
      parser.parseString(&tensor))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("as"))) {
    FailureOr<DenseI64ArrayAttr> parsed = parseSourceShape(parser);
    if (failed(parsed))
      return failure();
    shape = parsed->asArrayRef(); // the context keeps it
  }
  bool transposed = succeeded(parser.parseOptionalKeyword("transposed"));
  SourceAttr source = SourceAttr::getOnnx(parser.getContext(), path, tensor, shape, transposed);
  if (succeeded(parser.parseOptionalKeyword("blocks"))) {
    SMLoc loc = parser.getCurrentLocation();
    DictionaryAttr blocks;
    if (parser.parseAttribute(blocks))
      return failure();
    source =
        SourceAttr::get(parser.getContext(), source.getKind(), source.getPath(), source.getTensor(),
                        source.getSeed(), source.getShape(), transposed, source.getData(), blocks);
    if (!source.getBlockForm())
      return parser.emitError(loc)
             << "expected {bits = .., length = .., scales = \"..\"} and, where "
                "there are any, zeros = \"..\"";
  }
  if (parser.parseGreater())
    return failure();
  return source;
}

static FailureOr<SourceAttr> parseDenseSource(AsmParser &parser) {
  if (parser.parseLess())
    return failure();
  FailureOr<DenseI64ArrayAttr> shape = parseSourceShape(parser);
  std::string text, bytes;
  if (failed(shape) || parser.parseComma())
    return failure();
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseString(&text))
    return failure();
  StringRef digits = text;
  if (!digits.consume_front("0x") || digits.size() % 2 || !llvm::tryGetFromHex(digits, bytes))
    return parser.emitError(loc) << "expected bytes as \"0x\" and two hexadecimal digits each";
  if (parser.parseGreater())
    return failure();
  return SourceAttr::getDense(parser.getContext(), bytes, shape->asArrayRef());
}

static FailureOr<SourceAttr> parseSourceBody(AsmParser &parser) {
  SMLoc loc = parser.getCurrentLocation();
  StringRef word;
  if (parser.parseKeyword(&word))
    return failure();
  std::optional<SourceKind> kind = symbolizeSourceKind(word);
  if (!kind)
    return parser.emitError(loc) << "unknown source '" << word
                                 << "', expected gguf, onnx, npy, dense, random or none";
  if (*kind == SourceKind::Onnx)
    return parseOnnxSource(parser);
  if (*kind == SourceKind::Dense)
    return parseDenseSource(parser);
  MLIRContext *context = parser.getContext();
  StringAttr path, tensor;
  uint64_t seed = 0;
  if (*kind == SourceKind::Gguf || *kind == SourceKind::Npy) {
    std::string text;
    if (parser.parseLess() || parser.parseString(&text))
      return failure();
    path = StringAttr::get(context, text);
    if (*kind == SourceKind::Gguf && succeeded(parser.parseOptionalComma())) {
      if (parser.parseString(&text))
        return failure();
      tensor = StringAttr::get(context, text);
    }
    if (parser.parseGreater())
      return failure();
  } else if (*kind == SourceKind::Random) {
    if (parser.parseLess() || parser.parseInteger(seed) || parser.parseGreater())
      return failure();
  }
  return SourceAttr::get(context, *kind, path, tensor, seed);
}

Attribute SourceAttr::parse(AsmParser &parser, Type) {
  if (parser.parseLess())
    return {};
  FailureOr<SourceAttr> source = parseSourceBody(parser);
  if (failed(source) || parser.parseGreater())
    return {};
  return *source;
}

void SourceAttr::print(AsmPrinter &printer) const {
  printer << "<";
  printSourceBody(printer, *this);
  printer << ">";
}

namespace cleave {
// Used by WeightOp's assembly format; declared in ops.cpp.
ParseResult parseSource(OpAsmParser &parser, SourceAttr &source) {
  FailureOr<SourceAttr> parsed = parseSourceBody(parser);
  if (failed(parsed))
    return failure();
  source = *parsed;
  return success();
}

void printSource(OpAsmPrinter &printer, Operation *, SourceAttr source) {
  printSourceBody(printer, source);
}
} // namespace cleave
