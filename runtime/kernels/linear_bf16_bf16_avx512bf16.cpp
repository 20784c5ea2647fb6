// Many tokens in bf16 times weights of bf16, with the AVX-512 instruction for that: products are
// exact, pairs of them are summed in f32.
#include "runtime/kernels/linear.h"
#include "runtime/kernels/quantize.h"
#include "runtime/program/layout.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

// After all includes, so that no function of a header is compiled for AVX-512.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")

namespace cleave::rt {
namespace {

/// Columns of two groups that stay in the first cache.
constexpr int64_t panelColumns = 256;

/// y += the products of columns [column, end), even numbers, of R groups with T tokens; the
/// first columns begin the sums. Group r is r * groupBytes further.
template <int R, int T>
__attribute__((noinline)) void multiplyPanel(const LinearArgs &args, const uint8_t *group,
                                             int64_t groupBytes, int64_t column, int64_t end,
                                             int64_t token, const __mmask16 (&masks)[R], float *y) {
  __m512 acc[R][T];
#pragma GCC unroll 12
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r)
      acc[r][t] =
          column == 0
              ? _mm512_setzero_ps()
              : _mm512_maskz_loadu_ps(masks[r], y + (token + t) * args.yStride + r * groupRows);
  const int64_t rowBytes = bf16RowBytes(args.inputs);
  const std::byte *x = args.quantized + token * rowBytes;
  for (; column < end; column += 2) {
    __m512bh weights[R];
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r)
      weights[r] = reinterpret_cast<__m512bh>(
          _mm512_loadu_si512(group + r * groupBytes + column * 2 * groupRows));
#pragma GCC unroll 12
    for (int t = 0; t < T; ++t) {
      int32_t pair;
      std::memcpy(&pair, x + t * rowBytes + column * 2, sizeof(pair));
      const auto values = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
#pragma GCC unroll 2
      for (int r = 0; r < R; ++r)
        acc[r][t] = _mm512_dpbf16_ps(acc[r][t], weights[r], values);
    }
  }
#pragma GCC unroll 12
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r)
      _mm512_mask_storeu_ps(y + (token + t) * args.yStride + r * groupRows, masks[r], acc[r][t]);
}

/// Tokens from `token` to `last`: T at a time, then fewer.
template <int R, int T>
void multiplyTokens(const LinearArgs &args, const uint8_t *group, int64_t groupBytes,
                    int64_t column, int64_t end, int64_t token, int64_t last,
                    const __mmask16 (&masks)[R], float *y) {
  for (; token + T <= last; token += T)
    multiplyPanel<R, T>(args, group, groupBytes, column, end, token, masks, y);
  if constexpr (T > 1)
    multiplyTokens<R, T / 2>(args, group, groupBytes, column, end, token, last, masks, y);
}

/// R groups of rows of y for tokens [token, last), columns [column, end).
template <int R>
void multiplyGroups(const LinearArgs &args, const uint8_t *group, int64_t rows, int64_t column,
                    int64_t end, int64_t token, int64_t last, float *y) {
  __mmask16 masks[R];
  for (int r = 0; r < R; ++r)
    masks[r] =
        static_cast<__mmask16>((1u << std::clamp<int64_t>(rows - r * groupRows, 0, groupRows)) - 1);
  const int64_t groupBytes = args.inputs * 2 * groupRows, begin = column;
  for (; column < end; column += panelColumns) {
    const int64_t next = column + panelColumns;
    // While this panel is multiplied the next one comes: of these groups, or of the next.
    for (int r = 0; r < R; ++r) {
      const uint8_t *panel = next < end ? group + r * groupBytes + next * 2 * groupRows
                                        : group + (R + r) * groupBytes + begin * 2 * groupRows;
      for (int64_t line = 0; line < panelColumns * 2 * groupRows; line += 64)
        __builtin_prefetch(panel + line, 0, 2);
    }
    multiplyTokens<R, 12>(args, group, groupBytes, column, std::min(end, next), token, last, masks,
                          y);
  }
}

void linear(const LinearArgs &args, Part part) {
  const PartRange range = partRange(args.outputs, part, groupRows);
  const auto *weight = static_cast<const uint8_t *>(args.weight);
  // A tile of tokens and columns, which all rows meet, stays in the second cache.
  constexpr int64_t tileTokens = 264, tileColumns = 1536;
  if (args.inputs == 0)
    for (int64_t t = 0; t < args.tokens; ++t)
      std::fill(args.y + t * args.yStride + range.begin, args.y + t * args.yStride + range.end,
                0.0f);
  for (int64_t token = 0; token < args.tokens; token += tileTokens) {
    const int64_t last = std::min(args.tokens, token + tileTokens);
    for (int64_t column = 0; column < args.inputs; column += tileColumns) {
      const int64_t end = std::min(args.inputs, column + tileColumns);
      int64_t row = range.begin;
      for (; row + groupRows < range.end; row += 2 * groupRows)
        multiplyGroups<2>(args, weight + row * args.inputs * 2, range.end - row, column, end, token,
                          last, args.y + row);
      if (row < range.end)
        multiplyGroups<1>(args, weight + row * args.inputs * 2, range.end - row, column, end, token,
                          last, args.y + row);
    }
  }
}

} // namespace
} // namespace cleave::rt

#pragma GCC pop_options

namespace cleave::rt {

LinearKernel linear_bf16_bf16_avx512bf16() {
  const bool has = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bf16");
  return has ? linear : nullptr;
}

} // namespace cleave::rt

#else

namespace cleave::rt {
LinearKernel linear_bf16_bf16_avx512bf16() {
  return nullptr;
}
} // namespace cleave::rt

#endif
