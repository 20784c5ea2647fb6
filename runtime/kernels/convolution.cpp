// Convolutions by oneDNN: one primitive a chunk size, its memory objects pointed at a
// step's buffers.
#include "runtime/kernels/convolution.h"

#include "runtime/kernels/library_threads.h"
#include "runtime/kernels/packed_memory.h"

#include <dnnl.hpp>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <unordered_map>

namespace cleave::rt {

namespace {

/// A convolution of a fixed number of images, and its arguments but the filter.
struct Chunk {
  int64_t images;
  dnnl::primitive convolution;
  dnnl::memory x;
  dnnl::memory bias;
  dnnl::memory y;
  dnnl::memory scratch;
  std::unordered_map<int, dnnl::memory> arguments;
};

/// What a filter may grow to when it is packed: so many bytes, or so many times its own.
constexpr size_t maxPaddedBytes = size_t{1} << 26, maxPadding = 8;

/// Falling, so that a batch takes the largest that fits, again and again.
constexpr int64_t chunkImages[] = {16, 4, 1};

/// The elements of a tensor of these dimensions; throws where oneDNN, which counts some of
/// them in 32 bits, could not count them.
int64_t countElements(const std::vector<int64_t> &dims, const char *what) {
  int64_t count = 1;
  for (int64_t dim : dims)
    if (__builtin_mul_overflow(count, std::max<int64_t>(dim, 1), &count) ||
        count > std::numeric_limits<int32_t>::max())
      throw std::runtime_error(std::string("a convolution's ") + what +
                               " of more than 2^31 - 1 elements is not possible");
  return std::find(dims.begin(), dims.end(), 0) == dims.end() ? count : 0;
}

std::vector<int64_t> join(std::vector<int64_t> dims, const std::vector<int64_t> &spatial) {
  dims.insert(dims.end(), spatial.begin(), spatial.end());
  return dims;
}

constexpr auto f32 = dnnl::memory::data_type::f32;

/// Dense, the last dimension innermost.
dnnl::memory::desc describe(const std::vector<int64_t> &dims) {
  dnnl::memory::dims strides(dims.size(), 1);
  for (size_t i = dims.size() - 1; i-- > 0;)
    strides[i] = strides[i + 1] * dims[i + 1];
  return {dims, f32, strides};
}

/// Dense, with the channels innermost.
dnnl::memory::desc describeImages(int64_t images, int64_t channels,
                                  const std::vector<int64_t> &sizes) {
  using Tag = dnnl::memory::format_tag;
  constexpr Tag tags[] = {Tag::nwc, Tag::nhwc, Tag::ndhwc};
  return {join({images, channels}, sizes), f32, tags[sizes.size() - 1]};
}

} // namespace

class Convolution::Filter {
public:
  PackedMemory bytes;
  dnnl::memory memory;
};

struct Convolution::Impl {
  ConvolutionShape shape;
  int64_t xElements, yElements; // of an image
  int64_t filterElements;
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::memory::desc filter; // packed, as the first chunk wants it
  dnnl::reorder packing;
  std::vector<Chunk> chunks;
  size_t scratchBytes = 0;

  std::vector<int64_t> filterDims() const {
    const int64_t g = shape.groups;
    std::vector<int64_t> channels = {shape.outputChannels / g, shape.inputChannels / g};
    if (g > 1)
      channels.insert(channels.begin(), g);
    return join(channels, shape.kernelSizes);
  }

  /// The filter as it is given.
  dnnl::memory::desc plainFilter() const {
    std::vector<int64_t> dims = filterDims();
    if (!shape.isTransposed)
      return describe(dims);
    // Input channels are before output channels there.
    const size_t input = shape.groups > 1 ? 2 : 1;
    std::swap(dims[input - 1], dims[input]);
    dnnl::memory::dims strides(dims.size(), 1);
    for (size_t i = dims.size() - 1; i-- > 0;)
      strides[i] = strides[i + 1] * dims[i + 1];
    std::swap(dims[input - 1], dims[input]);
    std::swap(strides[input - 1], strides[input]);
    return {dims, f32, strides};
  }

  /// Of a chunk of so many images.
  double products(int64_t images) const {
    // Each element of the transposed one's input, and else of the output, meets a whole filter.
    const int64_t elements = shape.isTransposed ? xElements : yElements;
    const int64_t channels = shape.isTransposed ? shape.inputChannels : shape.outputChannels;
    return static_cast<double>(images * elements) * static_cast<double>(filterElements) /
           static_cast<double>(channels);
  }

  Chunk makeChunk(int64_t images) {
    const LibraryThreads threads(products(images));
    const auto x = describeImages(images, shape.inputChannels, shape.inputSizes);
    const auto y = describeImages(images, shape.outputChannels, shape.outputSizes);
    const auto bias = shape.hasBias ? describe({shape.outputChannels}) : dnnl::memory::desc();
    dnnl::memory::dims dilations = shape.dilations; // oneDNN counts what is left out
    for (int64_t &dilation : dilations)
      --dilation;
    const auto kind = dnnl::prop_kind::forward_inference;
    if (shape.isTransposed) {
      const dnnl::deconvolution_forward::desc desc(kind, dnnl::algorithm::deconvolution_direct, x,
                                                   filter, bias, y, shape.strides, dilations,
                                                   shape.padsBefore, shape.padsAfter);
      return makeChunk<dnnl::deconvolution_forward>(images, {desc, attributesOf({}), engine});
    }
    const dnnl::convolution_forward::desc desc(kind, dnnl::algorithm::convolution_direct, x, filter,
                                               bias, y, shape.strides, dilations, shape.padsBefore,
                                               shape.padsAfter);
    return makeChunk<dnnl::convolution_forward>(images,
                                                {desc, attributesOf(shape.epilogue), engine});
  }

  template <typename Primitive>
  Chunk makeChunk(int64_t images, const typename Primitive::primitive_desc &descriptor) {
    filter = descriptor.weights_desc();
    scratchBytes = std::max(scratchBytes, descriptor.scratchpad_desc().get_size());
    const auto bias = shape.hasBias ? descriptor.bias_desc() : dnnl::memory::desc();
    Chunk chunk{images,
                Primitive(descriptor),
                dnnl::memory(descriptor.src_desc(), engine, DNNL_MEMORY_NONE),
                dnnl::memory(bias, engine, DNNL_MEMORY_NONE),
                dnnl::memory(descriptor.dst_desc(), engine, DNNL_MEMORY_NONE),
                dnnl::memory(descriptor.scratchpad_desc(), engine, DNNL_MEMORY_NONE),
                {}};
    chunk.arguments = {
        {DNNL_ARG_SRC, chunk.x}, {DNNL_ARG_DST, chunk.y}, {DNNL_ARG_SCRATCHPAD, chunk.scratch}};
    if (shape.hasBias)
      chunk.arguments.emplace(DNNL_ARG_BIAS, chunk.bias);
    return chunk;
  }
};

Convolution::Convolution(const ConvolutionShape &shape, int64_t maxImages)
    : impl(std::make_unique<Impl>()) {
  impl->shape = shape;
  impl->xElements = countElements(join({shape.inputChannels}, shape.inputSizes), "image");
  impl->yElements = countElements(join({shape.outputChannels}, shape.outputSizes), "image");
  impl->filterElements =
      countElements(join({shape.outputChannels, shape.inputChannels}, shape.kernelSizes),
                    "filter") /
      std::max<int64_t>(shape.groups, 1);
  if (impl->xElements == 0 || impl->yElements == 0)
    return;
  impl->filter = {impl->filterDims(), f32, dnnl::memory::format_tag::any};
  try {
    for (int64_t images : chunkImages)
      if (images <= maxImages)
        impl->chunks.push_back(impl->makeChunk(images));
    // Packing rounds channels up, which few of them pay for only in filters of absurd sizes.
    const auto plainBytes = static_cast<size_t>(impl->filterElements) * sizeof(float);
    if (const size_t packed = impl->chunks.empty() ? 0 : impl->filter.get_size();
        packed > maxPaddedBytes && packed / maxPadding > plainBytes)
      throw std::runtime_error("a convolution's filter of " + std::to_string(plainBytes) +
                               " bytes would take " + std::to_string(packed) + " packed");
    if (!impl->chunks.empty())
      impl->packing = dnnl::reorder(dnnl::reorder::primitive_desc(impl->engine, impl->plainFilter(),
                                                                  impl->engine, impl->filter));
  } catch (const dnnl::error &error) {
    throw std::runtime_error("oneDNN has no convolution of " + std::to_string(shape.inputChannels) +
                             " and " + std::to_string(shape.outputChannels) +
                             " channels: " + error.what());
  }
}

Convolution::~Convolution() = default;
Convolution::Convolution(Convolution &&) noexcept = default;
Convolution &Convolution::operator=(Convolution &&) noexcept = default;

size_t Convolution::scratchBytes() const {
  return impl->scratchBytes;
}

std::shared_ptr<Convolution::Filter> Convolution::makeFilter() const {
  auto filter = std::make_shared<Filter>();
  if (!impl->chunks.empty()) {
    filter->bytes = PackedMemory(impl->filter.get_size());
    filter->memory = dnnl::memory(impl->filter, impl->engine, filter->bytes.data());
  }
  return filter;
}

void Convolution::pack(const float *filter, const float *factor, Filter &to) const {
  if (impl->chunks.empty())
    return;
  std::vector<float> scaled;
  const int64_t ofOutput = impl->filterElements / impl->shape.outputChannels;
  scaled.reserve(factor ? static_cast<size_t>(impl->filterElements) : 0);
  if (factor)
    for (int64_t i = 0; i < impl->filterElements; ++i)
      scaled.push_back(filter[i] * factor[i / ofOutput]);
  // oneDNN's handles are not const; it reads from this one.
  dnnl::memory plain(impl->plainFilter(), impl->engine,
                     const_cast<float *>(factor ? scaled.data() : filter));
  impl->packing.execute(impl->stream, plain, to.memory);
  impl->stream.wait();
}

void Convolution::run(const ConvolutionArgs &args, const Filter &filter, void *scratch) {
  const int64_t outputs = impl->shape.outputChannels;
  if (impl->xElements == 0 && impl->yElements != 0) {
    // No input channels are an empty share: nothing but the bias is left.
    for (int64_t i = 0; i < args.images * impl->yElements; ++i)
      args.y[i] = args.bias ? args.bias[i % outputs] : 0.0f;
    return;
  }
  int64_t done = 0;
  for (Chunk &chunk : impl->chunks)
    for (; args.images - done >= chunk.images; done += chunk.images) {
      const LibraryThreads threads(impl->products(chunk.images));
      // oneDNN's handles are not const; a convolution writes its destination only.
      chunk.x.set_data_handle(const_cast<float *>(args.x + done * impl->xElements));
      if (impl->shape.hasBias)
        chunk.bias.set_data_handle(const_cast<float *>(args.bias));
      chunk.y.set_data_handle(args.y + done * impl->yElements);
      chunk.scratch.set_data_handle(scratch);
      chunk.arguments[DNNL_ARG_WEIGHTS] = filter.memory;
      chunk.convolution.execute(impl->stream, chunk.arguments);
    }
  impl->stream.wait();
}

} // namespace cleave::rt
