// Checks of indices, each run.
#include "runtime/engine/index_checks.h"

#include <algorithm>
#include <stdexcept>

namespace cleave::rt {

namespace {

class IndexCheck : public Step {
public:
  IndexCheck(Location place, Size count, int64_t least, Size limit, std::string value,
             std::string what)
      : place(place), count(count), least(least), limit(limit), value(std::move(value)),
        what(std::move(what)) {}

  void bind(const Memory &memory) override { indices = memory.read<int32_t>(place); }

  void prepare(const int64_t *symbols) override {
    total = count(symbols);
    size = limit(symbols);
  }

  void run(RunContext &context) const override {
    context.runAlone([&] { check(); });
  }

private:
  void check() const {
    for (int64_t i = 0; i < total; ++i)
      if (indices[i] < least || indices[i] - least >= size)
        throw std::runtime_error(
            value + " has the value " + std::to_string(indices[i]) + " at index " +
            std::to_string(i) + ", but " + what + " has " +
            (size > 0 ? std::to_string(least) + " to " + std::to_string(least + (size - 1))
                      : std::string("none")));
  }

  Location place;
  Size count;
  int64_t least;
  Size limit;
  std::string value;
  std::string what;
  const int32_t *indices = nullptr;
  int64_t total = 0, size = 0;
};

class SignedIndexCheck : public Step {
public:
  SignedIndexCheck(Location place, bool isWide, Size count, std::vector<Size> limits,
                   std::string value, std::string what)
      : place(place), isWide(isWide), count(count), limits(std::move(limits)),
        sizes(this->limits.size()), value(std::move(value)), what(std::move(what)) {}

  void bind(const Memory &memory) override { indices = memory.read<std::byte>(place); }

  void prepare(const int64_t *symbols) override {
    total = count(symbols);
    for (size_t i = 0; i < limits.size(); ++i)
      sizes[i] = limits[i](symbols);
  }

  void run(RunContext &context) const override {
    context.runAlone([&] {
      if (isWide)
        check(reinterpret_cast<const int64_t *>(indices));
      else
        check(reinterpret_cast<const int32_t *>(indices));
    });
  }

private:
  template <typename T> void check(const T *numbers) const {
    for (int64_t i = 0; i < total;)
      for (int64_t size : sizes) {
        int64_t number = numbers[i++];
        if (number < -size || number >= size)
          throw std::runtime_error(
              value + " has the value " + std::to_string(number) + " at index " +
              std::to_string(i - 1) + ", but " + what + " has " +
              (size > 0 ? std::to_string(-size) + " to " + std::to_string(size - 1)
                        : std::string("none")));
      }
  }

  Location place;
  bool isWide;
  Size count;
  std::vector<Size> limits;
  std::vector<int64_t> sizes;
  std::string value;
  std::string what;
  const std::byte *indices = nullptr;
  int64_t total = 0;
};

class PlaceCheck : public Step {
public:
  PlaceCheck(Location slotsPlace, Location positionsPlace, Location room, Size count,
             std::string slotsValue, std::string positionsValue)
      : slotsPlace(slotsPlace), positionsPlace(positionsPlace), room(room), count(count),
        slotsValue(std::move(slotsValue)), positionsValue(std::move(positionsValue)) {}

  void bind(const Memory &memory) override {
    slots = memory.read<int32_t>(slotsPlace);
    positions = memory.read<int32_t>(positionsPlace);
    sorted = memory.write<int64_t>(room);
  }

  void prepare(const int64_t *symbols) override { total = count(symbols); }

  void run(RunContext &context) const override {
    context.runAlone([&] { check(); });
  }

private:
  void check() const {
    bool ascending = true;
    for (int64_t i = 0; i < total; ++i) {
      sorted[i] = int64_t{slots[i]} * (int64_t{1} << 32) + positions[i];
      ascending &= i == 0 || sorted[i - 1] < sorted[i];
    }
    if (ascending) // the usual case: one sequence, its tokens in order
      return;
    std::sort(sorted, sorted + total);
    for (int64_t i = 1; i < total; ++i)
      if (sorted[i - 1] == sorted[i])
        throw std::runtime_error(slotsValue + " and " + positionsValue +
                                 " give two tokens the same place: slot " +
                                 std::to_string(sorted[i] >> 32) + ", position " +
                                 std::to_string(sorted[i] & 0xffffffff));
  }

  Location slotsPlace, positionsPlace, room;
  Size count;
  std::string slotsValue, positionsValue;
  const int32_t *slots = nullptr;
  const int32_t *positions = nullptr;
  int64_t *sorted = nullptr;
  int64_t total = 0;
};

} // namespace

std::unique_ptr<Step> makeIndexCheck(Location indices, Size count, int64_t least, Size limit,
                                     std::string value, std::string what) {
  return std::make_unique<IndexCheck>(indices, count, least, limit, std::move(value),
                                      std::move(what));
}

std::unique_ptr<Step> makeSignedIndexCheck(Location indices, bool isWide, Size count,
                                           std::vector<Size> limits, std::string value,
                                           std::string what) {
  return std::make_unique<SignedIndexCheck>(indices, isWide, count, std::move(limits),
                                            std::move(value), std::move(what));
}

std::unique_ptr<Step> makePlaceCheck(Location slots, Location positions, Location room, Size count,
                                     std::string slotsValue, std::string positionsValue) {
  return std::make_unique<PlaceCheck>(slots, positions, room, count, std::move(slotsValue),
                                      std::move(positionsValue));
}

} // namespace cleave::rt
