// Ops of the rank form that stand for several: the optimization of the rank form makes
// them, one instruction of a rank's program executes each.

#ifndef CLEAVE_FUSEDOPS_TD
#define CLEAVE_FUSEDOPS_TD

include "dialect/OpBase.td"

// `names` has the names in the model of the ops that it stands for, "" for one without.
class Cleave_FusedOp<string mnemonic, list<Trait> traits = []>
    : Cleave_Op<mnemonic, !listconcat([
        DeclareOpInterfaceMethods<FusedOpInterface, ["expand"]>,
        DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>], traits)> {
  let hasVerifier = 1;
}

def Cleave_JoinedLinearOp : Cleave_FusedOp<"joined_linear", [Pure]> {
  let summary = "matrix products of one input with several weights";
  let description = [{
    Stands for a `cleave.linear` of `x` with each of the weights: q, k and v, or gate and
    up. The input is prepared once, and threads share the outputs of all. Element types
    and numbers of outputs may differ.

    **Constraints**: 2 to 15 weights, a result for each; each product is a `linear` with
    this `pad_before`, and all weights have as many columns; as many names as weights.

    ```mlir
    func.func @f(%x: tensor<4x64xf32>, %q: tensor<64x64x!cleave.q8_0>, %k: tensor<32x64x!cleave.q8_0>)
        -> (tensor<4x64xf32>, tensor<4x32xf32>) {
      %y:2 = cleave.joined_linear %x, %q, %k {names = ["q", "k"]}
        : (tensor<4x64xf32>, tensor<64x64x!cleave.q8_0>, tensor<32x64x!cleave.q8_0>)
        -> (tensor<4x64xf32>, tensor<4x32xf32>)
      return %y#0, %y#1 : tensor<4x64xf32>, tensor<4x32xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$x, Variadic<Cleave_MatrixTensor>:$weights,
                       DefaultValuedAttr<Cleave_Int, "0">:$pad_before,
                       OptionalAttr<StrArrayAttr>:$names);
  let results = (outs Variadic<Cleave_F32Tensor>:$products);
  let assemblyFormat = "$x `,` $weights attr-dict `:` functional-type(operands, results)";
}

def Cleave_AddNormOp : Cleave_FusedOp<"add_norm", [Pure, AllTypesMatch<["x", "y", "sum", "normed"]>]> {
  let summary = "a sum of two values, and its norm";
  let description = [{
    Stands for `cleave.add` of `x` and `y` and `cleave.rms_norm` of the sum: a row is normed
    while it is in the cache.

    **Constraints**: x is [t, d], d static, and the weight [d]; as many names as ops.

    ```mlir
    func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>, %w: tensor<8xf32>) -> tensor<4x8xf32> {
      %s:2 = cleave.add_norm %x, %y, %w {epsilon = 1.0e-5 : f32} : tensor<4x8xf32>, tensor<8xf32>
      return %s#1 : tensor<4x8xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$x, Cleave_F32Tensor:$y, Cleave_F32Tensor:$weight,
                       F32Attr:$epsilon, OptionalAttr<StrArrayAttr>:$names);
  let results = (outs Cleave_F32Tensor:$sum, Cleave_F32Tensor:$normed);
  let assemblyFormat = "$x `,` $y `,` $weight attr-dict `:` type($x) `,` type($weight)";
}

// Collectives, and so neither moved nor erased; see Cleave_CommunicationOp.
class Cleave_FusedCollective<string mnemonic, list<Trait> traits = []>
    : Cleave_FusedOp<mnemonic, !listconcat([MemoryEffects<[MemRead, MemWrite]>], traits)>;

def Cleave_AllReduceAddOp : Cleave_FusedCollective<"all_reduce_add", [
    AllTypesMatch<["x", "residual", "sum"]>]> {
  let summary = "the sum over a group, a residual added to it, and the norm of that";
  let description = [{
    Stands for `cleave.all_reduce` of `x`, `cleave.add` of `residual` and the reduced value
    and, with a weight, `cleave.rms_norm` of the sum. Other members of the group may have
    the `all_reduce` alone: what is exchanged is the same.

    **Constraints**: x is [t, d], d static; the weight is [d], and stands with an epsilon
    and a second result like the first, or none of the three is there; a group lists
    distinct ranks; as many names as ops.

    ```mlir
    func.func @f(%p: tensor<4x8xf32>, %x: tensor<4x8xf32>, %w: tensor<8xf32>) -> tensor<4x8xf32> {
      %s:2 = cleave.all_reduce_add sum %p, %x norm %w group [0, 1] {epsilon = 1.0e-5 : f32}
        : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
      return %s#1 : tensor<4x8xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$x, Cleave_F32Tensor:$residual,
                       Optional<Cleave_F32Tensor>:$weight, DenseI64ArrayAttr:$group,
                       OptionalAttr<F32Attr>:$epsilon, OptionalAttr<StrArrayAttr>:$names);
  let results = (outs Cleave_F32Tensor:$sum, Optional<Cleave_F32Tensor>:$normed);
  let assemblyFormat = [{
    `sum` $x `,` $residual (`norm` $weight^)? `group` $group attr-dict
    `:` functional-type(operands, results)
  }];
}

def Cleave_MergedAllReduceOp : Cleave_FusedCollective<"merged_all_reduce"> {
  let summary = "the sums of several values over a group, in one message";
  let description = [{
    Stands for a `cleave.all_reduce sum` of each of the values. All members of the group
    merge the same ones.

    **Constraints**: 2 to 16 values, each with a result of its type; a group lists distinct
    ranks; as many names as values.

    ```mlir
    func.func @f(%x: tensor<4xf32>, %y: tensor<2x3xf32>) -> (tensor<4xf32>, tensor<2x3xf32>) {
      %s:2 = cleave.merged_all_reduce sum %x, %y group [0, 1]
        : (tensor<4xf32>, tensor<2x3xf32>) -> (tensor<4xf32>, tensor<2x3xf32>)
      return %s#0, %s#1 : tensor<4xf32>, tensor<2x3xf32>
    }
    ```
  }];
  let arguments = (ins Variadic<Cleave_F32Tensor>:$values, DenseI64ArrayAttr:$group,
                       OptionalAttr<StrArrayAttr>:$names);
  let results = (outs Variadic<Cleave_F32Tensor>:$sums);
  let assemblyFormat = [{
    `sum` $values `group` $group attr-dict `:` functional-type(operands, results)
  }];
}

#endif // CLEAVE_FUSEDOPS_TD
