// The default plans: one table a family.
#include "compiler/plan/default_plan.h"

using namespace cleave::plan;

/// Attention by heads and the feed-forward block by its inner width, each in and out
/// again: two sums a layer (Shoeybi et al., 2019). The vocabulary is cut for embedding and
/// logits alike; a replicated head would cost every rank its bandwidth. Biases follow
/// their matrices.
static constexpr DefaultSplit llama[] = {
    {"blk.*.attn_{q,k,v}.weight", SplitType::head},
    {"blk.*.attn_output.weight", SplitType::row},
    {"blk.*.ffn_{gate,up}.weight", SplitType::column},
    {"blk.*.ffn_down.weight", SplitType::row},
    {"token_embd.weight", SplitType::column},
    {"output.weight", SplitType::column},
    {"*_norm.weight", SplitType::none},
    {"rope_freqs.weight", SplitType::none},
};

llvm::ArrayRef<DefaultSplit> cleave::plan::getDefaultSplits(llvm::StringRef architecture) {
  if (architecture == "llama")
    return llama;
  return {};
}
