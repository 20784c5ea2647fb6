// Writes rows into the KV cache, rounding to f16 where it holds halves.
#include "runtime/kernels/state_update.h"

#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/state_update.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

HWY_INLINE void storeHalves(const float *x, hwy::float16_t *y, int64_t count) {
  int64_t i = 0;
#if !HWY_ARCH_X86 || HWY_TARGET <= HWY_AVX2
  const FloatTag d;
  const hn::Rebind<hwy::float16_t, FloatTag> dh;
  constexpr int64_t lanes = hn::MaxLanes(d);
  for (; i + lanes <= count; i += lanes)
    hn::StoreU(hn::DemoteTo(dh, hn::LoadU(d, x + i)), dh, y + i);
#endif
  // The compiler's conversion rounds to nearest everywhere; Highway's emulation for
  // x86 without F16C truncates.
  for (; i < count; ++i) {
    const auto half = static_cast<_Float16>(x[i]);
    std::memcpy(y + i, &half, sizeof(half));
  }
}

void stateUpdate(const StateUpdateArgs &args, Part part) {
  // Many rows are divided among the parts; a few are cut.
  const bool cutRows = args.tokens < part.count;
  const PartRange rows = cutRows ? PartRange{0, args.tokens} : partRange(args.tokens, part);
  const PartRange columns = cutRows ? partRange(args.width, part, 64) : PartRange{0, args.width};
  const int64_t count = columns.end - columns.begin;
  for (int64_t t = rows.begin; t < rows.end; ++t) {
    const float *x = args.x + t * args.xStride + columns.begin;
    const int64_t at =
        (args.slots[t] * args.context + args.positions[t]) * args.width + columns.begin;
    if (args.stateType == ElementType::f16)
      storeHalves(x, static_cast<hwy::float16_t *>(args.state) + at, count);
    else
      std::memcpy(static_cast<float *>(args.state) + at, x, count * sizeof(float));
  }
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(stateUpdate);

void stateUpdate(const StateUpdateArgs &args, Part part) {
  HWY_DYNAMIC_DISPATCH(stateUpdate)(args, part);
}

} // namespace cleave::rt
#endif
