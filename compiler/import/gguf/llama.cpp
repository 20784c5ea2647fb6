// Names of keys and tensors: GGUF's specification and the converter of llama.cpp;
// values for absent keys: llama.cpp's. The converter has interleaved the rows of q
// and k, so that a rotary pair is (2j, 2j + 1).
#include "compiler/import/gguf/llama.h"

#include "llvm/ADT/StringSwitch.h"

#include <cmath>

using namespace mlir;
using llvm::Twine;

namespace cleave::gguf {

namespace {

struct Hyperparameters {
  int64_t blocks, embedding, feedForward, contextLength, vocabulary;
  int64_t heads, kvHeads, headDim;
  float epsilon;
  int64_t rotaryDim;
  float ropeBase, ropeScale;
};

/// The weights and states of one block.
struct Block {
  WeightOp attnNorm, ffnNorm;
  LinearWeights q, k, v, attnOutput, gate, up, down;
  StateOp kCache, vCache;
};

class Llama {
public:
  explicit Llama(ModelBuilder &model) : model(model) {}

  OwningOpRef<ModuleOp> import();

private:
  void refuseVariants();
  void readHyperparameters();
  void readHeads();
  int64_t readVocabularySize();
  void readRope();
  void declareWeights();
  Block declareBlock(int64_t index);
  Value buildBlock(Value x, int64_t index);

  ModelBuilder &model;
  Hyperparameters hp = {};
  WeightOp embedding, outputNorm, ropeFactors;
  LinearWeights output;
  std::vector<Block> blocks;
};

/// What changes the result and is not built here.
void Llama::refuseVariants() {
  const File &file = model.file();
  std::string experts = model.fullKey("expert_count");
  llvm::Expected<std::optional<uint64_t>> count = file.getUInt(experts);
  if (!count)
    return model.fail(count.takeError());
  if (count->value_or(0) > 0)
    return model.fail(file.keyError(experts, "the value is " + Twine(**count) +
                                                 "; mixtures of experts are not supported"));
  std::string causal = model.fullKey("attention.causal");
  llvm::Expected<std::optional<bool>> isCausal = file.getBool(causal);
  if (!isCausal)
    return model.fail(isCausal.takeError());
  if (!isCausal->value_or(true))
    return model.fail(file.keyError(causal, "attention that is not causal is not supported"));
  for (StringRef name : {"rope_factors_long.weight", "rope_factors_short.weight"})
    if (const Tensor *tensor = file.findTensor(name))
      return model.fail(file.tensorError(*tensor, "rope scaling by two sets of factors "
                                                  "(longrope) is not supported"));
}

void Llama::readHyperparameters() {
  hp.blocks = model.size("block_count");
  hp.embedding = model.size("embedding_length");
  hp.feedForward = model.size("feed_forward_length");
  hp.contextLength = model.size("context_length");
  hp.epsilon = model.positive("attention.layer_norm_rms_epsilon");
  readHeads();
  hp.vocabulary = readVocabularySize();
  readRope();
}

void Llama::readHeads() {
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
  if (valueDim != hp.headDim)
    model.fail(file.error("keys of length " + Twine(hp.headDim) + " and values of length " +
                          Twine(valueDim) + " (" + model.fullKey("attention.key_length") + ", " +
                          model.fullKey("attention.value_length") +
                          "): different lengths are not supported"));
}

/// As the key says, else the number of tokens, else the embedding's rows.
int64_t Llama::readVocabularySize() {
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

void Llama::readRope() {
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

void Llama::declareWeights() {
  embedding = model.matrix("token_embd.weight", hp.vocabulary, hp.embedding);
  // Every block needs tensors of its own: a block_count beyond them ends here.
  for (int64_t i = 0; i < hp.blocks && !model.hasFailed(); ++i)
    blocks.push_back(declareBlock(i));
  outputNorm = model.vector("output_norm.weight", hp.embedding);
  output.weight = model.optionalMatrix("output.weight", hp.vocabulary, hp.embedding);
  output.bias = model.optionalVector("output.bias", hp.vocabulary);
  if (!output.weight)
    output.weight = embedding;
  ropeFactors = model.optionalVector("rope_freqs.weight", hp.rotaryDim / 2);
  if (model.hasFailed())
    return;
  int64_t kvWidth = hp.kvHeads * hp.headDim;
  for (auto [index, block] : llvm::enumerate(blocks)) {
    std::string prefix = "blk." + std::to_string(index);
    block.kCache = model.state(prefix + ".k", kvWidth);
    block.vCache = model.state(prefix + ".v", kvWidth);
  }
}

Block Llama::declareBlock(int64_t index) {
  std::string prefix = "blk." + std::to_string(index) + ".";
  int64_t width = hp.heads * hp.headDim, kvWidth = hp.kvHeads * hp.headDim;
  Block block;
  block.attnNorm = model.vector(prefix + "attn_norm.weight", hp.embedding);
  block.q = model.linearWeights(prefix + "attn_q", width, hp.embedding);
  block.k = model.linearWeights(prefix + "attn_k", kvWidth, hp.embedding);
  block.v = model.linearWeights(prefix + "attn_v", kvWidth, hp.embedding);
  block.attnOutput = model.linearWeights(prefix + "attn_output", hp.embedding, width);
  block.ffnNorm = model.vector(prefix + "ffn_norm.weight", hp.embedding);
  block.gate = model.linearWeights(prefix + "ffn_gate", hp.feedForward, hp.embedding);
  block.up = model.linearWeights(prefix + "ffn_up", hp.feedForward, hp.embedding);
  block.down = model.linearWeights(prefix + "ffn_down", hp.embedding, hp.feedForward);
  return block;
}

Value Llama::buildBlock(Value x, int64_t index) {
  const Block &block = blocks[index];
  auto name = [&](const char *part) { return "blk." + std::to_string(index) + "." + part; };
  ModelBuilder::RopeParameters rope{hp.headDim,   hp.rotaryDim,           hp.ropeBase,
                                    hp.ropeScale, RopeStyle::Interleaved, ropeFactors};

  Value h = model.rmsNorm(x, block.attnNorm, hp.epsilon, name("attn_norm"));
  Value q = model.linear(h, block.q, name("attn_q"));
  Value k = model.linear(h, block.k, name("attn_k"));
  Value v = model.linear(h, block.v, name("attn_v"));
  q = model.rope(q, rope, name("attn_q_rope"));
  k = model.rope(k, rope, name("attn_k_rope"));
  k = model.updateState(block.kCache, k, name("k"));
  v = model.updateState(block.vCache, v, name("v"));
  Value a = model.attention(q, k, v, hp.headDim, hp.heads / hp.kvHeads,
                            1 / std::sqrt(float(hp.headDim)), name("attention"));
  // Behind the last cache only the rows whose logits are wanted matter.
  if (index + 1 == hp.blocks) {
    a = model.gather(a, model.rows, name("attention_rows"));
    x = model.gather(x, model.rows, name("rows"));
  }
  a = model.linear(a, block.attnOutput, name("attn_output"));
  x = model.add(x, a, name("attn_residual"));

  h = model.rmsNorm(x, block.ffnNorm, hp.epsilon, name("ffn_norm"));
  Value gate = model.silu(model.linear(h, block.gate, name("ffn_gate")), name("ffn_silu"));
  Value up = model.linear(h, block.up, name("ffn_up"));
  h = model.mul(gate, up, name("ffn_mul"));
  h = model.linear(h, block.down, name("ffn_down"));
  return model.add(x, h, name("ffn_residual"));
}

OwningOpRef<ModuleOp> Llama::import() {
  refuseVariants();
  readHyperparameters();
  if (model.hasFailed())
    return {};
  declareWeights();
  if (model.hasFailed())
    return {};

  model.beginStep();
  Value x = model.embed(embedding, model.tokens, "token_embd");
  for (int64_t i = 0; i < hp.blocks; ++i)
    x = buildBlock(x, i);
  x = model.rmsNorm(x, outputNorm, hp.epsilon, "output_norm");
  return model.endStep(model.linear(x, output, "output"), hp.contextLength);
}

} // namespace

OwningOpRef<ModuleOp> importLlama(ModelBuilder &model) {
  return Llama(model).import();
}

} // namespace cleave::gguf
