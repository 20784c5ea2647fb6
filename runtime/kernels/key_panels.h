// How keys lie in a cache: transposed, a panel of them at a time, so that a vector holds one
// dimension of many keys, and their products with a query need no sums across a vector.
#pragma once

#include <cstdint>

namespace cleave::rt {

/// Keys of a panel. A cache of keys is [slots][panels][width][panelKeys], where the panels of a
/// slot have room for all of its context.
inline constexpr int64_t panelKeys = 32;

/// The keys of a slot for which whole panels have room.
constexpr int64_t roomForKeys(int64_t context) {
  return (context + panelKeys - 1) / panelKeys * panelKeys;
}

/// Where the first element of a key is; the next ones follow at distances of panelKeys.
constexpr int64_t placeOfKey(int64_t slot, int64_t position, int64_t context, int64_t width) {
  return (slot * roomForKeys(context) + position / panelKeys * panelKeys) * width +
         position % panelKeys;
}

} // namespace cleave::rt
