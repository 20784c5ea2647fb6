// down(silu(gate(x)) * up(x)) (Shazeer, "GLU Variants Improve Transformer", 2020).
#include "compiler/import/gguf/feed_forward.h"

using namespace mlir;

namespace cleave::gguf {

namespace {

class GatedFeedForward : public FeedForward {
public:
  GatedFeedForward(ModelBuilder &model, const Hyperparameters &hp, const std::string &prefix)
      : prefix(prefix) {
    // One matrix holds both, the gate first, where the file has no gate and twice the rows.
    const Tensor *fused = model.file().findTensor(prefix + "ffn_up.weight");
    if (fused && fused->dims.size() == 2 && int64_t(fused->dims[1]) == 2 * hp.feedForward &&
        !model.file().findTensor(prefix + "ffn_gate.weight")) {
      auto segments = model.fusedLinearWeights(
          prefix + "ffn_up", {{"gate", hp.feedForward}, {"up", hp.feedForward}}, hp.embedding);
      gate = segments[0];
      up = segments[1];
    } else {
      gate = model.linearWeights(prefix + "ffn_gate", hp.feedForward, hp.embedding);
      up = model.linearWeights(prefix + "ffn_up", hp.feedForward, hp.embedding);
    }
    down = model.linearWeights(prefix + "ffn_down", hp.embedding, hp.feedForward);
  }

  Value build(ModelBuilder &model, Value x) const override {
    Value gated = model.silu(model.linear(x, gate, prefix + "ffn_gate"), prefix + "ffn_silu");
    Value h = model.mul(gated, model.linear(x, up, prefix + "ffn_up"), prefix + "ffn_mul");
    return model.linear(h, down, prefix + "ffn_down");
  }

private:
  std::string prefix;
  LinearWeights gate, up, down;
};

} // namespace

std::unique_ptr<FeedForward> declareFeedForward(ModelBuilder &model, const Hyperparameters &hp,
                                                const std::string &prefix) {
  if (hp.experts.count > 0)
    return declareExperts(model, hp, prefix);
  return std::make_unique<GatedFeedForward>(model, hp, prefix);
}

} // namespace cleave::gguf
