// Names of keys and tensors: GGUF's specification and the converter of llama.cpp;
// values for absent keys: llama.cpp's.
#include "compiler/import/gguf/decoder.h"

#include "compiler/import/gguf/feed_forward.h"
#include "compiler/import/gguf/hyperparameters.h"

#include <cmath>

using namespace mlir;
using llvm::Twine;

namespace cleave::gguf {

namespace {

/// The weights and states of one block. The norms of heads are null where there are none.
struct Block {
  std::string prefix; ///< "blk.0."
  WeightOp attnNorm, qNorm, kNorm, ffnNorm;
  LinearWeights q, k, v, attnOutput;
  std::unique_ptr<FeedForward> feedForward;
  StateOp kCache, vCache;
};

class Decoder {
public:
  Decoder(ModelBuilder &model, const DecoderFamily &family) : model(model), family(family) {}

  OwningOpRef<ModuleOp> import();

private:
  void refuseVariants();
  void declareWeights();
  Block declareBlock(int64_t index);
  void declareAttention(Block &block);
  Value buildBlock(Value x, const Block &block, bool isLast);
  Value buildAttention(Value x, const Block &block);

  ModelBuilder &model;
  const DecoderFamily &family;
  Hyperparameters hp = {};
  WeightOp embedding, outputNorm, ropeFactors;
  LinearWeights output;
  std::vector<Block> blocks;
};

/// What changes the result and is not built here.
void Decoder::refuseVariants() {
  const File &file = model.file();
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

void Decoder::declareWeights() {
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
  for (Block &block : blocks) {
    block.kCache = model.state(block.prefix + "k", hp.kvWidth());
    block.vCache = model.state(block.prefix + "v", hp.kvWidth());
  }
}

Block Decoder::declareBlock(int64_t index) {
  Block block;
  block.prefix = "blk." + std::to_string(index) + ".";
  block.attnNorm = model.vector(block.prefix + "attn_norm.weight", hp.embedding);
  declareAttention(block);
  block.ffnNorm = model.vector(block.prefix + "ffn_norm.weight", hp.embedding);
  block.feedForward = declareFeedForward(model, hp, block.prefix);
  return block;
}

void Decoder::declareAttention(Block &block) {
  const std::string &prefix = block.prefix;
  if (model.file().findTensor(prefix + "attn_qkv.weight")) {
    auto segments = model.fusedLinearWeights(
        prefix + "attn_qkv", {{"q", hp.width()}, {"k", hp.kvWidth()}, {"v", hp.kvWidth()}},
        hp.embedding);
    block.q = segments[0];
    block.k = segments[1];
    block.v = segments[2];
  } else {
    block.q = model.linearWeights(prefix + "attn_q", hp.width(), hp.embedding);
    block.k = model.linearWeights(prefix + "attn_k", hp.kvWidth(), hp.embedding);
    block.v = model.linearWeights(prefix + "attn_v", hp.kvWidth(), hp.embedding);
  }
  if (family.headNorms) {
    block.qNorm = model.vector(prefix + "attn_q_norm.weight", hp.headDim);
    block.kNorm = model.vector(prefix + "attn_k_norm.weight", hp.headDim);
  }
  block.attnOutput = model.linearWeights(prefix + "attn_output", hp.embedding, hp.width());
}

Value Decoder::buildAttention(Value x, const Block &block) {
  auto name = [&](const char *part) { return block.prefix + part; };
  ModelBuilder::RopeParameters rope{hp.headDim,   hp.rotaryDim,     hp.ropeBase,
                                    hp.ropeScale, family.ropeStyle, ropeFactors};
  Value q = model.linear(x, block.q, name("attn_q"));
  Value k = model.linear(x, block.k, name("attn_k"));
  Value v = model.linear(x, block.v, name("attn_v"));
  if (family.headNorms) {
    q = model.headNorm(q, block.qNorm, hp.epsilon, name("attn_q_norm"));
    k = model.headNorm(k, block.kNorm, hp.epsilon, name("attn_k_norm"));
  }
  q = model.rope(q, rope, name("attn_q_rope"));
  k = model.rope(k, rope, name("attn_k_rope"));
  k = model.updateState(block.kCache, k, name("k"));
  v = model.updateState(block.vCache, v, name("v"));
  ModelBuilder::AttentionParameters attention{hp.headDim, hp.group(),
                                              1 / std::sqrt(float(hp.headDim)), hp.window};
  return model.attention(q, k, v, attention, name("attention"));
}

Value Decoder::buildBlock(Value x, const Block &block, bool isLast) {
  auto name = [&](const char *part) { return block.prefix + part; };
  Value h = model.rmsNorm(x, block.attnNorm, hp.epsilon, name("attn_norm"));
  Value a = buildAttention(h, block);
  // Behind the last cache only the rows whose logits are wanted matter.
  if (isLast) {
    a = model.gather(a, model.rows, name("attention_rows"));
    x = model.gather(x, model.rows, name("rows"));
  }
  a = model.linear(a, block.attnOutput, name("attn_output"));
  x = model.add(x, a, name("attn_residual"));
  h = model.rmsNorm(x, block.ffnNorm, hp.epsilon, name("ffn_norm"));
  return model.add(x, block.feedForward->build(model, h), name("ffn_residual"));
}

OwningOpRef<ModuleOp> Decoder::import() {
  refuseVariants();
  if (!model.hasFailed())
    hp = readHyperparameters(model);
  if (model.hasFailed())
    return {};
  declareWeights();
  if (model.hasFailed())
    return {};

  model.beginStep();
  Value x = model.embed(embedding, model.tokens, "token_embd");
  for (const Block &block : blocks)
    x = buildBlock(x, block, &block == &blocks.back());
  x = model.rmsNorm(x, outputNorm, hp.epsilon, "output_norm");
  return model.endStep(model.linear(x, output, "output"), hp.contextLength);
}

} // namespace

OwningOpRef<ModuleOp> importDecoder(ModelBuilder &model, const DecoderFamily &family) {
  return Decoder(model, family).import();
}

} // namespace cleave::gguf
