// Convolutions by oneDNN: one primitive a chunk size, its memory objects pointed at a
// step's buffers. All of them are in the plain layout, so that nothing is reordered.
#include "runtime/kernels/convolution.h"

#include <dnnl.hpp>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <unordered_map>

namespace cleave::rt {

namespace {

/// A convolution of a fixed number of images, and its arguments.
struct Chunk {
  int64_t images;
  dnnl::convolution_forward convolution;
  dnnl::memory x;
  dnnl::memory filter;
  dnnl::memory bias;
  dnnl::memory y;
  dnnl::memory scratch;
  std::unordered_map<int, dnnl::memory> arguments;
};

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

/// In the plain layout.
dnnl::memory::desc describe(const std::vector<int64_t> &dims) {
  dnnl::memory::dims strides(dims.size(), 1);
  for (size_t i = dims.size() - 1; i-- > 0;)
    strides[i] = strides[i + 1] * dims[i + 1];
  return {dims, dnnl::memory::data_type::f32, strides};
}

} // namespace

struct Convolution::Impl {
  ConvolutionShape shape;
  int64_t xElements, yElements; // of an image
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::vector<Chunk> chunks;
  size_t scratchBytes = 0;

  Chunk makeChunk(int64_t images) {
    const int64_t g = shape.groups;
    const auto x = describe(join({images, shape.inputChannels}, shape.inputSizes));
    const auto filter =
        describe(join({g, shape.outputChannels / g, shape.inputChannels / g}, shape.kernelSizes));
    const auto bias = shape.hasBias ? describe({shape.outputChannels}) : dnnl::memory::desc();
    const auto y = describe(join({images, shape.outputChannels}, shape.outputSizes));
    dnnl::memory::dims dilations = shape.dilations; // oneDNN counts what is left out
    for (int64_t &dilation : dilations)
      --dilation;
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::convolution_forward::primitive_desc descriptor(
        dnnl::convolution_forward::desc(
            dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, x, filter,
            bias, y, shape.strides, dilations, shape.padsBefore, shape.padsAfter),
        attributes, engine);
    scratchBytes = std::max(scratchBytes, descriptor.scratchpad_desc().get_size());
    Chunk chunk{images,
                dnnl::convolution_forward(descriptor),
                dnnl::memory(x, engine, DNNL_MEMORY_NONE),
                dnnl::memory(filter, engine, DNNL_MEMORY_NONE),
                dnnl::memory(bias, engine, DNNL_MEMORY_NONE),
                dnnl::memory(y, engine, DNNL_MEMORY_NONE),
                dnnl::memory(descriptor.scratchpad_desc(), engine, DNNL_MEMORY_NONE),
                {}};
    chunk.arguments = {{DNNL_ARG_SRC, chunk.x},
                       {DNNL_ARG_WEIGHTS, chunk.filter},
                       {DNNL_ARG_DST, chunk.y},
                       {DNNL_ARG_SCRATCHPAD, chunk.scratch}};
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
  countElements(join({shape.outputChannels, shape.inputChannels}, shape.kernelSizes), "filter");
  if (impl->xElements == 0 || impl->yElements == 0)
    return;
  try {
    for (int64_t images : chunkImages)
      if (images <= maxImages)
        impl->chunks.push_back(impl->makeChunk(images));
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

void Convolution::run(const ConvolutionArgs &args, void *scratch) {
  const int64_t outputs = impl->shape.outputChannels;
  if (impl->xElements == 0 && impl->yElements != 0) {
    // No input channels are an empty share: nothing but the bias is left.
    const int64_t size = impl->yElements / outputs;
    for (int64_t channel = 0; channel < args.images * outputs; ++channel)
      std::fill_n(args.y + channel * size, size, args.bias ? args.bias[channel % outputs] : 0.0f);
    return;
  }
  int64_t done = 0;
  for (Chunk &chunk : impl->chunks)
    for (; args.images - done >= chunk.images; done += chunk.images) {
      // oneDNN's handles are not const; a convolution writes its destination only.
      chunk.x.set_data_handle(const_cast<float *>(args.x + done * impl->xElements));
      chunk.filter.set_data_handle(const_cast<float *>(args.filter));
      if (impl->shape.hasBias)
        chunk.bias.set_data_handle(const_cast<float *>(args.bias));
      chunk.y.set_data_handle(args.y + done * impl->yElements);
      chunk.scratch.set_data_handle(scratch);
      chunk.convolution.execute(impl->stream, chunk.arguments);
    }
  impl->stream.wait();
}

} // namespace cleave::rt
