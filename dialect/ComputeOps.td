// Ops that compute, at the grain at which a kernel exists.

#ifndef CLEAVE_COMPUTEOPS_TD
#define CLEAVE_COMPUTEOPS_TD

include "dialect/OpBase.td"

def Cleave_GatherOp : Cleave_ComputeOp<"gather", [Pure,
    DeclareOpInterfaceMethods<ShardingRuleOpInterface, ["localize", "getLocalAttributes"]>]> {
  let summary = "rows of a matrix by their numbers";
  let description = [{
    `source` [v, d], `indices` [t] -> [t, d]: row t of the result is row `indices[t] -
    offset` of the source, as f32. This is a token embedding, and the choice of the rows
    whose logits are wanted. With `masked`, an index outside the source gives zeros: so
    each rank looks up its part of a split vocabulary and the sum over the ranks is the
    row.

    **Constraints**: the shapes agree; an offset stands only with `masked`.

    ```mlir
    func.func @f(%w: tensor<512x64xf32>, %ids: tensor<?xi32, #cleave.dims<tokens>>)
        -> tensor<?x64xf32, #cleave.dims<tokens>> {
      %x = cleave.gather %w, %ids
        : (tensor<512x64xf32>, tensor<?xi32, #cleave.dims<tokens>>) -> tensor<?x64xf32, #cleave.dims<tokens>>
      return %x : tensor<?x64xf32, #cleave.dims<tokens>>
    }
    ```
  }];
  let arguments = (ins Cleave_MatrixTensor:$source, Cleave_I32Tensor:$indices,
                       DefaultValuedAttr<Cleave_Int, "0">:$offset, UnitAttr:$masked);
  let results = (outs Cleave_F32Tensor:$result);
  let assemblyFormat = [{
    (`masked` $masked^)? $source `,` $indices attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Cleave_LinearOp : Cleave_ComputeOp<"linear", [Pure,
    DeclareOpInterfaceMethods<ShardingRuleOpInterface, ["localize", "getLocalAttributes"]>]> {
  let summary = "a matrix product with a weight";
  let description = [{
    `x` [..., i], `weight` [o, k] -> [..., o]: the sum over j of x[..., j] * weight[o,
    pad_before + j].

    In the logical form k = i. On a rank whose share of the input features begins or ends
    inside a quantization block, the weight holds those blocks whole: `pad_before` of its
    columns before the first feature, and fewer than a block's length after the last, meet
    zero.

    **Constraints**: 0 <= pad_before < block length; 0 <= k - pad_before - i < block length.

    ```mlir
    func.func @f(%x: tensor<?x64xf32, #cleave.dims<tokens>>, %w: tensor<172x64x!cleave.q8_0>)
        -> tensor<?x172xf32, #cleave.dims<tokens>> {
      %y = cleave.linear %x, %w : (tensor<?x64xf32, #cleave.dims<tokens>>, tensor<172x64x!cleave.q8_0>)
        -> tensor<?x172xf32, #cleave.dims<tokens>>
      return %y : tensor<?x172xf32, #cleave.dims<tokens>>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$x, Cleave_MatrixTensor:$weight,
                       DefaultValuedAttr<Cleave_Int, "0">:$pad_before);
  let results = (outs Cleave_F32Tensor:$result);
  let assemblyFormat = "$x `,` $weight attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Cleave_RmsNormOp : Cleave_ComputeOp<"rms_norm", [Pure, AllTypesMatch<["x", "result"]>]> {
  let summary = "root-mean-square normalization of the last dimension";
  let description = [{
    `x` [..., d], `weight` [d] -> x / sqrt(mean(x^2) + epsilon) * weight, the mean over d
    (Zhang and Sennrich, 2019).

    With `per_head`, `x` is [..., heads * d]: each head is normalized by itself, all with the
    same weight. Then heads can lie on different ranks.

    **Constraints**: the weight has x's last dimension; with `per_head`, the weight has a
    static size of at least 1, of which x's last dimension is a multiple.

    ```mlir
    func.func @f(%x: tensor<4x64xf32>, %w: tensor<64xf32>) -> tensor<4x64xf32> {
      %y = cleave.rms_norm %x, %w {epsilon = 1.0e-5 : f32} : tensor<4x64xf32>, tensor<64xf32>
      return %y : tensor<4x64xf32>
    }
    func.func @heads(%q: tensor<4x64xf32>, %w: tensor<16xf32>) -> tensor<4x64xf32> {
      %y = cleave.rms_norm per_head %q, %w {epsilon = 1.0e-5 : f32}
        : tensor<4x64xf32>, tensor<16xf32>
      return %y : tensor<4x64xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$x, Cleave_F32Tensor:$weight, F32Attr:$epsilon,
                       UnitAttr:$per_head);
  let results = (outs Cleave_F32Tensor:$result);
  let assemblyFormat = [{
    (`per_head` $per_head^)? $x `,` $weight attr-dict `:` type($x) `,` type($weight)
  }];
  let hasVerifier = 1;
}

def Cleave_RopeStyle : I32EnumAttr<"RopeStyle", "which elements of a head form a pair", [
    I32EnumAttrCase<"Interleaved", 0, "interleaved">,
    I32EnumAttrCase<"Halves", 1, "halves">]> {
  let cppNamespace = "::cleave";
  let genSpecializedAttr = 0;
}
def Cleave_RopeStyleAttr : EnumAttr<CleaveDialect, Cleave_RopeStyle, "rope_style">;

def Cleave_RopeOp : Cleave_ComputeOp<"rope", [Pure, AllTypesMatch<["x", "result"]>]> {
  let summary = "rotary position embedding";
  let description = [{
    `x` [t, heads * head_dim], `positions` [t] -> like x. In each head, pair j of the first
    `rotary_dim` elements turns by the angle `position * scale * base^(-2j / rotary_dim) /
    factors[j]` (Su et al., 2021). A pair is (2j, 2j + 1) with `interleaved`, (j, j +
    rotary_dim / 2) with `halves`. `factors` [rotary_dim / 2] are 1 where absent.

    **Constraints**: x's width is a multiple of head_dim; rotary_dim is even and at most
    head_dim.

    ```mlir
    func.func @f(%x: tensor<4x64xf32>, %p: tensor<4xi32>) -> tensor<4x64xf32> {
      %y = cleave.rope %x, %p {head_dim = 8, rotary_dim = 8, base = 1.0e4 : f32}
        : tensor<4x64xf32>, tensor<4xi32>
      return %y : tensor<4x64xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$x, Cleave_I32Tensor:$positions,
                       Optional<Cleave_F32Tensor>:$factors, Cleave_Int:$head_dim, Cleave_Int:$rotary_dim,
                       F32Attr:$base, DefaultValuedAttr<F32Attr, "1.0f">:$scale,
                       DefaultValuedAttr<Cleave_RopeStyleAttr, "::cleave::RopeStyle::Interleaved">:$style);
  let results = (outs Cleave_F32Tensor:$result);
  let assemblyFormat = [{
    $x `,` $positions (`factors` $factors^)? attr-dict `:` type($x) `,` type($positions)
    (`,` type($factors)^)?
  }];
  let hasVerifier = 1;
}

def Cleave_StateResource : Resource<"::cleave::StateResource">;

def Cleave_StateUpdateOp : Cleave_ComputeOp<"state_update", [
    MemoryEffects<[MemRead<Cleave_StateResource>, MemWrite<Cleave_StateResource>]>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "writes rows into a state and reads the state";
  let description = [{
    Row t of `x` [t, d] becomes row `positions[t]` of slot `slots[t]`, in the state's
    element type. The result is the state [slots, context, d] after that; no copy is made.

    **Constraints**: the state is declared in the enclosing module, with the result's type.

    ```mlir
    cleave.state @k : tensor<?x?x32xf16, #cleave.dims<slots, context>>
    func.func @f(%x: tensor<4x32xf32>, %s: tensor<4xi32>, %p: tensor<4xi32>)
        -> tensor<?x?x32xf16, #cleave.dims<slots, context>> {
      %k = cleave.state_update @k, %x at %s, %p : (tensor<4x32xf32>, tensor<4xi32>, tensor<4xi32>)
        -> tensor<?x?x32xf16, #cleave.dims<slots, context>>
      return %k : tensor<?x?x32xf16, #cleave.dims<slots, context>>
    }
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$state, Cleave_F32Tensor:$x, Cleave_I32Tensor:$slots,
                       Cleave_I32Tensor:$positions);
  let results = (outs Cleave_StateTensor:$result);
  let assemblyFormat = [{
    $state `,` $x `at` $slots `,` $positions attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Cleave_AttentionOp : Cleave_ComputeOp<"attention", [Pure, AllTypesMatch<["q", "result"]>,
    TypesMatchWith<"v's type is k's", "k", "v", "$_self">,
    DeclareOpInterfaceMethods<ShardingRuleOpInterface, ["localize", "getLocalAttributes"]>]> {
  let summary = "causal attention with grouped queries";
  let description = [{
    `q` [t, heads * head_dim], `k` and `v` [s, c, kv_heads * head_dim] -> like q. Query
    row t reads rows 0 to `positions[t]` of slot `slots[t]`: softmax(scale * q k^T) v
    (Vaswani et al., 2017), each head by itself. `group` query heads share a key head
    (Ainslie et al., 2023): query head j reads key head `(first_head + j) / group`.
    `first_head` is 0 in the logical form; a rank whose share of the query heads begins
    inside a group has it at the place in that group. With a `window` other than 0, a query
    row reads the last `window` of its rows only.

    **Constraints**: widths are multiples of head_dim, and every query head's key head
    exists; 0 <= window < 2^31.

    ```mlir
    func.func @f(%q: tensor<4x64xf32>, %k: tensor<1x16x32xf16>, %v: tensor<1x16x32xf16>,
                 %s: tensor<4xi32>, %p: tensor<4xi32>) -> tensor<4x64xf32> {
      %a = cleave.attention %q, %k, %v at %s, %p {head_dim = 8, group = 2, scale = 0.353553 : f32}
        : tensor<4x64xf32>, tensor<1x16x32xf16>, tensor<4xi32>, tensor<4xi32>
      return %a : tensor<4x64xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$q, Cleave_StateTensor:$k, Cleave_StateTensor:$v,
                       Cleave_I32Tensor:$slots, Cleave_I32Tensor:$positions, Cleave_Int:$head_dim,
                       Cleave_Int:$group, DefaultValuedAttr<Cleave_Int, "0">:$first_head, F32Attr:$scale,
                       DefaultValuedAttr<Cleave_Int, "0">:$window);
  let results = (outs Cleave_F32Tensor:$result);
  let assemblyFormat = [{
    $q `,` $k `,` $v `at` $slots `,` $positions attr-dict
    `:` type($q) `,` type($k) `,` type($slots) `,` type($positions)
  }];
  let hasVerifier = 1;
}

def Cleave_TopKOp : Cleave_ComputeOp<"top_k", [Pure,
    DeclareOpInterfaceMethods<ShardingRuleOpInterface, ["localize", "getLocalAttributes"]>]> {
  let summary = "the largest elements of each row and where they are";
  let description = [{
    `x` [r, v] -> [r, k, 2]: for each row its k largest elements, each a candidate: the
    value, and its column plus `offset` as a number. The largest comes first, and among
    equals the smaller column; what is not a number counts as +inf, so that it is seen.
    Where a row has fewer than k elements, candidates (-inf, -1) follow.

    Over a split v each rank finds the candidates of its share: the result is partial of
    kind `top`, and k candidates a rank travel instead of the row.

    **Constraints**: v is static; 1 <= k <= 1024; columns are exact in f32: 0 <= offset and
    offset + v <= 2^24.

    ```mlir
    func.func @f(%x: tensor<?x512xf32, #cleave.dims<rows>>)
        -> tensor<?x40x2xf32, #cleave.dims<rows>> {
      %c = cleave.top_k %x
        : tensor<?x512xf32, #cleave.dims<rows>> -> tensor<?x40x2xf32, #cleave.dims<rows>>
      return %c : tensor<?x40x2xf32, #cleave.dims<rows>>
    }
    ```
  }];
  let arguments = (ins Cleave_F32Tensor:$x, DefaultValuedAttr<Cleave_Int, "0">:$offset);
  let results = (outs Cleave_F32Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($result)";
  let hasVerifier = 1;
}

#endif // CLEAVE_COMPUTEOPS_TD
