// What the model families share: reading metadata and declaring weights with
// their checks, and building the logical module's ops under the model's names.
#pragma once

#include "compiler/import/gguf/reader.h"
#include "dialect/dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include "llvm/ADT/StringSet.h"

#include <optional>
#include <string>
#include <vector>

namespace cleave::gguf {

/// A matrix with an optional bias; null ops where the file has none.
struct LinearWeights {
  WeightOp weight;
  WeightOp bias;
};

/// Builds one logical module from one file, in two steps. First metadata is read and
/// weights are declared: the first error is kept, and what follows it gets harmless
/// values; a family asks hasFailed() before it relies on them, at the latest before
/// the second step. Then ops are built, which cannot fail.
class ModelBuilder {
public:
  ModelBuilder(const File &file, mlir::MLIRContext &context, llvm::StringRef architecture);

  const File &file() const { return source; }
  bool hasFailed() const { return failed; }
  /// Keeps the error if it is the first.
  void fail(llvm::Error error);
  void warn(const llvm::Twine &message);

  // ---- Metadata: keys of the architecture, without its name ("block_count"). ----

  /// "llama.block_count".
  std::string fullKey(llvm::StringRef key) const;
  /// An integer from 1 to 2^31 - 1. An array, as some files have with one element a
  /// layer, stands for its element where all are equal.
  std::optional<int64_t> findSize(llvm::StringRef key);
  int64_t size(llvm::StringRef key);
  int64_t sizeOr(llvm::StringRef key, int64_t fallback);
  /// A finite number that fits an f32.
  std::optional<float> findNumber(llvm::StringRef key);
  float positive(llvm::StringRef key);
  float positiveOr(llvm::StringRef key, float fallback);
  std::optional<llvm::StringRef> findString(llvm::StringRef key);

  // ---- Weights: a name is the tensor's; each is declared once. ----

  /// [outputs, inputs], of any element type that a linear op takes.
  WeightOp matrix(llvm::StringRef name, int64_t outputs, int64_t inputs);
  /// [experts, outputs, inputs], as `matrix`.
  WeightOp expertMatrices(llvm::StringRef name, int64_t experts, int64_t outputs, int64_t inputs);
  /// [size], f32.
  WeightOp vector(llvm::StringRef name, int64_t size);
  WeightOp optionalMatrix(llvm::StringRef name, int64_t outputs, int64_t inputs);
  WeightOp optionalVector(llvm::StringRef name, int64_t size);
  /// `name`.weight, and `name`.bias where the file has it.
  LinearWeights linearWeights(llvm::StringRef name, int64_t outputs, int64_t inputs);
  /// Some rows of a matrix in which several lie one behind the other.
  struct Segment {
    llvm::StringRef name;
    int64_t outputs;
  };
  /// A weight for each segment of `name`.weight [all outputs, inputs], and of `name`.bias
  /// where the file has it: "blk.0.attn_qkv.weight:q".
  std::vector<LinearWeights> fusedLinearWeights(llvm::StringRef name,
                                                llvm::ArrayRef<Segment> segments, int64_t inputs);
  /// A cache [slots, context, width]: f32 when all matrices of the model are, else f16,
  /// so that a model of exact weights gives exact results.
  StateOp state(llvm::StringRef name, int64_t width);

  // ---- Ops: `name` is what plans, cuts and messages call the op. ----

  /// Begins the entry `step` of a language model, whose arguments the members below
  /// are; all other ops go into it.
  void beginStep();
  /// Ends it with the outputs `logits` and, where these are many, `candidates`, the best of
  /// them, and gives the module.
  mlir::OwningOpRef<mlir::ModuleOp> endStep(mlir::Value logits, int64_t contextLength);

  /// [tokens] i32 each: the tokens, where they stand in their sequences, and in which
  /// cache slot the sequence is; [rows] i32: the rows whose logits are wanted.
  mlir::Value tokens, positions, slots, rows;

  mlir::Value gather(mlir::Value source, mlir::Value indices, llvm::StringRef name);
  mlir::Value embed(WeightOp table, mlir::Value indices, llvm::StringRef name);
  mlir::Value linear(mlir::Value x, LinearWeights weights, llvm::StringRef name);
  mlir::Value rmsNorm(mlir::Value x, WeightOp weight, float epsilon, llvm::StringRef name);
  /// Normalizes each head of x by itself; the weight is a head's.
  mlir::Value headNorm(mlir::Value x, WeightOp weight, float epsilon, llvm::StringRef name);
  struct RopeParameters {
    int64_t headDim;
    int64_t rotaryDim;
    float base;
    float scale;
    RopeStyle style;
    WeightOp factors; ///< null for none
  };
  mlir::Value rope(mlir::Value x, const RopeParameters &parameters, llvm::StringRef name);
  mlir::Value updateState(StateOp state, mlir::Value x, llvm::StringRef name);
  struct AttentionParameters {
    int64_t headDim;
    int64_t group;
    float scale;
    int64_t window; ///< 0 for none
  };
  mlir::Value attention(mlir::Value q, mlir::Value k, mlir::Value v,
                        const AttentionParameters &parameters, llvm::StringRef name);
  mlir::Value route(mlir::Value logits, int64_t perToken, llvm::StringRef name);
  mlir::Value routeWeights(mlir::Value logits, mlir::Value chosen, bool normalized, float scale,
                           llvm::StringRef name);
  mlir::Value moe(mlir::Value x, mlir::Value chosen, mlir::Value weights, WeightOp gate,
                  WeightOp up, WeightOp down, llvm::StringRef name);
  mlir::Value silu(mlir::Value x, llvm::StringRef name);
  mlir::Value add(mlir::Value x, mlir::Value y, llvm::StringRef name);
  mlir::Value mul(mlir::Value x, mlir::Value y, llvm::StringRef name);

  /// Warns of the tensors that no weight was declared for.
  void warnOfUnusedTensors();

  /// The error that was kept, or success. To be asked before the builder dies.
  llvm::Error takeError();
  std::vector<std::string> takeWarnings() { return std::move(warnings); }

private:
  const Tensor *findTensor(llvm::StringRef name, llvm::ArrayRef<int64_t> shape, bool optional);
  WeightOp declare(llvm::StringRef name, llvm::ArrayRef<int64_t> shape, bool optional);
  WeightOp declareSegment(const Tensor &tensor, llvm::ArrayRef<int64_t> shape,
                          const Segment &segment, int64_t begin);
  WeightOp createWeight(llvm::StringRef name, const Tensor &tensor, llvm::ArrayRef<int64_t> shape,
                        mlir::StringAttr tensorName, mlir::DenseI64ArrayAttr slice);
  mlir::Value use(WeightOp weight);
  /// A type [rows of `like`, width] f32.
  mlir::RankedTensorType widthType(mlir::Value like, int64_t width);
  mlir::Location nameLoc(llvm::StringRef name);
  template <typename OpT, typename... Args>
  mlir::Value create(llvm::StringRef name, Args &&...args);

  const File &source;
  std::string architecture;
  mlir::MLIRContext &context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  /// Where declarations go, and ops.
  mlir::OpBuilder declarations, ops;
  llvm::StringMap<WeightOp> declared;
  llvm::StringSet<> used; ///< names of tensors
  bool allMatricesF32 = true;
  bool failed = false;
  std::optional<std::string> error;
  std::vector<std::string> warnings;
};

} // namespace cleave::gguf
