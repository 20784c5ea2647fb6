// Dense f32 matrix products of many tokens, by oneDNN. Its primitives are made at
// load for fixed numbers of tokens; what is left over is linear_f32_f32's.
#pragma once

#include "runtime/kernels/linear.h"

#include <cstddef>
#include <memory>

namespace cleave::rt {

/// Products of one shape and pair of strides; weights of several layers may share
/// one. All arithmetic is f32. oneDNN brings its own OpenMP threads: make it after
/// the number of threads is set, and call run() outside of parallel regions.
class DenseLinear {
public:
  /// Of f32 weights [outputs, inputs] and up to `maxTokens` rows. Throws
  /// std::runtime_error where oneDNN has no such primitive.
  DenseLinear(int64_t inputs, int64_t outputs, int64_t xStride, int64_t yStride, int64_t maxTokens);
  ~DenseLinear();
  DenseLinear(DenseLinear &&) noexcept;
  DenseLinear &operator=(DenseLinear &&) noexcept;

  /// The fewest tokens for which run() does anything.
  static constexpr int64_t minTokens = 16;

  /// How many of `tokens`, which are at most maxTokens, run() takes: the first ones.
  static constexpr int64_t tokensTaken(int64_t tokens) { return tokens / minTokens * minTokens; }

  /// The bytes of scratch memory that run() needs, aligned to 64.
  size_t scratchBytes() const;

  /// Computes the first rows of args.y, as many as whole chunks cover (tokensTaken), and
  /// returns their number; the caller gives the rest to linear_f32_f32. args has the shape
  /// and strides given at construction, padBefore 0 and xColumns = inputs. oneDNN 2.6
  /// keeps the arguments of each of its calls in a small map: some 300 bytes that are
  /// allocated and freed a chunk, whatever the sizes. A row of y may differ in its last
  /// bits with the size of the chunk that it fell into.
  int64_t run(const LinearArgs &args, void *scratch);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace cleave::rt
