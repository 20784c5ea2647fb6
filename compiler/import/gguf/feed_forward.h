// The feed-forward block of a decoder's layer.
#pragma once

#include "compiler/import/gguf/hyperparameters.h"

#include <memory>

namespace cleave::gguf {

/// The weights of one feed-forward block, and how it is computed.
class FeedForward {
public:
  virtual ~FeedForward() = default;
  /// What the block makes of `x` [rows, embedding], before the residual is added: like x.
  virtual mlir::Value build(ModelBuilder &model, mlir::Value x) const = 0;
};

/// Declares the weights of the block whose tensors' names begin with `prefix` ("blk.0."),
/// and says what they are. Null after an error.
std::unique_ptr<FeedForward> declareFeedForward(ModelBuilder &model, const Hyperparameters &hp,
                                                const std::string &prefix);

/// The same for a block of experts, of which `hp` has some.
std::unique_ptr<FeedForward> declareExperts(ModelBuilder &model, const Hyperparameters &hp,
                                            const std::string &prefix);

} // namespace cleave::gguf
