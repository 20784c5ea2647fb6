// The default plans: one table for families whose tensors have the same names.
#include "compiler/plan/default_plan.h"

#include "llvm/ADT/STLExtras.h"

using namespace cleave::plan;

/// Attention by heads and the feed-forward block by its inner width, each in and out
/// again: two sums a layer (Shoeybi et al., 2019). The vocabulary is cut for embedding and
/// logits alike; a replicated head would cost every rank its bandwidth. Biases follow
/// their matrices. A fused matrix is cut segment by segment. Experts are dealt out whole over
/// an axis of that name, and cut as a feed-forward block is over the other.
static constexpr DefaultSplit decoder[] = {
    {"blk.*.attn_{q,k,v,qkv}.weight", SplitType::head},
    {"blk.*.attn_output.weight", SplitType::row},
    {"blk.*.ffn_{gate,up,down}_exps.weight", SplitType::expert, "expert"},
    {"blk.*.ffn_{gate,up,gate_exps,up_exps}.weight", SplitType::column},
    {"blk.*.ffn_{down,down_exps}.weight", SplitType::row},
    {"blk.*.ffn_gate_inp.weight", SplitType::none},
    {"token_embd.weight", SplitType::column},
    {"output.weight", SplitType::column},
    {"*_norm.weight", SplitType::none},
    {"rope_freqs.weight", SplitType::none},
};

llvm::ArrayRef<DefaultSplit> cleave::plan::getDefaultSplits(llvm::StringRef architecture) {
  static constexpr llvm::StringLiteral decoders[] = {"llama", "phi3", "qwen2", "qwen3", "qwen3moe"};
  if (llvm::is_contained(decoders, architecture))
    return decoder;
  return {};
}
