// The generated op classes, their registration, and the pieces of syntax that ODS
// leaves to C++.
#include "dialect/dialect.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace cleave;

namespace cleave {

// `gguf<"F">` (attributes.cpp).
ParseResult parseSource(OpAsmParser &parser, SourceAttr &source);
void printSource(OpAsmPrinter &printer, Operation *op, SourceAttr source);

// `[a:b, c:d]`
static ParseResult parseRanges(OpAsmParser &parser, DenseI64ArrayAttr &attr) {
  SmallVector<int64_t> flat;
  if (parseRanges(static_cast<AsmParser &>(parser), flat))
    return failure();
  attr = DenseI64ArrayAttr::get(parser.getContext(), flat);
  return success();
}

static void printRanges(OpAsmPrinter &printer, Operation *, DenseI64ArrayAttr attr) {
  printRanges(static_cast<AsmPrinter &>(printer), attr.asArrayRef());
}

/// Numbers of dims of a reshape, before and after, as in `[1:2, 2:1]`.
static ParseResult parseGroups(OpAsmParser &parser, DenseI64ArrayAttr &groups) {
  SmallVector<int64_t> flat;
  auto parseGroup = [&] {
    return failure(parser.parseInteger(flat.emplace_back()) || parser.parseColon() ||
                   parser.parseInteger(flat.emplace_back()));
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseGroup))
    return failure();
  groups = parser.getBuilder().getDenseI64ArrayAttr(flat);
  return success();
}

static void printGroups(OpAsmPrinter &printer, Operation *, DenseI64ArrayAttr groups) {
  printRanges(printer, groups);
}

/// A number, or a size in quotes: `"past+seq"`.
static ParseResult parseBegin(OpAsmParser &parser, IntegerAttr &number, StringAttr &size) {
  int64_t value = 0;
  std::string text;
  OptionalParseResult isNumber = parser.parseOptionalInteger(value);
  if (isNumber.has_value() ? failed(*isNumber) : failed(parser.parseString(&text)))
    return failure();
  number = parser.getBuilder().getI64IntegerAttr(value);
  if (!isNumber.has_value())
    size = parser.getBuilder().getStringAttr(text);
  return success();
}

static void printBegin(OpAsmPrinter &printer, Operation *, IntegerAttr number, StringAttr size) {
  if (size)
    printer << size;
  else
    printer << number.getInt();
}

// `<"tp" = 2, "data" = 4>`
static ParseResult parseAxes(OpAsmParser &parser, ArrayAttr &axes, DenseI64ArrayAttr &sizes) {
  SmallVector<Attribute> names;
  SmallVector<int64_t> numbers;
  auto parseAxis = [&]() -> ParseResult {
    std::string name;
    int64_t size = 0;
    if (parser.parseString(&name) || parser.parseEqual() || parser.parseInteger(size))
      return failure();
    names.push_back(StringAttr::get(parser.getContext(), name));
    numbers.push_back(size);
    return success();
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::LessGreater, parseAxis))
    return failure();
  axes = ArrayAttr::get(parser.getContext(), names);
  sizes = DenseI64ArrayAttr::get(parser.getContext(), numbers);
  return success();
}

static void printAxes(OpAsmPrinter &printer, Operation *, ArrayAttr axes, DenseI64ArrayAttr sizes) {
  printer << "<";
  llvm::interleaveComma(llvm::zip(axes, sizes.asArrayRef()), printer, [&](auto axis) {
    printer << std::get<0>(axis) << " = " << std::get<1>(axis);
  });
  printer << ">";
}

} // namespace cleave

void cleave::setResultName(Operation *op, OpAsmSetValueNameFn setName) {
  if (auto use = dyn_cast<UseOp>(op)) {
    // A segment's colon has no place in the name of a value.
    std::string name = use.getWeight().str();
    std::replace(name.begin(), name.end(), ':', '.');
    setName(op->getResult(0), name);
  } else if (auto name = op->getAttrOfType<StringAttr>(CleaveDialect::nameAttrName))
    setName(op->getResult(0), name);
}

#define GET_OP_CLASSES
#include "dialect/Ops.cpp.inc"

void CleaveDialect::registerOps() {
  addOperations<
#define GET_OP_LIST
#include "dialect/Ops.cpp.inc"
      >();
}
