// The walk over a model's graph: inputs, initializers, nodes in order, outputs.
#include "compiler/import/onnx/graph_importer.h"

#include "compiler/import/onnx/shape_arithmetic.h"
#include "compiler/optimize/separate_segments.h"
#include "runtime/program/npy.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"

#include <functional>
#include <queue>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {

/// Versions of ONNX's own operator set whose ops mean what ops/ takes them to mean.
static constexpr int64_t leastOpset = 7;
static constexpr int64_t newestOpset = 28;
/// Functions that call functions can make any number of nodes of a small file.
static constexpr size_t maxNodes = 1 << 20;
static constexpr size_t maxCallDepth = 64;
/// How many nodes a list in a message names before it is cut short.
static constexpr size_t maxListed = 8;

/// ONNX's own domain has two names.
static StringRef normalizeDomain(StringRef domain) {
  return domain == "ai.onnx" ? StringRef() : domain;
}

static std::string functionKey(StringRef domain, StringRef name, StringRef overload) {
  return (normalizeDomain(domain) + Twine('\0') + name + Twine('\0') + overload).str();
}

GraphImporter::GraphImporter(ModelFile &file, const ImportOptions &options, MLIRContext &context)
    : file(file), options(options), context(context), declarations(&context), ops(&context) {
  context.loadDialect<CleaveDialect, func::FuncDialect>();
}

LogicalResult GraphImporter::fail(const Twine &message) {
  if (!error)
    error = (file.path() + ": " + message).str();
  return failure();
}

// ---- What the file says before its nodes ----

LogicalResult GraphImporter::readOpsets(
    const google::protobuf::RepeatedPtrField<::onnx::OperatorSetIdProto> &sets, Scope &scope) {
  for (const ::onnx::OperatorSetIdProto &set : sets) {
    StringRef domain = normalizeDomain(set.domain());
    if (domain.empty() && (set.version() < 1 || set.version() > newestOpset))
      return fail("is made for version " + Twine(set.version()) +
                  " of ONNX's operator set; supported are " + Twine(leastOpset) + " to " +
                  Twine(newestOpset));
    scope.opsets[domain] = set.version();
  }
  return success();
}

LogicalResult GraphImporter::readDims() {
  for (const auto &[name, text] : options.dims) {
    std::string why;
    std::optional<SizeExpression> size = SizeExpression::parse(text, &why);
    if (!size || !size->isNonNegative())
      return fail("--dim " + name + "=" + text + ": " +
                  (size          ? "is negative"
                   : why.empty() ? "is no size"
                                 : why) +
                  "; expected a number, as in --dim " + name + "=4");
    boundDims.emplace(name, *size);
  }
  return success();
}

const ::onnx::FunctionProto *GraphImporter::findFunction(const ::onnx::NodeProto &node) {
  return functions.lookup(functionKey(node.domain(), node.op_type(), node.overload()));
}

/// All ops that nothing here can import, in one message. Branches of If are looked at when one
/// is chosen.
LogicalResult GraphImporter::checkOps() {
  llvm::MapVector<StringRef, SmallVector<std::string>> unknown;
  llvm::StringMap<std::string> opNames;
  llvm::SmallPtrSet<const ::onnx::FunctionProto *, 8> seen;
  SmallVector<const ::onnx::FunctionProto *> pending;
  auto visit = [&](const auto &nodes, StringRef prefix) {
    for (const ::onnx::NodeProto &node : nodes) {
      if (const ::onnx::FunctionProto *called = findFunction(node)) {
        if (seen.insert(called).second)
          pending.push_back(called);
        continue;
      }
      StringRef domain = normalizeDomain(node.domain());
      if (findOpImporter(domain, node.op_type()))
        continue;
      std::string op = ((domain.empty() ? "" : domain + ".") + node.op_type()).str();
      unknown[opNames.try_emplace(op, op).first->first()].push_back(
          quote((prefix + nameOfNode(node)).str()));
    }
  };
  visit(file.model().graph().node(), "");
  while (!pending.empty()) {
    const ::onnx::FunctionProto *called = pending.pop_back_val();
    visit(called->node(), called->name() + "/");
  }
  if (unknown.empty())
    return success();
  std::string text;
  for (auto &[op, nodes] : unknown) {
    size_t more = nodes.size() > maxListed ? nodes.size() - maxListed : 0;
    nodes.resize(nodes.size() - more);
    text += (text.empty() ? "" : "; ") + op.str() + " (" + llvm::join(nodes, ", ") +
            (more ? " and " + std::to_string(more) + " more" : "") + ")";
  }
  return fail(Twine(unknown.size()) + (unknown.size() == 1 ? " op is" : " ops are") +
              " not supported, with the nodes that are of it: " + text);
}

LogicalResult GraphImporter::importInitializers(const ::onnx::GraphProto &graph, Scope &scope) {
  for (const ::onnx::TensorProto &tensor : graph.initializer()) {
    FailureOr<Operand> operand = tensorOperand(tensor, tensor.name());
    if (failed(operand) ||
        failed(define(scope, tensor.name(), std::make_shared<Operand>(std::move(*operand)),
                      "an initializer")))
      return failure();
  }
  return success();
}

/// What is no letter, digit or underscore becomes an underscore, so that it names a size.
static std::string makeSymbol(StringRef text) {
  std::string symbol;
  for (char c : text.take_front(200))
    symbol += llvm::isAlnum(c) || c == '_' ? c : '_';
  return symbol.empty() || llvm::isDigit(symbol[0]) ? "_" + symbol : symbol;
}

FailureOr<RankedTensorType> GraphImporter::inputType(const ::onnx::ValueInfoProto &input) {
  auto refuse = [&](const Twine &message) {
    return fail("input " + quote(input.name()) + " " + message);
  };
  if (!input.type().has_tensor_type())
    return refuse("is no tensor; sequences, maps and optional values are not supported");
  const ::onnx::TypeProto::Tensor &tensor = input.type().tensor_type();
  const ElementTypeInfo *info = findElementTypeOfOnnx(tensor.elem_type());
  if (!info)
    return refuse("has elements of type " + getOnnxTypeName(tensor.elem_type()) +
                  ", which is not supported");
  if (!tensor.has_shape())
    return refuse("has no shape, expected one with a size or a name for each dimension");
  if (tensor.shape().dim_size() > 32)
    return refuse("has " + Twine(tensor.shape().dim_size()) + " dimensions, expected at most 32");
  Shape shape;
  for (const auto &[index, dim] : llvm::enumerate(tensor.shape().dim())) {
    if (dim.has_dim_value()) {
      if (dim.dim_value() < 0)
        return refuse("has a dimension of size " + Twine(dim.dim_value()));
      shape.push_back(dim.dim_value());
      continue;
    }
    MaybeSize size;
    if (!dim.dim_param().empty()) {
      size = SizeExpression::parse(dim.dim_param());
      if (!size)
        size = SizeExpression::symbol(makeSymbol(dim.dim_param()));
    } else {
      size = SizeExpression::symbol(makeSymbol(input.name() + "_" + std::to_string(index)));
    }
    for (const std::string &name : size->symbols())
      knownDims.insert(name);
    size = size->substitute([&](std::string_view name) -> MaybeSize {
      auto it = boundDims.find(name);
      return it == boundDims.end() ? MaybeSize() : it->second;
    });
    if (!size || (size->constant() && *size->constant() < 0))
      return refuse("has a dimension " + quote(dim.dim_param()) + " that is no size");
    shape.push_back(*size);
  }
  return getTensorType(shape, getElementMlirType(&context, *info));
}

FailureOr<Operand> GraphImporter::readValue(StringRef name, const std::string &path) {
  try {
    NpyArray array =
        StringRef(path).ends_with(".pb") ? readOnnxTensorFile(path) : cleave::readNpy(path);
    Operand operand;
    operand.type = RankedTensorType::get(array.dims,
                                         getElementMlirType(&context, elementTypeInfo(array.type)));
    operand.constant = Constant{nullptr, false, std::move(array.data), name.str()};
    return operand;
  } catch (const std::exception &caught) {
    if (!error)
      error = caught.what();
    return failure();
  }
}

LogicalResult GraphImporter::importInputs() {
  SmallVector<std::pair<const ::onnx::ValueInfoProto *, RankedTensorType>> arguments;
  llvm::StringSet<> names;
  for (const ::onnx::ValueInfoProto &input : file.model().graph().input()) {
    if (!names.insert(input.name()).second)
      return fail("input " + quote(input.name()) + " is listed twice");
    // Up to IR version 3 every initializer is listed here, and later ones with defaults are.
    if (main.values.contains(input.name()))
      continue;
    FailureOr<RankedTensorType> type = inputType(input);
    if (failed(type))
      return failure();
    auto given = options.values.find(input.name());
    if (given == options.values.end()) {
      arguments.push_back({&input, *type});
      continue;
    }
    FailureOr<Operand> operand = readValue(input.name(), given->second);
    if (failed(operand))
      return failure();
    bool fits = operand->type.getElementType() == type->getElementType() &&
                operand->type.getRank() == type->getRank();
    for (int64_t dim = 0; fits && dim < type->getRank(); ++dim)
      fits = type->isDynamicDim(dim) || type->getDimSize(dim) == operand->type.getDimSize(dim);
    if (!fits)
      return fail("input " + quote(input.name()) + " is a tensor of " + describe(getShape(*type)) +
                  ", but " + given->second + " holds one of " + describe(getShape(operand->type)) +
                  ", or of another element type");
    if (failed(
            define(main, input.name(), std::make_shared<Operand>(std::move(*operand)), "--value")))
      return failure();
  }
  for (const auto &[name, path] : options.values)
    if (!names.contains(name))
      return fail("--value " + name + "=" + path + ": the model has no input of that name");
  for (const auto &[name, size] : boundDims)
    if (!knownDims.contains(name)) {
      SmallVector<std::string> all;
      for (StringRef known : knownDims.keys())
        all.push_back(quote(known));
      llvm::sort(all);
      return fail("--dim " + name + "=" + size.text() +
                  ": no input has a dimension of that name; " +
                  (all.empty() ? "all sizes are constant" : "there are: " + llvm::join(all, ", ")));
    }

  SmallVector<Type> types;
  for (auto &[input, type] : arguments)
    types.push_back(type);
  declarations.setInsertionPointToEnd(module->getBody());
  function = declarations.create<func::FuncOp>(module->getLoc(), "main",
                                               ops.getFunctionType(types, TypeRange()));
  Block *body = function.addEntryBlock();
  ops.setInsertionPointToEnd(body);
  declarations.setInsertionPoint(function);
  for (auto [index, argument] : llvm::enumerate(arguments)) {
    StringRef name = argument.first->name();
    function.setArgAttr(index, CleaveDialect::inputAttrName, ops.getStringAttr(name));
    auto operand = std::make_shared<Operand>();
    operand->type = argument.second;
    operand->value = body->getArgument(index);
    if (failed(define(main, name, operand, "an input")))
      return failure();
  }
  return success();
}

LogicalResult GraphImporter::importOutputs() {
  SmallVector<Value> values;
  llvm::StringSet<> names;
  for (const ::onnx::ValueInfoProto &output : file.model().graph().output()) {
    std::string name = "output " + quote(output.name());
    if (!names.insert(output.name()).second)
      return fail(name + " is listed twice");
    OperandPtr operand = find(main, output.name());
    if (!operand)
      return fail(name + " is made by no node");
    if (output.type().has_tensor_type()) {
      int32_t declared = output.type().tensor_type().elem_type();
      const ElementTypeInfo *found = getElementTypeInfo(operand->type.getElementType());
      if (declared != 0 && findElementTypeOfOnnx(declared) != found)
        return fail(name + " is declared to have elements of type " + getOnnxTypeName(declared) +
                    ", but its node makes " + std::string(found->name));
    }
    Value value = materialize(*operand, output.name());
    if (!value)
      return failure();
    // A program's outputs are computed: a weight is copied.
    if (value.getDefiningOp<UseOp>())
      value = ops.create<ExpandOp>(module->getLoc(), value.getType(), value);
    values.push_back(value);
  }
  if (values.empty())
    return fail("the graph has no outputs");
  auto results = ops.create<func::ReturnOp>(module->getLoc(), values);
  function.setType(ops.getFunctionType(function.getArgumentTypes(), results->getOperandTypes()));
  for (const auto &[index, output] : llvm::enumerate(file.model().graph().output()))
    function.setResultAttr(index, CleaveDialect::outputAttrName, ops.getStringAttr(output.name()));
  return success();
}

// ---- Names ----

LogicalResult GraphImporter::define(Scope &scope, StringRef name, OperandPtr operand,
                                    const Twine &by) {
  if (scope.values.try_emplace(name, std::move(operand)).second)
    return success();
  return fail("the name " + quote(name) + ", which " + by + " gives to a value, is taken already");
}

GraphImporter::OperandPtr GraphImporter::find(Scope &scope, StringRef name) {
  for (Scope *each = &scope; each; each = each->outer)
    if (auto it = each->values.find(name); it != each->values.end())
      return it->second;
  return nullptr;
}

std::string GraphImporter::uniqueWeightName(StringRef name) {
  return weightNames.add(name.empty() ? "constant" : name);
}

// ---- Nodes ----

/// The names that a node uses, those in its branches included.
static void collectUses(const ::onnx::NodeProto &node, SmallVectorImpl<StringRef> &names) {
  for (const std::string &input : node.input())
    names.push_back(input);
  for (const ::onnx::AttributeProto &attribute : node.attribute()) {
    if (!attribute.has_g())
      continue;
    for (const ::onnx::NodeProto &inner : attribute.g().node())
      collectUses(inner, names);
    for (const ::onnx::ValueInfoProto &output : attribute.g().output())
      names.push_back(output.name());
  }
}

/// Each node after those whose results it uses, otherwise in the file's order. What is part of
/// a cycle, or uses it, comes last.
static SmallVector<const ::onnx::NodeProto *>
sortNodes(const google::protobuf::RepeatedPtrField<::onnx::NodeProto> &nodes) {
  llvm::StringMap<int> makers;
  for (const auto &[index, node] : llvm::enumerate(nodes))
    for (const std::string &output : node.output())
      if (!output.empty())
        makers.try_emplace(output, index);
  SmallVector<SmallVector<int>> users(nodes.size());
  SmallVector<int> missing(nodes.size(), 0);
  for (const auto &[index, node] : llvm::enumerate(nodes)) {
    SmallVector<StringRef> names;
    collectUses(node, names);
    for (StringRef name : names)
      if (auto maker = makers.find(name); maker != makers.end()) {
        users[maker->second].push_back(index);
        ++missing[index];
      }
  }
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (auto [index, count] : llvm::enumerate(missing))
    if (count == 0)
      ready.push(index);
  SmallVector<const ::onnx::NodeProto *> order;
  SmallVector<bool> isPlaced(nodes.size(), false);
  while (!ready.empty()) {
    int index = ready.top();
    ready.pop();
    order.push_back(&nodes[index]);
    isPlaced[index] = true;
    for (int user : users[index])
      if (--missing[user] == 0)
        ready.push(user);
  }
  for (const auto &[index, node] : llvm::enumerate(nodes))
    if (!isPlaced[index])
      order.push_back(&node);
  return order;
}

LogicalResult
GraphImporter::importNodes(const google::protobuf::RepeatedPtrField<::onnx::NodeProto> &nodes,
                           Scope &scope) {
  llvm::StringSet<> made; // by these nodes, to tell a cycle from a missing value
  for (const ::onnx::NodeProto &node : nodes)
    for (const std::string &output : node.output())
      made.insert(output);
  Scope *before = std::exchange(current, &scope);
  auto restore = llvm::make_scope_exit([&] { current = before; });
  for (const ::onnx::NodeProto *node : sortNodes(nodes)) {
    Operation *last = ops.getBlock()->empty() ? nullptr : &ops.getBlock()->back();
    if (failed(importNode(*node, scope, made)))
      return failure();
    if (std::optional<int64_t> stage = annotations ? annotations->stageOf(*node) : std::nullopt)
      for (Operation &op :
           llvm::make_range(last ? std::next(last->getIterator()) : ops.getBlock()->begin(),
                            ops.getBlock()->end()))
        if (!isa<UseOp>(op)) // weights are where their readers are
          op.setAttr(CleaveDialect::stageAttrName, ops.getI64IntegerAttr(*stage));
  }
  return success();
}

LogicalResult GraphImporter::importNode(const ::onnx::NodeProto &proto, Scope &scope,
                                        const llvm::StringSet<> &made) {
  if (++nodesImported > maxNodes)
    return fail("has more than " + Twine(maxNodes) + " nodes, with those of its functions");
  const ::onnx::FunctionProto *called = findFunction(proto);
  StringRef domain = normalizeDomain(proto.domain());
  auto opset = scope.opsets.find(domain);
  Node node(*this, proto, opset == scope.opsets.end() ? 0 : opset->second,
            nodeNames.add(scope.prefix + nameOfNode(proto).str()));
  if (opset == scope.opsets.end() && !called)
    return node.fail("is of the domain " + quote(domain) +
                     ", of which the model imports no operator set");
  bool hasChanged = !llvm::is_contained(
      {"Constant", "Identity", "Not", "Shape", "Size", "Transpose"}, StringRef(proto.op_type()));
  if (!called && domain.empty() && node.version() < leastOpset && hasChanged)
    return node.fail("is of version " + Twine(node.version()) +
                     " of ONNX's operator set; supported are " + Twine(leastOpset) + " to " +
                     Twine(newestOpset) + " (onnx.version_converter makes newer models)");
  for (const std::string &input : proto.input()) {
    bool isKnown = false;
    for (Scope *each = &scope; each && !isKnown && !input.empty(); each = each->outer)
      isKnown = each->values.contains(input);
    if (!input.empty() && !isKnown) {
      return node.fail("uses " + quote(input) +
                       (made.contains(input) ? ", which is made from this node's results: the "
                                               "graph has a cycle"
                                             : ", which is no input, initializer or result"));
    }
    node.inputs.push_back(input.empty() ? nullptr : find(scope, input));
  }
  node.outputs.resize(proto.output_size());

  FailureOr<bool> folded = false;
  if (called) {
    if (failed(importCall(node, *called)))
      return failure();
  } else if (failed(folded = foldSizes(node))) {
    return failure();
  } else if (!*folded) {
    ImportOp importOp = findOpImporter(domain, proto.op_type());
    if (!importOp)
      return node.fail("the op is not supported");
    if (failed(importOp(node)))
      return error ? failure() : node.fail("cannot be imported");
  }
  if (error)
    return failure();
  if (annotations && &scope == &main)
    keepApart(node);
  for (auto [index, name] : llvm::enumerate(proto.output())) {
    if (name.empty())
      continue;
    if (!node.outputs[index])
      return node.fail("has " + Twine(proto.output_size()) + " results, of which result " +
                       Twine(index) + ", " + quote(name) + ", is not supported");
    if (failed(define(scope, name, node.outputs[index], "node " + quote(node.name()))))
      return failure();
  }
  return success();
}

LogicalResult GraphImporter::importCall(Node &node, const ::onnx::FunctionProto &callee) {
  if (llvm::is_contained(calls, &callee))
    return node.fail("calls the function " + quote(callee.name()) + ", which calls itself");
  if (calls.size() >= maxCallDepth)
    return node.fail("calls functions more than " + Twine(maxCallDepth) + " deep");
  if (node.numInputs() > static_cast<unsigned>(callee.input_size()) ||
      node.numOutputs() > static_cast<unsigned>(callee.output_size()))
    return node.fail("has " + Twine(node.numInputs()) + " operands and " +
                     Twine(node.numOutputs()) + " results, but the function has " +
                     Twine(callee.input_size()) + " and " + Twine(callee.output_size()));
  Scope scope;
  scope.isFunction = true;
  scope.prefix = (node.name() + "/").str();
  if (failed(readOpsets(callee.opset_import(), scope)))
    return failure();
  for (const auto &[index, name] : llvm::enumerate(callee.input()))
    if (failed(define(scope, name, index < node.numInputs() ? node.inputs[index] : nullptr,
                      "function " + quote(callee.name()))))
      return failure();
  for (const ::onnx::AttributeProto &fallback : callee.attribute_proto())
    scope.attributes[fallback.name()] = &fallback;
  for (const ::onnx::AttributeProto &given : node.message().attribute())
    if (const ::onnx::AttributeProto *resolved = node.attribute(given.name()))
      scope.attributes[given.name()] = resolved;
  calls.push_back(&callee);
  auto leave = llvm::make_scope_exit([&] { calls.pop_back(); });
  if (failed(importNodes(callee.node(), scope)))
    return failure();
  for (unsigned i = 0; i < node.numOutputs(); ++i) {
    node.outputs[i] = find(scope, callee.output(i));
    if (!node.outputs[i] && node.wants(i))
      return node.fail("calls the function " + quote(callee.name()) + ", whose result " +
                       quote(callee.output(i)) + " no node makes");
  }
  return success();
}

LogicalResult GraphImporter::importBranch(Node &node, const ::onnx::GraphProto &branch) {
  Scope scope;
  scope.outer = current;
  scope.opsets = current->opsets;
  scope.prefix = (node.name() + "/").str();
  if (failed(importInitializers(branch, scope)) || failed(importNodes(branch.node(), scope)))
    return failure();
  if (static_cast<unsigned>(branch.output_size()) < node.numOutputs())
    return node.fail("has " + Twine(node.numOutputs()) + " results, but its branch has " +
                     Twine(branch.output_size()));
  for (unsigned i = 0; i < node.numOutputs(); ++i) {
    node.outputs[i] = find(scope, branch.output(i).name());
    if (!node.outputs[i] && node.wants(i))
      return node.fail("has a branch whose result " + quote(branch.output(i).name()) +
                       " no node makes");
  }
  return success();
}

// ---- Annotations ----

LogicalResult GraphImporter::readAnnotations() {
  if (!options.readsAnnotations)
    return success();
  llvm::Expected<std::optional<Annotations>> read = Annotations::read(file, options.configuration);
  if (read) {
    annotations = std::move(*read);
    return success();
  }
  error = llvm::toString(read.takeError());
  return failure();
}

/// A result that is an operand under another name becomes a value of its own where the two are to
/// lie otherwise.
void GraphImporter::keepApart(Node &node) {
  for (auto [index, name] : llvm::enumerate(node.message().output())) {
    OperandPtr result = node.outputs[index];
    if (!result || !result->value || result->isKnown() || result->value.getDefiningOp<UseOp>())
      continue;
    for (auto [number, operand] : llvm::enumerate(node.inputs))
      if (operand && operand->value == result->value &&
          annotations->differ(name, node.message().input(static_cast<int>(number)))) {
        node.set(index, node.create<ExpandOp>(result->type, result->value));
        break;
      }
  }
}

/// Fused weights are taken apart between the values, which are still as the file has them, and the
/// weights, of which each part is split.
LogicalResult GraphImporter::separateAndAnnotate() {
  auto findOperand = [&](StringRef name) -> const Operand * { return find(main, name).get(); };
  auto check = [&](llvm::Error applied) {
    if (!applied)
      return success();
    error = llvm::toString(std::move(applied));
    return failure();
  };
  if (annotations && failed(check(annotations->applyToValues(*module, function, findOperand))))
    return failure();
  SmallVector<TakenApart> gone = separateSegments(*module);
  if (!annotations)
    return success();
  if (failed(check(annotations->applyToWeights(*module, findOperand, gone))))
    return failure();
  llvm::append_range(warnings, annotations->getWarnings());
  return success();
}

// ---- The whole ----

LogicalResult GraphImporter::importGraph() {
  const ::onnx::ModelProto &model = file.model();
  if (failed(readOpsets(model.opset_import(), main)) || failed(readDims()))
    return failure();
  for (const ::onnx::FunctionProto &each : model.functions())
    if (!functions.try_emplace(functionKey(each.domain(), each.name(), each.overload()), &each)
             .second)
      return fail("has two functions " + quote(each.name()) + " in the domain " +
                  quote(each.domain()));
  return failure(failed(checkOps()) || failed(readAnnotations()) ||
                 failed(importInitializers(model.graph(), main)) || failed(importInputs()) ||
                 failed(importNodes(model.graph().node(), main)) || failed(importOutputs()));
}

/// The node that an op's location says.
static std::string describeNode(Location location) {
  auto name = location->findInstanceOf<NameLoc>();
  return name ? "node " + quote(name.getName()) + ": " : "";
}

llvm::Expected<ImportedModel> GraphImporter::import() {
  auto location = NameLoc::get(StringAttr::get(&context, file.path()));
  module = ModuleOp::create(location, llvm::sys::path::stem(file.path()));
  module.get()->setAttr(CleaveDialect::sourceAttrName, StringAttr::get(&context, file.path()));
  if (succeeded(importGraph())) {
    // What the ops themselves refuse, said of the node.
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
        (void)fail(describeNode(diagnostic.getLocation()) + diagnostic.str());
      return success();
    });
    auto check = [&] {
      if (!error && failed(mlir::verify(*module)))
        (void)fail("makes a graph that is not valid");
      return success(!error);
    };
    if (succeeded(check())) {
      if (succeeded(separateAndAnnotate()))
        (void)check();
    }
  }
  if (error)
    return llvm::createStringError(llvm::inconvertibleErrorCode(), *error);
  return ImportedModel{std::move(module), std::move(warnings)};
}

llvm::Expected<ImportedModel> importModel(ModelFile &file, const ImportOptions &options,
                                          MLIRContext &context) {
  return GraphImporter(file, options, context).import();
}

} // namespace cleave::onnx
