// Ops over images: tensors [batch, channels, spatial...].

#ifndef CLEAVE_CONVOLUTIONOPS_TD
#define CLEAVE_CONVOLUTIONOPS_TD

include "dialect/OpBase.td"

def Cleave_ConvOp : Cleave_ComputeOp<"conv", [Pure,
    DeclareOpInterfaceMethods<ShardingRuleOpInterface, ["localize", "getLocalAttributes"]>]> {
  let summary = "convolution over one to three spatial dimensions";
  let description = [{
    `x` [n, c, s...], `filter` [o, c, k...], `bias` [o] -> [n, o, s'...]: cross-correlation,
    as ONNX's Conv and PyTorch have it. In one dimension

        y[n, o, i] = bias[o] + sum over c, j of
                     x[n, c, strides * i + dilations * j - pads[0]] * filter[o, c, j]

    where x is zero outside, and s' = (s + pads[0] + pads[1] - dilations * (k - 1) - 1) /
    strides + 1, rounded down. `pads` are those before each spatial dimension, then those
    after each; `strides` and `dilations` are one number for each.

    With `grouped` the filter is [o, c / g, k...]: the channels of x are g groups of as many
    as the filter has, those of the result g groups of o / g, and a group of the result is
    made from the same group of x. Such a convolution is cut between groups.

    A rank that has a share of the input channels computes a summand. One of those ranks
    adds the bias; the others have `omits_bias`.

    **Constraints**: one to three spatial dimensions; all sizes but n are static; strides and
    dilations are 1 to 32768, pads 0 to 32768; the filter is not empty and fits the padded x;
    the channels agree, without remainder where grouped; `omits_bias` stands only with a
    bias.

    ```mlir
    func.func @f(%x: tensor<?x3x32x32xf32, #cleave.dims<batch>>, %w: tensor<8x3x3x3xf32>,
                 %b: tensor<8xf32>) -> tensor<?x8x16x16xf32, #cleave.dims<batch>> {
      %y = cleave.conv %x, %w bias %b strides [2, 2] pads [1, 1, 1, 1] dilations [1, 1]
        : (tensor<?x3x32x32xf32, #cleave.dims<batch>>, tensor<8x3x3x3xf32>, tensor<8xf32>)
        -> tensor<?x8x16x16xf32, #cleave.dims<batch>>
      return %y : tensor<?x8x16x16xf32, #cleave.dims<batch>>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$x, Cleave_F32Tensor:$filter,
                       Optional<Cleave_F32Tensor>:$bias, DenseI64ArrayAttr:$strides,
                       DenseI64ArrayAttr:$pads, DenseI64ArrayAttr:$dilations, UnitAttr:$grouped,
                       UnitAttr:$omits_bias);
  let results = (outs Cleave_F32Tensor:$result);
  let assemblyFormat = [{
    (`grouped` $grouped^)? $x `,` $filter (`bias` $bias^)? `strides` $strides `pads` $pads
    `dilations` $dilations attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

#endif // CLEAVE_CONVOLUTIONOPS_TD
