// A mixture of gated experts: Mixtral's, as llama files with `expert_count` have it, and
// Qwen 3's. Keys, names and what both families do: GGUF's specification and llama.cpp.
#include "compiler/import/gguf/feed_forward.h"

using namespace mlir;
using llvm::Twine;

namespace cleave::gguf {

namespace {

class Experts : public FeedForward {
public:
  Experts(ModelBuilder &model, const Hyperparameters &hp, const std::string &prefix)
      : prefix(prefix), experts(hp.experts) {
    // Files of before April 2024 have a tensor for each expert.
    if (const Tensor *old = model.file().findTensor(prefix + "ffn_gate.0.weight")) {
      model.fail(model.file().tensorError(
          *old, "experts in tensors of their own are not supported; expected " +
                    quoted(prefix + "ffn_gate_exps.weight") +
                    ", as a converter of today writes it"));
      return;
    }
    router = model.linearWeights(prefix + "ffn_gate_inp", experts.count, hp.embedding);
    gate = model.expertMatrices(prefix + "ffn_gate_exps.weight", experts.count, experts.feedForward,
                                hp.embedding);
    up = model.expertMatrices(prefix + "ffn_up_exps.weight", experts.count, experts.feedForward,
                              hp.embedding);
    down = model.expertMatrices(prefix + "ffn_down_exps.weight", experts.count, hp.embedding,
                                experts.feedForward);
  }

  Value build(ModelBuilder &model, Value x) const override {
    Value logits = model.linear(x, router, prefix + "ffn_gate_inp");
    Value chosen = model.route(logits, experts.used, prefix + "ffn_route");
    Value weights = model.routeWeights(logits, chosen, experts.normalized, experts.scale,
                                       prefix + "ffn_route_weights");
    return model.moe(x, chosen, weights, gate, up, down, prefix + "ffn_moe");
  }

private:
  std::string prefix;
  ExpertParameters experts;
  LinearWeights router;
  WeightOp gate, up, down;
};

} // namespace

ExpertParameters readExperts(ModelBuilder &model, int64_t feedForward) {
  const File &file = model.file();
  auto keyError = [&](StringRef key, const Twine &what) {
    model.fail(file.keyError(model.fullKey(key), what));
  };
  auto number = [&](StringRef key) -> uint64_t {
    llvm::Expected<std::optional<uint64_t>> value = file.getUInt(model.fullKey(key));
    if (value)
      return value->value_or(0);
    model.fail(value.takeError());
    return 0;
  };
  ExpertParameters experts;
  if (number("expert_count") == 0)
    return experts;
  experts.count = model.size("expert_count");
  experts.used = model.size("expert_used_count");
  if (experts.used > experts.count)
    keyError("expert_used_count", "the value is " + Twine(experts.used) +
                                      "; expected at most the " + Twine(experts.count) +
                                      " experts of " + model.fullKey("expert_count"));
  experts.feedForward = model.sizeOr("expert_feed_forward_length", feedForward);
  llvm::Expected<std::optional<bool>> normalized =
      file.getBool(model.fullKey("expert_weights_norm"));
  if (!normalized)
    return model.fail(normalized.takeError()), experts;
  experts.normalized = normalized->value_or(true);
  // A scale of 0 means none.
  float scale = model.findNumber("expert_weights_scale").value_or(0);
  experts.scale = scale == 0 ? 1 : scale;
  // 0 is the family's own, which is the softmax in both.
  if (uint64_t gating = number("expert_gating_func"); gating > 1)
    keyError("expert_gating_func",
             "the value is " + Twine(gating) + "; expected 1, the softmax of all experts");
  if (uint64_t shared = number("expert_shared_count"); shared > 0)
    keyError("expert_shared_count",
             "the value is " + Twine(shared) + "; experts that all tokens share are not supported");
  return experts;
}

std::unique_ptr<FeedForward> declareExperts(ModelBuilder &model, const Hyperparameters &hp,
                                            const std::string &prefix) {
  return std::make_unique<Experts>(model, hp, prefix);
}

} // namespace cleave::gguf
