// Conversions of elements. Halves meet other types as f32; they and f32 are converted in
// vectors.
#include "runtime/kernels/cast.h"

#include "runtime/kernels/plain_types.h"
#include "runtime/program/half.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cast.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "runtime/kernels/weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace cleave::rt::HWY_NAMESPACE {

void widenHalves(const uint16_t *x, float *y, int64_t count, ElementType type) {
  const FloatTag d;
  constexpr int64_t lanes = hn::MaxLanes(d);
  int64_t i = 0;
  if (type == ElementType::f16) {
    const hn::Rebind<hwy::float16_t, FloatTag> dh;
    for (; i + lanes <= count; i += lanes)
      hn::StoreU(hn::PromoteTo(d, hn::LoadU(dh, reinterpret_cast<const hwy::float16_t *>(x) + i)),
                 d, y + i);
    for (; i < count; ++i)
      y[i] = halfToFloat(x[i]);
    return;
  }
  const hn::Rebind<uint16_t, FloatTag> du16;
  const hn::Rebind<uint32_t, FloatTag> du32;
  for (; i + lanes <= count; i += lanes)
    hn::StoreU(hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du32, hn::LoadU(du16, x + i)))), d,
               y + i);
  for (; i < count; ++i)
    y[i] = floatOfBf16(x[i]);
}

void narrowToHalves(const float *x, uint16_t *y, int64_t count, ElementType type) {
  int64_t i = 0;
  if (type == ElementType::f16) {
    // The compiler's conversion rounds to nearest everywhere; Highway's emulation for x86
    // without F16C truncates.
#if !HWY_ARCH_X86 || HWY_TARGET <= HWY_AVX2
    const FloatTag d;
    const hn::Rebind<hwy::float16_t, FloatTag> dh;
    constexpr int64_t lanes = hn::MaxLanes(d);
    for (; i + lanes <= count; i += lanes)
      hn::StoreU(hn::DemoteTo(dh, hn::LoadU(d, x + i)), dh,
                 reinterpret_cast<hwy::float16_t *>(y) + i);
#endif
    for (; i < count; ++i)
      y[i] = f16OfFloat(x[i]);
    return;
  }
  for (; i < count; ++i)
    y[i] = bf16OfFloat(x[i]);
}

} // namespace cleave::rt::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::rt {

HWY_EXPORT(widenHalves);
HWY_EXPORT(narrowToHalves);

void widenHalves(const uint16_t *x, float *y, int64_t count, ElementType type) {
  HWY_DYNAMIC_DISPATCH(widenHalves)(x, y, count, type);
}
void narrowToHalves(const float *x, uint16_t *y, int64_t count, ElementType type) {
  HWY_DYNAMIC_DISPATCH(narrowToHalves)(x, y, count, type);
}

namespace {

/// A float as an integer: towards zero, the nearest end of the range, 0 for a NaN.
template <typename To, typename From> To integerOf(From value) {
  // The upper end's successor is a power of two, which every float type has.
  const From end = std::ldexp(From{1}, std::numeric_limits<To>::digits);
  if (std::isnan(value))
    return 0;
  if (value >= end)
    return std::numeric_limits<To>::max();
  if (value <= static_cast<From>(std::numeric_limits<To>::min()))
    return std::numeric_limits<To>::min();
  return static_cast<To>(value);
}

template <typename To, typename From> To convert(From value) {
  if constexpr (std::is_same_v<To, bool>)
    return value != From{0};
  else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>)
    return integerOf<To>(value);
  else
    return static_cast<To>(value);
}

/// An i1 may have any bits but 0 for true; bool must not be read from them.
template <typename T> T load(const void *x, int64_t i) {
  if constexpr (std::is_same_v<T, bool>)
    return static_cast<const uint8_t *>(x)[i] != 0;
  else
    return static_cast<const T *>(x)[i];
}

constexpr bool isHalf(ElementType type) {
  return type == ElementType::f16 || type == ElementType::bf16;
}

void castPlain(ElementType from, const void *x, ElementType to, void *y, int64_t count) {
  withPlainType(from, [&]<typename From>() {
    withPlainType(to, [&]<typename To>() {
      for (int64_t i = 0; i < count; ++i)
        static_cast<To *>(y)[i] = convert<To>(load<From>(x, i));
    });
  });
}

} // namespace

void cast(const CastArgs &args, Part part) {
  const PartRange range = partRange(args.count, part, 64);
  const int64_t fromBytes = elementTypeInfo(args.from).blockBytes;
  const int64_t toBytes = elementTypeInfo(args.to).blockBytes;
  const auto *x = static_cast<const std::byte *>(args.x) + range.begin * fromBytes;
  auto *y = static_cast<std::byte *>(args.y) + range.begin * toBytes;
  const int64_t count = range.end - range.begin;
  if (args.from == args.to) {
    if (count > 0)
      std::memcpy(y, x, static_cast<size_t>(count * fromBytes));
    return;
  }
  if (!isHalf(args.from) && !isHalf(args.to))
    return castPlain(args.from, x, args.to, y, count);
  if (args.from == ElementType::f64 && args.to == ElementType::f16) { // rounded once
    for (int64_t i = 0; i < count; ++i)
      reinterpret_cast<_Float16 *>(y)[i] =
          static_cast<_Float16>(reinterpret_cast<const double *>(x)[i]);
    return;
  }
  if (isHalf(args.from) && args.to == ElementType::f32)
    return widenHalves(reinterpret_cast<const uint16_t *>(x), reinterpret_cast<float *>(y), count,
                       args.from);
  constexpr int64_t piece = 256;
  float room[piece];
  for (int64_t begin = 0; begin < count; begin += piece) {
    const int64_t size = std::min(piece, count - begin);
    const std::byte *from = x + begin * fromBytes;
    std::byte *to = y + begin * toBytes;
    const bool wide = args.from == ElementType::f32;
    const auto *floats = wide ? reinterpret_cast<const float *>(from) : room;
    if (isHalf(args.from))
      widenHalves(reinterpret_cast<const uint16_t *>(from), room, size, args.from);
    else if (!wide)
      castPlain(args.from, from, ElementType::f32, room, size);
    if (isHalf(args.to))
      narrowToHalves(floats, reinterpret_cast<uint16_t *>(to), size, args.to);
    else
      castPlain(ElementType::f32, floats, args.to, to, size);
  }
}

} // namespace cleave::rt
#endif
