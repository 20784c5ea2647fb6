// Convolutions, transposed ones too, by oneDNN. Its primitives are made at load for fixed numbers
// of images. Images have their channels last, and filters are packed into the layout that oneDNN
// likes best.
#pragma once

#include "runtime/kernels/epilogue.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace cleave::rt {

/// What a convolution is, but for the number of images. The vectors have one number for
/// each of one to three spatial dimensions. Strides and dilations are at least 1, and
/// outputSizes what they, kernel and pads make of inputSizes, or where it is transposed the other
/// way round; padsAfter then may be as low as 1 - stride.
struct ConvolutionShape {
  int64_t inputChannels = 0;
  int64_t outputChannels = 0;
  int64_t groups = 1; ///< of input and of output channels, both whole multiples
  std::vector<int64_t> inputSizes;
  std::vector<int64_t> kernelSizes;
  std::vector<int64_t> outputSizes;
  std::vector<int64_t> strides;
  std::vector<int64_t> padsBefore;
  std::vector<int64_t> padsAfter;
  std::vector<int64_t> dilations;
  bool isTransposed = false;
  bool hasBias = false;   ///< of those that are not transposed, as what follows
  Epilogue epilogue = {}; ///< of convolutions with input channels only

  auto operator<=>(const ConvolutionShape &) const = default;
};

/// y[n, i, o] = bias[o] + sum over c, j of x[n, strides * i + dilations * j - padsBefore, c] *
/// filter[o, c, j], c in o's group, and x zero outside, and what the epilogue makes of it; all
/// dense. Transposed, the products of x[n, i, c] and filter[c, o, j] are added to y[n, strides * i
/// + dilations * j - padsBefore, o].
struct ConvolutionArgs {
  const float *x = nullptr;    ///< [images, inputSizes..., inputChannels]
  const float *bias = nullptr; ///< [outputChannels], where the shape has one
  float *y = nullptr;          ///< [images, outputSizes..., outputChannels]
  int64_t images = 0;
};

/// A convolution of one shape; several layers may share it. Make it after the number of
/// threads is set, and call run() outside of parallel regions, as with DenseLinear.
class Convolution {
public:
  /// A packed filter, in memory of its own.
  class Filter;

  /// For up to `maxImages`. Throws std::runtime_error where an image or the filter has more
  /// than 2^31 - 1 elements, or oneDNN has no such primitive.
  Convolution(const ConvolutionShape &shape, int64_t maxImages);
  ~Convolution();
  Convolution(Convolution &&) noexcept;
  Convolution &operator=(Convolution &&) noexcept;

  std::shared_ptr<Filter> makeFilter() const;

  /// Packs filter [outputChannels, inputChannels / groups, kernelSizes...], row o times
  /// factor[o] where there are factors; or, transposed and without factors, [inputChannels,
  /// outputChannels / groups, kernelSizes...]. Allocates nothing without factors.
  void pack(const float *filter, const float *factor, Filter &to) const;

  /// The bytes of scratch memory that run() needs, aligned to 64.
  size_t scratchBytes() const;

  void run(const ConvolutionArgs &args, const Filter &filter, void *scratch);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace cleave::rt
