// Dense f32 products by oneDNN: one matmul primitive a chunk size, its memory
// objects pointed at a step's buffers.
#include "runtime/kernels/linear_dense.h"

#include <dnnl.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace cleave::rt {

namespace {

/// A matmul of a fixed number of tokens, and its arguments.
struct Chunk {
  int64_t tokens;
  dnnl::matmul matmul;
  dnnl::memory x;
  dnnl::memory weight;
  dnnl::memory y;
  dnnl::memory scratch;
  std::unordered_map<int, dnnl::memory> arguments;
};

/// Falling, so that a prompt takes the largest that fits, again and again.
constexpr int64_t chunkTokens[] = {256, 64, DenseLinear::minTokens};
static_assert(256 % 64 == 0 && 64 % DenseLinear::minTokens == 0); // tokensTaken() knows

} // namespace

struct DenseLinear::Impl {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::vector<Chunk> chunks;
  size_t scratchBytes = 0;

  Chunk makeChunk(int64_t tokens, int64_t inputs, int64_t outputs, int64_t xStride,
                  int64_t yStride) {
    using Desc = dnnl::memory::desc;
    const auto f32 = dnnl::memory::data_type::f32;
    const Desc x({tokens, inputs}, f32, dnnl::memory::dims{xStride, 1});
    const Desc weight({inputs, outputs}, f32, dnnl::memory::dims{1, inputs}); // transposed
    const Desc y({tokens, outputs}, f32, dnnl::memory::dims{yStride, 1});
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::matmul::primitive_desc descriptor(dnnl::matmul::desc(x, weight, y), attributes,
                                                  engine);
    scratchBytes = std::max(scratchBytes, descriptor.scratchpad_desc().get_size());
    Chunk chunk{tokens,
                dnnl::matmul(descriptor),
                dnnl::memory(x, engine, DNNL_MEMORY_NONE),
                dnnl::memory(weight, engine, DNNL_MEMORY_NONE),
                dnnl::memory(y, engine, DNNL_MEMORY_NONE),
                dnnl::memory(descriptor.scratchpad_desc(), engine, DNNL_MEMORY_NONE),
                {}};
    chunk.arguments = {{DNNL_ARG_SRC, chunk.x},
                       {DNNL_ARG_WEIGHTS, chunk.weight},
                       {DNNL_ARG_DST, chunk.y},
                       {DNNL_ARG_SCRATCHPAD, chunk.scratch}};
    return chunk;
  }
};

DenseLinear::DenseLinear(int64_t inputs, int64_t outputs, int64_t xStride, int64_t yStride,
                         int64_t maxTokens)
    : impl(std::make_unique<Impl>()) {
  if (inputs == 0 || outputs == 0)
    return;
  try {
    for (int64_t tokens : chunkTokens)
      if (tokens <= maxTokens)
        impl->chunks.push_back(impl->makeChunk(tokens, inputs, outputs, xStride, yStride));
  } catch (const dnnl::error &error) {
    throw std::runtime_error("oneDNN has no matrix product of " + std::to_string(inputs) +
                             " inputs and " + std::to_string(outputs) +
                             " outputs: " + error.what());
  }
}

DenseLinear::~DenseLinear() = default;
DenseLinear::DenseLinear(DenseLinear &&) noexcept = default;
DenseLinear &DenseLinear::operator=(DenseLinear &&) noexcept = default;

size_t DenseLinear::scratchBytes() const {
  return impl->scratchBytes;
}

int64_t DenseLinear::run(const LinearArgs &args, void *scratch) {
  int64_t done = 0;
  for (Chunk &chunk : impl->chunks)
    for (; args.tokens - done >= chunk.tokens; done += chunk.tokens) {
      // oneDNN's handles are not const; a matmul writes its destination only.
      chunk.x.set_data_handle(const_cast<float *>(args.x + done * args.xStride));
      chunk.weight.set_data_handle(const_cast<void *>(args.weight));
      chunk.y.set_data_handle(args.y + done * args.yStride);
      chunk.scratch.set_data_handle(scratch);
      chunk.matmul.execute(impl->stream, chunk.arguments);
    }
  impl->stream.wait();
  return done;
}

} // namespace cleave::rt
