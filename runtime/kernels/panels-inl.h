// How linear kernels take many tokens: a tile of tokens and columns that stays in an outer cache;
// in it one or two groups of rows at a time; of these a panel of columns, made once for all tokens
// of the tile, that stays in an inner one; and some tokens at a time, whose sums stay in registers,
// or in the innermost cache. A lane is a row of the weight, as Layout::interleaved has it. Large
// tiles and panels read weights, and sums, less often, and that pays for tokens that come from
// farther. To be included, after all other headers, where the compiler may use a kernel's
// instructions.
#pragma once

#include "runtime/kernels/linear.h"
#include "runtime/program/layout.h"

#include <algorithm>

namespace cleave::rt {
namespace {

// A kernel is a struct with
//   tokens and groups: how many are multiplied at a time; one or two groups;
//   panelColumns, and tileTokens and tileColumns, a multiple of it;
//   Panel<R>: what a panel of R groups becomes;
//   Sums<R, T>: those of R groups and T tokens, with clear(), read(y, stride, rows) and
//     write(y, stride, rows). y has a row for each token, `stride` apart, with `rows` outputs, of
//     which the groups take 16 R, or all where there are fewer;
//   bytesOf(columns): the bytes of so many columns of a group, at ends of blocks;
//   load(panel, r, at, columns): makes group r's columns, which begin at `at`, part of a panel;
//   add(args, panel, column, end, token, sums): adds columns [column, end) times tokens
//     token .. token + T - 1. Sums of an element are added in the order of columns.

/// y += a panel's products with T tokens; the first columns begin the sums.
template <class Kernel, int R, int T>
__attribute__((noinline)) void
multiplyPanel(const LinearArgs &args, const typename Kernel::template Panel<R> &panel,
              int64_t column, int64_t end, int64_t token, int64_t rows, float *y) {
  float *at = y + token * args.yStride;
  typename Kernel::template Sums<R, T> sums;
  if (column == 0)
    sums.clear();
  else
    sums.read(at, args.yStride, rows);
  Kernel::add(args, panel, column, end, token, sums);
  sums.write(at, args.yStride, rows);
}

/// Tokens from `token` to `last` with a panel: T at a time, then fewer.
template <class Kernel, int R, int T>
void multiplyTokens(const LinearArgs &args, const typename Kernel::template Panel<R> &panel,
                    int64_t column, int64_t end, int64_t token, int64_t last, int64_t rows,
                    float *y) {
  for (; token + T <= last; token += T)
    multiplyPanel<Kernel, R, T>(args, panel, column, end, token, rows, y);
  if constexpr (T > 1)
    multiplyTokens<Kernel, R, T - (T + 5) / 6>(args, panel, column, end, token, last, rows, y);
}

/// `rows` rows of R groups for tokens [token, last), columns [begin, end).
template <class Kernel, int R>
void multiplyGroups(const LinearArgs &args, const uint8_t *group, int64_t rows, int64_t begin,
                    int64_t end, int64_t token, int64_t last, float *y) {
  const int64_t groupBytes = Kernel::bytesOf(args.inputs);
  typename Kernel::template Panel<R> panel;
  for (int64_t column = begin; column < end; column += Kernel::panelColumns) {
    const int64_t next = column + Kernel::panelColumns, panelEnd = std::min(end, next);
    for (int r = 0; r < R; ++r) {
      Kernel::load(panel, r, group + r * groupBytes + Kernel::bytesOf(column), panelEnd - column);
      // While this panel is multiplied the next one comes: of these groups, or of the next.
      const uint8_t *ahead = next < end ? group + r * groupBytes + Kernel::bytesOf(next)
                                        : group + (R + r) * groupBytes + Kernel::bytesOf(begin);
      for (int64_t line = 0; line < Kernel::bytesOf(Kernel::panelColumns); line += 64)
        __builtin_prefetch(ahead + line, 0, 2);
    }
    multiplyTokens<Kernel, R, Kernel::tokens>(args, panel, column, panelEnd, token, last, rows, y);
  }
}

/// All tokens and a part of the rows.
template <class Kernel> void multiplyAll(const LinearArgs &args, Part part) {
  const PartRange range = partRange(args.outputs, part, groupRows);
  const auto *weight = static_cast<const uint8_t *>(args.weight);
  const int64_t groupBytes = Kernel::bytesOf(args.inputs);
  if (args.inputs == 0)
    for (int64_t t = 0; t < args.tokens; ++t)
      std::fill(args.y + t * args.yStride + range.begin, args.y + t * args.yStride + range.end,
                0.0f);
  for (int64_t token = 0; token < args.tokens; token += Kernel::tileTokens) {
    const int64_t last = std::min(args.tokens, token + Kernel::tileTokens);
    for (int64_t column = 0; column < args.inputs; column += Kernel::tileColumns) {
      const int64_t end = std::min(args.inputs, column + Kernel::tileColumns);
      int64_t row = range.begin;
      const auto groupsAt = [&] { return weight + row / groupRows * groupBytes; };
      if constexpr (Kernel::groups == 2)
        for (; range.end - row > groupRows; row += 2 * groupRows)
          multiplyGroups<Kernel, 2>(args, groupsAt(), range.end - row, column, end, token, last,
                                    args.y + row);
      for (; row < range.end; row += groupRows)
        multiplyGroups<Kernel, 1>(args, groupsAt(), range.end - row, column, end, token, last,
                                  args.y + row);
    }
  }
}

} // namespace
} // namespace cleave::rt
