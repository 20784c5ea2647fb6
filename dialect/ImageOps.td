// Ops over images beside convolution: pooling, transposed convolution and resizing.

#ifndef CLEAVE_IMAGEOPS_TD
#define CLEAVE_IMAGEOPS_TD

include "dialect/OpBase.td"

def Cleave_PoolKind : I32EnumAttr<"PoolKind", "what a pool makes of a window", [
    I32EnumAttrCase<"Max", 0, "max">,
    I32EnumAttrCase<"Average", 1, "average">]> {
  let cppNamespace = "::cleave";
  let genSpecializedAttr = 0;
}
def Cleave_PoolKindAttr : EnumAttr<CleaveDialect, Cleave_PoolKind, "pool_kind">;

def Cleave_PoolOp : Cleave_ComputeOp<"pool", [Pure]> {
  let summary = "the largest or the mean element of each window";
  let description = [{
    `x` [n, c, s...] -> [n, c, s'...]: of each channel by itself, the `max` or the `average`
    over a window of `window` elements a spatial dimension, `dilations` apart, that moves by
    `strides`. `pads` are before each spatial dimension, then after each, and do not count,
    but that with `counts_pads` an average divides by them, too. s' is rounded down, as in
    `cleave.conv`, or up: then the last window reaches behind the pads, and what is there
    never counts.

    **Constraints**: one to three spatial dimensions of static size; strides, window and
    dilations are 1 to 32768, pads 0 to 32768; the window fits the padded x; s' follows;
    `counts_pads` stands only with `average`.

    ```mlir
    func.func @f(%x: tensor<?x8x9x9xf32, #cleave.dims<n>>) -> tensor<?x8x4x4xf32, #cleave.dims<n>> {
      %y = cleave.pool max %x window [3, 3] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1]
        : tensor<?x8x9x9xf32, #cleave.dims<n>> -> tensor<?x8x4x4xf32, #cleave.dims<n>>
      return %y : tensor<?x8x4x4xf32, #cleave.dims<n>>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$x, Cleave_PoolKindAttr:$kind, DenseI64ArrayAttr:$window,
                       DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$pads,
                       DenseI64ArrayAttr:$dilations, UnitAttr:$counts_pads);
  let results = (outs Cleave_F32Tensor:$result);
  let assemblyFormat = [{
    $kind $x `window` $window `strides` $strides `pads` $pads `dilations` $dilations attr-dict
    `:` type($x) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Cleave_PoolIndicesOp : Cleave_ComputeOp<"pool_indices", [Pure]> {
  let summary = "where the largest element of each window is";
  let description = [{
    `x` [n, c, s...] -> [n, c, s'...]: the number of the element of its own image and channel that
    `cleave.pool max` finds, the first of equals. Elements are counted with the last
    dimension varying fastest, or with `column_major` the first spatial one. A window
    without elements gives -1.

    **Constraints**: as of `cleave.pool`.

    ```mlir
    func.func @f(%x: tensor<?x8x9x9xf32, #cleave.dims<n>>) -> tensor<?x8x4x4xi64, #cleave.dims<n>> {
      %y = cleave.pool_indices %x window [3, 3] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1]
        : tensor<?x8x9x9xf32, #cleave.dims<n>> -> tensor<?x8x4x4xi64, #cleave.dims<n>>
      return %y : tensor<?x8x4x4xi64, #cleave.dims<n>>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$x, DenseI64ArrayAttr:$window, DenseI64ArrayAttr:$strides,
                       DenseI64ArrayAttr:$pads, DenseI64ArrayAttr:$dilations,
                       UnitAttr:$column_major);
  let results = (outs RankedTensorOf<[I64]>:$result);
  let assemblyFormat = [{
    $x `window` $window `strides` $strides `pads` $pads `dilations` $dilations attr-dict
    `:` type($x) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Cleave_ConvTransposeOp : Cleave_ComputeOp<"conv_transpose", [Pure]> {
  let summary = "transposed convolution over one to three spatial dimensions";
  let description = [{
    `x` [n, c, s...], `filter` [c, o / g, k...] -> [n, o, s'...]: what x would have to be the
    gradient of, were the op a `cleave.conv` with this filter. In one dimension each x[n, c, i]
    times filter[c, o, j] is added to y[n, o, strides * i + dilations * j - pads[0]], where y
    has that element. s' = strides * (s - 1) + dilations * (k - 1) + 1 - pads[0] - pads[1], or
    more by less than the larger of stride and dilation.

    With `grouped` there are g groups of channels, each by itself; g follows from the filter
    and the result. A cut lies between groups.

    **Constraints**: one to three spatial dimensions; all sizes but n are static; strides and
    dilations are 1 to 32768, pads 0 to 32768; channels and sizes agree.

    ```mlir
    func.func @f(%x: tensor<1x4x5xf32>, %w: tensor<4x3x2xf32>) -> tensor<1x3x10xf32> {
      %y = cleave.conv_transpose %x, %w strides [2] pads [0, 0] dilations [1]
        : (tensor<1x4x5xf32>, tensor<4x3x2xf32>) -> tensor<1x3x10xf32>
      return %y : tensor<1x3x10xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$x, Cleave_F32Tensor:$filter, DenseI64ArrayAttr:$strides,
                       DenseI64ArrayAttr:$pads, DenseI64ArrayAttr:$dilations, UnitAttr:$grouped);
  let results = (outs Cleave_F32Tensor:$result);
  let assemblyFormat = [{
    (`grouped` $grouped^)? $x `,` $filter `strides` $strides `pads` $pads `dilations` $dilations
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Cleave_ResizeMode : I32EnumAttr<"ResizeMode", "how elements between are found", [
    I32EnumAttrCase<"Nearest", 0, "nearest">,
    I32EnumAttrCase<"Linear", 1, "linear">,
    I32EnumAttrCase<"Cubic", 2, "cubic">]> {
  let cppNamespace = "::cleave";
  let genSpecializedAttr = 0;
}
def Cleave_ResizeModeAttr : EnumAttr<CleaveDialect, Cleave_ResizeMode, "resize_mode">;

// The names are ONNX's.
def Cleave_ResizeCoordinates : I32EnumAttr<"ResizeCoordinates", "where an element comes from", [
    I32EnumAttrCase<"HalfPixel", 0, "half_pixel">,
    I32EnumAttrCase<"HalfPixelSymmetric", 1, "half_pixel_symmetric">,
    I32EnumAttrCase<"PytorchHalfPixel", 2, "pytorch_half_pixel">,
    I32EnumAttrCase<"AlignCorners", 3, "align_corners">,
    I32EnumAttrCase<"Asymmetric", 4, "asymmetric">,
    I32EnumAttrCase<"TfHalfPixelForNearest", 5, "tf_half_pixel_for_nn">,
    I32EnumAttrCase<"TfCropAndResize", 6, "tf_crop_and_resize">]> {
  let cppNamespace = "::cleave";
  let genSpecializedAttr = 0;
}
def Cleave_ResizeCoordinatesAttr
    : EnumAttr<CleaveDialect, Cleave_ResizeCoordinates, "resize_coordinates">;

def Cleave_ResizeRounding : I32EnumAttr<"ResizeRounding", "which element is the nearest", [
    I32EnumAttrCase<"RoundPreferFloor", 0, "round_prefer_floor">,
    I32EnumAttrCase<"RoundPreferCeil", 1, "round_prefer_ceil">,
    I32EnumAttrCase<"Floor", 2, "floor">,
    I32EnumAttrCase<"Ceil", 3, "ceil">]> {
  let cppNamespace = "::cleave";
  let genSpecializedAttr = 0;
}
def Cleave_ResizeRoundingAttr : EnumAttr<CleaveDialect, Cleave_ResizeRounding, "resize_rounding">;

def Cleave_ResizeOp : Cleave_ComputeOp<"resize", [Pure]> {
  let summary = "another number of elements along one dimension";
  let description = [{
    Element i of the result along `dim` is taken from x where `coordinates` says (ONNX's
    Resize gives the formulas): the `nearest` element, by `rounding`; or two elements with
    `linear`, four with `cubic` weights (Keys, 1981, with `cubic_coefficient`). `scale` is the
    factor by which the dimension grows. With `antialias` a smaller result takes wider
    windows, 1 / scale as wide. With `excludes_outside` cubic weights of elements outside of
    x are 0; otherwise these are like the nearest inside.

    `tf_crop_and_resize` takes elements from `crop_begin` to `crop_end`, which are in parts
    of x, and gives `extrapolation` where that is outside.

    Several dimensions are resized one after the other.

    **Constraints**: `dim` is a static dimension of x, and not empty; the result differs from
    x only there; the scale is finite and positive; the other numbers are finite.

    ```mlir
    func.func @f(%x: tensor<1x3x8x8xf32>) -> tensor<1x3x16x8xf32> {
      %y = cleave.resize linear %x dim 2 by 2.0 half_pixel
        : tensor<1x3x8x8xf32> -> tensor<1x3x16x8xf32>
      return %y : tensor<1x3x16x8xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$x, Cleave_ResizeModeAttr:$mode, Cleave_Int:$dim,
                       F64Attr:$scale, Cleave_ResizeCoordinatesAttr:$coordinates,
                       DefaultValuedAttr<Cleave_ResizeRoundingAttr,
                                         "::cleave::ResizeRounding::RoundPreferFloor">:$rounding,
                       DefaultValuedAttr<F64Attr, "-0.75">:$cubic_coefficient,
                       UnitAttr:$antialias, UnitAttr:$excludes_outside,
                       DefaultValuedAttr<F64Attr, "0.0">:$crop_begin,
                       DefaultValuedAttr<F64Attr, "1.0">:$crop_end,
                       DefaultValuedAttr<F32Attr, "0.0f">:$extrapolation);
  let results = (outs Cleave_F32Tensor:$result);
  let assemblyFormat = [{
    $mode $x `dim` $dim `by` $scale $coordinates attr-dict `:` type($x) `->` type($result)
  }];
  let hasVerifier = 1;
}

#endif // CLEAVE_IMAGEOPS_TD
