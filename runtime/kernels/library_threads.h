// How many threads oneDNN takes: it divides any work among all of OpenMP's, however small.
#pragma once

#include <omp.h>

namespace cleave::rt {

/// While it lives, the calling thread's OpenMP has one thread for work of few products, which is
/// done before a second one could begin. A primitive is made and run under the same number.
class LibraryThreads {
public:
  explicit LibraryThreads(double products) : before(omp_get_max_threads()) {
    if (products < leastSharedProducts)
      omp_set_num_threads(1);
  }
  ~LibraryThreads() { omp_set_num_threads(before); }
  LibraryThreads(const LibraryThreads &) = delete;
  LibraryThreads &operator=(const LibraryThreads &) = delete;

private:
  static constexpr double leastSharedProducts = 1e6; // some 8 us
  int before;
};

} // namespace cleave::rt
