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
    Rows are laid out one after the other (row-major), before and after. A split of the
    leading part of a dimension passes: [t, heads * 8] cut between heads is [t, heads, 8]
    cut along heads.

    **Constraints**: the element types are one; the run-time sizes are the same ones in
    the same order, and the static sizes before, between and after them have equal
    products.

    ```mlir
    func.func @f(%x: tensor<?x64xf32, #cleave.dims<tokens>>)
        -> tensor<?x8x8xf32, #cleave.dims<tokens>> {
      %y = cleave.reshape %x : tensor<?x64xf32, #cleave.dims<tokens>>
        -> tensor<?x8x8xf32, #cleave.dims<tokens>>
      return %y : tensor<?x8x8xf32, #cleave.dims<tokens>>
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($result)";
  let hasVerifier = 1;
}

#endif // CLEAVE_SHAPEOPS_TD
