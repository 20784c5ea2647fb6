// A mixture of experts: choosing experts for each token, their weights, and the experts
// themselves.

#ifndef CLEAVE_MOEOPS_TD
#define CLEAVE_MOEOPS_TD

include "dialect/OpBase.td"

def Cleave_RouteOp : Cleave_ComputeOp<"route", [Pure, Cleave_IsDecision]> {
  let summary = "the experts of each token";
  let description = [{
    `logits` [t, e] -> [t, k]: the numbers of the k largest logits of each token, the
    largest first, of equals the lower number first.

    This is a decision: one rank makes it, and the others of its stage get it by a
    `cleave.broadcast`. What follows from it smoothly, `route_weights`, every rank computes.

    **Constraints**: 1 <= k <= e, both static.

    ```mlir
    func.func @f(%logits: tensor<?x8xf32, #cleave.dims<tokens>>) -> tensor<?x2xi32, #cleave.dims<tokens>> {
      %chosen = cleave.route %logits
        : tensor<?x8xf32, #cleave.dims<tokens>> -> tensor<?x2xi32, #cleave.dims<tokens>>
      return %chosen : tensor<?x2xi32, #cleave.dims<tokens>>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$logits);
  let results = (outs Cleave_I32Tensor:$result);
  let assemblyFormat = "$logits attr-dict `:` type($logits) `->` type($result)";
  let hasVerifier = 1;
}

def Cleave_RouteWeightsOp : Cleave_ComputeOp<"route_weights", [Pure]> {
  let summary = "how much each chosen expert counts";
  let description = [{
    `logits` [t, e], `chosen` [t, k] -> [t, k]: `scale` times the softmax of a token's
    logits at its chosen experts. With `normalized`, the softmax is over the chosen
    experts alone, so that a token's weights add up to `scale`; it is the same to divide
    the softmax over all experts by its sum over the chosen.

    **Constraints**: the shapes agree.

    ```mlir
    func.func @f(%logits: tensor<4x8xf32>, %chosen: tensor<4x2xi32>) -> tensor<4x2xf32> {
      %w = cleave.route_weights normalized %logits, %chosen : tensor<4x8xf32>, tensor<4x2xi32> -> tensor<4x2xf32>
      return %w : tensor<4x2xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$logits, Cleave_I32Tensor:$chosen, UnitAttr:$normalized,
                       DefaultValuedAttr<F32Attr, "1.0f">:$scale);
  let results = (outs Cleave_F32Tensor:$result);
  let assemblyFormat = [{
    (`normalized` $normalized^)? $logits `,` $chosen attr-dict
    `:` type($logits) `,` type($chosen) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Cleave_MoeOp : Cleave_ComputeOp<"moe", [Pure,
    DeclareOpInterfaceMethods<ShardingRuleOpInterface, ["localize", "getLocalAttributes"]>]> {
  let summary = "a mixture of gated feed-forward experts";
  let description = [{
    `x` [t, d], `chosen` [t, k], `weights` [t, k], `gate` and `up` [e, f, d], `down`
    [e, o, g] -> [t, o]: the sum over a token's chosen experts n, each `weights` times
    down[n] (silu(gate[n] x) * up[n] x), as in Shazeer (2020).

    In the logical form g = f and `first_expert` is 0. A rank that has some experts has
    them from number `first_expert` on, and skips a token's other experts; one whose share
    of the inner features begins or ends inside a quantization block of `down` has those
    blocks whole, as in `linear`: `pad_before` columns before its first feature, and fewer
    than a block's length after its last, meet zero.

    **Constraints**: the shapes agree; gate and up have the same; first_expert is not negative;
    0 <= pad_before < block length; 0 <= g - pad_before - f < block length.

    ```mlir
    func.func @f(%x: tensor<4x64xf32>, %chosen: tensor<4x2xi32>, %weights: tensor<4x2xf32>,
                 %gate: tensor<8x96x64x!cleave.q8_0>, %up: tensor<8x96x64x!cleave.q8_0>,
                 %down: tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32> {
      %y = cleave.moe %x to %chosen, %weights through %gate, %up, %down
        : (tensor<4x64xf32>, tensor<4x2xi32>, tensor<4x2xf32>, tensor<8x96x64x!cleave.q8_0>,
           tensor<8x96x64x!cleave.q8_0>, tensor<8x64x96x!cleave.q8_0>) -> tensor<4x64xf32>
      return %y : tensor<4x64xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$x, Cleave_I32Tensor:$chosen, Cleave_F32Tensor:$weights,
                       Cleave_MatrixTensor:$gate, Cleave_MatrixTensor:$up, Cleave_MatrixTensor:$down,
                       DefaultValuedAttr<Cleave_Int, "0">:$first_expert,
                       DefaultValuedAttr<Cleave_Int, "0">:$pad_before);
  let results = (outs Cleave_F32Tensor:$result);
  let assemblyFormat = [{
    $x `to` $chosen `,` $weights `through` $gate `,` $up `,` $down attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

#endif // CLEAVE_MOEOPS_TD
