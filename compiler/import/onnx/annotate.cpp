// From the sharded form to device annotations.
#include "compiler/import/onnx/annotate.h"

#include "compiler/import/onnx/node_names.h"
#include "compiler/partition/mesh.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <optional>

using namespace mlir;
using llvm::Twine;

namespace cleave::onnx {
namespace {

/// Annotations came with this version of the format.
constexpr int64_t leastIrVersion = 11;

class Annotator {
public:
  Annotator(const ModelFile &file, ModuleOp sharded)
      : file(file), sharded(sharded), mesh(Mesh::of(sharded)) {}

  llvm::Expected<::onnx::ModelProto> run();

private:
  /// How a tensor of the file lies, dimensions in the file's order. Of a fused one: along which
  /// dimension its segments follow each other, and how many there are; 0 where they are not equal.
  struct Layout {
    SmallVector<DimShardingAttr> dims;
    size_t fused = 0;
    int64_t segments = 1;
  };

  void readStages();
  llvm::Error readShardings();
  llvm::Error addSegment(WeightOp weight, SmallVector<DimShardingAttr> dims);
  void addSpec(::onnx::NodeDeviceConfigurationProto &to, const std::string &tensor,
               const Layout &layout, int64_t stage);

  const ModelFile &file;
  ModuleOp sharded;
  Mesh mesh;
  int64_t stages = 1;
  llvm::StringSet<> nodes; ///< the unique names of the main graph's
  llvm::StringMap<int64_t> nodeStages;
  llvm::StringMap<Layout> shardings;
};

} // namespace

/// A node's stage is that of its first op: where a function is cut inside, it begins there.
void Annotator::readStages() {
  sharded.walk([&](ShardingRuleOpInterface op) {
    auto name = op->getAttrOfType<StringAttr>(CleaveDialect::nameAttrName);
    if (!name)
      return;
    stages = std::max(stages, getStage(op) + 1);
    // "node", "node:2" for its second op, "node/inner" for an op of the function that it calls.
    StringRef node = name.getValue();
    while (!nodes.contains(node) && node.find_last_of(":/") != StringRef::npos)
      node = node.take_front(node.find_last_of(":/"));
    nodeStages.try_emplace(node, getStage(op));
  });
}

/// The weight is a slice of a fused tensor; `dims` are in the file's order.
llvm::Error Annotator::addSegment(WeightOp weight, SmallVector<DimShardingAttr> dims) {
  const ::onnx::TensorProto &tensor = *file.findTensor(weight.getTensorName());
  SmallVector<ElementRange> ranges = getRanges(*weight.getSlice());
  if (weight.getSource().getTransposed())
    std::swap(ranges[ranges.size() - 1], ranges[ranges.size() - 2]);
  Layout layout{dims};
  for (auto [dim, range] : llvm::enumerate(ranges))
    if (int64_t size = tensor.dims(static_cast<int>(dim)); range.size() != size) {
      layout.fused = dim;
      bool isEven = size % range.size() == 0 && range.begin % range.size() == 0;
      layout.segments = isEven ? size / range.size() : 0;
    }
  auto [known, isNew] = shardings.try_emplace(weight.getTensorName(), layout);
  const Layout &before = known->second;
  bool isAlike = isNew || (before.fused == layout.fused && before.segments == layout.segments);
  for (size_t dim = 0; dim < dims.size(); ++dim)
    isAlike &= before.dims[dim].getAxes() == dims[dim].getAxes();
  if (!isAlike || (layout.segments == 0 && dims[layout.fused].isSplit()))
    return file.error("the segments of the tensor " + quote(weight.getTensorName()) +
                      " are of different sizes, or split differently, which annotations cannot "
                      "say");
  return llvm::Error::success();
}

llvm::Error Annotator::readShardings() {
  for (WeightOp weight : sharded.getOps<WeightOp>()) {
    SourceAttr source = weight.getSource();
    std::optional<ShardingAttr> sharding = weight.getSharding();
    // A tensor that is read in another shape has no dimensions to speak of.
    if (source.getKind() != SourceKind::Onnx || !sharding || source.getShape())
      continue;
    SmallVector<DimShardingAttr> dims(sharding->getDims());
    if (source.getTransposed())
      std::swap(dims[dims.size() - 1], dims[dims.size() - 2]);
    if (!weight.getSlice())
      shardings.try_emplace(weight.getTensorName(), Layout{dims});
    else if (llvm::Error error = addSegment(weight, dims))
      return error;
  }
  for (auto function : sharded.getOps<func::FuncOp>())
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      auto name = function.getArgAttrOfType<StringAttr>(i, CleaveDialect::inputAttrName);
      auto sharding = function.getArgAttrOfType<ShardingAttr>(i, CleaveDialect::shardingAttrName);
      if (name && sharding)
        shardings.try_emplace(name.getValue(),
                              Layout{SmallVector<DimShardingAttr>(sharding.getDims())});
    }
  return llvm::Error::success();
}

/// Device numbers are ranks: those of a stage one after the other, by coordinates.
void Annotator::addSpec(::onnx::NodeDeviceConfigurationProto &to, const std::string &tensor,
                        const Layout &layout, int64_t stage) {
  ArrayRef<DimShardingAttr> dims = layout.dims;
  ::onnx::ShardingSpecProto &spec = *to.add_sharding_spec();
  spec.set_tensor_name(tensor);
  const int64_t devices = mesh.getNumCoordinates();
  SmallVector<SmallVector<int64_t>> holders(1); // by shard
  for (auto [axis, dim] : llvm::enumerate(dims)) {
    int64_t shards = mesh.getNumShares(dim.getAxes());
    if (shards == 1)
      continue;
    ::onnx::ShardedDimProto &cut = *spec.add_sharded_dim();
    cut.set_axis(static_cast<int64_t>(axis));
    if (axis == layout.fused && layout.segments > 1) {
      // Dimensions of which this one is the product, major first.
      ::onnx::SimpleShardedDimProto &outer = *cut.add_simple_sharding();
      outer.set_dim_value(layout.segments);
      outer.set_num_shards(1);
    }
    cut.add_simple_sharding()->set_num_shards(shards);
    holders.resize(holders.size() * shards);
  }
  for (int64_t coordinate = 0; coordinate < devices; ++coordinate) {
    int64_t shard = 0;
    for (DimShardingAttr dim : dims)
      shard =
          shard * mesh.getNumShares(dim.getAxes()) + mesh.getShareIndex(coordinate, dim.getAxes());
    holders[shard].push_back(stage * devices + coordinate);
  }
  for (auto [shard, group] : llvm::enumerate(holders)) {
    if (group.size() == 1) {
      spec.add_device(group.front());
      continue;
    }
    int64_t key = -1 - static_cast<int64_t>(shard);
    spec.add_device(key);
    ::onnx::IntIntListEntryProto &entry = *spec.add_index_to_device_group_map();
    entry.set_key(key);
    for (int64_t device : group)
      entry.add_value(device);
  }
}

llvm::Expected<::onnx::ModelProto> Annotator::run() {
  for (MeshOp op : sharded.getOps<MeshOp>())
    if (op.getShares() && !op.getShares()->empty())
      return file.error("the plan gives ranks unequal shares, which annotations cannot say");
  SmallVector<std::string> names;
  UniqueNames unique;
  for (const ::onnx::NodeProto &node : file.model().graph().node())
    nodes.insert(names.emplace_back(unique.add(nameOfNode(node))));
  readStages();
  if (llvm::Error error = readShardings())
    return error;
  ::onnx::ModelProto model = file.model();
  model.set_ir_version(std::max<int64_t>(model.ir_version(), leastIrVersion));
  // What was written before is replaced.
  auto isOurs = [](StringRef name) { return name == annotatedConfiguration; };
  auto &configurations = *model.mutable_configuration();
  for (int i = configurations.size(); i-- > 0;)
    if (isOurs(configurations.Get(i).name()))
      configurations.DeleteSubrange(i, 1);
  ::onnx::DeviceConfigurationProto &configuration = *configurations.Add();
  configuration.set_name(annotatedConfiguration.str());
  const int64_t devices = mesh.getNumCoordinates() * stages;
  configuration.set_num_devices(static_cast<int32_t>(devices));
  for (int64_t device = 0; device < devices; ++device)
    configuration.add_device("rank" + std::to_string(device));

  for (auto [node, name] : llvm::zip_equal(*model.mutable_graph()->mutable_node(), names)) {
    auto &given = *node.mutable_device_configurations();
    for (int i = given.size(); i-- > 0;)
      if (isOurs(given.Get(i).configuration_id()))
        given.DeleteSubrange(i, 1);
    auto stage = nodeStages.find(name);
    if (stage == nodeStages.end())
      continue; // nothing is executed for it
    ::onnx::NodeDeviceConfigurationProto &ours = *given.Add();
    ours.set_configuration_id(annotatedConfiguration.str());
    ours.set_pipeline_stage(static_cast<int32_t>(stage->second));
    llvm::StringSet<> seen;
    for (const std::string &input : node.input())
      if (auto it = shardings.find(input); it != shardings.end() && seen.insert(input).second)
        addSpec(ours, input, it->second, stage->second);
  }
  return model;
}

llvm::Expected<::onnx::ModelProto> annotate(const ModelFile &file, ModuleOp sharded) {
  return Annotator(file, sharded).run();
}

llvm::Error writeModel(const ModelFile &file, const ::onnx::ModelProto &model,
                       llvm::StringRef path) {
  auto folderOf = [](StringRef of) {
    SmallString<256> folder = of;
    llvm::sys::fs::make_absolute(folder);
    llvm::sys::path::remove_filename(folder);
    return folder;
  };
  auto isExternal = [](const ::onnx::TensorProto &tensor) {
    return tensor.data_location() == ::onnx::TensorProto::EXTERNAL;
  };
  if (llvm::any_of(model.graph().initializer(), isExternal) &&
      !llvm::sys::fs::equivalent(folderOf(file.path()), folderOf(path)))
    return file.error("has tensors in files beside it; write the annotated model into the same "
                      "folder, as in --annotate " +
                      (folderOf(file.path()) + "/annotated.onnx").str());
  std::string bytes;
  if (!model.SerializeToString(&bytes))
    return file.error("is too large for one file with its annotations: protobuf's limit is 2 GiB");
  llvm::Error written = llvm::writeToOutput(path, [&](llvm::raw_ostream &os) {
    os << bytes;
    return llvm::Error::success();
  });
  if (!written)
    return written;
  return llvm::createStringError(llvm::inconvertibleErrorCode(),
                                 path + ": " + llvm::toString(std::move(written)));
}

} // namespace cleave::onnx
