// Ops that read and write elements by numbers in tensors.

#ifndef CLEAVE_INDEXOPS_TD
#define CLEAVE_INDEXOPS_TD

include "dialect/OpBase.td"

def Cleave_IndexTensor : RankedTensorOf<[I32, I64]>;

def Cleave_TakeOp : Cleave_ComputeOp<"take", [Pure,
    DeclareOpInterfaceMethods<ShardingRuleOpInterface, ["localize", "getLocalAttributes"]>]> {
  let summary = "slices of a tensor by their numbers";
  let description = [{
    `x` [a..., n, b...] with n its dimension `dim`, `indices` [i...] -> [a..., i..., b...]:
    the slices of x along `dim` that the indices say. Negative ones count from the end. An
    index outside [-n, n) is an error of the run.

    `masked`, x is a share of a larger tensor: it has the slices from `offset` on of the
    `whole` that there are along `dim`. The indices choose from all of these, and one that is
    not in the share gives zeros: so each rank looks up in its part of a table, and the sum
    over the ranks is the look-up. An index outside [-whole, whole) is an error on all of them.

    **Constraints**: the result's shape follows from the operands', its type is x's. What is
    masked has a constant n, and the slices offset to offset + n are of the whole; an offset
    stands only with a whole size.

    ```mlir
    func.func @f(%x: tensor<4x10x2xf32>, %i: tensor<3x5xi64>) -> tensor<4x3x5x2xf32> {
      %y = cleave.take %x, %i dim 1 : (tensor<4x10x2xf32>, tensor<3x5xi64>) -> tensor<4x3x5x2xf32>
      return %y : tensor<4x3x5x2xf32>
    }
    func.func @share(%x: tensor<4x10x2xf32>, %i: tensor<3x5xi64>) -> tensor<4x3x5x2xf32> {
      %y = cleave.take %x, %i dim 1 masked from 20 of 32
        : (tensor<4x10x2xf32>, tensor<3x5xi64>) -> tensor<4x3x5x2xf32>
      return %y : tensor<4x3x5x2xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x, Cleave_IndexTensor:$indices, Cleave_Int:$dim,
                       DefaultValuedAttr<Cleave_Int, "0">:$offset,
                       DefaultValuedAttr<Cleave_Int, "0">:$whole);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = [{
    $x `,` $indices `dim` $dim (`masked` `from` $offset `of` $whole^)? attr-dict
    `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = [{
    /// Whether x is a share: then `whole` is not 0.
    bool isMasked() { return getWhole() != 0; }
  }];
  let hasVerifier = 1;
}

def Cleave_GatherElementsOp : Cleave_ComputeOp<"gather_elements", [Pure]> {
  let summary = "elements by their numbers along one dimension";
  let description = [{
    The result has the shape of `indices`. Each element is x's at the same place, but along
    dimension `dim` at the index. Negative indices count from the end; one outside [-n, n) is
    an error of the run.

    **Constraints**: x and the indices have as many dimensions, and x is no smaller but along
    `dim`; the result has the indices' shape and x's type.

    ```mlir
    func.func @f(%x: tensor<4x10xf32>, %i: tensor<4x3xi64>) -> tensor<4x3xf32> {
      %y = cleave.gather_elements %x, %i dim 1 : (tensor<4x10xf32>, tensor<4x3xi64>) -> tensor<4x3xf32>
      return %y : tensor<4x3xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x, Cleave_IndexTensor:$indices, Cleave_Int:$dim);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = [{
    $x `,` $indices `dim` $dim attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Cleave_GatherNdOp : Cleave_ComputeOp<"gather_nd", [Pure]> {
  let summary = "slices of a tensor by tuples of numbers";
  let description = [{
    `x` [a..., n1, ..., nk, b...] and `indices` [a..., i..., k], with `batch_dims` dimensions
    a in both -> [a..., i..., b...]: each tuple of k numbers chooses a slice of what x has at
    the same place a. Negative numbers count from the end; one outside is an error of the run.

    **Constraints**: k is constant and at least 1; the result's shape follows from the
    operands', its type is x's.

    ```mlir
    func.func @f(%x: tensor<4x10x2xf32>, %i: tensor<5x2xi64>) -> tensor<5x2xf32> {
      %y = cleave.gather_nd %x, %i batch_dims 0
        : (tensor<4x10x2xf32>, tensor<5x2xi64>) -> tensor<5x2xf32>
      return %y : tensor<5x2xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x, Cleave_IndexTensor:$indices, Cleave_Int:$batch_dims);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = [{
    $x `,` $indices `batch_dims` $batch_dims attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Cleave_ScatterKind : I32EnumAttr<"ScatterKind", "what becomes of an element that is written", [
    I32EnumAttrCase<"Set", 0, "set">,
    I32EnumAttrCase<"Add", 1, "add">,
    I32EnumAttrCase<"Mul", 2, "mul">,
    I32EnumAttrCase<"Max", 3, "max">,
    I32EnumAttrCase<"Min", 4, "min">]> {
  let cppNamespace = "::cleave";
}

def Cleave_ScatterElementsOp : Cleave_ComputeOp<"scatter_elements", [Pure,
    AllTypesMatch<["x", "result"]>]> {
  let summary = "x with elements written by their numbers along one dimension";
  let description = [{
    Each element of `updates` is written into a copy of x at its own place, but along
    dimension `dim` at the index; with another kind than `set` it is added to what is there,
    and so on. Where indices are equal, later updates come after earlier ones. Negative indices
    count from the end; one outside [-n, n) is an error of the run.

    **Constraints**: x and the indices have as many dimensions, and x is no smaller but along
    `dim`; the updates have the indices' shape and x's type; kinds but `set` are of f32, f64
    or integers.

    ```mlir
    func.func @f(%x: tensor<4x10xf32>, %i: tensor<4x3xi64>, %u: tensor<4x3xf32>) -> tensor<4x10xf32> {
      %y = cleave.scatter_elements add %u into %x at %i dim 1
        : tensor<4x3xf32>, tensor<4x10xf32>, tensor<4x3xi64>
      return %y : tensor<4x10xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_ScatterKind:$kind, Cleave_ValueTensor:$updates,
                       Cleave_ValueTensor:$x, Cleave_IndexTensor:$indices, Cleave_Int:$dim);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = [{
    $kind $updates `into` $x `at` $indices `dim` $dim attr-dict
    `:` type($updates) `,` type($x) `,` type($indices)
  }];
  let hasVerifier = 1;
}

def Cleave_ScatterNdOp : Cleave_ComputeOp<"scatter_nd", [Pure, AllTypesMatch<["x", "result"]>]> {
  let summary = "x with slices written by tuples of numbers";
  let description = [{
    `x` [n1, ..., nk, b...], `indices` [i..., k], `updates` [i..., b...]: each tuple chooses
    the slice of a copy of x into which an update is written, as `scatter_elements` does.

    **Constraints**: k is constant and at least 1; the updates' shape follows from the others',
    their type is x's; kinds but `set` are of f32, f64 or integers.

    ```mlir
    func.func @f(%x: tensor<4x10x2xf32>, %i: tensor<5x2xi64>, %u: tensor<5x2xf32>)
        -> tensor<4x10x2xf32> {
      %y = cleave.scatter_nd set %u into %x at %i
        : tensor<5x2xf32>, tensor<4x10x2xf32>, tensor<5x2xi64>
      return %y : tensor<4x10x2xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_ScatterKind:$kind, Cleave_ValueTensor:$updates,
                       Cleave_ValueTensor:$x, Cleave_IndexTensor:$indices);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = [{
    $kind $updates `into` $x `at` $indices attr-dict
    `:` type($updates) `,` type($x) `,` type($indices)
  }];
  let hasVerifier = 1;
}

#endif // CLEAVE_INDEXOPS_TD
