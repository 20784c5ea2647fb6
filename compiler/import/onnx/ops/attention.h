// Attention put together from its parts, which the ops of several domains have in different
// forms. It is computed in f32.
#pragma once

#include "compiler/import/onnx/node.h"

namespace cleave::onnx {

class AttentionBuilder {
public:
  explicit AttentionBuilder(Node &node) : node(node), f32(node.builder().getF32Type()) {}

  // What the caller knows.
  mlir::Value q, k, v; ///< f32 [b, h, t, d], [b, g, s, d] and [b, g, s, e]
  mlir::Value mask;    ///< broadcasts to [b, h, t, s]: a summand in f32, or which keys are seen
  mlir::Value lengths; ///< i64, broadcasts to [b, h, t, 1]: no more keys than these are seen
  mlir::Value places;  ///< i64, broadcasts to [b, h, t, 1]: a query's place among the keys
  mlir::Value sinks;   ///< f32 [h]: e to each is a summand of its head's sums of weights
  SizeExpression past; ///< without places: that of the first query, others follow
  bool isCausal = false;
  /// How many keys before and behind its place a query sees; below 0 all.
  int64_t left = -1, right = -1;
  std::optional<float> scale; ///< nothing: 1 / sqrt(d)
  float softcap = 0;

  /// x [b, t, heads * d] as [b, heads, t, d]; null with an error where that cannot be.
  mlir::Value splitHeads(mlir::Value x, int64_t heads);
  /// Back again.
  mlir::Value joinHeads(mlir::Value x);
  /// 0, 1, ... for each key, i64 [s].
  mlir::Value keyPlaces() { return numbers(shapeOfKeys()[2], /*isColumn=*/false); }
  /// 0, 1, ... for each query, i64 [t, 1].
  mlir::Value queryNumbers();

  /// Checks that the parts fit each other: before what follows.
  mlir::LogicalResult check();
  /// [b, h, t, e]; null with an error at the node.
  mlir::Value create();
  /// The products of queries and keys [b, h, t, s]: as they are (0), with the softcap (1), with
  /// what hides keys (2), or as weights (3).
  mlir::Value scores(int64_t mode);

private:
  Shape shapeOfKeys();
  mlir::Value numbers(const SizeExpression &count, bool isColumn);
  mlir::Value hiddenBy(mlir::Value seen);
  mlir::Value bias();
  mlir::Value makeBias();
  mlir::Value withSink(mlir::Value x);
  mlir::Value biasWithSink();

  Node &node;
  mlir::Type f32;
  SizeExpression tokens, keys;
  int64_t group = 1;
  std::optional<mlir::Value> madeBias;
};

/// x [b, t, h, d] with the pairs of its first features turned by angles whose cosines and sines
/// are [b or 1, t, r]: pair j is (2j, 2j + 1) where they are interleaved, else (j, r + j).
mlir::Value rotate(Node &node, mlir::Value x, mlir::Value cosines, mlir::Value sines,
                   bool interleaved);

} // namespace cleave::onnx
