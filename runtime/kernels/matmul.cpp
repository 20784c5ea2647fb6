// Products of matrices by oneDNN: batches that lie behind each other are one, and a matrix
// that all rows of a batch meet makes one tall product of them.
#include "runtime/kernels/matmul.h"

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

Sizes keyOf(const MatMulShape &shape) {
  Sizes key = {shape.m, shape.n, shape.k, shape.transposeA, shape.transposeB};
  key.insert(key.end(), shape.aBatch.begin(), shape.aBatch.end());
  key.insert(key.end(), shape.bBatch.begin(), shape.bBatch.end());
  return key;
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

} // namespace

class MatMuls::Product {
public:
  int64_t elements = 0; ///< of the result
  bool isEmptySum = false;
  dnnl::matmul matmul;
  dnnl::memory a, b, c, scratch;
  size_t scratchBytes = 0;
  std::unordered_map<int, dnnl::memory> arguments;
};

struct MatMuls::Impl {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<Sizes, std::shared_ptr<Product>> known;
  std::unique_ptr<std::byte[], decltype(&std::free)> scratch{nullptr, &std::free};
  size_t scratchBytes = 0;

  void make(Product &product, const MatMulShape &shape) {
    Sizes batch;
    for (size_t i = 0; i < shape.aBatch.size(); ++i)
      batch.push_back(shape.aBatch[i] == 1 ? shape.bBatch[i] : shape.aBatch[i]);
    const auto a = describe(shape.aBatch, shape.m, shape.k, shape.transposeA);
    const auto b = describe(shape.bBatch, shape.k, shape.n, shape.transposeB);
    const auto c = describe(batch, shape.m, shape.n, false);
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::matmul::primitive_desc descriptor(dnnl::matmul::desc(a, b, c), attributes, engine);
    product.matmul = dnnl::matmul(descriptor);
    product.a = dnnl::memory(a, engine, DNNL_MEMORY_NONE);
    product.b = dnnl::memory(b, engine, DNNL_MEMORY_NONE);
    product.c = dnnl::memory(c, engine, DNNL_MEMORY_NONE);
    product.scratch = dnnl::memory(descriptor.scratchpad_desc(), engine, DNNL_MEMORY_NONE);
    product.scratchBytes = descriptor.scratchpad_desc().get_size();
    product.arguments = {{DNNL_ARG_SRC, product.a},
                         {DNNL_ARG_WEIGHTS, product.b},
                         {DNNL_ARG_DST, product.c},
                         {DNNL_ARG_SCRATCHPAD, product.scratch}};
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

std::shared_ptr<MatMuls::Product> MatMuls::get(const MatMulShape &given) {
  const MatMulShape shape = simplify(given);
  Sizes key = keyOf(shape);
  if (auto found = impl->known.find(key); found != impl->known.end())
    return found->second;
  if (impl->known.size() >= maxKnown)
    impl->known.clear(); // steps hold those that they use
  auto product = std::make_shared<Product>();
  product->elements = shape.m * shape.n;
  for (size_t i = 0; i < shape.aBatch.size(); ++i)
    product->elements *= shape.aBatch[i] == 1 ? shape.bBatch[i] : shape.aBatch[i];
  product->isEmptySum = shape.k == 0;
  try {
    if (product->elements > 0 && !product->isEmptySum)
      impl->make(*product, shape);
  } catch (const dnnl::error &error) {
    throw std::runtime_error("oneDNN has no product of matrices of " + std::to_string(shape.m) +
                             "x" + std::to_string(shape.k) + " and " + std::to_string(shape.k) +
                             "x" + std::to_string(shape.n) + ": " + error.what());
  }
  impl->reserve(product->scratchBytes);
  return impl->known[std::move(key)] = product;
}

void MatMuls::run(Product &product, const MatMulArgs &args) {
  if (product.elements == 0)
    return;
  if (product.isEmptySum) {
    std::fill_n(args.c, product.elements, 0.0f);
    return;
  }
  // oneDNN's handles are not const; a matmul writes its destination only.
  product.a.set_data_handle(const_cast<float *>(args.a));
  product.b.set_data_handle(const_cast<float *>(args.b));
  product.c.set_data_handle(args.c);
  product.scratch.set_data_handle(impl->scratch.get());
  product.matmul.execute(impl->stream, product.arguments);
  impl->stream.wait();
}

} // namespace cleave::rt
