// Writes rows into the KV cache, rounding to f16 where it holds halves.
#include "runtime/kernels/state_update.h"

#include "runtime/kernels/key_panels.h"

#include <algorithm>
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

HWY_INLINE void storeRow(const float *x, float *y, int64_t count) {
  std::memcpy(y, x, static_cast<size_t>(count) * sizeof(float));
}
HWY_INLINE void storeRow(const float *x, uint16_t *y, int64_t count) {
  storeHalves(x, reinterpret_cast<hwy::float16_t *>(y), count);
}

/// One element of each row of a panel.
template <class T> HWY_INLINE void storeKey(const float *x, T *y, int64_t count) {
  constexpr int64_t together = 64;
  T converted[together];
  for (int64_t first = 0; first < count; first += together) {
    const int64_t now = std::min(together, count - first);
    storeRow(x + first, converted, now);
    for (int64_t i = 0; i < now; ++i)
      y[(first + i) * panelKeys] = converted[i];
  }
}

template <class T> void update(const StateUpdateArgs &args, Part part) {
  // Many rows are divided among the parts; a few are cut.
  const bool cutRows = args.tokens < part.count;
  const PartRange rows = cutRows ? PartRange{0, args.tokens} : partRange(args.tokens, part);
  const PartRange columns = cutRows ? partRange(args.width, part, 64) : PartRange{0, args.width};
  const int64_t count = columns.end - columns.begin;
  for (int64_t t = rows.begin; t < rows.end; ++t) {
    const float *x = args.x + t * args.xStride + columns.begin;
    if (args.rows)
      storeRow(x,
               static_cast<T *>(args.rows) +
                   (args.slots[t] * args.context + args.positions[t]) * args.width + columns.begin,
               count);
    if (args.panels)
      storeKey(x,
               static_cast<T *>(args.panels) +
                   placeOfKey(args.slots[t], args.positions[t], args.context, args.width) +
                   columns.begin * panelKeys,
               count);
  }
}

void stateUpdate(const StateUpdateArgs &args, Part part) {
  if (args.stateType == ElementType::f16)
    update<uint16_t>(args, part);
  else
    update<float>(args, part);
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
