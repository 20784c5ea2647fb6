// Ops over plain f32 values of any rank: products of matrices, norms, reductions, and what
// goes along one dimension. Importers of graphs make them.

#ifndef CLEAVE_DENSEOPS_TD
#define CLEAVE_DENSEOPS_TD

include "dialect/OpBase.td"

// Numbers of elements along a dimension, as graphs have them.
def Cleave_I64Tensor : RankedTensorOf<[I64]>;
def Cleave_MaskTensor : RankedTensorOf<[F32, I1]>;
// Operands of products, and what these are of.
def Cleave_FactorTensor : RankedTensorOf<[F32, I8, UI8, I16]>;
def Cleave_ProductTensor : RankedTensorOf<[F32, I32]>;
// Numbers of the widths in which graphs count.
def Cleave_WideTensor : RankedTensorOf<[F32, I32, UI32, I64, UI64]>;

def Cleave_MatMulOp : Cleave_ComputeOp<"matmul", [Pure]> {
  let summary = "products of matrices, batch by batch";
  let description = [{
    `a` [b..., m, k], `b` [b..., k, n] -> [b..., m, n]. The dimensions before the last two are
    batches and are broadcast as NumPy does it: from the last one on, a size of 1 or a
    missing dimension is repeated. With `transpose_a` a is [b..., k, m], with `transpose_b` b
    is [b..., n, k].

    Batches, m and n can be cut, and so can a static k, which makes the result a partial sum.
    A product with a weight alone is better a `cleave.linear`. Products of i8, ui8 and i16, each
    operand of one of these, are exact sums in i32, modulo 2^32.

    **Constraints**: a and b have rank 2 at least; their k agree; the batches broadcast to
    those of the result; all are f32, or a and b integers and the result i32: then there is
    `transpose_b` but no `transpose_a`.

    ```mlir
    func.func @f(%q: tensor<2x8x?x16xf32, #cleave.dims<tokens>>,
                 %k: tensor<2x1x?x16xf32, #cleave.dims<keys>>)
        -> tensor<2x8x?x?xf32, #cleave.dims<tokens, keys>> {
      %s = cleave.matmul %q, %k {transpose_b}
        : tensor<2x8x?x16xf32, #cleave.dims<tokens>>, tensor<2x1x?x16xf32, #cleave.dims<keys>>
        -> tensor<2x8x?x?xf32, #cleave.dims<tokens, keys>>
      return %s : tensor<2x8x?x?xf32, #cleave.dims<tokens, keys>>
    }
    ```
  }];
  let arguments = (ins Cleave_FactorTensor:$a, Cleave_FactorTensor:$b, UnitAttr:$transpose_a,
                       UnitAttr:$transpose_b);
  let results = (outs Cleave_ProductTensor:$result);
  let assemblyFormat = "$a `,` $b attr-dict `:` type($a) `,` type($b) `->` type($result)";
  let hasVerifier = 1;
}

class Cleave_SoftmaxLikeOp<string mnemonic, string does, string formula>
    : Cleave_ComputeOp<mnemonic, [Pure, SameOperandsAndResultType]> {
  let summary = does;
  let description = "\n    " # formula # [{, the sum over dimension `dim`, where the greatest
    element is subtracted first. Where all elements are -inf the result is not a number.

    **Constraints**: `dim` is a dimension of x.
  }] # "\n```mlir\nfunc.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {\n"
     # "  %y = cleave." # mnemonic # " %x dim 1 : tensor<4x8xf32>\n"
     # "  return %y : tensor<4x8xf32>\n}\n```\n";
  let arguments = (ins Cleave_F32Tensor:$x, Cleave_Int:$dim);
  let results = (outs Cleave_F32Tensor:$result);
  let assemblyFormat = "$x `dim` $dim attr-dict `:` type($x)";
  let hasVerifier = 1;
}
def Cleave_SoftmaxOp : Cleave_SoftmaxLikeOp<"softmax", "exponentials that sum to 1",
    "exp(x) / sum(exp(x))">;
def Cleave_LogSoftmaxOp : Cleave_SoftmaxLikeOp<"log_softmax", "the logarithm of the softmax",
    "x - log(sum(exp(x)))">;

def Cleave_LayerNormOp : Cleave_ComputeOp<"layer_norm", [Pure, AttrSizedOperandSegments,
    AllTypesMatch<["x", "result"]>]> {
  let summary = "normalization of the last dimensions";
  let description = [{
    (x - mean) / sqrt(variance + epsilon) * weight + bias, where mean and variance (the mean
    of the squared differences) are over the last `dims` dimensions together (Ba et al.,
    2016). `weight` and `bias` have these dimensions; without them they are 1 and 0.

    Group and instance normalization are this op over a reshaped x.

    **Constraints**: dims is 1 to x's rank; weight and bias have x's last dimensions.

    ```mlir
    func.func @f(%x: tensor<2x?x64xf32, #cleave.dims<tokens>>, %w: tensor<64xf32>, %b: tensor<64xf32>)
        -> tensor<2x?x64xf32, #cleave.dims<tokens>> {
      %y = cleave.layer_norm %x weight %w bias %b {epsilon = 1.0e-5 : f32}
        : (tensor<2x?x64xf32, #cleave.dims<tokens>>, tensor<64xf32>, tensor<64xf32>)
        -> tensor<2x?x64xf32, #cleave.dims<tokens>>
      return %y : tensor<2x?x64xf32, #cleave.dims<tokens>>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$x, Optional<Cleave_F32Tensor>:$weight,
                       Optional<Cleave_F32Tensor>:$bias, DefaultValuedAttr<Cleave_Int, "1">:$dims,
                       F32Attr:$epsilon);
  let results = (outs Cleave_F32Tensor:$result);
  let assemblyFormat = [{
    $x (`weight` $weight^)? (`bias` $bias^)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Cleave_ReduceKind : I32EnumAttr<"ReduceKind", "how elements are combined", [
    I32EnumAttrCase<"Sum", 0, "sum">,
    I32EnumAttrCase<"Mean", 1, "mean">,
    I32EnumAttrCase<"Max", 2, "max">,
    I32EnumAttrCase<"Min", 3, "min">,
    I32EnumAttrCase<"Prod", 4, "prod">,
    I32EnumAttrCase<"L1", 5, "l1">,
    I32EnumAttrCase<"SumSquare", 6, "sum_square">,
    I32EnumAttrCase<"LogSumExp", 7, "log_sum_exp">]> {
  let cppNamespace = "::cleave";
  let genSpecializedAttr = 0;
}
def Cleave_ReduceKindAttr : EnumAttr<CleaveDialect, Cleave_ReduceKind, "reduce_kind">;

def Cleave_ReduceOp : Cleave_ComputeOp<"reduce", [Pure,
    DeclareOpInterfaceMethods<ShardingRuleOpInterface, ["localize", "getLocalAttributes"]>]> {
  let summary = "elements along some dimensions, combined";
  let description = [{
    The elements of `x` along `dims` become one: their `sum`, `mean`, `max`, `min`, `prod`,
    `l1` (the sum of absolute values), `sum_square` or `log_sum_exp`. The result has size 1 in
    these dimensions, or lacks them; its rank tells which. Of no elements, a sum or mean is 0,
    a product 1, a maximum -inf or the least integer. Integers are exact, and sums of theirs
    wrap around.

    Over a split static dimension a sum of any kind, or a mean, is a partial sum. A rank's
    mean divides by `count`, which is the number of elements that the ranks have together;
    where it is absent it is the number of its own. An l2 norm is the root of a `sum_square`.

    **Constraints**: at least one dim, rising, each of x's; the result has x's other
    dimensions and its element type; `mean` and `log_sum_exp` are of f32; `count` stands only
    with `mean` and is at least 1.

    ```mlir
    func.func @f(%x: tensor<4x8x16xf32>) -> (tensor<4x1x16xf32>, tensor<8xf32>) {
      %m = cleave.reduce mean %x dims [1] : tensor<4x8x16xf32> -> tensor<4x1x16xf32>
      %s = cleave.reduce sum %x dims [0, 2] : tensor<4x8x16xf32> -> tensor<8xf32>
      return %m, %s : tensor<4x1x16xf32>, tensor<8xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_WideTensor:$x, Cleave_ReduceKindAttr:$kind, DenseI64ArrayAttr:$dims,
                       OptionalAttr<Cleave_Int>:$count);
  let results = (outs Cleave_WideTensor:$result);
  let assemblyFormat = [{
    $kind $x `dims` $dims attr-dict `:` type($x) `->` type($result)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Whether the reduced dimensions stay, with size 1.
    bool keepsDims();
  }];
}

class Cleave_ArgOp<string mnemonic, string which>
    : Cleave_ComputeOp<mnemonic, [Pure, Cleave_IsDecision]> {
  let summary = "where the " # which # " element along a dimension is";
  let description = "\n    The place along dimension `dim` of the " # which # [{ element: of equal
    ones the first, or with `last` the last. What is not a number comes before all others. The
    result has size 1 in this dimension, or lacks it; its rank tells which.

    **Constraints**: `dim` is a dimension of x, and not empty where it is static; the result
    has x's other dimensions.
  }] # "\n```mlir\nfunc.func @f(%x: tensor<4x8xf32>) -> tensor<4xi64> {\n"
     # "  %y = cleave." # mnemonic # " %x dim 1 : tensor<4x8xf32> -> tensor<4xi64>\n"
     # "  return %y : tensor<4xi64>\n}\n```\n";
  let arguments = (ins Cleave_WideTensor:$x, Cleave_Int:$dim, UnitAttr:$last);
  let results = (outs Cleave_I64Tensor:$result);
  let assemblyFormat = "$x `dim` $dim attr-dict `:` type($x) `->` type($result)";
  let hasVerifier = 1;
}
def Cleave_ArgMaxOp : Cleave_ArgOp<"arg_max", "largest">;
def Cleave_ArgMinOp : Cleave_ArgOp<"arg_min", "smallest">;

def Cleave_TopElementsOp : Cleave_ComputeOp<"top_elements", [Pure, Cleave_IsDecision]> {
  let summary = "the largest or smallest elements along a dimension and where they are";
  let description = [{
    `values` has the k largest elements of `x` along dimension `dim`, k being its size there,
    the largest first; with `smallest` the k smallest, the smallest first. `indices` says
    where they were. Of equal elements the first comes first; what is not a number counts as
    the largest.

    `cleave.top_k` is for the few best of rows that are split, this is ONNX's TopK.

    **Constraints**: `dim` is a dimension of x, static and not smaller than k; the results
    have x's other dimensions and agree; the values have x's element type.

    ```mlir
    func.func @f(%x: tensor<4x8xf32>) -> (tensor<4x3xf32>, tensor<4x3xi64>) {
      %v, %i = cleave.top_elements %x dim 1 : tensor<4x8xf32> -> tensor<4x3xf32>, tensor<4x3xi64>
      return %v, %i : tensor<4x3xf32>, tensor<4x3xi64>
    }
    ```
  }];
  let arguments = (ins Cleave_WideTensor:$x, Cleave_Int:$dim, UnitAttr:$smallest);
  let results = (outs Cleave_WideTensor:$values, Cleave_I64Tensor:$indices);
  let assemblyFormat = [{
    $x `dim` $dim attr-dict `:` type($x) `->` type($values) `,` type($indices)
  }];
  let hasVerifier = 1;
}

def Cleave_CumulativeSumOp : Cleave_ComputeOp<"cumulative_sum", [Pure, SameOperandsAndResultType]> {
  let summary = "the sums of the elements up to each along a dimension";
  let description = [{
    Element i along `dim` is the sum of elements 0 to i, with `exclusive` of those before i.
    With `reverse` the sums begin at the last element. Sums of integers wrap around.

    **Constraints**: `dim` is a dimension of x.

    ```mlir
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %y = cleave.cumulative_sum %x dim 1 {exclusive} : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_WideTensor:$x, Cleave_Int:$dim, UnitAttr:$exclusive, UnitAttr:$reverse);
  let results = (outs Cleave_WideTensor:$result);
  let assemblyFormat = "$x `dim` $dim attr-dict `:` type($x)";
  let hasVerifier = 1;
}

def Cleave_ScaledDotProductAttentionOp : Cleave_ComputeOp<"scaled_dot_product_attention", [Pure,
    DeclareOpInterfaceMethods<ShardingRuleOpInterface, ["localize", "getLocalAttributes"]>]> {
  let summary = "attention over plain queries, keys and values";
  let description = [{
    `q` [b, h, t, d], `k` [b, g, s, d], `v` [b, g, s, e] -> [b, h, t, e]: softmax(scale * q
    k^T + mask) v (Vaswani et al., 2017), each head by itself. `group` query heads share a
    key head: query head j reads key head `(first_head + j) / group`. `first_head` is 0 in
    the logical form.

    With a `softcap` c other than 0 the scaled products become c * tanh(product / c) before
    the mask is added. The `mask` is broadcast to [b, h, t, s] and is added, or is boolean and
    says which keys are seen. With `causal` query i sees the keys up to i; with
    `causal_from_end` as well, up to i + s - t, so that the last query sees all of them. A
    query that sees no key gets zeros.

    `mask_repeats` stands on ranks alone: dims of the mask that repeat over q's, though q's
    share is of size 1 there as well.

    `cleave.attention` is this over states, for language models that keep theirs.

    **Constraints**: the shapes agree; head counts and d are static; every key head is read;
    the mask broadcasts, and is of size 1 in dims that repeat; softcap is finite and not
    negative; `causal_from_end` stands only with `causal`.

    ```mlir
    func.func @f(%q: tensor<2x8x?x16xf32, #cleave.dims<tokens>>,
                 %k: tensor<2x4x?x16xf32, #cleave.dims<keys>>,
                 %v: tensor<2x4x?x16xf32, #cleave.dims<keys>>,
                 %m: tensor<?x?xf32, #cleave.dims<tokens, keys>>)
        -> tensor<2x8x?x16xf32, #cleave.dims<tokens>> {
      %a = cleave.scaled_dot_product_attention %q, %k, %v mask %m {group = 2, scale = 2.5e-1 : f32}
        : (tensor<2x8x?x16xf32, #cleave.dims<tokens>>, tensor<2x4x?x16xf32, #cleave.dims<keys>>,
           tensor<2x4x?x16xf32, #cleave.dims<keys>>, tensor<?x?xf32, #cleave.dims<tokens, keys>>)
        -> tensor<2x8x?x16xf32, #cleave.dims<tokens>>
      return %a : tensor<2x8x?x16xf32, #cleave.dims<tokens>>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$q, Cleave_F32Tensor:$k, Cleave_F32Tensor:$v,
                       Optional<Cleave_MaskTensor>:$mask, DefaultValuedAttr<Cleave_Int, "1">:$group,
                       DefaultValuedAttr<Cleave_Int, "0">:$first_head, F32Attr:$scale,
                       DefaultValuedAttr<F32Attr, "0.0f">:$softcap, UnitAttr:$causal,
                       UnitAttr:$causal_from_end,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$mask_repeats);
  let results = (outs Cleave_F32Tensor:$result);
  let assemblyFormat = [{
    $q `,` $k `,` $v (`mask` $mask^)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

#endif // CLEAVE_DENSEOPS_TD
