// The byte-pair vocabulary that gpt2-style files carry (Qwen, Llama 3): pieces of bytes,
// each byte written as a printable character, and a list of merges, the most frequent first.
#pragma once

#include "runtime/text/tokenizer.h"

#include <memory>
#include <unordered_map>

namespace cleave::rt {

class WordPattern;

/// Cuts text into words by a pattern of the vocabulary's family, and a word into pieces:
/// begins with bytes, and joins, as long as any two neighbours are a merge, the two whose
/// merge comes first in the list, the leftmost among equals.
/// (R. Sennrich, B. Haddow, A. Birch, "Neural Machine Translation of Rare Words with Subword
/// Units", ACL 2016; on bytes: A. Radford et al., "Language Models are Unsupervised Multitask
/// Learners", 2019.)
class BytePairTokenizer final : public Tokenizer {
public:
  /// `data` has passed checkTokenizer.
  explicit BytePairTokenizer(TokenizerData data);
  ~BytePairTokenizer() override;

private:
  void encodePlain(std::string_view text, std::vector<int32_t> &out) const override;
  void decodePlain(int32_t id, std::string &out) const override;

  void encodeWord(std::string_view word, std::vector<int32_t> &out) const;
  /// The piece's id, or -1. Control tokens are not found.
  int32_t find(std::string_view piece) const;
  /// The place of a merge in the list, or -1. The parts lie one behind the other.
  int32_t findMerge(std::string_view both, size_t leftSize) const;

  std::unordered_map<std::string_view, int32_t> pieces; ///< views into the tokens' bytes
  std::unordered_map<std::string_view, int32_t> ranks;  ///< by "left right", as in the list
  size_t longestMerge = 0;                              ///< in bytes, with its space
  std::unique_ptr<WordPattern> words;
};

} // namespace cleave::rt
