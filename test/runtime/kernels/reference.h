// What each kernel computes, as simple loops in double: the oracle of the tests.
// Where a result is a sum, its magnitude (the sum of the terms' absolute values) is
// given too: rounding errors are bounded by it.
#pragma once

#include "runtime/kernels/attention.h"
#include "runtime/kernels/convolution.h"
#include "runtime/kernels/linear.h"
#include "runtime/kernels/rms_norm.h"
#include "runtime/kernels/rope.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace cleave::rt::reference {

/// A result, and how large the terms are that were summed for it.
struct Sum {
  double value = 0;
  double magnitude = 0;
};

/// Rounding f32 arithmetic of n operations in any order, relative to the magnitude
/// (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1).
inline double roundingBound(int64_t operations) {
  constexpr double unit = 0x1p-24;
  return static_cast<double>(operations) * unit / (1 - static_cast<double>(operations) * unit);
}

/// [tokens, outputs]; weight [outputs, inputs] and x [tokens, xColumns] as numbers.
/// `magnitudes` are the weight's: of what each is made of, where that is rounded by itself.
inline std::vector<Sum> linear(const std::vector<double> &x, const std::vector<double> &weight,
                               const std::vector<double> &magnitudes, int64_t tokens,
                               int64_t outputs, int64_t inputs, int64_t xColumns,
                               int64_t padBefore) {
  std::vector<Sum> y(tokens * outputs);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t o = 0; o < outputs; ++o)
      for (int64_t j = 0; j < xColumns; ++j) {
        const double value = x[t * xColumns + j];
        const int64_t at = o * inputs + padBefore + j;
        y[t * outputs + o].value += value * weight[at];
        y[t * outputs + o].magnitude += std::abs(value) * magnitudes[at];
      }
  return y;
}

inline std::vector<double> rmsNorm(const RmsNormArgs &args) {
  std::vector<double> y(args.tokens * args.columns);
  for (int64_t t = 0; t < args.tokens; ++t) {
    const float *x = args.x + t * args.xStride;
    double sum = 0;
    for (int64_t c = 0; c < args.columns; ++c)
      sum += double{x[c]} * x[c];
    const double scale = 1 / std::sqrt(sum / static_cast<double>(args.columns) + args.epsilon);
    for (int64_t c = 0; c < args.columns; ++c)
      y[t * args.columns + c] = x[c] * scale * args.weight[c];
  }
  return y;
}

/// [tokens, heads * headDim], of x rounded to f32 already.
inline std::vector<double> rope(const RopeArgs &args, const RopeTableArgs &table) {
  const int64_t width = args.heads * args.headDim;
  std::vector<double> y(args.tokens * width);
  for (int64_t t = 0; t < args.tokens; ++t)
    for (int64_t head = 0; head < args.heads; ++head) {
      const float *x = args.x + t * args.xStride + head * args.headDim;
      double *to = y.data() + t * width + head * args.headDim;
      std::copy(x, x + args.headDim, to);
      for (int64_t j = 0; j < args.rotaryDim / 2; ++j) {
        const long double angle = table.positions[t] * static_cast<long double>(table.scale) *
                                  std::pow(static_cast<long double>(table.base),
                                           -2.0L * static_cast<long double>(j) /
                                               static_cast<long double>(args.rotaryDim)) /
                                  (table.factors ? table.factors[j] : 1.0f);
        const bool halves = args.pairs == RopePairs::halves;
        const int64_t a = halves ? j : 2 * j;
        const int64_t b = halves ? j + args.rotaryDim / 2 : 2 * j + 1;
        const double cosine = static_cast<double>(std::cos(angle));
        const double sine = static_cast<double>(std::sin(angle));
        to[a] = x[a] * cosine - x[b] * sine;
        to[b] = x[a] * sine + x[b] * cosine;
      }
    }
  return y;
}

/// [tokens, heads * headDim]; k and v are the states' values, [slots, context, kvWidth].
inline std::vector<Sum> attention(const AttentionArgs &args, const std::vector<double> &k,
                                  const std::vector<double> &v) {
  std::vector<Sum> y(args.tokens * args.heads * args.headDim);
  for (int64_t t = 0; t < args.tokens; ++t)
    for (int64_t head = 0; head < args.heads; ++head) {
      const float *q = args.q + t * args.qStride + head * args.headDim;
      const int64_t column = (args.firstHead + head) / args.group * args.headDim;
      const int64_t keys = keysSeen(args, t);
      const int64_t row = args.slots[t] * args.context + args.positions[t] + 1 - keys;
      const int64_t first = row * args.kvWidth + column;
      std::vector<double> scores(keys);
      for (int64_t key = 0; key < keys; ++key)
        for (int64_t j = 0; j < args.headDim; ++j)
          scores[key] += args.scale * q[j] * k[first + key * args.kvWidth + j];
      const double maximum = *std::max_element(scores.begin(), scores.end());
      double sum = 0;
      for (double &score : scores)
        sum += score = std::exp(score - maximum);
      for (int64_t key = 0; key < keys; ++key)
        for (int64_t j = 0; j < args.headDim; ++j) {
          const double term = scores[key] / sum * v[first + key * args.kvWidth + j];
          Sum &to = y[(t * args.heads + head) * args.headDim + j];
          to.value += term;
          to.magnitude += std::abs(term);
        }
    }
  return y;
}

/// [images, outputSizes..., outputChannels], without an epilogue. An image's places are counted in
/// three dimensions, of which the first may be of one element.
inline std::vector<Sum> convolution(const ConvolutionShape &shape, const ConvolutionArgs &args,
                                    const float *filter) {
  auto three = [](const std::vector<int64_t> &numbers, int64_t missing) {
    std::vector<int64_t> result(3 - numbers.size(), missing);
    result.insert(result.end(), numbers.begin(), numbers.end());
    return result;
  };
  const auto in = three(shape.inputSizes, 1), taps = three(shape.kernelSizes, 1),
             out = three(shape.outputSizes, 1), strides = three(shape.strides, 1),
             pads = three(shape.padsBefore, 0), dilations = three(shape.dilations, 1);
  std::vector<Sum> y;
  for (int64_t n = 0; n < args.images; ++n)
    for (int64_t place = 0; place < out[0] * out[1] * out[2]; ++place)
      for (int64_t o = 0; o < shape.outputChannels; ++o) {
        const int64_t at[] = {place / out[2] / out[1], place / out[2] % out[1], place % out[2]};
        const int64_t inGroup = shape.inputChannels / shape.groups;
        const int64_t first = o / (shape.outputChannels / shape.groups) * inGroup;
        Sum sum;
        auto add = [&](double term) {
          sum.value += term;
          sum.magnitude += std::abs(term);
        };
        if (args.bias)
          add(args.bias[o]);
        for (int64_t c = 0; c < inGroup; ++c)
          for (int64_t tap = 0; tap < taps[0] * taps[1] * taps[2]; ++tap) {
            const int64_t j[] = {tap / taps[2] / taps[1], tap / taps[2] % taps[1], tap % taps[2]};
            int64_t index = n;
            bool inside = true;
            for (int d = 0; d < 3; ++d) {
              const int64_t from = strides[d] * at[d] + dilations[d] * j[d] - pads[d];
              inside &= from >= 0 && from < in[d];
              index = index * in[d] + from;
            }
            if (inside)
              add(double{args.x[index * shape.inputChannels + first + c]} *
                  filter[(o * inGroup + c) * taps[0] * taps[1] * taps[2] + tap]);
          }
        y.push_back(sum);
      }
  return y;
}

} // namespace cleave::rt::reference
