// f32 activations of many tokens times weights in Layout::interleaved, promoted exactly; products
// and sums in f32. Some columns of a group of rows become f32 once for a tile of tokens, and stay
// in the first cache; the tokens' values, in the order in which they are used, stay in the second.
// For a few tokens: linear_f32_interleaved.cpp.
#include "runtime/kernels/linear.h"

#include <algorithm>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/linear_f32_panels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/interleaved-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// Groups of rows that are taken together, and so many columns that both stay in 16 KiB.
inline constexpr int64_t panelGroups = hn::MaxLanes(FloatTag()) == groupRows ? 2 : 1;
inline constexpr int64_t panelRows = panelGroups * groupRows;
inline constexpr int64_t panelColumns = 256 / panelGroups;

/// Vectors of a column, and tokens whose sums stay in registers beside one column.
inline constexpr int vectors = static_cast<int>(panelRows / hn::MaxLanes(FloatTag()));
inline constexpr int registers = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64 ? 32 : 16;
inline constexpr int64_t stripTokens = registers * 3 / 4 / vectors;

inline constexpr int64_t tileTokens = 96;
static_assert(tileTokens % stripTokens == 0);

/// The columns that are multiplied with one panel; x has `xFirst` .. xEnd - 1 of them.
struct Columns {
  int64_t first; ///< at a chunk's beginning
  int64_t xFirst;
  int64_t xEnd;
};

/// panel[j] = column columns.first + j of 16 rows, for all that x has at least; a column is
/// panelRows floats.
template <class W>
HWY_INLINE void unpack(const LinearArgs &args, const uint8_t *group, const Columns &columns,
                       float *panel) {
  const FloatTag d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  const auto to = [&](int64_t column, int64_t lane) {
    return panel + (column - columns.first) * panelRows + lane;
  };
  if constexpr (requires { W::bytes; }) {
    for (int64_t column = columns.xFirst; column < columns.xEnd; ++column)
      for (int64_t lane = 0; lane < groupRows; lane += lanes)
        hn::Store(W::load(d, group, column, lane, args.inputs), d, to(column, lane));
  } else {
    for (int64_t column = columns.first; column < columns.xEnd; column += chunkColumns) {
      const int64_t number = column / chunkColumns;
      const int s = static_cast<int>(number % W::chunks);
      const uint8_t *block = group + number / W::chunks * sizeof(typename W::Block) * groupRows;
      for (int64_t lane = 0; lane < groupRows; lane += lanes) {
        const auto chunk = W::chunk(d, block, s, lane);
        for (int j = 0; j < chunkColumns; ++j)
          hn::Store(dequantize<W>(d, chunk, W::integers(d, block, s, j, lane), j), d,
                    to(column + j, lane));
      }
    }
  }
}

/// strip[j * T + t] = x of token t and column columns.xFirst + j, zero for tokens behind `count`.
template <int64_t T>
HWY_INLINE void packX(const LinearArgs &args, int64_t token, int64_t count, const Columns &columns,
                      float *strip) {
  for (int64_t t = 0; t < T; ++t) {
    const float *x = args.x + (token + t) * args.xStride + columns.xFirst - args.padBefore;
    for (int64_t j = 0; j < columns.xEnd - columns.xFirst; ++j)
      strip[j * T + t] = t < count ? x[j] : 0.0f;
  }
}

/// y += a panel's products with the first `count` of T tokens; `begins` where sums begin with it.
template <int64_t T>
HWY_NOINLINE void multiplyStrip(const float *HWY_RESTRICT panel, const float *HWY_RESTRICT strip,
                                int64_t columns, bool begins, int64_t count, int64_t rows, float *y,
                                int64_t yStride) {
  const FloatTag d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  // Where y has not all of the tile, its rows are made here.
  alignas(64) float padded[T][panelRows];
  const bool whole = rows >= panelRows && count == T;
  float *const tile = whole ? y : padded[0];
  const int64_t stride = whole ? yStride : panelRows;
  if (!whole && !begins)
    for (int64_t t = 0; t < T; ++t) {
      std::memset(padded[t], 0, sizeof(padded[t]));
      if (t < count)
        std::memcpy(padded[t], y + t * yStride, std::min(rows, panelRows) * sizeof(float));
    }
  hn::Vec<FloatTag> sums[T][vectors];
  for (int64_t t = 0; t < T; ++t)
    for (int v = 0; v < vectors; ++v)
      sums[t][v] = begins ? hn::Zero(d) : hn::LoadU(d, tile + t * stride + v * lanes);
  for (int64_t j = 0; j < columns; ++j, panel += panelRows, strip += T) {
    hn::Vec<FloatTag> weights[vectors];
    HWY_UNROLL(4)
    for (int v = 0; v < vectors; ++v)
      weights[v] = hn::Load(d, panel + v * lanes);
    HWY_UNROLL(12)
    for (int64_t t = 0; t < T; ++t) {
      const auto x = hn::Set(d, strip[t]);
      HWY_UNROLL(4)
      for (int v = 0; v < vectors; ++v)
        sums[t][v] = hn::MulAdd(x, weights[v], sums[t][v]);
    }
  }
  for (int64_t t = 0; t < T; ++t)
    for (int v = 0; v < vectors; ++v)
      hn::StoreU(sums[t][v], d, tile + t * stride + v * lanes);
  if (!whole)
    for (int64_t t = 0; t < count; ++t)
      std::memcpy(y + t * yStride, padded[t], std::min(rows, panelRows) * sizeof(float));
}

/// Calls body(T), a constant, for `count` tokens: T is at least count, or stripTokens.
template <class Body> HWY_INLINE void withStrip(int64_t count, Body body) {
  constexpr int64_t third = std::max<int64_t>(1, stripTokens / 3);
  if (count <= third)
    body(std::integral_constant<int64_t, third>());
  else if (count <= 2 * third)
    body(std::integral_constant<int64_t, 2 * third>());
  else
    body(std::integral_constant<int64_t, stripTokens>());
}

/// All rows of a part for tokens [token, last) and some columns.
template <class W>
HWY_INLINE void multiplyTile(const LinearArgs &args, PartRange range, int64_t rowBytes,
                             const Columns &columns, bool begins, int64_t token, int64_t last) {
  alignas(64) float values[tileTokens * panelColumns];
  alignas(64) float panel[panelColumns * panelRows];
  const int64_t count = columns.xEnd - columns.xFirst;
  for (int64_t t = token; t < last; t += stripTokens)
    withStrip(last - t, [&](auto T) {
      packX<T>(args, t, last - t, columns, values + (t - token) * panelColumns);
    });
  const float *first = panel + (columns.xFirst - columns.first) * panelRows;
  for (int64_t row = range.begin; row < range.end; row += panelRows) {
    const int64_t rows = range.end - row;
    if (rows <= panelRows - groupRows) // there are no other groups
      std::memset(panel, 0, sizeof(panel));
    for (int64_t group = 0; group < panelRows && group < rows; group += groupRows)
      unpack<W>(args, static_cast<const uint8_t *>(args.weight) + (row + group) * rowBytes, columns,
                panel + group);
    for (int64_t t = token; t < last; t += stripTokens)
      withStrip(last - t, [&](auto T) {
        multiplyStrip<T>(first, values + (t - token) * panelColumns, count, begins,
                         std::min<int64_t>(T, last - t), rows, args.y + t * args.yStride + row,
                         args.yStride);
      });
  }
}

template <class W> void linearPanels(const LinearArgs &args, Part part) {
  const int64_t rowBytes = rowBytesOf<W>(args.inputs);
  const PartRange range = partRange(args.outputs, part, panelRows);
  const int64_t xEnd = args.padBefore + args.xColumns;
  if (args.xColumns == 0)
    for (int64_t t = 0; t < args.tokens; ++t)
      std::fill(args.y + t * args.yStride + range.begin, args.y + t * args.yStride + range.end,
                0.0f);
  for (int64_t token = 0; token < args.tokens; token += tileTokens)
    for (int64_t column = args.padBefore / chunkColumns * chunkColumns; column < xEnd;
         column += panelColumns) {
      const Columns columns{column, std::max(column, args.padBefore),
                            std::min(column + panelColumns, xEnd)};
      multiplyTile<W>(args, range, rowBytes, columns, columns.xFirst == args.padBefore, token,
                      std::min(args.tokens, token + tileTokens));
    }
}

LinearKernel linear_f32_panels(ElementType weight) {
  return withInterleaved(weight, []<class W>() -> LinearKernel { return linearPanels<W>; });
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(linear_f32_panels);

LinearKernel linear_f32_panels(ElementType weight) {
  return HWY_DYNAMIC_DISPATCH(linear_f32_panels)(weight);
}

} // namespace cleave::rt
#endif
