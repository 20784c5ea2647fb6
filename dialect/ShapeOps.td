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

    Run-time sizes are merged and split like others: [batch, seq] as `2:1` is ["batch*seq"].
    They are not cut there: a share of the product would be other rows.

    **Constraints**: the element types are one; the groups take in all dimensions, each with
    equal products of sizes; a group that is empty on one side has only sizes of 1 on the
    other.

    ```mlir
    func.func @f(%x: tensor<?x64xf32, #cleave.dims<tokens>>)
        -> tensor<?x8x8xf32, #cleave.dims<tokens>> {
      %y = cleave.reshape %x groups [1:1, 1:2] : tensor<?x64xf32, #cleave.dims<tokens>>
        -> tensor<?x8x8xf32, #cleave.dims<tokens>>
      return %y : tensor<?x8x8xf32, #cleave.dims<tokens>>
    }
    func.func @merge(%x: tensor<?x?x8xf32, #cleave.dims<batch, seq>>)
        -> tensor<?x8xf32, #cleave.dims<"batch*seq">> {
      %y = cleave.reshape %x groups [2:1, 1:1] : tensor<?x?x8xf32, #cleave.dims<batch, seq>>
        -> tensor<?x8xf32, #cleave.dims<"batch*seq">>
      return %y : tensor<?x8xf32, #cleave.dims<"batch*seq">>
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

def Cleave_SliceOp : Cleave_ComputeOp<"slice", [Pure]> {
  let summary = "a range of one dimension";
  let description = [{
    Element i of dimension `dim` of the result is element `begin + i * step` of x. The step
    may be negative. `begin` is a number or a size; where it, or a size of the dimension, is
    known at run time only, that the elements exist is checked then.

    **Constraints**: the elements lie in the dimension, and the other dimensions stay; the
    step is not 0.

    ```mlir
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x3xf32> {
      %y = cleave.slice %x dim 1 from 2 : tensor<4x8xf32> -> tensor<4x3xf32>
      return %y : tensor<4x3xf32>
    }
    func.func @reversed(%x: tensor<?xf32, #cleave.dims<n>>) -> tensor<?xf32, #cleave.dims<n>> {
      %y = cleave.slice %x dim 0 from "n-1" step -1
        : tensor<?xf32, #cleave.dims<n>> -> tensor<?xf32, #cleave.dims<n>>
      return %y : tensor<?xf32, #cleave.dims<n>>
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x, Cleave_Int:$dim, Cleave_Int:$begin,
                       OptionalAttr<StrAttr>:$begin_size, DefaultValuedAttr<Cleave_Int, "1">:$step);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = [{
    $x `dim` $dim `from` custom<Begin>($begin, $begin_size) (`step` $step^)? attr-dict
    `:` type($x) `->` type($result)
  }];
  let builders = [OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$x, "int64_t":$dim,
                                 "int64_t":$begin), [{
    build($_builder, $_state, result, x, dim, begin, ::mlir::StringAttr());
  }]>, OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$x, "int64_t":$dim,
                      "const ::cleave::SizeExpression &":$begin, "int64_t":$step), [{
    ::std::optional<int64_t> constant = begin.constant();
    build($_builder, $_state, result, x, dim, constant.value_or(0),
          constant ? ::mlir::StringAttr() : $_builder.getStringAttr(begin.text()), step);
  }]>];
  let extraClassDeclaration = [{
    /// Whether it takes a range of constant place and size, as ranks take their shares.
    bool isConstantRange();
  }];
  let hasVerifier = 1;
}

def Cleave_ConcatOp : Cleave_ComputeOp<"concat", [Pure]> {
  let summary = "tensors behind each other along one dimension";
  let description = [{
    `parts`, in their order, behind each other along dimension `dim`.

    **Constraints**: 1 to 16 parts of one element type, which differ in dimension `dim` only;
    the result's size there is the sum of theirs.

    ```mlir
    func.func @f(%past: tensor<?x8xf32, #cleave.dims<past>>, %x: tensor<?x8xf32, #cleave.dims<seq>>)
        -> tensor<?x8xf32, #cleave.dims<"past+seq">> {
      %y = cleave.concat %past, %x dim 0
        : (tensor<?x8xf32, #cleave.dims<past>>, tensor<?x8xf32, #cleave.dims<seq>>)
        -> tensor<?x8xf32, #cleave.dims<"past+seq">>
      return %y : tensor<?x8xf32, #cleave.dims<"past+seq">>
    }
    ```
  }];
  let arguments = (ins Variadic<Cleave_ValueTensor>:$parts, Cleave_Int:$dim);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = "$parts `dim` $dim attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Cleave_ExpandOp : Cleave_ComputeOp<"expand", [Pure]> {
  let summary = "dimensions of size 1 repeated";
  let description = [{
    The result's last dimensions are those of x, except that sizes of 1 may be larger, and
    there may be dimensions before them: along these x is repeated, as NumPy broadcasts.

    **Constraints**: the element types are one; a dimension of x has the size of the result's,
    or 1.

    ```mlir
    func.func @f(%x: tensor<4x1x8xf32>) -> tensor<?x4x2x8xf32, #cleave.dims<batch>> {
      %y = cleave.expand %x : tensor<4x1x8xf32> -> tensor<?x4x2x8xf32, #cleave.dims<batch>>
      return %y : tensor<?x4x2x8xf32, #cleave.dims<batch>>
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($result)";
  let hasVerifier = 1;
}

def Cleave_RangeOp : Cleave_ComputeOp<"range", [Pure]> {
  let summary = "numbers that follow each other";
  let description = [{
    [n]: element i is `start + i * step`. `start` is a number or a size, so that positions
    after a cache and sizes themselves can be had as values.

    **Constraints**: one dimension; elements are f32, f64 or integers.

    ```mlir
    func.func @positions() -> tensor<?xi64, #cleave.dims<seq>> {
      %y = cleave.range from "past" : tensor<?xi64, #cleave.dims<seq>>
      return %y : tensor<?xi64, #cleave.dims<seq>>
    }
    func.func @size() -> tensor<1xi64> {
      %y = cleave.range from "2*seq" : tensor<1xi64>
      return %y : tensor<1xi64>
    }
    ```
  }];
  let arguments = (ins Cleave_Int:$start, OptionalAttr<StrAttr>:$start_size,
                       DefaultValuedAttr<Cleave_Int, "1">:$step);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = [{
    `from` custom<Begin>($start, $start_size) (`step` $step^)? attr-dict `:` type($result)
  }];
  let builders = [OpBuilder<(ins "::mlir::Type":$result, "const ::cleave::SizeExpression &":$start,
                                 "int64_t":$step), [{
    ::std::optional<int64_t> constant = start.constant();
    build($_builder, $_state, result, constant.value_or(0),
          constant ? ::mlir::StringAttr() : $_builder.getStringAttr(start.text()), step);
  }]>];
  let hasVerifier = 1;
}

#endif // CLEAVE_SHAPEOPS_TD
