// linear_q8_q8_0 and linear_q8_q4_0 with AVX-512 VNNI.
#include "runtime/kernels/linear_q8_avx512vnni-inl.h"

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c,fma")

namespace cleave::rt {
namespace {

struct WeightsQ8_0 {
  using Block = BlockQ8_0;
  static constexpr int groups = 1, offset = 128, scaleCount = 1;
  static constexpr bool hasMinimum = false;

  static void load(const uint8_t *block, const RowOffsets &rows, Transposed<1, false> *group) {
    transpose32(block + offsetof(Block, values), rows, group->values);
    for (__m512i &values : group->values)
      values = _mm512_xor_si512(values, _mm512_set1_epi8(static_cast<char>(offset)));
    group->scales[0] = loadHalves(block, rows);
  }
};

struct WeightsQ4_0 {
  using Block = BlockQ4_0;
  static constexpr int groups = 1, offset = 8, scaleCount = 1;
  static constexpr bool hasMinimum = false;

  static void load(const uint8_t *block, const RowOffsets &rows, Transposed<1, false> *group) {
    __m512i bytes[4];
    transpose16(block + offsetof(Block, nibbles), rows, bytes);
    const __m512i mask = _mm512_set1_epi8(15);
    for (int i = 0; i < 4; ++i) {
      group->values[i] = _mm512_and_si512(bytes[i], mask);
      group->values[i + 4] = _mm512_and_si512(_mm512_srli_epi64(bytes[i], 4), mask);
    }
    group->scales[0] = loadHalves(block, rows);
  }
};

} // namespace
} // namespace cleave::rt

#pragma GCC pop_options

namespace cleave::rt {

LinearKernel linear_q8_q8_0_avx512vnni() {
  return hasAvx512Vnni() ? linear<WeightsQ8_0> : nullptr;
}
LinearKernel linear_q8_q4_0_avx512vnni() {
  return hasAvx512Vnni() ? linear<WeightsQ4_0> : nullptr;
}

} // namespace cleave::rt

#else

namespace cleave::rt {
LinearKernel linear_q8_q8_0_avx512vnni() {
  return nullptr;
}
LinearKernel linear_q8_q4_0_avx512vnni() {
  return nullptr;
}
} // namespace cleave::rt

#endif
