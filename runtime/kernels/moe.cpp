// Rows by expert, their products, and their weighted sums.
#include "runtime/kernels/moe.h"

#include "runtime/kernels/quantize.h"

#include <algorithm>
#include <cstring>

namespace cleave::rt {

void moeRows(const MoeRowsArgs &args) {
  const int64_t choices = args.tokens * args.perToken;
  auto expertOf = [&](int64_t choice) { return args.chosen[choice] - args.firstExpert; };
  auto isHere = [&](int64_t expert) { return expert >= 0 && expert < args.experts; };
  // Counts become ends, then, as each expert's rows are dealt from the last on, begins.
  std::fill(args.begins, args.begins + args.experts + 1, 0);
  for (int64_t choice = 0; choice < choices; ++choice)
    if (isHere(expertOf(choice)))
      ++args.begins[expertOf(choice)];
  int32_t rows = 0;
  for (int64_t n = 0; n <= args.experts; ++n)
    args.begins[n] = rows += args.begins[n];
  for (int64_t choice = choices; choice-- > 0;) {
    const bool here = isHere(expertOf(choice));
    const int32_t row = here ? --args.begins[expertOf(choice)] : -1;
    args.rowOfChoice[choice] = row;
    if (here)
      args.tokenOfRow[row] = static_cast<int32_t>(choice / args.perToken);
  }
}

void moeCopy(const MoeCopyArgs &args, Part part) {
  const PartRange range = partRange(args.rows, part);
  for (int64_t r = range.begin; r < range.end; ++r)
    std::memcpy(args.y + r * args.rowBytes, args.x + args.tokenOfRow[r] * args.rowBytes,
                static_cast<size_t>(args.rowBytes));
}

void moeLinear(const MoeLinearArgs &args, Part part) {
  for (int64_t n = 0; n < args.experts; ++n) {
    const int64_t begin = args.begins[n];
    LinearArgs linear = args.linear;
    linear.tokens = args.begins[n + 1] - begin;
    if (linear.tokens == 0)
      continue;
    if (linear.x)
      linear.x += begin * linear.xStride;
    if (linear.quantized)
      linear.quantized += begin * q8RowBytes(linear.inputs);
    linear.weight = static_cast<const std::byte *>(linear.weight) + n * args.expertBytes;
    linear.y += begin * linear.yStride;
    args.kernel(linear, part);
  }
}

void moeSum(const MoeSumArgs &args, Part part) {
  // One token is cut by columns, several are dealt out.
  const bool cutColumns = args.tokens < part.count;
  const PartRange tokens = cutColumns ? PartRange{0, args.tokens} : partRange(args.tokens, part);
  const PartRange columns =
      cutColumns ? partRange(args.columns, part, 16) : PartRange{0, args.columns};
  for (int64_t t = tokens.begin; t < tokens.end; ++t) {
    float *y = args.y + t * args.columns;
    std::fill(y + columns.begin, y + columns.end, 0.0f);
    for (int64_t j = 0; j < args.perToken; ++j) {
      const int32_t row = args.rowOfChoice[t * args.perToken + j];
      if (row < 0)
        continue;
      const float weight = args.weights[t * args.perToken + j];
      const float *x = args.rows + row * args.columns;
      for (int64_t c = columns.begin; c < columns.end; ++c)
        y[c] += weight * x[c];
    }
  }
}

} // namespace cleave::rt
