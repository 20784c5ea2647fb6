// Where dimensions are cut. Dims that an op's rule makes of the same factors are cut
// alike; grains of all of them (heads, quantization blocks) and the ranks' shares give
// one list of ranges for each class of dims and mesh axes.
#pragma once

#include "compiler/partition/mesh.h"

#include "mlir/IR/Operation.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/EquivalenceClasses.h"

namespace cleave {

/// What holds a value: a weight or state for the results of `use` and `state_update`,
/// whose shardings are one, otherwise the value itself.
const void *getHolder(mlir::Value value);

/// A dim of a holder.
using DimKey = std::pair<const void *, unsigned>;

class CutAnalysis {
public:
  explicit CutAnalysis(mlir::ModuleOp module);

  const Mesh &getMesh() const { return mesh; }

  /// The sharding of a dim over `axes`: canonical, so that equal dims get equal
  /// attributes. Fails where the dim has fewer heads than there are shares.
  mlir::FailureOr<DimShardingAttr> getDimSharding(DimKey key,
                                                  llvm::ArrayRef<mlir::StringAttr> axes);

  /// The elements of one head where attention heads lie along the dim (for keys, of the
  /// query heads that decide its cut), else 1.
  int64_t getUnit(DimKey key) const;
  /// Whether the dim counts experts.
  bool isExperts(DimKey key) const { return classOf(key).isExperts; }
  /// The elements of the dim, or of the dim that decides its cut.
  int64_t getDecidingSize(DimKey key) const;

private:
  /// What is known of a class of dims.
  struct Class {
    int64_t size = 0;
    int64_t unit = 1;  ///< never cut inside this many elements (a head)
    int64_t grain = 1; ///< better not cut inside this many (a quantization block)
    bool isExperts = false;
    /// The class whose cut decides this one's, which covers it: queries for keys.
    std::optional<DimKey> parent;
    int64_t parentUnit = 1; ///< elements of the parent's unit ...
    int64_t perUnit = 1;    ///< ... so many of which share one unit here
    bool isExact = false;   ///< and this class's cut would say that of the parent
    /// Where the parent only counts this class's units (heads, for the columns of keys that a
    /// reshape takes apart): the elements of one, else 0.
    int64_t unitsOfParent = 0;

    void add(const Class &more);
  };

  DimKey leader(DimKey key) const;
  const Class &classOf(DimKey key) const;
  /// Whether the cut of `ancestor`'s class decides that of `key`'s.
  bool descendsFrom(DimKey key, DimKey ancestor) const;
  void join(DimKey a, DimKey b);
  void addOp(mlir::Operation *op);
  void addProjections(mlir::Operation *op, bool exact);
  void addExactProjection(DimKey fine, DimKey coarse, int64_t perUnit);
  /// The weight of each share of a dim cut over `axes`.
  llvm::SmallVector<int64_t> getWeights(llvm::ArrayRef<mlir::StringAttr> axes) const;
  mlir::FailureOr<llvm::SmallVector<ElementRange>> getRanges(DimKey key,
                                                             llvm::ArrayRef<mlir::StringAttr> axes);

  mlir::MLIRContext *context;
  Mesh mesh;
  mlir::DictionaryAttr shares;
  llvm::EquivalenceClasses<DimKey> equivalent;
  llvm::DenseMap<DimKey, Class> classes;
};

} // namespace cleave
