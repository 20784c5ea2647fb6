// From device annotations to a mesh, splits and shardings.
#include "compiler/import/onnx/annotations.h"

#include "compiler/import/onnx/node_names.h"
#include "dialect/dialect.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringExtras.h"

#include <numeric>
#include <set>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {

/// More devices than a mesh may have ranks are a mistake.
static constexpr int64_t maxDevices = 65536;

/// "node 'x' (MatMul)".
static std::string describe(const ::onnx::NodeProto &node) {
  return "node " + quote(nameOfNode(node)) + " (" + node.op_type() + ")";
}

/// Calls visit(node, annotation) for what the main graph's nodes say of a configuration.
template <typename Visit>
static llvm::Error forEachOf(const ModelFile &file, const std::string &configuration, Visit visit) {
  for (const ::onnx::NodeProto &node : file.model().graph().node())
    for (const ::onnx::NodeDeviceConfigurationProto &given : node.device_configurations())
      if (given.configuration_id() == configuration)
        if (llvm::Error error = visit(node, given))
          return error;
  return llvm::Error::success();
}

llvm::Expected<std::optional<Annotations>> Annotations::read(const ModelFile &file,
                                                             StringRef name) {
  const auto &configurations = file.model().configuration();
  SmallVector<std::string> names;
  for (const ::onnx::DeviceConfigurationProto &each : configurations)
    names.push_back(quote(each.name()));
  for (const ::onnx::NodeProto &node : file.model().graph().node())
    for (const ::onnx::NodeDeviceConfigurationProto &given : node.device_configurations())
      if (llvm::none_of(configurations,
                        [&](const auto &each) { return each.name() == given.configuration_id(); }))
        return file.error(describe(node) + ": is annotated for the configuration " +
                          quote(given.configuration_id()) + ", which the model does not have");
  if (configurations.empty()) {
    if (!name.empty())
      return file.error("--configuration " + name + ": the model has no configurations");
    return std::nullopt;
  }
  if (name.empty() && configurations.size() > 1)
    return file.error("has several configurations of devices (" + llvm::join(names, ", ") +
                      "); choose one with --configuration NAME, or give a plan");
  auto chosen = configurations.begin();
  while (!name.empty() && chosen != configurations.end() && StringRef(chosen->name()) != name)
    ++chosen;
  if (chosen == configurations.end())
    return file.error("--configuration " + name + ": the model has no such configuration; it has " +
                      llvm::join(names, ", "));
  if (chosen->num_devices() < 1 || chosen->num_devices() > maxDevices)
    return file.error("configuration " + quote(chosen->name()) + " has " +
                      Twine(chosen->num_devices()) + " devices, expected 1 to " +
                      Twine(maxDevices));
  if (chosen->device_size() != 0 && chosen->device_size() != chosen->num_devices())
    return file.error("configuration " + quote(chosen->name()) + " names " +
                      Twine(chosen->device_size()) + " devices, but has " +
                      Twine(chosen->num_devices()));

  Annotations annotations(file);
  annotations.devices = chosen->num_devices();
  if (llvm::Error error = annotations.readStages(chosen->name()))
    return error;
  if (annotations.devices % annotations.stages != 0)
    return file.error("configuration " + quote(chosen->name()) + " has " +
                      Twine(annotations.devices) + " devices, which its " +
                      Twine(annotations.stages) + " pipeline stages cannot share evenly");
  annotations.devices /= annotations.stages;
  if (llvm::Error error = annotations.readSpecs(chosen->name()))
    return error;
  if (llvm::Error error = annotations.layOutMesh())
    return error;
  annotations.warnOfInnerNodes(chosen->name());
  return annotations;
}

/// How many of the nodes, and of those in their branches, say something of a configuration.
static size_t countAnnotated(const google::protobuf::RepeatedPtrField<::onnx::NodeProto> &nodes,
                             const std::string &configuration) {
  size_t count = 0;
  for (const ::onnx::NodeProto &node : nodes) {
    count += llvm::any_of(node.device_configurations(), [&](const auto &given) {
      return given.configuration_id() == configuration;
    });
    for (const ::onnx::AttributeProto &attribute : node.attribute())
      count += countAnnotated(attribute.g().node(), configuration);
  }
  return count;
}

void Annotations::warnOfInnerNodes(const std::string &configuration) {
  size_t inner = 0;
  for (const ::onnx::NodeProto &node : file->model().graph().node())
    for (const ::onnx::AttributeProto &attribute : node.attribute())
      inner += countAnnotated(attribute.g().node(), configuration);
  for (const ::onnx::FunctionProto &function : file->model().functions())
    inner += countAnnotated(function.node(), configuration);
  if (inner > 0)
    warnings.push_back(file->path().str() + ": " + std::to_string(inner) +
                       " nodes in functions and branches are annotated, which is not followed: "
                       "annotate the nodes of the main graph");
}

void Annotations::warn(StringRef tensor, const Spec &spec, const Twine &message) {
  warnings.push_back(
      (file->path() + ": " + spec.node + ": tensor " + quote(tensor) + " " + message).str());
}

void Annotations::warnOfParts(StringRef tensor, const Spec &spec, int64_t dim, size_t parts) {
  warn(tensor, spec,
       "is cut along dimension " + Twine(dim) + " as one, but its readers take " + Twine(parts) +
           " parts of it: each of these is cut by itself");
}

llvm::Error Annotations::readStages(const std::string &configuration) {
  return forEachOf(*file, configuration,
                   [&](const ::onnx::NodeProto &node,
                       const ::onnx::NodeDeviceConfigurationProto &given) -> llvm::Error {
                     if (!given.has_pipeline_stage())
                       return llvm::Error::success();
                     int64_t stage = given.pipeline_stage();
                     if (stage < 0 || stage >= devices)
                       return file->error(describe(node) + ": is in pipeline stage " +
                                          Twine(stage) + ", expected 0 to " + Twine(devices - 1) +
                                          ", as there are " + Twine(devices) + " devices");
                     if (!nodeStages.try_emplace(&node, stage).second)
                       return file->error(describe(node) + ": is annotated twice for one "
                                                           "configuration");
                     stages = std::max(stages, stage + 1);
                     return llvm::Error::success();
                   });
}

llvm::Error Annotations::readSpecs(const std::string &configuration) {
  return forEachOf(*file, configuration,
                   [&](const ::onnx::NodeProto &node,
                       const ::onnx::NodeDeviceConfigurationProto &given) -> llvm::Error {
                     for (const ::onnx::ShardingSpecProto &sharding : given.sharding_spec()) {
                       const std::string &tensor = sharding.tensor_name();
                       if (tensor.empty() || (!llvm::is_contained(node.input(), tensor) &&
                                              !llvm::is_contained(node.output(), tensor)))
                         return file->error(describe(node) + ": shards " + quote(tensor) +
                                            ", which is none of its inputs and outputs");
                       llvm::Expected<Spec> spec = readSpec(node, given, sharding);
                       if (!spec)
                         return spec.takeError();
                       auto [before, isNew] = specs.try_emplace(tensor, *spec);
                       if (!isNew && before->second.dims != spec->dims)
                         return file->error(describe(node) + ": shards " + quote(tensor) +
                                            " otherwise than " + before->second.node + " does");
                     }
                     return llvm::Error::success();
                   });
}

/// What one spec says, in numbers of devices within their stage.
llvm::Expected<Annotations::Spec>
Annotations::readSpec(const ::onnx::NodeProto &node,
                      const ::onnx::NodeDeviceConfigurationProto &given,
                      const ::onnx::ShardingSpecProto &sharding) const {
  const std::string where = describe(node) + ": tensor " + quote(sharding.tensor_name()) + " ";
  Spec spec{{}, describe(node)};
  int64_t shards = 1;
  for (const ::onnx::ShardedDimProto &dim : sharding.sharded_dim()) {
    // Several are dimensions that one is a product of, major first.
    int64_t count = 1, segments = 1;
    for (const ::onnx::SimpleShardedDimProto &simple : dim.simple_sharding()) {
      if (simple.num_shards() < 1 || simple.num_shards() > maxDevices)
        return file->error(where + "is cut into " + Twine(simple.num_shards()) +
                           " shards, expected 1 to " + Twine(maxDevices));
      if (count > 1 && simple.num_shards() > 1)
        return file->error(where + "is cut along two parts of dimension " + Twine(dim.axis()) +
                           "; one of them can be cut");
      count = std::max<int64_t>(count, simple.num_shards());
      if (count > 1 || &simple == &*dim.simple_sharding().rbegin())
        continue;
      if (simple.dim_value() < 1 || __builtin_mul_overflow(segments, simple.dim_value(), &segments))
        return file->error(where + "has a part of size " + Twine(simple.dim_value()) +
                           " in dimension " + Twine(dim.axis()) +
                           "; a part that is cut must come after parts of known sizes");
    }
    if (llvm::any_of(spec.dims, [&](const ShardedDim &each) { return each.axis == dim.axis(); }))
      return file->error(where + "is cut along dimension " + Twine(dim.axis()) + " twice");
    spec.dims.push_back({dim.axis(), count, 0, segments});
    if ((shards *= count) > devices)
      return file->error(where + "is cut into " + Twine(shards) + " shards, but a stage has " +
                         Twine(devices) + " devices");
  }
  llvm::erase_if(spec.dims, [](const ShardedDim &dim) { return dim.shards == 1; });
  if (shards == 1) // on whichever devices: all have it
    return spec;
  if (sharding.device_size() != shards)
    return file->error(where + "is cut into " + Twine(shards) + " shards, but " +
                       Twine(sharding.device_size()) + " devices or groups of them are listed");

  // Which shard each device of the stage has.
  std::optional<int64_t> stage;
  if (given.has_pipeline_stage())
    stage = given.pipeline_stage();
  SmallVector<int64_t> shardOf(devices, -1);
  for (int64_t shard = 0; shard < shards; ++shard) {
    SmallVector<int64_t> group = {sharding.device(static_cast<int>(shard))};
    for (const ::onnx::IntIntListEntryProto &entry : sharding.index_to_device_group_map())
      if (entry.key() == group.front()) {
        group.assign(entry.value().begin(), entry.value().end());
        break;
      }
    for (int64_t device : group) {
      if (device < 0 || device >= devices * stages)
        return file->error(where + "lies on device " + Twine(device) + ", expected 0 to " +
                           Twine(devices * stages - 1));
      if (!stage)
        stage = device / devices;
      if (device / devices != *stage)
        return file->error(where + "lies on device " + Twine(device) +
                           ", which is none of pipeline stage " + Twine(*stage) + ": those are " +
                           Twine(*stage * devices) + " to " + Twine((*stage + 1) * devices - 1));
      int64_t &has = shardOf[device % devices];
      if (has != -1)
        return file->error(where + "has two shards on device " + Twine(device));
      has = shard;
    }
  }
  if (llvm::is_contained(shardOf, -1))
    return file->error(where + "has no shard on device " +
                       Twine(*stage * devices + (llvm::find(shardOf, -1) - shardOf.begin())) +
                       "; every device of a stage needs one, or a group with others");

  // Each dimension's shards must follow each other at one distance.
  int64_t inner = shards;
  for (ShardedDim &dim : spec.dims) {
    inner /= dim.shards;
    auto indexOf = [&](int64_t device) { return shardOf[device] / inner % dim.shards; };
    for (int64_t device = 0; device < devices && dim.stride == 0; ++device)
      if (indexOf(device) != 0)
        dim.stride = device;
    for (int64_t device = 0; device < devices; ++device)
      if (dim.stride == 0 || indexOf(device) != device / dim.stride % dim.shards)
        return file->error(where + "lies on its devices in an order that is none of a mesh's; list "
                                   "them in ascending order");
  }
  llvm::sort(spec.dims, [](const auto &a, const auto &b) { return a.axis < b.axis; });
  return spec;
}

/// The axes of which every spec's dimensions take whole ones.
llvm::Error Annotations::layOutMesh() {
  std::set<int64_t> ends = {1, devices};
  for (const auto &[tensor, spec] : specs)
    for (const ShardedDim &dim : spec.dims)
      ends.insert({dim.stride, dim.stride * dim.shards});
  int64_t before = 0;
  for (int64_t end : ends) {
    if (before != 0 && end % before != 0)
      return file->error("the annotations cut tensors in ways of which no one mesh of " +
                         Twine(devices) + " devices has all: in strides of " + Twine(before) +
                         " and " + Twine(end));
    if (before != 0)
      axisSizes.insert(axisSizes.begin(), end / before);
    before = end;
  }
  if (axisSizes.size() == 1)
    axisNames.push_back("tp");
  else
    for (size_t axis = 0; axis < axisSizes.size(); ++axis)
      axisNames.push_back("axis" + std::to_string(axis));
  return llvm::Error::success();
}

std::optional<int64_t> Annotations::stageOf(const ::onnx::NodeProto &node) const {
  auto it = nodeStages.find(&node);
  return it == nodeStages.end() ? std::nullopt : std::optional(it->second);
}

/// The mesh axes over which a dimension is cut, major first.
SmallVector<StringAttr> Annotations::axesOf(MLIRContext *context, const ShardedDim &dim) const {
  SmallVector<StringAttr> axes;
  int64_t stride = devices;
  for (auto [name, size] : llvm::zip_equal(axisNames, axisSizes)) {
    stride /= size;
    if (stride >= dim.stride && stride < dim.stride * dim.shards)
      axes.push_back(StringAttr::get(context, name));
  }
  return axes;
}

llvm::Error Annotations::checkFits(StringRef tensor, const Spec &spec,
                                   RankedTensorType type) const {
  for (const ShardedDim &dim : spec.dims) {
    if (dim.axis < -type.getRank() || dim.axis >= type.getRank())
      return file->error(spec.node + ": tensor " + quote(tensor) + " is cut along dimension " +
                         Twine(dim.axis) + ", but has " + Twine(type.getRank()) + " dimensions");
    int64_t axis = dim.axis < 0 ? dim.axis + type.getRank() : dim.axis;
    if (!type.isDynamicDim(axis) && type.getDimSize(axis) < dim.shards)
      return file->error(spec.node + ": tensor " + quote(tensor) + " has size " +
                         Twine(type.getDimSize(axis)) + " along dimension " + Twine(axis) +
                         ", which cannot be cut into " + Twine(dim.shards) + " shards");
  }
  return llvm::Error::success();
}

bool Annotations::differ(StringRef tensor, StringRef other) const {
  auto spec = specs.find(tensor), otherSpec = specs.find(other);
  if (spec == specs.end())
    return false;
  return otherSpec == specs.end() ? !spec->second.dims.empty()
                                  : spec->second.dims != otherSpec->second.dims;
}

/// A dimension counted from the front.
static int64_t getNumber(int64_t axis, RankedTensorType type) {
  return axis < 0 ? axis + type.getRank() : axis;
}

ShardingAttr Annotations::getSharding(const Spec &spec, RankedTensorType type) const {
  MLIRContext *context = type.getContext();
  SmallVector<DimShardingAttr> dims(type.getRank(), DimShardingAttr::get(context, {}, {}));
  for (const ShardedDim &dim : spec.dims)
    dims[getNumber(dim.axis, type)] = DimShardingAttr::get(context, axesOf(context, dim), {});
  return ShardingAttr::get(context, dims, ArrayRef<StringAttr>());
}

llvm::Error Annotations::applyToInput(StringRef tensor, const Spec &spec, func::FuncOp function,
                                      BlockArgument argument) const {
  auto type = cast<RankedTensorType>(argument.getType());
  for (const ShardedDim &dim : spec.dims)
    if (dim.segments > 1)
      return file->error(spec.node + ": input " + quote(tensor) + " is cut along parts of " +
                         "dimension " + Twine(getNumber(dim.axis, type)) +
                         "; inputs can be cut along whole ones");
  if (!spec.dims.empty())
    function.setArgAttr(argument.getArgNumber(), CleaveDialect::shardingAttrName,
                        getSharding(spec, type));
  return llvm::Error::success();
}

llvm::Error Annotations::applyToValues(ModuleOp module, func::FuncOp function, FindOperand find) {
  if (devices == 1)
    return llvm::Error::success();
  OpBuilder builder(module.getContext());
  builder.setInsertionPointToStart(module.getBody());
  SmallVector<StringRef> names(axisNames.begin(), axisNames.end());
  builder.create<MeshOp>(module.getLoc(), builder.getStringAttr("mesh"),
                         builder.getStrArrayAttr(names), builder.getDenseI64ArrayAttr(axisSizes),
                         DictionaryAttr(), StringAttr());
  for (const auto &[tensor, spec] : specs) {
    const Operand *operand = find(tensor);
    if (!operand)
      continue; // nothing came of it
    if (llvm::Error error = checkFits(tensor, spec, operand->type))
      return error;
    if (auto argument = dyn_cast_or_null<BlockArgument>(operand->value)) {
      if (llvm::Error error = applyToInput(tensor, spec, function, argument))
        return error;
      continue;
    }
    auto result = dyn_cast_or_null<OpResult>(operand->value);
    if (!result || operand->isKnown() || result.getDefiningOp<UseOp>())
      continue; // a weight, if anything
    Operation *op = result.getOwner();
    auto before = op->getAttrOfType<ArrayAttr>(CleaveDialect::shardingAttrName);
    SmallVector<Attribute> shardings(op->getNumResults(), builder.getUnitAttr());
    if (before)
      llvm::copy(before, shardings.begin());
    shardings[result.getResultNumber()] = getSharding(spec, operand->type);
    op->setAttr(CleaveDialect::shardingAttrName, builder.getArrayAttr(shardings));
    makers[tensor] = op;
  }
  return llvm::Error::success();
}

/// Where a value that nodes make is cut in segments, or its segments are read apart, the two must
/// fit each other.
llvm::Error Annotations::checkSegments(StringRef tensor, const Spec &spec, RankedTensorType type,
                                       const TakenApart *apart) {
  for (const ShardedDim &dim : spec.dims) {
    int64_t number = getNumber(dim.axis, type), count = dim.segments;
    bool isApart = apart && apart->dim == number;
    if (isApart && count == 1)
      warnOfParts(tensor, spec, number, apart->segments.size());
    if (count == 1)
      continue;
    bool fits = isApart && static_cast<int64_t>(apart->segments.size()) == count;
    for (int64_t i = 0; fits && i < count; ++i)
      fits = apart->segments[i].begin * count == i * type.getDimSize(number) &&
             apart->segments[i].end * count == (i + 1) * type.getDimSize(number);
    if (!fits)
      return file->error(spec.node + ": tensor " + quote(tensor) + " is cut in " + Twine(count) +
                         " segments along dimension " + Twine(number) +
                         ", but its readers do not take it apart into as many; what nodes make is "
                         "cut along whole dimensions, or segment by segment");
  }
  return llvm::Error::success();
}

/// Whether the weight is one of so many equal segments of `size` elements along its dimension
/// `dim`.
static bool isSegment(WeightOp weight, int64_t dim, int64_t size, int64_t segments) {
  std::optional<ArrayRef<int64_t>> slice = weight.getSlice();
  if (!slice || size % segments != 0)
    return false;
  ElementRange range = getRanges(*slice)[dim];
  return range.size() == size / segments && range.begin % range.size() == 0;
}

/// Which of the weight's dimensions the tensor's is.
static int64_t numberInWeight(WeightOp weight, int64_t axis, RankedTensorType type) {
  bool isSwapped = weight.getSource().getTransposed() && axis >= type.getRank() - 2;
  return isSwapped ? 2 * type.getRank() - 3 - axis : axis;
}

/// Whether the weight is a part of the tensor along its dimension `axis`.
static bool isPart(WeightOp weight, int64_t axis, RankedTensorType type) {
  std::optional<ArrayRef<int64_t>> slice = weight.getSlice();
  return slice && weight.getTensorType().getRank() == type.getRank() &&
         getRanges(*slice)[numberInWeight(weight, axis, type)].size() != type.getDimSize(axis);
}

llvm::Error Annotations::applyToWeight(StringRef tensor, const Spec &spec, RankedTensorType type,
                                       WeightOp weight) const {
  MLIRContext *context = weight.getContext();
  if (weight.getSource().getShape() && !spec.dims.empty())
    return file->error(spec.node + ": tensor " + quote(tensor) +
                       " is cut, but its readers take it in another shape; give a plan with "
                       "--plan or --split");
  SmallVector<Attribute> splits;
  for (const ShardedDim &dim : spec.dims) {
    const int64_t axis = getNumber(dim.axis, type), number = numberInWeight(weight, axis, type);
    if (number > 1)
      return file->error(spec.node + ": tensor " + quote(tensor) + " is cut along dimension " +
                         Twine(axis) +
                         "; weights can be cut along their input and output features");
    if (dim.segments > 1 && !isSegment(weight, number, type.getDimSize(axis), dim.segments))
      return file->error(spec.node + ": tensor " + quote(tensor) + " is cut in " +
                         Twine(dim.segments) + " segments along dimension " + Twine(axis) +
                         ", but its readers do not take it apart into as many; weights are cut "
                         "along whole dimensions, or segment by segment");
    for (StringAttr each : axesOf(context, dim))
      splits.push_back(
          SplitAttr::get(context, number == 0 ? SplitKind::Column : SplitKind::Row, each));
  }
  if (splits.empty())
    splits.push_back(SplitAttr::get(context, SplitKind::None, StringAttr()));
  weight.setSplitsAttr(ArrayAttr::get(context, splits));
  return llvm::Error::success();
}

llvm::Error Annotations::applyToWeights(ModuleOp module, FindOperand find,
                                        ArrayRef<TakenApart> gone) {
  if (devices == 1)
    return llvm::Error::success();
  for (const auto &[tensor, spec] : specs) {
    const Operand *operand = find(tensor);
    if (!operand)
      continue; // nothing came of it
    if (auto maker = makers.find(tensor); maker != makers.end()) {
      const auto *apart =
          llvm::find_if(gone, [&](const TakenApart &each) { return each.op == maker->second; });
      if (llvm::Error error =
              checkSegments(tensor, spec, operand->type, apart == gone.end() ? nullptr : apart))
        return error;
      continue;
    }
    if (isa_and_present<BlockArgument>(operand->value))
      continue;
    SmallVector<WeightOp> weights;
    for (WeightOp weight : module.getOps<WeightOp>())
      if (weight.getTensorName() == tensor && weight.getSource().getKind() == SourceKind::Onnx)
        weights.push_back(weight);
    for (WeightOp weight : weights)
      if (llvm::Error error = applyToWeight(tensor, spec, operand->type, weight))
        return error;
    if (weights.empty() && !spec.dims.empty())
      warn(tensor, spec,
           "is cut, but it is known before the model runs and no weight of its own: it lies as "
           "its readers need it");
    for (const ShardedDim &dim : spec.dims) {
      int64_t number = getNumber(dim.axis, operand->type);
      if (dim.segments == 1 && llvm::any_of(weights, [&](WeightOp weight) {
            return isPart(weight, number, operand->type);
          }))
        warnOfParts(tensor, spec, number, weights.size());
    }
  }
  return llvm::Error::success();
}

} // namespace cleave::onnx
