// The steps of operations that read and write elements by numbers in tensors. The numbers are
// checked by steps of their own before.
#include "runtime/engine/index_checks.h"
#include "runtime/engine/step_builder.h"
#include "runtime/kernels/indexing.h"
#include "runtime/kernels/slice.h"

namespace cleave::rt {

static_assert(maxIndexedDims >= maxValueDims);

namespace {

/// Where ElementPlaces and TuplePlaces come from.
struct PlacesSource {
  Location indices;
  bool isWide = false;
  std::vector<Size> dims;    ///< of the indices
  std::vector<Size> limits;  ///< of what is chosen from
  std::vector<Size> strides; ///< in it
  Size batches, batchStride, count, items;

  void prepare(ElementPlaces &places, const int64_t *symbols) const {
    places.limit = limits[0](symbols);
    for (size_t d = 0; d < dims.size(); ++d) {
      places.dims[d] = dims[d](symbols);
      places.strides[d] = strides[d](symbols);
    }
  }
  void prepare(TuplePlaces &places, const int64_t *symbols) const {
    places.batches = batches(symbols);
    places.batchStride = batchStride(symbols);
    places.count = count(symbols);
    places.items = items(symbols);
    for (size_t j = 0; j < limits.size(); ++j) {
      places.limits[j] = limits[j](symbols);
      places.strides[j] = strides[j](symbols);
    }
  }
};

int64_t movedElements(const ElementPlaces &places) {
  int64_t count = 1;
  for (int d = 0; d < places.rank; ++d)
    count *= places.dims[d];
  return count;
}

int64_t movedElements(const TuplePlaces &places) {
  return places.batches * places.count * places.items;
}

class TakeStep : public Step {
public:
  TakeArgs args;
  Location x, y, indices;
  Size outer, limit, whole, count, inner;
  int64_t elementBytes = 0;

  void bind(const Memory &memory) override {
    args.x = memory.read<void>(x);
    args.y = memory.write<void>(y);
    args.indices.data = memory.read<void>(indices);
  }
  void prepare(const int64_t *symbols) override {
    args.outer = outer(symbols);
    args.limit = limit(symbols);
    args.whole = whole(symbols);
    args.count = count(symbols);
    args.bytes = inner(symbols) * elementBytes;
  }
  void run(RunContext &context) const override {
    runParts(take, args, args.outer * args.count * (args.bytes / 4 + 8), context);
  }
};

/// A gather by `Args`, which has x, y and places.
template <typename Args, void (*kernel)(const Args &, Part)>
class GatherByPlacesStep : public Step {
public:
  Args args;
  Location x, y;
  PlacesSource source;

  void bind(const Memory &memory) override {
    args.x = memory.read<void>(x);
    args.y = memory.write<void>(y);
    args.places.indices = {memory.read<void>(source.indices), source.isWide};
  }
  void prepare(const int64_t *symbols) override { source.prepare(args.places, symbols); }
  void run(RunContext &context) const override {
    runParts(kernel, args, movedElements(args.places) * 4, context);
  }
};

/// Copies x, and then writes one update after the other, so that the last one stays.
template <typename Places, auto kernel> class ScatterStep : public Step {
public:
  Places places;
  SliceArgs copy;
  Location updates, x, y;
  PlacesSource source;
  Size count; ///< of x's elements
  ScatterKind kind = ScatterKind::set;
  ElementType type = ElementType::f32;

  void bind(const Memory &memory) override {
    from = memory.read<void>(updates);
    copy.x = memory.read<void>(x);
    copy.y = memory.write<void>(y);
    copy.rows = 1;
    places.indices = {memory.read<void>(source.indices), source.isWide};
  }
  void prepare(const int64_t *symbols) override {
    copy.bytes = copy.xStride = copy.yStride = count(symbols) * places.elementBytes;
    source.prepare(places, symbols);
  }
  void run(RunContext &context) const override {
    runParts(slice, copy, copy.bytes / 4, context);
    if (movedElements(places) > 0)
      context.runAlone([&] { kernel(from, copy.y, places, kind, type); });
  }

private:
  const void *from = nullptr;
};

/// Sizes and distances of x's dimensions.
struct DimsOf {
  explicit DimsOf(std::span<const int64_t> dims) : dims(dims) {}
  Size size(size_t d) const { return Size(dims.subspan(d, 1)); }
  Size stride(size_t d) const { return Size(dims.subspan(d + 1)); }
  std::span<const int64_t> dims;
};

PlacesSource elementsSource(std::span<const int64_t> x, std::span<const int64_t> indices,
                            uint32_t dim) {
  PlacesSource source;
  DimsOf ofX(x), ofIndices(indices);
  for (size_t d = 0; d < x.size(); ++d) {
    source.dims.push_back(ofIndices.size(d));
    source.strides.push_back(ofX.stride(d));
  }
  source.limits = {ofX.size(dim)};
  return source;
}

PlacesSource tuplesSource(std::span<const int64_t> x, std::span<const int64_t> indices,
                          uint32_t batchDims) {
  PlacesSource source;
  DimsOf ofX(x);
  auto length = static_cast<size_t>(indices.back());
  for (size_t j = 0; j < length; ++j) {
    source.limits.push_back(ofX.size(batchDims + j));
    source.strides.push_back(ofX.stride(batchDims + j));
  }
  source.batches = Size(x.first(batchDims));
  source.batchStride = Size(x.subspan(batchDims));
  source.count = Size(indices.subspan(batchDims, indices.size() - 1 - batchDims));
  source.items = Size(x.subspan(batchDims + length));
  return source;
}

} // namespace

void StepBuilder::checkSignedIndices(uint32_t number, const std::vector<Size> &limits,
                                     const std::string &what) {
  if (auto whole = givenWholes.find(number); whole != givenWholes.end())
    number = whole->second;
  if (!checkedSignedIndices.insert({number, limits}).second)
    return;
  addCheck(number, number,
           makeSignedIndexCheck(locations[number], type(number) == ElementType::i64,
                                elements(number), limits, describeValue(number), what));
}

void StepBuilder::addTake(const fb::Take &op) {
  std::span<const int64_t> from = dimsOf(value(operand(0)).dims());
  auto step = std::make_unique<TakeStep>();
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->indices = locations[operand(1)];
  step->args.indices.isWide = type(operand(1)) == ElementType::i64;
  step->outer = Size(from.first(op.dim()));
  step->limit = Size(from.subspan(op.dim(), 1));
  const int64_t whole = op.whole();
  step->whole = whole != 0 ? Size({&whole, 1}) : step->limit;
  step->args.offset = op.offset();
  step->args.layout = layout(operand(0));
  step->args.type = type(operand(0));
  step->count = elements(operand(1));
  step->inner = Size(from.subspan(op.dim() + 1));
  step->elementBytes = elementBytes(operand(0));
  checkSignedIndices(operand(1), {step->whole},
                     "dimension " + std::to_string(op.dim()) + " of " + describeValue(operand(0)));
  add(std::move(step));
}

void StepBuilder::addGatherElements(const fb::GatherElements &op) {
  std::span<const int64_t> from = dimsOf(value(operand(0)).dims());
  auto step = std::make_unique<GatherByPlacesStep<GatherElementsArgs, gatherElements>>();
  step->source = elementsSource(from, dimsOf(value(operand(1)).dims()), op.dim());
  step->args.places.rank = static_cast<int>(from.size());
  step->args.places.dim = static_cast<int>(op.dim());
  step->args.places.elementBytes = elementBytes(operand(0));
  finishGather(std::move(step));
}

void StepBuilder::addGatherNd(const fb::GatherNd &op) {
  auto step = std::make_unique<GatherByPlacesStep<GatherNdArgs, gatherNd>>();
  step->source = tuplesSource(dimsOf(value(operand(0)).dims()), dimsOf(value(operand(1)).dims()),
                              op.batch_dims());
  step->args.places.length = static_cast<int>(step->source.limits.size());
  step->args.places.elementBytes = elementBytes(operand(0));
  finishGather(std::move(step));
}

template <typename StepT> void StepBuilder::finishGather(std::unique_ptr<StepT> step) {
  step->x = locations[operand(0)];
  step->y = locations[result(0)];
  step->source.indices = locations[operand(1)];
  step->source.isWide = type(operand(1)) == ElementType::i64;
  checkSignedIndices(operand(1), step->source.limits, "that place of " + describeValue(operand(0)));
  add(std::move(step));
}

void StepBuilder::addScatterElements(const fb::ScatterElements &op) {
  std::span<const int64_t> from = dimsOf(value(operand(1)).dims());
  auto step = std::make_unique<ScatterStep<ElementPlaces, scatterElements>>();
  step->source = elementsSource(from, dimsOf(value(operand(2)).dims()), op.dim());
  step->places.rank = static_cast<int>(from.size());
  step->places.dim = static_cast<int>(op.dim());
  finishScatter(std::move(step), op.kind());
}

void StepBuilder::addScatterNd(const fb::ScatterNd &op) {
  auto step = std::make_unique<ScatterStep<TuplePlaces, scatterNd>>();
  step->source =
      tuplesSource(dimsOf(value(operand(1)).dims()), dimsOf(value(operand(2)).dims()), 0);
  step->places.length = static_cast<int>(step->source.limits.size());
  finishScatter(std::move(step), op.kind());
}

template <typename StepT>
void StepBuilder::finishScatter(std::unique_ptr<StepT> step, fb::ScatterKind kind) {
  step->updates = locations[operand(0)];
  step->x = locations[operand(1)];
  step->y = locations[result(0)];
  step->source.indices = locations[operand(2)];
  step->source.isWide = type(operand(2)) == ElementType::i64;
  step->count = elements(operand(1));
  step->places.elementBytes = elementBytes(operand(1));
  step->type = type(operand(1));
  switch (kind) {
  case fb::ScatterKind::Set:
    step->kind = ScatterKind::set;
    break;
  case fb::ScatterKind::Add:
    step->kind = ScatterKind::add;
    break;
  case fb::ScatterKind::Mul:
    step->kind = ScatterKind::mul;
    break;
  case fb::ScatterKind::Max:
    step->kind = ScatterKind::max;
    break;
  case fb::ScatterKind::Min:
    step->kind = ScatterKind::min;
    break;
  }
  checkSignedIndices(operand(2), step->source.limits, "that place of " + describeValue(operand(1)));
  add(std::move(step));
}

} // namespace cleave::rt
