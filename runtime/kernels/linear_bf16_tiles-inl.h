// Many tokens in bf16 times weights of bf16 or of a block type, with a CPU's tiles: 16 tokens times
// 16 rows of the weight, 32 columns at a time, sums in f32. Weights of bf16 are tiles as they lie;
// those of a block type are rounded to bf16, some columns of two groups of rows at a time, once for
// many tokens. What tile instructions do is a class, so that all else is tested on any CPU.
// Included once per Highway target.
#if defined(CLEAVE_KERNELS_LINEAR_BF16_TILES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CLEAVE_KERNELS_LINEAR_BF16_TILES_INL_H
#undef CLEAVE_KERNELS_LINEAR_BF16_TILES_INL_H
#else
#define CLEAVE_KERNELS_LINEAR_BF16_TILES_INL_H
#endif

#include "runtime/kernels/interleaved-inl.h"
#include "runtime/kernels/linear.h"
#include "runtime/kernels/quantize.h"
#include "runtime/program/layout.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#ifndef CLEAVE_KERNELS_LINEAR_BF16_TILES_ONCE
#define CLEAVE_KERNELS_LINEAR_BF16_TILES_ONCE
namespace cleave::rt {
namespace {

/// A tile has 16 rows of 64 bytes: tokens or outputs in f32, or columns in bf16.
constexpr int64_t tileRows = 16, tileBytes = 64, tileColumns = 32;
static_assert(tileRows == groupRows);

/// Tokens and columns of which activations stay in the second cache, and the columns of two groups
/// of rows that stay in the first one.
constexpr int64_t blockTokens = 512, blockColumns = 1024, panelColumns = 512;

// A class of tiles has
//   configure(first, second): tokens of tiles 0, 1 and 4, and of tiles 2, 3 and 5; 0 to 16, the
//     first 1 at least. What the tiles held is lost;
//   zero<tile>(), load<tile>(from, stride), store<tile>(to, stride): rows `stride` bytes apart;
//   multiply<sum, x, weight>(): to each token's sums in tile `sum` the products of its columns in
//     tile `x` with tile `weight`, whose row c has columns 2c and 2c + 1 of each output.

/// Calls body(i), a constant, for i = 0 .. N - 1.
template <int N, class Body> HWY_INLINE void forEach(Body body) {
  body(std::integral_constant<int, 0>());
  if constexpr (N > 1)
    body(std::integral_constant<int, 1>());
}

/// y += the products of columns [column, end) of T tiles of tokens with R groups of rows, of which
/// `panels` begin at `column`; the first columns begin the sums. y has `rows` outputs of them.
template <int T, int R, class Tiles>
HWY_NOINLINE void multiplyTiles(Tiles &tiles, const LinearArgs &args,
                                const uint8_t *const (&panels)[R], int64_t column, int64_t end,
                                int64_t token, int64_t count, int64_t rows, float *y) {
  const int64_t rowBytes = bf16RowBytes(args.inputs);
  const std::byte *x = args.quantized + token * rowBytes;
  // Where y has not all rows of the groups, its tiles are made here.
  alignas(64) float padded[T * tileRows][R * groupRows];
  const bool isWhole = rows >= R * groupRows;
  float *const tokens = isWhole ? y : padded[0];
  const int64_t stride = isWhole ? args.yStride : R * groupRows;
  const int64_t outputs = std::min(rows, R * groupRows);
  if (!isWhole && column > 0)
    for (int64_t t = 0; t < count; ++t) {
      std::copy_n(y + t * args.yStride, outputs, padded[t]);
      std::fill(padded[t] + outputs, padded[t] + R * groupRows, 0.0f);
    }

  const auto sumsAt = [&](int t, int r) { return tokens + t * tileRows * stride + r * groupRows; };
  const int64_t strideBytes = stride * static_cast<int64_t>(sizeof(float));
  tiles.configure(std::min(count, tileRows), std::max<int64_t>(count - tileRows, 0));
  forEach<T>([&](auto t) {
    forEach<R>([&](auto r) {
      if (column == 0)
        tiles.template zero<2 * t + r>();
      else
        tiles.template load<2 * t + r>(sumsAt(t, r), strideBytes);
    });
  });
  for (int64_t j = column; j < end; j += tileColumns) {
    forEach<T>(
        [&](auto t) { tiles.template load<4 + t>(x + t * tileRows * rowBytes + j * 2, rowBytes); });
    forEach<R>([&](auto r) {
      tiles.template load<6 + r>(panels[r] + (j - column) * 2 * groupRows, tileBytes);
    });
    forEach<T>([&](auto t) {
      forEach<R>([&](auto r) { tiles.template multiply<2 * t + r, 4 + t, 6 + r>(); });
    });
  }
  forEach<T>([&](auto t) {
    forEach<R>([&](auto r) { tiles.template store<2 * t + r>(sumsAt(t, r), strideBytes); });
  });
  if (!isWhole)
    for (int64_t t = 0; t < count; ++t)
      std::copy_n(padded[t], outputs, y + t * args.yStride);
}

/// The same for all tokens [token, last).
template <int R, class Tiles>
void multiplyPanels(Tiles &tiles, const LinearArgs &args, const uint8_t *const (&panels)[R],
                    int64_t column, int64_t end, int64_t token, int64_t last, int64_t rows,
                    float *y) {
  for (; token < last; token += 2 * tileRows) {
    const int64_t count = std::min(last - token, 2 * tileRows);
    float *const at = y + token * args.yStride;
    if (count > tileRows)
      multiplyTiles<2>(tiles, args, panels, column, end, token, count, rows, at);
    else
      multiplyTiles<1>(tiles, args, panels, column, end, token, count, rows, at);
  }
}

/// Whether a kernel of weights of bf16 is exact where f32 is.
inline bool isExact(LinearKernel kernel) {
  // Small integers, whose products and sums f32 holds exactly; every kind of tile.
  constexpr int64_t tokens = 35, outputs = 41, inputs = 544;
  const auto number = [](int64_t i) { return static_cast<float>(i * 2654435761 % 17 - 8); };
  std::vector<float> x(tokens * inputs), y(tokens * outputs);
  std::vector<std::byte> weight(wholeGroups(outputs) * inputs * 2);
  std::vector<std::byte> rows(tokens * bf16RowBytes(inputs));
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = number(static_cast<int64_t>(i));
  std::vector<float> values(outputs * inputs);
  for (int64_t o = 0; o < outputs; ++o)
    for (int64_t j = 0; j < inputs; ++j) {
      const float value = values[o * inputs + j] = number(o * 31 + j * 7 + 3);
      std::byte *group = weight.data() + o / groupRows * groupRows * inputs * 2;
      std::memcpy(group + j / 2 * 4 * groupRows + o % groupRows * 4 + j % 2 * 2,
                  reinterpret_cast<const std::byte *>(&value) + 2, 2);
    }
  quantizeBF16({x.data(), rows.data(), tokens, inputs, inputs, 0, inputs}, Part{});
  LinearArgs args;
  args.quantized = rows.data();
  args.weight = weight.data();
  args.y = y.data();
  args.tokens = tokens;
  args.outputs = args.yStride = outputs;
  args.inputs = args.xColumns = inputs;
  kernel(args, Part{});
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t o = 0; o < outputs; ++o) {
      float sum = 0;
      for (int64_t j = 0; j < inputs; ++j)
        sum += x[t * inputs + j] * values[o * inputs + j];
      if (y[t * outputs + o] != sum)
        return false;
    }
  return true;
}

} // namespace
} // namespace cleave::rt
#endif

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// Two columns of some rows in bf16, the first in the lower half of each word: rounded to nearest,
/// ties away from zero. A NaN is one that withPlainNaN() has made.
template <class D> HWY_INLINE auto pairInBF16(D d, hn::Vec<D> first, hn::Vec<D> second) {
  const hn::RebindToUnsigned<D> du;
  const auto half = hn::Set(du, 0x8000u);
  const auto low = hn::ShiftRight<16>(hn::Add(hn::BitCast(du, first), half));
  const auto high = hn::Add(hn::BitCast(du, second), half);
  return hn::Or(low, hn::And(high, hn::Set(du, 0xffff0000u)));
}

/// Numbers of which a NaN is one that rounding does not carry into the sign.
template <class D> HWY_INLINE hn::Vec<D> withPlainNaN(D d, hn::Vec<D> v) {
  return hn::IfThenElse(hn::IsNaN(v), hn::Set(d, std::numeric_limits<float>::quiet_NaN()), v);
}

/// panel[c / 2][r] = columns c and c + 1, counted from `column`, of the group's row r.
template <class W>
HWY_INLINE void unpack(const uint8_t *group, int64_t column, int64_t end, uint32_t *panel) {
  const FloatTag d;
  const hn::RebindToUnsigned<FloatTag> du;
  for (; column < end; column += chunkColumns) {
    const int64_t number = column / chunkColumns;
    const int s = static_cast<int>(number % W::chunks);
    const uint8_t *block = group + number / W::chunks * sizeof(typename W::Block) * groupRows;
    for (int64_t lane = 0; lane < groupRows; lane += hn::MaxLanes(d)) {
      auto chunk = W::chunk(d, block, s, lane);
      for (auto &scale : chunk.scales)
        scale = withPlainNaN(d, scale);
      chunk.minimum = withPlainNaN(d, chunk.minimum);
      for (int j = 0; j < chunkColumns; j += 2) {
        const auto first = dequantize<W>(d, chunk, W::integers(d, block, s, j, lane), j);
        const auto second = dequantize<W>(d, chunk, W::integers(d, block, s, j + 1, lane), j + 1);
        hn::Store(pairInBF16(d, first, second), du, panel + j / 2 * groupRows + lane);
      }
    }
    panel += chunkColumns / 2 * groupRows;
  }
}

/// All tokens with R groups of rows, of which the first begins at `group`.
template <class W, int R, class Tiles>
void multiplyGroups(Tiles &tiles, const LinearArgs &args, const uint8_t *group, int64_t column,
                    int64_t end, int64_t token, int64_t last, int64_t rows, float *y) {
  const int64_t groupBytes = rowBytesOf<W>(args.inputs) * groupRows;
  for (; column < end; column += panelColumns) {
    const int64_t panelEnd = std::min(end, column + panelColumns);
    const uint8_t *panels[R];
    if constexpr (requires { W::bytes; }) {
      for (int r = 0; r < R; ++r)
        panels[r] = group + r * groupBytes + column * W::bytes * groupRows;
      multiplyPanels(tiles, args, panels, column, panelEnd, token, last, rows, y);
    } else {
      alignas(64) uint32_t unpacked[R][panelColumns / 2 * groupRows];
      for (int r = 0; r < R; ++r) {
        unpack<W>(group + r * groupBytes, column, panelEnd, unpacked[r]);
        panels[r] = reinterpret_cast<const uint8_t *>(unpacked[r]);
      }
      multiplyPanels(tiles, args, panels, column, panelEnd, token, last, rows, y);
    }
  }
}

template <class W, class Tiles> void multiplyAll(const LinearArgs &args, Part part) {
  const int64_t rowBytes = rowBytesOf<W>(args.inputs);
  const PartRange range = partRange(args.outputs, part, groupRows);
  if (args.inputs == 0)
    for (int64_t t = 0; t < args.tokens; ++t)
      std::fill(args.y + t * args.yStride + range.begin, args.y + t * args.yStride + range.end,
                0.0f);
  Tiles tiles;
  for (int64_t token = 0; token < args.tokens; token += blockTokens) {
    const int64_t last = std::min(args.tokens, token + blockTokens);
    for (int64_t column = 0; column < args.inputs; column += blockColumns) {
      const int64_t end = std::min(args.inputs, column + blockColumns);
      for (int64_t row = range.begin; row < range.end; row += 2 * groupRows) {
        const uint8_t *group = static_cast<const uint8_t *>(args.weight) + row * rowBytes;
        const int64_t rows = range.end - row;
        if (rows > groupRows)
          multiplyGroups<W, 2>(tiles, args, group, column, end, token, last, rows, args.y + row);
        else
          multiplyGroups<W, 1>(tiles, args, group, column, end, token, last, rows, args.y + row);
      }
    }
  }
}

template <class Tiles> LinearKernel tileKernel(ElementType weight) {
  // Rounding f16 to bf16 would lose three of its eleven bits.
  if (weight == ElementType::f16)
    return nullptr;
  return withInterleaved(weight, []<class W>() -> LinearKernel { return multiplyAll<W, Tiles>; });
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
