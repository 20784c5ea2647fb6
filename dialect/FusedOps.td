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
  let arguments = (ins Cleave_F32Tensor:$x, Variadic<Cleave_WeightTensor>:$weights,
                       DefaultValuedAttr<Cleave_Int, "0">:$pad_before,
                       OptionalAttr<StrArrayAttr>:$names);
  let results = (outs Variadic<Cleave_F32Tensor>:$products);
  let assemblyFormat = "$x `,` $weights attr-dict `:` functional-type(operands, results)";
}

#endif // CLEAVE_FUSEDOPS_TD
