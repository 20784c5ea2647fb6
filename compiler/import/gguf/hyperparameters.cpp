// Reading a decoder's numbers, with what each must be.
#include "compiler/import/gguf/hyperparameters.h"

#include <cmath>
#include <limits>

using namespace mlir;
using llvm::Twine;

namespace cleave::gguf {

static void readHeads(ModelBuilder &model, Hyperparameters &hp) {
  const File &file = model.file();
  hp.heads = model.size("attention.head_count");
  hp.kvHeads = model.sizeOr("attention.head_count_kv", hp.heads);
  std::string headsKey = model.fullKey("attention.head_count");
  if (hp.heads % hp.kvHeads != 0)
    return model.fail(file.keyError(headsKey, Twine(hp.heads) +
                                                  " heads are no multiple of the number of key and "
                                                  "value heads, " +
                                                  Twine(hp.kvHeads)));
  std::optional<int64_t> keyLength = model.findSize("attention.key_length");
  std::optional<int64_t> valueLength = model.findSize("attention.value_length");
  if ((!keyLength || !valueLength) && hp.embedding % hp.heads != 0)
    return model.fail(file.keyError(headsKey, "the embedding length " + Twine(hp.embedding) +
                                                  " is no multiple of " + Twine(hp.heads) +
                                                  " heads, and attention.key_length or "
                                                  "attention.value_length is missing"));
  hp.headDim = keyLength.value_or(hp.embedding / hp.heads);
  int64_t valueDim = valueLength.value_or(hp.embedding / hp.heads);
  if (hp.width() > std::numeric_limits<int32_t>::max())
    return model.fail(file.keyError(headsKey, Twine(hp.heads) + " heads of " + Twine(hp.headDim) +
                                                  " are more than 2147483647 elements"));
  if (valueDim != hp.headDim)
    model.fail(file.error("keys of length " + Twine(hp.headDim) + " and values of length " +
                          Twine(valueDim) + " (" + model.fullKey("attention.key_length") + ", " +
                          model.fullKey("attention.value_length") +
                          "): different lengths are not supported"));
}

/// As the key says, else the number of tokens, else the embedding's rows.
static int64_t readVocabularySize(ModelBuilder &model) {
  const File &file = model.file();
  llvm::Expected<std::optional<std::vector<StringRef>>> tokens =
      file.getStrings("tokenizer.ggml.tokens");
  if (!tokens)
    return model.fail(tokens.takeError()), 1;
  std::optional<int64_t> size = model.findSize("vocab_size");
  if (!size && *tokens)
    size = int64_t((*tokens)->size());
  if (!size)
    if (const Tensor *table = file.findTensor("token_embd.weight"))
      size = table->dims.size() == 2 ? table->dims[1] : 1;
  int64_t texts = *tokens ? int64_t((*tokens)->size()) : size.value_or(1);
  if (texts > size.value_or(1))
    model.fail(file.keyError("tokenizer.ggml.tokens", Twine(texts) +
                                                          " tokens; expected at most the "
                                                          "vocabulary's " +
                                                          Twine(*size)));
  if (texts < size.value_or(1))
    model.warn(Twine(*size - texts) + " of the vocabulary's " + Twine(*size) +
               " tokens have no text in tokenizer.ggml.tokens");
  return size.value_or(1);
}

static void readRope(ModelBuilder &model, Hyperparameters &hp) {
  const File &file = model.file();
  hp.rotaryDim = model.sizeOr("rope.dimension_count", hp.headDim);
  if (hp.rotaryDim > hp.headDim || hp.rotaryDim % 2 != 0)
    model.fail(file.keyError(model.fullKey("rope.dimension_count"),
                             "the value is " + Twine(hp.rotaryDim) +
                                 "; expected an even number of at most the head's " +
                                 Twine(hp.headDim)));
  hp.ropeBase = model.positiveOr("rope.freq_base", 10000);

  // A factor of 0 means none. The old key says the same as the new one.
  std::string typeKey = model.fullKey("rope.scaling.type");
  StringRef type = model.findString("rope.scaling.type").value_or("linear");
  if (type != "none" && type != "linear")
    return model.fail(file.keyError(typeKey, "rope scaling of type " + quoted(type) +
                                                 " is not supported; expected none or linear"));
  std::optional<float> factor = model.findNumber("rope.scaling.factor");
  if (!factor)
    factor = model.findNumber("rope.scale_linear");
  hp.ropeScale = type == "none" || factor.value_or(0) == 0 ? 1 : 1 / *factor;
  if (hp.ropeScale < 0 || !std::isfinite(hp.ropeScale))
    model.fail(file.error("the rope scaling factor (" + model.fullKey("rope.scaling.factor") +
                          ") is " + std::to_string(*factor) + "; expected more than 0"));
  if (model.findNumber("rope.scaling.attn_factor").value_or(1) != 1)
    model.fail(file.keyError(model.fullKey("rope.scaling.attn_factor"),
                             "a factor on attention is not supported; expected 1"));
}

/// A window that reaches over the whole context is none.
static void readWindow(ModelBuilder &model, Hyperparameters &hp) {
  std::string key = model.fullKey("attention.sliding_window");
  llvm::Expected<std::optional<uint64_t>> window = model.file().getUInt(key);
  if (!window)
    return model.fail(window.takeError());
  if (window->value_or(0) > 0 && **window < uint64_t(hp.contextLength))
    hp.window = int64_t(**window);
}

Hyperparameters readHyperparameters(ModelBuilder &model) {
  Hyperparameters hp = {};
  hp.blocks = model.size("block_count");
  hp.embedding = model.size("embedding_length");
  hp.feedForward = model.size("feed_forward_length");
  hp.contextLength = model.size("context_length");
  hp.epsilon = model.positive("attention.layer_norm_rms_epsilon");
  readHeads(model, hp);
  hp.vocabulary = readVocabularySize(model);
  readRope(model, hp);
  readWindow(model, hp);
  hp.experts = readExperts(model, hp.feedForward);
  return hp;
}

} // namespace cleave::gguf
