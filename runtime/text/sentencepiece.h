// The SentencePiece-style vocabulary that llama-family files carry: pieces with
// scores, U+2581 for a space, byte tokens for what has no piece.
#pragma once

#include "runtime/text/tokenizer.h"

#include <array>
#include <unordered_map>

namespace cleave::rt {

/// Cuts text as SentencePiece's BPE model does: begins with characters, and
/// merges, as long as any adjacent two form a piece, the two whose piece has the
/// highest score, the leftmost among equals.
/// (T. Kudo, J. Richardson, "SentencePiece", EMNLP 2018; arXiv:1808.06226.)
class SentencePieceTokenizer final : public Tokenizer {
public:
  /// `data` has passed checkTokenizer.
  explicit SentencePieceTokenizer(TokenizerData data);

private:
  void encodePlain(std::string_view text, std::vector<int32_t> &out) const override;
  void decodePlain(int32_t id, std::string &out) const override;

  /// The piece's id, or -1. Only normal, user-defined and unused pieces are found:
  /// text never turns into a control token by merging.
  int32_t find(std::string_view piece) const;
  /// Appends byte tokens for a character without a piece, or the unknown token,
  /// one for a run of such characters (`lastUnknown`).
  void encodeUnmatched(std::string_view character, bool &lastUnknown,
                       std::vector<int32_t> &out) const;

  std::unordered_map<std::string_view, int32_t> pieces; ///< views into the tokens' bytes
  size_t longestPiece = 0;                              ///< in bytes
  std::array<int32_t, 256> byteTokens;                  ///< -1 where absent
};

} // namespace cleave::rt
