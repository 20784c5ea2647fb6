// Products of matrices by oneDNN: batches that lie behind each other are one, and a matrix
// that all rows of a batch meet makes one tall product of them.
#include "runtime/kernels/matmul.h"

#include "runtime/kernels/library_threads.h"
#include "runtime/kernels/packed_memory.h"

#include <dnnl.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <unordered_map>

namespace cleave::rt {

namespace {

using Sizes = std::vector<int64_t>;

/// A decoder's products grow with every step: so many shapes are kept.
constexpr size_t maxKnown = 256;

/// The same product with as few batches as may be.
MatMulShape simplify(const MatMulShape &shape) {
  MatMulShape simple = shape;
  simple.aBatch.clear();
  simple.bBatch.clear();
  for (size_t i = 0; i < shape.aBatch.size(); ++i) {
    const int64_t a = shape.aBatch[i], b = shape.bBatch[i];
    if (a == 1 && b == 1)
      continue;
    const bool repeatsA = a == 1, repeatsB = b == 1;
    // What follows is alike: the two are one dimension of both.
    if (!simple.aBatch.empty() && (simple.aBatch.back() == 1) == repeatsA &&
        (simple.bBatch.back() == 1) == repeatsB) {
      simple.aBatch.back() *= a;
      simple.bBatch.back() *= b;
    } else {
      simple.aBatch.push_back(a);
      simple.bBatch.push_back(b);
    }
  }
  // The last batch's matrices of a lie behind each other as rows do.
  if (!simple.aBatch.empty() && simple.bBatch.back() == 1 && !shape.transposeA) {
    simple.m *= simple.aBatch.back();
    simple.aBatch.pop_back();
    simple.bBatch.pop_back();
  }
  return simple;
}

/// What primitives differ in.
struct Key {
  Sizes sizes;
  Epilogue epilogue;

  auto operator<=>(const Key &) const = default;
};

Key keyOf(const MatMulShape &shape, int64_t packedFor) {
  Sizes key = {shape.m,          shape.n,       shape.k,  shape.transposeA,
               shape.transposeB, shape.hasBias, packedFor};
  key.insert(key.end(), shape.aBatch.begin(), shape.aBatch.end());
  key.insert(key.end(), shape.bBatch.begin(), shape.bBatch.end());
  return {std::move(key), shape.epilogue};
}

/// Matrices of `rows` x `columns` behind each other; transposed, they lie by columns.
dnnl::memory::desc describe(const Sizes &batch, int64_t rows, int64_t columns, bool transposed) {
  Sizes dims = batch, strides(batch.size() + 2);
  dims.push_back(rows);
  dims.push_back(columns);
  strides[batch.size()] = transposed ? 1 : columns;
  strides[batch.size() + 1] = transposed ? rows : 1;
  int64_t stride = rows * columns;
  for (size_t i = batch.size(); i-- > 0; stride *= batch[i])
    strides[i] = stride;
  return {dims, dnnl::memory::data_type::f32, strides};
}

std::runtime_error missing(const MatMulShape &shape, const dnnl::error &error) {
  return std::runtime_error("oneDNN has no product of matrices of " + std::to_string(shape.m) +
                            "x" + std::to_string(shape.k) + " and " + std::to_string(shape.k) +
                            "x" + std::to_string(shape.n) + ": " + error.what());
}

} // namespace

class PackedMatrix {
public:
  int64_t packedFor = 0; ///< the m
  PackedMemory bytes;
  dnnl::memory memory;
};

class MatMuls::Product {
public:
  int64_t elements = 0; ///< of the result
  double products = 0;
  bool isEmptySum = false;
  dnnl::matmul matmul;
  dnnl::memory a, b, bias, c, scratch;
  size_t scratchBytes = 0;
  std::unordered_map<int, dnnl::memory> arguments;
};

struct MatMuls::Impl {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<Key, std::shared_ptr<Product>> known;
  std::unique_ptr<std::byte[], decltype(&std::free)> scratch{nullptr, &std::free};
  size_t scratchBytes = 0;

  dnnl::matmul::primitive_desc describeProduct(const MatMulShape &shape,
                                               const dnnl::memory::desc &b) const {
    Sizes batch;
    for (size_t i = 0; i < shape.aBatch.size(); ++i)
      batch.push_back(shape.aBatch[i] == 1 ? shape.bBatch[i] : shape.aBatch[i]);
    const auto a = describe(shape.aBatch, shape.m, shape.k, shape.transposeA);
    const auto c = describe(batch, shape.m, shape.n, false);
    const auto product = shape.hasBias
                             ? dnnl::matmul::desc(a, b, describe({}, 1, shape.n, false), c)
                             : dnnl::matmul::desc(a, b, c);
    return {product, attributesOf(shape.epilogue), engine};
  }

  void make(Product &product, const MatMulShape &shape, const PackedMatrix *packed) {
    const dnnl::matmul::primitive_desc descriptor =
        describeProduct(shape, packed ? packed->memory.get_desc()
                                      : describe(shape.bBatch, shape.k, shape.n, shape.transposeB));
    product.matmul = dnnl::matmul(descriptor);
    product.a = dnnl::memory(descriptor.src_desc(), engine, DNNL_MEMORY_NONE);
    product.c = dnnl::memory(descriptor.dst_desc(), engine, DNNL_MEMORY_NONE);
    product.scratch = dnnl::memory(descriptor.scratchpad_desc(), engine, DNNL_MEMORY_NONE);
    product.scratchBytes = descriptor.scratchpad_desc().get_size();
    product.arguments = {{DNNL_ARG_SRC, product.a},
                         {DNNL_ARG_DST, product.c},
                         {DNNL_ARG_SCRATCHPAD, product.scratch}};
    if (!packed) {
      product.b = dnnl::memory(descriptor.weights_desc(), engine, DNNL_MEMORY_NONE);
      product.arguments.emplace(DNNL_ARG_WEIGHTS, product.b);
    }
    if (shape.hasBias) {
      product.bias = dnnl::memory(descriptor.bias_desc(), engine, DNNL_MEMORY_NONE);
      product.arguments.emplace(DNNL_ARG_BIAS, product.bias);
    }
  }

  void reserve(size_t bytes) {
    if (bytes <= scratchBytes)
      return;
    const size_t rounded = (bytes + 63) / 64 * 64;
    scratch.reset(static_cast<std::byte *>(std::aligned_alloc(64, rounded)));
    scratchBytes = scratch ? rounded : 0;
    if (!scratch)
      throw std::bad_alloc();
  }
};

MatMuls::MatMuls() : impl(std::make_unique<Impl>()) {}
MatMuls::~MatMuls() = default;

std::shared_ptr<MatMuls::Product> MatMuls::get(const MatMulShape &given, const PackedMatrix *b) {
  const MatMulShape shape = simplify(given);
  Key key = keyOf(shape, b ? b->packedFor : 0);
  if (auto found = impl->known.find(key); found != impl->known.end())
    return found->second;
  if (impl->known.size() >= maxKnown)
    impl->known.clear(); // steps hold those that they use
  auto product = std::make_shared<Product>();
  product->elements = shape.m * shape.n;
  for (size_t i = 0; i < shape.aBatch.size(); ++i)
    product->elements *= shape.aBatch[i] == 1 ? shape.bBatch[i] : shape.aBatch[i];
  product->isEmptySum = shape.k == 0;
  product->products = static_cast<double>(product->elements) * static_cast<double>(shape.k);
  try {
    const LibraryThreads threads(product->products);
    if (product->elements > 0 && !product->isEmptySum)
      impl->make(*product, shape, b);
  } catch (const dnnl::error &error) {
    throw missing(shape, error);
  }
  impl->reserve(product->scratchBytes);
  return impl->known[std::move(key)] = product;
}

std::shared_ptr<const PackedMatrix> MatMuls::pack(const MatMulShape &shape, const float *b,
                                                  const float *factor) {
  using Tag = dnnl::memory::format_tag;
  std::vector<float> scaled;
  scaled.reserve(factor ? static_cast<size_t>(shape.k * shape.n) : 0);
  if (factor)
    for (int64_t i = 0; i < shape.k * shape.n; ++i)
      scaled.push_back(b[i] * factor[shape.transposeB ? i / shape.k : i % shape.n]);
  auto packed = std::make_shared<PackedMatrix>();
  packed->packedFor = shape.m;
  try {
    const dnnl::memory::desc desc =
        impl->describeProduct(shape, {{shape.k, shape.n}, dnnl::memory::data_type::f32, Tag::any})
            .weights_desc();
    packed->bytes = PackedMemory(desc.get_size());
    packed->memory = dnnl::memory(desc, impl->engine, packed->bytes.data());
    // oneDNN's handles are not const; it reads from this one.
    dnnl::memory plain(describe({}, shape.k, shape.n, shape.transposeB), impl->engine,
                       const_cast<float *>(factor ? scaled.data() : b));
    dnnl::reorder(plain, packed->memory).execute(impl->stream, plain, packed->memory);
    impl->stream.wait();
  } catch (const dnnl::error &error) {
    throw missing(shape, error);
  }
  return packed;
}

void MatMuls::run(Product &product, const MatMulArgs &args, const PackedMatrix *b) {
  if (product.elements == 0)
    return;
  if (product.isEmptySum) {
    std::fill_n(args.c, product.elements, 0.0f);
    return;
  }
  const LibraryThreads threads(product.products);
  // oneDNN's handles are not const; a matmul writes its destination only.
  product.a.set_data_handle(const_cast<float *>(args.a));
  if (b)
    product.arguments[DNNL_ARG_WEIGHTS] = b->memory;
  else
    product.b.set_data_handle(const_cast<float *>(args.b));
  if (product.bias)
    product.bias.set_data_handle(const_cast<float *>(args.bias));
  product.c.set_data_handle(args.c);
  product.scratch.set_data_handle(impl->scratch.get());
  product.matmul.execute(impl->stream, product.arguments);
  impl->stream.wait();
}

} // namespace cleave::rt
