// The candidates of a row: its largest elements and where they are, best first. What
// cleave.top_k makes, all_reduce top merges and the sampler reads.
#pragma once

#include <cstdint>
#include <limits>

namespace cleave {

/// One of a tensor's [rows, count, 2] f32.
struct Candidate {
  float value = -std::numeric_limits<float>::infinity();
  float id = -1; ///< the column in the whole row; -1 for none, where the row is too short
};

/// The most candidates of a row.
inline constexpr int64_t maxCandidates = 1024;
/// Columns are numbered exactly in f32 below this.
inline constexpr int64_t maxCandidateColumns = int64_t{1} << 24;

/// What a value counts as: what is not a number is as good as +inf, so that whoever reads
/// the candidates sees it.
inline float candidateKey(float value) {
  return value != value ? std::numeric_limits<float>::infinity() : value;
}

/// The order of candidates: larger values first, smaller columns among equals, those that
/// stand for none last.
inline bool comesBefore(Candidate a, Candidate b) {
  float keyA = candidateKey(a.value), keyB = candidateKey(b.value);
  if (keyA != keyB)
    return keyA > keyB;
  return a.id >= 0 && (b.id < 0 || a.id < b.id);
}

} // namespace cleave
