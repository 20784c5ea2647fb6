// Fused causal attention: which part of the work does which query rows and keys. Rows
// that read the same keys, the heads of a group and neighbouring tokens, are taken
// together, a block of keys at a time: many of them by attention_tile-inl.h, and few, as
// when tokens are generated, by attention_few-inl.h. Where few rows see many keys, the
// parts share the keys by blocks, and mergeAttention() puts these together in the order
// in which one part does it.
#include "runtime/kernels/attention.h"

#include <algorithm>
#include <limits>
#include <tuple>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/attention.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/attention_few-inl.h"
#include "runtime/kernels/attention_tile-inl.h"

#ifndef CLEAVE_KERNELS_ATTENTION_ONCE
#define CLEAVE_KERNELS_ATTENTION_ONCE
namespace cleave::rt {
namespace {

/// Rows that read the same panels, one after the other.
constexpr int64_t tileRows = 256;
/// Rows with one key head that are few.
constexpr int64_t fewRows = 16;
/// So few tokens may share keys between the parts.
constexpr int64_t maxMergedTokens = 4;
/// No more keys than these are not worth it.
constexpr int64_t leastSharedKeys = 512;

/// The end of the heads from `head` on that read the same key head.
int64_t endOfGroup(const AttentionArgs &args, int64_t head) {
  return std::min(head + args.group - (args.firstHead + head) % args.group, args.heads);
}

/// Keys [begin, end) that a row of a token sees.
struct KeyRange {
  int64_t begin, end;
};
KeyRange keysOf(const AttentionArgs &args, int64_t token) {
  const int64_t end = int64_t{args.positions[token]} + 1;
  return {end - keysSeen(args, token), end};
}

/// Whether the parts do share keys.
bool sharesKeys(const AttentionArgs &args, Part part) {
  int64_t longest = 0;
  for (int64_t t = 0; t < args.tokens && t < maxMergedTokens; ++t)
    longest = std::max(longest, keysSeen(args, t));
  return longest > leastSharedKeys && mayShareKeys(args, part.count);
}

/// Sizes of the scratch memory, in floats: for each part its own, then what all share.
struct ScratchSizes {
  int64_t panel;  ///< of a block's keys or values
  int64_t rows;   ///< of a tile's q or y
  int64_t scores; ///< of a tile with few rows a key head
  int64_t part;
  int64_t mergedRows; ///< at most
  int64_t blocks;     ///< of a slot

  ScratchSizes(const AttentionArgs &args, int64_t dims, int64_t blockKeys, int64_t scoreStride)
      : panel(blockKeys * dims), rows(tileRows * dims), scores(tileRows * scoreStride),
        part(2 * panel + 2 * rows + scores),
        mergedRows(std::min(maxMergedTokens * args.heads, tileRows)),
        blocks((args.context + blockKeys - 1) / blockKeys) {}

  int64_t total(int64_t dims, int parts) const {
    return parts * part + (parts > 1 ? mergedRows * blocks * (dims + 2) : 0);
  }
};

} // namespace
} // namespace cleave::rt
#endif

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

/// Where in the scratch memory is what.
struct Scratch {
  float *keys, *values; ///< panels of a block
  float *q, *y;         ///< a tile's rows
  float *scores;
  float *pieces;        ///< [merged rows][blocks][paddedDims]
  BlockSums *pieceSums; ///< [merged rows][blocks]
  int64_t blocks;

  Scratch(const AttentionArgs &args, Part part) {
    const ScratchSizes sizes(args, paddedDims(args.headDim), blockKeys, scoreStride);
    keys = args.scratch + part.index * sizes.part;
    values = keys + sizes.panel;
    q = values + sizes.panel;
    y = q + sizes.rows;
    scores = y + sizes.rows;
    pieces = args.scratch + part.count * sizes.part;
    pieceSums = reinterpret_cast<BlockSums *>(pieces + sizes.mergedRows * sizes.blocks *
                                                           paddedDims(args.headDim));
    blocks = sizes.blocks;
  }
};

/// Writes the result of row `number`, token * heads + head.
HWY_INLINE void writeRow(const AttentionArgs &args, int64_t number, const float *sum,
                         float weights) {
  float *y = args.y + number / args.heads * args.yStride + number % args.heads * args.headDim;
  const float inverse = 1.0f / weights;
  for (int64_t j = 0; j < args.headDim; ++j)
    y[j] = sum[j] * inverse;
}

constexpr float lowest = -std::numeric_limits<float>::max();

/// Up to tileRows rows with what they have seen so far.
template <class S> class Tile {
public:
  Tile(const AttentionArgs &args, Part part)
      : args(args), scratch(args, part), dims(paddedDims(args.headDim)),
        keyBytes(args.kvWidth * S::blockBytes) {}

  bool isFull() const { return rowCount == tileRows; }

  void addRow(int64_t token, int64_t head) {
    const int64_t keyHead = (args.firstHead + head) / args.group;
    const int64_t slot = args.slots[token];
    const int64_t end = int64_t{args.positions[token]} + 1;
    const KeyRange seen{end - keysSeen(args, token), end};
    if (bundleCount == 0 || bundles[bundleCount - 1].slot != slot ||
        bundles[bundleCount - 1].keyHead != keyHead) {
      const int64_t headBytes = keyHead * args.headDim * S::blockBytes;
      const Rows rows{scratch.q, scratch.y, keys, maxima, sums};
      bundles[bundleCount++] = {
          slot,
          keyHead,
          static_cast<const uint8_t *>(args.k) + slot * roomForKeys(args.context) * keyBytes +
              headBytes * panelKeys,
          static_cast<const uint8_t *>(args.v) + slot * args.context * keyBytes + headBytes,
          seen,
          0,
          0,
          rows.from(rowCount, dims)};
    }
    Bundle &bundle = bundles[bundleCount - 1];
    bundle.keys.begin = std::min(bundle.keys.begin, seen.begin);
    bundle.keys.end = std::max(bundle.keys.end, seen.end);
    ++bundle.count;
    keys[rowCount] = seen;
    inputs[rowCount] = args.q + token * args.qStride + head * args.headDim;
    numbers[rowCount++] = token * args.heads + head;
  }

  /// Attends to all keys, writes the results and forgets the rows.
  void run() {
    prepare();
    for (int64_t i = 0; i < manyCount; ++i)
      for (int64_t block = bundles[i].keys.begin / blockKeys;
           block * blockKeys < bundles[i].keys.end; ++block)
        attendBlockOf(bundles[i], block);
    forFewBlocks([&](int64_t begin, int64_t end, int64_t block, const uint8_t *next) {
      attendBlockOfFew(begin, end, block, next);
    });
    for (int64_t row = 0; row < rowCount; ++row)
      writeRow(args, numbers[row], scratch.y + row * dims, sums[row]);
    rowCount = bundleCount = manyCount = 0;
  }

  /// Attends to this part's share of the blocks, and leaves what comes of each as pieces: a
  /// bundle's block falls to the part in whose share of all keys its middle is.
  void runPieces(Part part) {
    prepare();
    const auto keysIn = [&](int64_t bundle, int64_t block) {
      const KeyRange seen = bundles[bundle].keys.inBlock(block * blockKeys);
      return std::max<int64_t>(0, seen.end - seen.begin);
    };
    int64_t all = 0;
    forFewBlocks([&](int64_t begin, int64_t end, int64_t block, const uint8_t *) {
      for (int64_t i = begin; i < end; ++i)
        all += keysIn(i, block);
    });
    const PartRange share = partRange(all, part);
    int64_t done = 0;
    forFewBlocks([&](int64_t begin, int64_t end, int64_t block, const uint8_t *next) {
      int64_t from = end, to = begin;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t count = keysIn(i, block), middle = done + count / 2;
        if (share.begin <= middle && middle < share.end) {
          from = std::min(from, i);
          to = i + 1;
        }
        done += count;
      }
      if (from < to) {
        attendBlockOfFew(from, to, block, done < share.end ? next : nullptr);
        for (int64_t i = from; i < to; ++i)
          savePiece(bundles[i], block);
      }
    });
  }

private:
  /// To be called when all rows have been added: puts few rows behind many, by slots, and
  /// packs the queries.
  void prepare() {
    const auto order = [](const Bundle &bundle) {
      const bool isFew = bundle.count <= fewRows;
      return std::tuple(isFew, isFew ? bundle.slot : 0, bundle.rows.keys);
    };
    std::sort(bundles, bundles + bundleCount,
              [&](const Bundle &a, const Bundle &b) { return order(a) < order(b); });
    while (manyCount < bundleCount && bundles[manyCount].count > fewRows)
      ++manyCount;
    const float scale = args.scale * 1.44269504f; // log2(e)
    for (int64_t i = 0; i < bundleCount; ++i) {
      Bundle &bundle = bundles[i];
      const int64_t most = i < manyCount ? stripRows : fewStripRows;
      const int64_t strips = (bundle.count + most - 1) / most;
      bundle.stripRows = (bundle.count + strips - 1) / strips;
    }
    for (int64_t row = 0; row < rowCount; ++row)
      for (int64_t j = 0; j < args.headDim; ++j)
        scratch.q[row * dims + j] = inputs[row][j] * scale;
    clear(0, rowCount);
  }

  void clear(int64_t row, int64_t count) {
    std::fill(scratch.y + row * dims, scratch.y + (row + count) * dims, 0.0f);
    std::fill(maxima + row, maxima + row + count, lowest);
    std::fill(sums + row, sums + row + count, 0.0f);
  }

  /// Calls body(begin, end, block, next) for bundles [begin, end) of few rows, all of one slot
  /// that see keys of the block, in the order in which keys lie in memory.
  template <class Body> void forFewBlocks(Body body) const {
    for (int64_t i = manyCount; i < bundleCount;) {
      int64_t end = i;
      KeyRange seen = bundles[i].keys;
      for (; end < bundleCount && bundles[end].slot == bundles[i].slot; ++end) {
        seen.begin = std::min(seen.begin, bundles[end].keys.begin);
        seen.end = std::max(seen.end, bundles[end].keys.end);
      }
      for (int64_t block = seen.begin / blockKeys; block * blockKeys < seen.end; ++block)
        body(i, end, block,
             (block + 1) * blockKeys < seen.end ? bundles[i].k + (block + 1) * blockKeys * keyBytes
                                                : nullptr);
      i = end;
    }
  }

  void attendBlockOf(const Bundle &bundle, int64_t number) {
    const int64_t first = number * blockKeys;
    const int64_t count = bundle.keys.inBlock(first).end;
    packKeys<S>(bundle.k + first * keyBytes, panelKeys * keyBytes, count, args.headDim,
                scratch.keys);
    packValues<S>(FloatTag(), {bundle.v + first * keyBytes, keyBytes, count}, args.headDim,
                  scratch.values);
    const KeyBlock block{scratch.keys, scratch.values, first};
    for (int64_t row = 0; row < bundle.count; row += bundle.stripRows)
      withRows<stripRows>(std::min(bundle.stripRows, bundle.count - row), [&](auto rows) {
        attendBlock<decltype(rows)::value>(bundle.rows.from(row, dims), block, args.headDim);
      });
  }

  void attendBlockOfFew(int64_t begin, int64_t end, int64_t block, const uint8_t *next) {
    const FewArgs fewArgs{args.headDim,   keyBytes,       scratch.keys,
                          scratch.scores, scratch.values, factors};
    FewRowsBlock<S>(fewArgs, bundles + begin, end - begin, block, next, isCold).run();
    isCold = next == nullptr;
  }

  void savePiece(const Bundle &bundle, int64_t block) {
    const int64_t firstRow = bundle.rows.keys - keys;
    for (int64_t row = firstRow; row < firstRow + bundle.count; ++row) {
      const int64_t piece = numbers[row] * scratch.blocks + block;
      std::copy_n(scratch.y + row * dims, dims, scratch.pieces + piece * dims);
      scratch.pieceSums[piece] = {maxima[row], sums[row]};
    }
    clear(firstRow, bundle.count);
  }

  const AttentionArgs &args;
  Scratch scratch;
  int64_t dims;
  int64_t keyBytes; ///< of all heads
  int64_t rowCount = 0, bundleCount = 0;
  bool isCold = true;    ///< the block that comes next has not been prefetched
  int64_t manyCount = 0; ///< of the bundles, those of more than fewRows
  Bundle bundles[tileRows];
  MergeFactors factors[tileRows];
  const float *inputs[tileRows];
  int64_t numbers[tileRows]; ///< token * heads + head
  KeyRange keys[tileRows];
  float maxima[tileRows], sums[tileRows];
};

/// Calls body(token, head) for the rows that fall to `part`: each whose first key, counted
/// over all rows by key head, token and head, is in its share of all keys.
template <class Body> void forRows(const AttentionArgs &args, Part part, Body body) {
  int64_t keys = 0;
  for (int64_t t = 0; t < args.tokens; ++t)
    keys += keysSeen(args, t);
  const PartRange share = partRange(keys * args.heads, part);
  int64_t done = 0;
  for (int64_t first = 0; first < args.heads && done < share.end;) {
    const int64_t end = endOfGroup(args, first);
    for (int64_t t = 0; t < args.tokens; ++t)
      for (int64_t head = first; head < end; ++head) {
        if (done >= share.begin && done < share.end)
          body(t, head);
        done += keysSeen(args, t);
      }
    first = end;
  }
}

template <class S> void attend(const AttentionArgs &args, Part part) {
  Tile<S> tile(args, part);
  if (sharesKeys(args, part)) {
    forRows(args, Part{}, [&](int64_t token, int64_t head) { tile.addRow(token, head); });
    tile.runPieces(part);
    return;
  }
  forRows(args, part, [&](int64_t token, int64_t head) {
    tile.addRow(token, head);
    if (tile.isFull())
      tile.run();
  });
  tile.run();
}

void attention(const AttentionArgs &args, Part part) {
  if (args.stateType == ElementType::f16)
    attend<WeightsF16>(args, part);
  else
    attend<WeightsF32>(args, part);
}

/// Does with the pieces of each row what Tile::run() would have done with its blocks.
void mergeAttention(const AttentionArgs &args, Part part) {
  if (!sharesKeys(args, part))
    return;
  const FloatTag d;
  const Scratch scratch(args, part);
  const int64_t dims = paddedDims(args.headDim);
  const PartRange share = partRange(args.tokens * args.heads, part);
  for (int64_t row = share.begin; row < share.end; ++row) {
    const int64_t token = row / args.heads;
    const int64_t end = int64_t{args.positions[token]} + 1;
    const int64_t begin = end - keysSeen(args, token);
    float maximum = lowest, sum = 0;
    std::fill(scratch.y, scratch.y + dims, 0.0f);
    for (int64_t block = begin / blockKeys; block * blockKeys < end; ++block) {
      const int64_t piece = row * scratch.blocks + block;
      MergeFactors factors;
      mergeSums(1, scratch.pieceSums + piece, &maximum, &sum, factors);
      for (int64_t j = 0; j < dims; j += hn::MaxLanes(d))
        mergeValues(d, hn::Load(d, scratch.pieces + piece * dims + j), factors.older[0],
                    factors.newer[0], scratch.y + j);
    }
    writeRow(args, row, scratch.y, sum);
  }
}

int64_t attentionScratch(const AttentionArgs &args, int parts) {
  const int64_t dims = paddedDims(args.headDim);
  return ScratchSizes(args, dims, blockKeys, scoreStride).total(dims, parts) *
         int64_t{sizeof(float)};
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(attention);
HWY_EXPORT(attentionScratch);
HWY_EXPORT(mergeAttention);

int64_t attentionScratch(const AttentionArgs &args, int parts) {
  return HWY_DYNAMIC_DISPATCH(attentionScratch)(args, parts);
}

bool mayShareKeys(const AttentionArgs &args, int parts) {
  return parts > 1 && args.tokens <= maxMergedTokens && args.tokens * args.heads <= tileRows &&
         args.tokens * args.group <= fewRows;
}

void attention(const AttentionArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(attention)(args, part);
}

void mergeAttention(const AttentionArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(mergeAttention)(args, part);
}

} // namespace cleave::rt
#endif
