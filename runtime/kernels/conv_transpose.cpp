// Transposed convolution: an output channel of an image is one thread's, to which every row
// of the input adds its products. Simple loops; models have few of these.
#include "runtime/kernels/conv_transpose.h"

#include <algorithm>

namespace cleave::rt {

namespace {

/// Adds tap `tap`'s products with a row of x to a row of y.
void addRow(const ConvTransposeArgs &args, const float *x, float filter, int64_t tap, float *y) {
  const int64_t stride = args.strides[2];
  const int64_t shift = tap * args.dilations[2] - args.pads[2];
  // Elements [begin, end) of x reach y.
  const int64_t begin = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
  const int64_t room = args.outputs[2] - shift;
  const int64_t end = room <= 0 ? 0 : std::min(args.sizes[2], (room + stride - 1) / stride);
  if (stride == 1) {
    for (int64_t i = begin; i < end; ++i)
      y[i + shift] += x[i] * filter;
    return;
  }
  for (int64_t i = begin; i < end; ++i)
    y[i * stride + shift] += x[i] * filter;
}

} // namespace

void convTranspose(const ConvTransposeArgs &args, Part part) {
  const int64_t size = args.sizes[0] * args.sizes[1] * args.sizes[2];
  const int64_t ySize = args.outputs[0] * args.outputs[1] * args.outputs[2];
  const int64_t taps = args.kernel[0] * args.kernel[1] * args.kernel[2];
  const PartRange range = partRange(args.images * args.outputChannels, part);
  for (int64_t item = range.begin; item < range.end; ++item) {
    const int64_t image = item / args.outputChannels, output = item % args.outputChannels;
    const int64_t ofGroup = args.outputChannels / args.groups;
    const int64_t inGroup = args.channels / args.groups;
    const int64_t firstChannel = output / ofGroup * inGroup;
    float *y = args.y + item * ySize;
    std::fill_n(y, ySize, 0.0f);
    for (int64_t channel = firstChannel; channel < firstChannel + inGroup; ++channel) {
      const float *x = args.x + (image * args.channels + channel) * size;
      const float *filter = args.filter + (channel * ofGroup + output % ofGroup) * taps;
      for (int64_t plane = 0; plane < args.sizes[0]; ++plane)
        for (int64_t row = 0; row < args.sizes[1]; ++row)
          for (int64_t i = 0; i < args.kernel[0]; ++i)
            for (int64_t j = 0; j < args.kernel[1]; ++j) {
              const int64_t yPlane = plane * args.strides[0] + i * args.dilations[0] - args.pads[0];
              const int64_t yRow = row * args.strides[1] + j * args.dilations[1] - args.pads[1];
              if (yPlane < 0 || yPlane >= args.outputs[0] || yRow < 0 || yRow >= args.outputs[1])
                continue;
              const float *from = x + (plane * args.sizes[1] + row) * args.sizes[2];
              float *to = y + (yPlane * args.outputs[1] + yRow) * args.outputs[2];
              for (int64_t k = 0; k < args.kernel[2]; ++k)
                addRow(args, from, filter[(i * args.kernel[1] + j) * args.kernel[2] + k], k, to);
            }
    }
  }
}

} // namespace cleave::rt
