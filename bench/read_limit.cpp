// How fast this machine reads a package's weights when it does nothing else: the limit that
// generation is held against. The weight file is mapped as the runtime maps it, brought in by
// one pass, and then read in several ways, each for a while; bench/run takes the best.
#include "bench/pinned_threads.h"
#include "runtime/program/manifest.h"
#include "runtime/program/weight_file.h"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

using namespace cleave;
using namespace cleave::rt;

namespace {

using Clock = std::chrono::steady_clock;

/// The unit of a read: four cache lines of each stream in turn.
constexpr size_t stepBytes = 256;
constexpr size_t lineBytes = 64;
constexpr size_t prefetchBytes = 2048;
constexpr std::chrono::duration<double> timePerRead{0.2};

struct Variant {
  size_t threads;
  size_t streams; ///< of each thread, at equal distances
  bool prefetch;
};

/// A sum over `bytes` from `data`, which is aligned, so that no read can be left out.
uint64_t readAll(const std::byte *data, size_t bytes, const Variant &variant) {
  typedef uint64_t Pair __attribute__((vector_size(16)));
  Pair sums[4] = {};
  const size_t piece = bytes / variant.streams / stepBytes * stepBytes;
  for (size_t offset = 0; offset < piece; offset += stepBytes)
    for (size_t stream = 0; stream < variant.streams; ++stream) {
      const std::byte *from = data + stream * piece + offset;
      if (variant.prefetch)
        for (size_t line = 0; line < stepBytes; line += lineBytes)
          __builtin_prefetch(from + prefetchBytes + line);
      for (size_t i = 0; i < stepBytes / sizeof(Pair); ++i)
        sums[i % 4] ^= reinterpret_cast<const Pair *>(from)[i];
    }
  Pair sum = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
  return sum[0] ^ sum[1];
}

/// Bytes per second over whole passes, all threads together, each on a processor of its own.
double measure(std::span<const std::byte> bytes, const Variant &variant) {
  const size_t share = bytes.size() / variant.threads / stepBytes * stepBytes;
  bool goOn = true;
  size_t passes = 0;
  auto begin = Clock::now();
  Clock::duration taken{};
  std::barrier meet(static_cast<std::ptrdiff_t>(variant.threads), [&]() noexcept {
    taken = Clock::now() - begin;
    goOn = taken < timePerRead;
    ++passes;
  });
  std::barrier start(static_cast<std::ptrdiff_t>(variant.threads),
                     [&]() noexcept { begin = Clock::now(); });
  volatile uint64_t sink = 0;
  runPinned(variant.threads, [&](size_t thread) {
    start.arrive_and_wait();
    while (goOn) {
      sink = readAll(bytes.data() + thread * share, share, variant);
      meet.arrive_and_wait();
    }
  });
  // Pieces are whole steps, so a little may be left out at their ends.
  const size_t piece = share / variant.streams / stepBytes * stepBytes;
  return static_cast<double>(piece * variant.streams * variant.threads * passes) /
         std::chrono::duration<double>(taken).count();
}

void run(const std::string &package, const std::vector<size_t> &threadCounts) {
  Manifest manifest = readManifest(package);
  WeightFile file(std::filesystem::path(package) / weightFileName(0), manifest.packageId, 0);
  std::span<const std::byte> bytes = file.bytes().subspan(weightFileHeaderBytes);
  if (bytes.size() < 64 * stepBytes * *std::ranges::max_element(threadCounts))
    throw std::runtime_error(file.path().string() + ": is too small to be measured");
  volatile uint64_t sink = readAll(bytes.data(), bytes.size(), {1, 1, false});
  (void)sink;
  for (size_t threads : threadCounts)
    for (size_t streams : {1, 4, 8})
      for (bool prefetch : {false, true})
        std::printf("{\"threads\":%zu,\"streams\":%zu,\"prefetch\":%s,"
                    "\"bytes_per_second\":%.0f}\n",
                    threads, streams, prefetch ? "true" : "false",
                    measure(bytes, {threads, streams, prefetch}));
}

} // namespace

int main(int argc, char **argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: read-limit PACKAGE THREADS...\n"
                         "Reads the weights of the package's first rank with each number of "
                         "threads, and prints a line of JSON for each way of reading.\n");
    return 2;
  }
  try {
    run(argv[1], cleave::parseThreadCounts(argv + 2, argv + argc));
  } catch (const std::exception &error) {
    std::fprintf(stderr, "read-limit: error: %s\n", error.what());
    return 1;
  }
}
