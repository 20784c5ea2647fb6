// Ops that change the shape of a value and compute nothing.

#ifndef CLEAVE_SHAPEOPS_TD
#define CLEAVE_SHAPEOPS_TD

include "dialect/OpBase.td"

def Cleave_TransposeOp : Cleave_ComputeOp<"transpose", [Pure]> {
  let summary = "another order of the dimensions";
  let description = [{
    Dimension d of the result is dimension `permutation[d]` of `x`.

    **Constraints**: the permutation names each dimension of x once, and the result's
    sizes follow from it.

    ```mlir
    func.func @f(%x: tensor<4x8x2xf32>) -> tensor<2x4x8xf32> {
      %y = cleave.transpose %x [2, 0, 1] : tensor<4x8x2xf32> -> tensor<2x4x8xf32>
      return %y : tensor<2x4x8xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x, DenseI64ArrayAttr:$permutation);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = "$x $permutation attr-dict `:` type($x) `->` type($result)";
  let hasVerifier = 1;
}

def Cleave_ReshapeOp : Cleave_ComputeOp<"reshape", [Pure]> {
  let summary = "the same elements in the same order under another shape";
  let description = [{
    Rows are laid out one after the other (row-major), before and after. `groups` says
    which dimensions become which, in order: `2:1` that the next two become the next one.
    Where the first dimensions of a group are cut between whole rows of what is behind
    them, before and after, a rank's share is the reshape of its share: [t, heads * 8] cut
    between heads is [t, heads, 8] cut along heads.

    **Constraints**: the element types are one; the groups take in all dimensions, each
    with equal products of sizes; a run-time size is a group of its own and stays; a group
    that is empty on one side has only sizes of 1 on the other.

    ```mlir
    func.func @f(%x: tensor<?x64xf32, #cleave.dims<tokens>>)
        -> tensor<?x8x8xf32, #cleave.dims<tokens>> {
      %y = cleave.reshape %x groups [1:1, 1:2] : tensor<?x64xf32, #cleave.dims<tokens>>
        -> tensor<?x8x8xf32, #cleave.dims<tokens>>
      return %y : tensor<?x8x8xf32, #cleave.dims<tokens>>
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x, DenseI64ArrayAttr:$groups);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = [{
    $x `groups` custom<Groups>($groups) attr-dict `:` type($x) `->` type($result)
  }];
  let hasVerifier = 1;
}

#endif // CLEAVE_SHAPEOPS_TD
