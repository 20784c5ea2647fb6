// From a GGUF file's tokenizer metadata to the vocabulary that a package holds.
// What the tokens mean for text is runtime/text's business.
#pragma once

#include "compiler/import/gguf/reader.h"
#include "runtime/program/tokenizer_file.h"

#include <optional>
#include <string>

namespace cleave::gguf {

/// A vocabulary, or why there is none: the file carries none, or one of a kind that
/// is not supported. Its model can be partitioned nevertheless, and run on tokens.
struct Vocabulary {
  std::optional<TokenizerData> tokenizer;
  std::string missing; ///< begins with the file's path
};

/// Reads the vocabulary. What contradicts itself (lengths, ids out of range) is an
/// error that names the key. The result has passed checkTokenizer.
llvm::Expected<Vocabulary> readVocabulary(const File &file);

} // namespace cleave::gguf
