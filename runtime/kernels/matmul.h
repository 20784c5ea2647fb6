// Products of matrices of any sizes, batch by batch, by oneDNN. Its primitives are made when
// sizes become known, at load or when symbols change, and kept. A constant matrix may be packed
// into the layout that oneDNN likes best.
#pragma once

#include "runtime/kernels/epilogue.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

namespace cleave::rt {

/// The sizes of one product. The batches have as many dimensions for a and b, 1 where one is
/// repeated.
struct MatMulShape {
  std::vector<int64_t> aBatch = {}, bBatch = {};
  int64_t m = 0, n = 0, k = 0;
  bool transposeA = false, transposeB = false;
  bool hasBias = false;   ///< of products without batches, as an epilogue
  Epilogue epilogue = {}; ///< of products that sum something
};

/// All dense, the last dimension innermost.
struct MatMulArgs {
  const float *a = nullptr;    ///< [b..., m, k], transposed [b..., k, m]
  const float *b = nullptr;    ///< [b..., k, n], transposed [b..., n, k]
  float *c = nullptr;          ///< [b..., m, n], the batches broadcast
  const float *bias = nullptr; ///< [n], where the shape has one
};

/// A packed b, in memory of its own, for any m.
class PackedMatrix;

/// Products of an engine, and the scratch memory that they share. Use it outside of parallel
/// regions, as with DenseLinear, and after the number of threads is set.
class MatMuls {
public:
  /// A product of one shape, to be run any number of times.
  class Product;

  MatMuls();
  ~MatMuls();

  /// Makes what the product needs, unless it is known. Throws std::runtime_error where oneDNN
  /// has no such primitive. Sizes and their products fit 63 bits.
  std::shared_ptr<Product> get(const MatMulShape &shape, const PackedMatrix *b = nullptr);

  /// Packs the b of a product without batches. Column j is taken times factor[j] where there
  /// are factors. The layout is the best for the shape's m.
  std::shared_ptr<const PackedMatrix> pack(const MatMulShape &shape, const float *b,
                                           const float *factor);

  /// With the packed b that the product was got for, if it was for one, in place of args.b.
  void run(Product &product, const MatMulArgs &args, const PackedMatrix *b = nullptr);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace cleave::rt
