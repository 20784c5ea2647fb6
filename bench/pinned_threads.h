// Threads of which each has a processor of its own, for compute-limit.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstring>
#include <pthread.h>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace cleave {

/// The processors that this process may use.
inline std::vector<int> usableProcessors() {
  cpu_set_t set;
  std::vector<int> processors;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int i = 0; i < CPU_SETSIZE; ++i)
      if (CPU_ISSET(i, &set))
        processors.push_back(i);
  return processors;
}

/// Runs work(i) for each i below `count` at the same time, each on one processor, in turn
/// where there are fewer.
template <class Work> void runPinned(size_t count, Work work) {
  const std::vector<int> processors = usableProcessors();
  auto pinned = [&](size_t index) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processors.at(index % processors.size()), &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    work(index);
  };
  std::vector<std::jthread> threads;
  for (size_t index = 0; index < count; ++index)
    threads.emplace_back(pinned, index);
}

/// Words of a command line as numbers of threads. Throws std::runtime_error.
inline std::vector<size_t> parseThreadCounts(char **begin, char **end) {
  std::vector<size_t> counts;
  for (char **word = begin; word != end; ++word) {
    size_t count = 0;
    const char *wordEnd = *word + std::strlen(*word);
    auto [next, error] = std::from_chars(*word, wordEnd, count);
    if (error != std::errc() || next != wordEnd || count < 1 || count > 1024)
      throw std::runtime_error("'" + std::string(*word) +
                               "' is no number of threads from 1 to 1024");
    counts.push_back(count);
  }
  return counts;
}

} // namespace cleave
