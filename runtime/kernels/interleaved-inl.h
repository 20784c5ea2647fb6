// How the elements of weights in Layout::interleaved become vectors of which each lane is a
// row, for every type and on every vector unit. Included once per Highway target.
#if defined(CLEAVE_KERNELS_INTERLEAVED_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CLEAVE_KERNELS_INTERLEAVED_INL_H
#undef CLEAVE_KERNELS_INTERLEAVED_INL_H
#else
#define CLEAVE_KERNELS_INTERLEAVED_INL_H
#endif

#include "runtime/kernels/linear.h"
#include "runtime/kernels/prefetch.h"
#include "runtime/kernels/weights-inl.h"
#include "runtime/program/layout.h"

#include <algorithm>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// Where byte `offset` of a row of the group is, or of a block of the group that begins at
/// `block`, for the row `lane` and units of `unit` bytes.
HWY_INLINE const uint8_t *unitAt(const uint8_t *block, int64_t offset, int64_t lane, int64_t unit) {
  return block + groupRows * offset + lane * unit;
}

/// Four bytes from `offset` of rows lane .. lane + Lanes(d), as integers.
template <class D>
HWY_INLINE hn::Vec<hn::RebindToSigned<D>> wordsAt(D, const uint8_t *block, int64_t offset,
                                                  int64_t lane) {
  const hn::RebindToSigned<D> di32;
  return hn::LoadU(di32, reinterpret_cast<const int32_t *>(unitAt(block, offset, lane, 4)));
}

/// The half at `offset` of these rows.
template <class D>
HWY_INLINE hn::Vec<D> halvesAt(D d, const uint8_t *block, int64_t offset, int64_t lane) {
  const hn::Rebind<hwy::float16_t, D> dh;
  return hn::PromoteTo(
      d, hn::LoadU(dh, reinterpret_cast<const hwy::float16_t *>(unitAt(block, offset, lane, 2))));
}

/// Bits [first, first + count) of words, as integers.
template <class V> HWY_INLINE V bitsOf(V words, int first, int count) {
  const hn::DFromV<V> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  return hn::And(hn::BitCast(d, hn::ShiftRightSame(hn::BitCast(du, words), first)),
                 hn::Set(d, (1 << count) - 1));
}

template <class V> HWY_INLINE auto asFloats(V integers) {
  const hn::DFromV<V> d;
  return hn::ConvertTo(hn::RebindToFloat<decltype(d)>(), integers);
}

// ---- Types without blocks ----
//
// A struct with load(d, group, column, lane, columns): column `column`, of `columns` in a row,
// of rows lane .. lane + Lanes(d); and
//   loadPair(d, group, column, lane, first, second): an even column and the next, which there is.

struct InterleavedF16 {
  static constexpr int64_t bytes = 2;
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const uint8_t *group, int64_t column, int64_t lane,
                                    int64_t) {
    return halvesAt(d, group, column * 2, lane);
  }
  template <class D>
  static HWY_INLINE void loadPair(D d, const uint8_t *group, int64_t column, int64_t lane,
                                  hn::Vec<D> &first, hn::Vec<D> &second) {
    first = halvesAt(d, group, column * 2, lane);
    second = halvesAt(d, group, column * 2 + 2, lane);
  }
};

/// Two columns are a unit; behind them, the last column of an odd number is one.
struct InterleavedBF16 {
  static constexpr int64_t bytes = 2;
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const uint8_t *group, int64_t column, int64_t lane,
                                    int64_t columns) {
    if (column + 1 == columns && columns % 2 != 0) {
      const hn::Rebind<hwy::bfloat16_t, D> db;
      const auto *at =
          reinterpret_cast<const hwy::bfloat16_t *>(unitAt(group, column * 2, lane, 2));
      return hn::PromoteTo(d, hn::LoadU(db, at));
    }
    hn::Vec<D> first, second;
    loadPair(d, group, column / 2 * 2, lane, first, second);
    return column % 2 == 0 ? first : second;
  }
  template <class D>
  static HWY_INLINE void loadPair(D d, const uint8_t *group, int64_t column, int64_t lane,
                                  hn::Vec<D> &first, hn::Vec<D> &second) {
    const hn::RebindToSigned<D> di32;
    const auto words = wordsAt(d, group, column * 2, lane);
    first = hn::BitCast(d, hn::ShiftLeft<16>(words));
    second = hn::BitCast(d, hn::And(words, hn::Set(di32, ~0xffff)));
  }
};

// ---- Types with blocks ----
//
// A struct with its Block, how many chunks of 32 columns are in it, `parts`, how many scales a
// chunk has (each for 32 / parts columns), `offset`, and
//   chunk(d, block, s, lane): of chunk s, the scales and minimums of rows lane .. lane +
//     Lanes(d), minimums only where offset is 0 and `hasMinimum`;
//   integers(d, block, s, j, lane): column j of chunk s, as integers of 8 bits without sign.
// An element is scale * (integer - offset) - minimum.

template <class Block> struct Interleaved;

template <class D, int parts> struct ChunkScales {
  hn::Vec<D> scales[parts];
  hn::Vec<D> minimum;
};

template <> struct Interleaved<BlockQ8_0> {
  using Block = BlockQ8_0;
  static constexpr int chunks = 1, parts = 1, offset = 128;
  static constexpr bool hasMinimum = false;
  template <class D>
  static HWY_INLINE ChunkScales<D, 1> chunk(D d, const uint8_t *block, int, int64_t lane) {
    return {{halvesAt(d, block, offsetof(Block, scale), lane)}, hn::Zero(d)};
  }
  template <class D>
  static HWY_INLINE auto integers(D d, const uint8_t *block, int, int j, int64_t lane) {
    const hn::RebindToSigned<D> di32;
    const auto words = wordsAt(d, block, offsetof(Block, values) + j / 4 * 4, lane);
    return bitsOf(hn::Xor(words, hn::Set(di32, static_cast<int32_t>(0x80808080u))), j % 4 * 8, 8);
  }
};

/// Blocks of 32 elements of 4 bits, or of 5 where there are high bits.
template <class B>
  requires isNibbleBlock<B>
struct Interleaved<B> {
  using Block = B;
  static constexpr bool hasMinimum = cleave::hasMinimum<Block>;
  static constexpr int chunks = 1, parts = 1, offset = hasMinimum ? 0 : hasHighBits<Block> ? 16 : 8;
  template <class D>
  static HWY_INLINE ChunkScales<D, 1> chunk(D d, const uint8_t *block, int, int64_t lane) {
    ChunkScales<D, 1> chunk{{halvesAt(d, block, offsetof(Block, scale), lane)}, hn::Zero(d)};
    if constexpr (hasMinimum) // added, not subtracted
      chunk.minimum = hn::Neg(halvesAt(d, block, offsetof(Block, minimum), lane));
    return chunk;
  }
  template <class D>
  static HWY_INLINE auto integers(D d, const uint8_t *block, int, int j, int64_t lane) {
    const auto low = bitsOf(wordsAt(d, block, offsetof(Block, nibbles) + j % 16 / 4 * 4, lane),
                            j % 4 * 8 + j / 16 * 4, 4);
    if constexpr (hasHighBits<Block>)
      return hn::Or(
          low, hn::ShiftLeft<4>(bitsOf(wordsAt(d, block, offsetof(Block, highBits), lane), j, 1)));
    else
      return low;
  }
};

/// The scale and minimum of sub-block s; see block_formats.h.
template <class Block, class D>
HWY_INLINE ChunkScales<D, 1> subBlockScales(D d, const uint8_t *block, int s, int64_t lane) {
  const auto packed = [&](int word) {
    return wordsAt(d, block, offsetof(Block, packed) + 4 * word, lane);
  };
  const int at = s % 4 * 8;
  auto scale = bitsOf(packed(0), at, 6), minimum = bitsOf(packed(1), at, 6);
  if (s >= 4) {
    const auto high = [&](int word) { return hn::ShiftLeft<4>(bitsOf(packed(word), at + 6, 2)); };
    scale = hn::Or(bitsOf(packed(2), at, 4), high(0));
    minimum = hn::Or(bitsOf(packed(2), at + 4, 4), high(1));
  }
  return {{hn::Mul(halvesAt(d, block, offsetof(Block, scale), lane), asFloats(scale))},
          hn::Mul(halvesAt(d, block, offsetof(Block, minimum), lane), asFloats(minimum))};
}

template <> struct Interleaved<BlockQ4_K> {
  using Block = BlockQ4_K;
  static constexpr int chunks = 8, parts = 1, offset = 0;
  static constexpr bool hasMinimum = true;
  template <class D>
  static HWY_INLINE ChunkScales<D, 1> chunk(D d, const uint8_t *block, int s, int64_t lane) {
    return subBlockScales<Block>(d, block, s, lane);
  }
  template <class D>
  static HWY_INLINE auto integers(D d, const uint8_t *block, int s, int j, int64_t lane) {
    return bitsOf(wordsAt(d, block, offsetof(Block, nibbles) + s / 2 * 32 + j / 4 * 4, lane),
                  j % 4 * 8 + s % 2 * 4, 4);
  }
};

template <> struct Interleaved<BlockQ5_K> {
  using Block = BlockQ5_K;
  static constexpr int chunks = 8, parts = 1, offset = 0;
  static constexpr bool hasMinimum = true;
  template <class D>
  static HWY_INLINE ChunkScales<D, 1> chunk(D d, const uint8_t *block, int s, int64_t lane) {
    return subBlockScales<Block>(d, block, s, lane);
  }
  template <class D>
  static HWY_INLINE auto integers(D d, const uint8_t *block, int s, int j, int64_t lane) {
    const auto low = wordsAt(d, block, offsetof(Block, nibbles) + s / 2 * 32 + j / 4 * 4, lane);
    const auto high = wordsAt(d, block, offsetof(Block, highBits) + j / 4 * 4, lane);
    return hn::Or(bitsOf(low, j % 4 * 8 + s % 2 * 4, 4),
                  hn::ShiftLeft<4>(bitsOf(high, j % 4 * 8 + s, 1)));
  }
};

template <> struct Interleaved<BlockQ6_K> {
  using Block = BlockQ6_K;
  static constexpr int chunks = 8, parts = 2, offset = 32;
  static constexpr bool hasMinimum = false;
  template <class D>
  static HWY_INLINE ChunkScales<D, 2> chunk(D d, const uint8_t *block, int s, int64_t lane) {
    const auto scale = halvesAt(d, block, offsetof(Block, scale), lane);
    const auto words = wordsAt(d, block, offsetof(Block, scales) + s / 2 * 4, lane);
    const auto at = [&](int byte) { // signed
      return hn::Mul(scale, asFloats(hn::ShiftRight<24>(hn::ShiftLeftSame(words, 24 - 8 * byte))));
    };
    return {{at(s % 2 * 2), at(s % 2 * 2 + 1)}, hn::Zero(d)};
  }
  template <class D>
  static HWY_INLINE auto integers(D d, const uint8_t *block, int s, int j, int64_t lane) {
    const auto low =
        wordsAt(d, block, offsetof(Block, nibbles) + s / 4 * 64 + s % 2 * 32 + j / 4 * 4, lane);
    const auto high = wordsAt(d, block, offsetof(Block, highBits) + s / 4 * 32 + j / 4 * 4, lane);
    return hn::Or(bitsOf(low, j % 4 * 8 + s % 4 / 2 * 4, 4),
                  hn::ShiftLeft<4>(bitsOf(high, j % 4 * 8 + s % 4 * 2, 2)));
  }
};

/// The number that an integer of a chunk stands for, exactly where the type has no minimum.
template <class W, class D, class V>
HWY_INLINE hn::Vec<D> dequantize(D d, const ChunkScales<D, W::parts> &chunk, V integers, int j) {
  const auto scale = chunk.scales[j / (32 / W::parts)];
  if constexpr (W::hasMinimum)
    return hn::MulSub(scale, asFloats(integers), chunk.minimum);
  return hn::Mul(scale, asFloats(hn::Sub(integers, hn::Set(hn::RebindToSigned<D>(), W::offset))));
}

// ---- What kernels of all types share ----

/// Columns of a chunk, which plain types are taken in as well.
inline constexpr int64_t chunkColumns = 32;

/// The kernel that `kernelOf`.operator()<W>() gives for the struct of a type; null for a type that
/// has none.
template <class F> LinearKernel withInterleaved(ElementType type, const F &kernelOf) {
  switch (type) {
  case ElementType::f16:
    return kernelOf.template operator()<InterleavedF16>();
  case ElementType::bf16:
    return kernelOf.template operator()<InterleavedBF16>();
  default:
    return withBlock(
        type, [&]<class Block>() { return kernelOf.template operator()<Interleaved<Block>>(); });
  }
}

/// The bytes of a row of the weight.
template <class W> constexpr int64_t rowBytesOf(int64_t columns) {
  if constexpr (requires { W::bytes; })
    return columns * W::bytes;
  else
    return columns / chunkColumns / W::chunks * static_cast<int64_t>(sizeof(typename W::Block));
}

/// Calls body(T, group, rows, token, y) for the groups of a part of the weight's rows and all
/// tokens: for `rows` of the group's rows and T tokens from `token` on, where T, a constant, is
/// `tokens` or 1; y is where the group's rows of the first token go.
template <class W, int tokens, class Body>
HWY_INLINE void forGroups(const LinearArgs &args, Part part, Body body) {
  const int64_t rowBytes = rowBytesOf<W>(args.inputs);
  const PartRange range = partRange(args.outputs, part, groupRows);
  for (int64_t row = range.begin; row < range.end; row += groupRows) {
    const int64_t rows = std::min(groupRows, range.end - row);
    const uint8_t *group = static_cast<const uint8_t *>(args.weight) + row * rowBytes;
    int64_t t = 0;
    for (; t + tokens <= args.tokens; t += tokens)
      body(std::integral_constant<int, tokens>(), group, rows, t, args.y + t * args.yStride + row);
    for (; t < args.tokens; ++t)
      body(std::integral_constant<int, 1>(), group, rows, t, args.y + t * args.yStride + row);
  }
}

/// The first `rows` lanes of a group's sums, the pieces of each token, to y.
template <size_t pieces, size_t T>
HWY_INLINE void storeGroup(const hn::Vec<FloatTag> (&sums)[pieces][T], int64_t rows, float *y,
                           int64_t yStride) {
  const FloatTag d;
  for (size_t t = 0; t < T; ++t) {
    alignas(64) float buffer[groupRows];
    for (size_t piece = 0; piece < pieces; ++piece)
      hn::Store(sums[piece][t], d, buffer + piece * hn::MaxLanes(d));
    std::memcpy(y + t * yStride, buffer, rows * sizeof(float));
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
