// See communicator_checks.h. Values are small integers wherever a type must hold
// them exactly, so that the expected sums are exact in every order.
#include "test/runtime/comm/communicator_checks.h"

#include "runtime/program/half.h"

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace cleave::rt {
namespace {

using Bytes = std::vector<std::byte>;

void expect(bool holds, const std::string &what) {
  if (!holds)
    throw std::runtime_error("check failed: " + what);
}

template <typename T> T valueAs(ElementType type, int value) {
  if (type == ElementType::f16)
    return static_cast<T>(f16OfFloat(static_cast<float>(value)));
  if (type == ElementType::bf16)
    return static_cast<T>(bf16OfFloat(static_cast<float>(value)));
  return static_cast<T>(value);
}

/// `values` as elements of `type`.
Bytes encode(ElementType type, const std::vector<int> &values) {
  size_t size = elementTypeInfo(type).blockBytes;
  Bytes bytes(values.size() * size);
  for (size_t i = 0; i < values.size(); ++i) {
    auto put = [&](auto value) { std::memcpy(bytes.data() + i * size, &value, sizeof value); };
    switch (type) {
    case ElementType::f32:
      put(static_cast<float>(values[i]));
      break;
    case ElementType::f16:
    case ElementType::bf16:
      put(valueAs<uint16_t>(type, values[i]));
      break;
    case ElementType::i32:
      put(static_cast<int32_t>(values[i]));
      break;
    case ElementType::f64:
      put(static_cast<double>(values[i]));
      break;
    case ElementType::i16:
    case ElementType::u16:
      put(static_cast<int16_t>(values[i]));
      break;
    case ElementType::u32:
      put(static_cast<uint32_t>(values[i]));
      break;
    case ElementType::i64:
    case ElementType::u64:
      put(static_cast<int64_t>(values[i]));
      break;
    default:
      put(static_cast<int8_t>(values[i]));
    }
  }
  return bytes;
}

/// What rank `rank` has at place `i`: between 0 and 15, so that sums over a few
/// ranks are exact in every type.
int valueOf(int rank, size_t i) {
  return static_cast<int>((i * 7 + rank * 3 + 1) % 16);
}

std::vector<int> valuesOf(int rank, size_t count) {
  std::vector<int> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = valueOf(rank, i);
  return values;
}

std::vector<int> sumOver(const std::vector<uint32_t> &ranks, size_t count) {
  std::vector<int> sums(count);
  for (uint32_t rank : ranks)
    for (size_t i = 0; i < count; ++i)
      sums[i] += valueOf(static_cast<int>(rank), i);
  return sums;
}

constexpr ElementType types[] = {ElementType::f32, ElementType::f16, ElementType::bf16,
                                 ElementType::i32, ElementType::i64, ElementType::i8,
                                 ElementType::u8,  ElementType::f64, ElementType::i16,
                                 ElementType::u16, ElementType::u32, ElementType::u64};

/// Collectives over `group`, whose ranks are `ranks` in this order.
void checkCollectives(Communicator &c, GroupId group, const std::vector<uint32_t> &ranks) {
  int member = 0;
  while (ranks[member] != static_cast<uint32_t>(c.rank()))
    ++member;
  std::string tail = " on rank " + std::to_string(c.rank());

  for (ElementType type : types) {
    std::string of = " of " + std::string(elementTypeInfo(type).name);
    size_t size = elementTypeInfo(type).blockBytes;
    for (size_t count : {size_t{0}, size_t{1}, size_t{17}, size_t{100000}}) {
      std::string counted = of + " x " + std::to_string(count) + tail;
      Bytes data = encode(type, valuesOf(c.rank(), count));
      c.allReduce(data.data(), count, type, group);
      expect(data == encode(type, sumOver(ranks, count)), "all_reduce" + counted);

      auto root = static_cast<int>(ranks.size()) - 1;
      data = encode(type, valuesOf(c.rank(), count));
      c.broadcast(data.data(), count, type, root, group);
      expect(data == encode(type, valuesOf(static_cast<int>(ranks[root]), count)),
             "broadcast" + counted);
    }

    // Member m brings 3m elements (member 0: none); shares lie in reverse order.
    std::vector<int> counts(ranks.size());
    std::vector<int> offsets(ranks.size());
    size_t total = 0;
    for (size_t m = ranks.size(); m-- > 0;) {
      counts[m] = static_cast<int>(3 * m);
      offsets[m] = static_cast<int>(total);
      total += 3 * m;
    }
    std::vector<int> gathered(total);
    for (size_t m = 0; m < ranks.size(); ++m)
      for (int i = 0; i < counts[m]; ++i)
        gathered[offsets[m] + i] = valueOf(static_cast<int>(ranks[m]), i);
    Bytes mine = encode(type, valuesOf(c.rank(), counts[member]));
    Bytes all(total * size);
    c.allGather(mine.data(), all.data(), counts, offsets, type, group);
    expect(all == encode(type, gathered), "all_gather" + of + tail);

    Bytes whole = encode(type, valuesOf(c.rank(), total));
    Bytes share(counts[member] * size);
    c.reduceScatter(whole.data(), share.data(), counts, type, group);
    std::vector<int> sums = sumOver(ranks, total);
    int begin = std::accumulate(counts.begin(), counts.begin() + member, 0);
    expect(share == encode(type, {sums.begin() + begin, sums.begin() + begin + counts[member]}),
           "reduce_scatter" + of + tail);

    // Member a sends b + 2 * (a % 2) elements to member b, its blocks one behind the other;
    // they come to lie in reverse order.
    auto between = [](size_t a, size_t b) { return static_cast<int>(b + 2 * (a % 2)); };
    const auto self = static_cast<size_t>(member);
    std::vector<int> sendCounts, sendOffsets, recvCounts(ranks.size()), recvOffsets(ranks.size());
    int sent = 0, received = 0;
    for (size_t m = 0; m < ranks.size(); ++m) {
      sendCounts.push_back(between(self, m));
      sendOffsets.push_back(sent);
      sent += sendCounts.back();
    }
    std::vector<int> wanted;
    for (size_t m = ranks.size(); m-- > 0;) {
      recvCounts[m] = between(m, self);
      recvOffsets[m] = received;
      received += recvCounts[m];
      int first = 0;
      for (size_t before = 0; before < self; ++before)
        first += between(m, before);
      for (int i = 0; i < recvCounts[m]; ++i)
        wanted.push_back(valueOf(static_cast<int>(ranks[m]), static_cast<size_t>(first + i)));
    }
    Bytes blocks = encode(type, valuesOf(c.rank(), static_cast<size_t>(sent)));
    Bytes exchanged(static_cast<size_t>(received) * size);
    c.allToAll(blocks.data(), sendCounts, sendOffsets, exchanged.data(), recvCounts, recvOffsets,
               type, group);
    expect(exchanged == encode(type, wanted), "all_to_all" + of + tail);
  }
}

/// Every rank sends to its right, more often than buffers were reserved, and all
/// before anyone receives.
void checkMessages(Communicator &c) {
  int right = (c.rank() + 1) % c.size();
  int left = (c.rank() + c.size() - 1) % c.size();
  constexpr size_t counts[] = {5, 0, 1000, 1};
  c.reserveSends(1000 * sizeof(float), 8);
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < std::size(counts); ++i) {
      Bytes data = encode(ElementType::f32, valuesOf(c.rank() + static_cast<int>(i), counts[i]));
      c.send(data.data(), counts[i], ElementType::f32, right, 7);
      std::fill(data.begin(), data.end(), std::byte{0xff}); // the message must not see this
    }
    // Another tag, sent later and received first.
    Bytes other = encode(ElementType::bf16, {c.rank()});
    c.send(other.data(), 1, ElementType::bf16, right, 8);
    c.recv(other.data(), 1, ElementType::bf16, left, 8);
    expect(other == encode(ElementType::bf16, {left}), "a message with another tag");
    for (size_t i = 0; i < std::size(counts); ++i) {
      Bytes data(counts[i] * sizeof(float));
      c.recv(data.data(), counts[i], ElementType::f32, left, 7);
      expect(data == encode(ElementType::f32, valuesOf(left + static_cast<int>(i), counts[i])),
             "message " + std::to_string(i) + " from the left");
    }
  }
}

} // namespace

void checkOperations(Communicator &c) {
  std::vector<uint32_t> all(c.size());
  std::iota(all.begin(), all.end(), 0u);
  GroupId world = c.makeGroup(all);
  expect(c.makeGroup(all) == world, "the same list gives the same group");
  checkCollectives(c, world, all);
  c.barrier();

  // Groups that overlap: every pair (a, b) with a > b, in descending order, and
  // each rank alone.
  for (uint32_t a = 0; a < all.size(); ++a)
    for (uint32_t b = 0; b <= a; ++b) {
      std::vector<uint32_t> pair = a == b ? std::vector{a} : std::vector{a, b};
      auto self = static_cast<uint32_t>(c.rank());
      if (self == a || self == b)
        checkCollectives(c, c.makeGroup(pair), pair);
    }
  if (c.size() > 1)
    checkMessages(c);
  c.barrier();
}

void checkSameBits(Communicator &c) {
  std::vector<uint32_t> all(c.size());
  std::iota(all.begin(), all.end(), 0u);
  GroupId world = c.makeGroup(all);
  std::mt19937 random(1234 + c.rank());
  for (size_t count : {1, 3, 63, 64, 1000, 2048, 4096, 50000, 1000000}) {
    std::vector<float> data(count);
    for (float &x : data)
      x = std::ldexp(static_cast<float>(random()), static_cast<int>(random() % 24));
    c.allReduce(data.data(), count, ElementType::f32, world);
    std::vector<float> first = data;
    c.broadcast(first.data(), count, ElementType::f32, 0, world);
    expect(std::memcmp(first.data(), data.data(), count * sizeof(float)) == 0,
           "the sum of " + std::to_string(count) + " floats has rank 0's bits on rank " +
               std::to_string(c.rank()));
  }
}

} // namespace cleave::rt
