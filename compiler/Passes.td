// Every pass: its name, what it expects and leaves, its options.

#ifndef CLEAVE_PASSES_TD
#define CLEAVE_PASSES_TD

include "mlir/Pass/PassBase.td"

def VerifyLogicalPass : Pass<"cleave-verify-logical", "::mlir::ModuleOp"> {
  let summary = "checks that a module is in the logical form";
  let description = [{
    Each run-time size has a name, no op communicates or is resharded, and function
    arguments and results are named ports. Shardings of arguments and results of ops, where
    there are any, are axes alone, without ranges and partial sums. Changes nothing.
  }];
}

def FoldConstantsPass : Pass<"cleave-fold-constants", "::mlir::ModuleOp"> {
  let summary = "computes what only constants decide";
  let description = [{
    Precondition: the logical form without splits. Postcondition: the same, where ops whose
    operands are all weights of an ONNX file or of the module itself, of at most 1 MiB each, are
    executed, by the kernels that a run would use: their results, of at most 64 KiB each and 4
    MiB together, are weights `from dense`, named as the ops. What is larger stays, and so does
    what only counts or repeats. An op that fails in this is left to the run.

    ```mlir
    cleave.weight @w : tensor<2xf32> from dense<[2], "0x0000803f00000040">
    // %w = use @w    %r = cleave.sqrt %w    %y = cleave.mul %x, %r
    // ->
    cleave.weight @r : tensor<2xf32> from dense<[2], "0x0000803ff304b53f">
    // %r = use @r    %y = cleave.mul %x, %r
    ```
  }];
}

def ApplyPlanPass : Pass<"cleave-apply-plan", "::mlir::ModuleOp"> {
  let summary = "writes a plan's mesh, splits and cuts into a logical module";
  let description = [{
    Precondition: the logical form. Postcondition: the module has a `cleave.mesh`, weights
    carry `split` attributes, and a `cleave.cut` stands where each stage after the first
    begins. Splits that the plan leaves open are the default plan's for the model's family;
    of other graphs they are `cleave-choose-splits`'s.
    Stages that ops name (`cleave.stage`) become cuts as well, and ops are brought into
    their order; a plan's own cuts or number of stages replace those of the module.

    Before and after, with `split=w=column tp=2`:

    ```mlir
    cleave.weight @w : tensor<8x8xf32> from none
    // ->
    cleave.mesh @mesh <"tp" = 2>
    cleave.weight @w : tensor<8x8xf32> from none split [#cleave.split<column "tp">]
    ```
  }];
  let options = [
    Option<"planFile", "plan", "std::string", "", "a plan in YAML">,
    Option<"tp", "tp", "std::string", "", "the size of axis tp">,
    Option<"stages", "stages", "std::string", "", "the number of pipeline stages">,
    Option<"mesh", "mesh", "std::string", "", "axes, as tp=2;data=2">,
    ListOption<"cuts", "cut", "std::string", "where a stage begins">,
    ListOption<"splits", "split", "std::string", "PATTERN=TYPE@AXIS+...">,
    Option<"sequence", "sequence", "std::string", "", "an axis over which tokens are cut, too">,
  ];
}

def SeparateSegmentsPass : Pass<"cleave-separate-segments", "::mlir::ModuleOp"> {
  let summary = "takes products with fused weights apart";
  let description = [{
    Precondition: the logical form. Postcondition: the same, in which a `cleave.linear` whose
    features only slices read, two or more that have none in common, is one `cleave.linear` for
    each of these, with that slice of the weight. Between the product and the slices there may be
    ops by elements with weights, reshapes and transposes: they are repeated for each slice. So
    queries, keys and values that one matrix makes can be split by heads, each by itself.

    The weights are called as the fused one with a number behind a colon; a plan may name all by
    its name. What is made from a seed stays as it is, since a slice would be made otherwise. How a
    fused value is to lie (`cleave.sharding`) holds for each segment, unless its slice says it.

    ```mlir
    cleave.weight @w : tensor<24x8xf32> from onnx<"m.onnx", "w">
    // %y = linear %x, @w
    // %q = slice %y dim 1 from 0    %k = slice %y dim 1 from 8    %v = slice %y dim 1 from 16
    // ->
    cleave.weight @"w:1" : tensor<8x8xf32> from onnx<"m.onnx", "w"> slice [0:8, 0:8]
    cleave.weight @"w:2" : tensor<8x8xf32> from onnx<"m.onnx", "w"> slice [8:16, 0:8]
    cleave.weight @"w:3" : tensor<8x8xf32> from onnx<"m.onnx", "w"> slice [16:24, 0:8]
    // %q = linear %x, @"w:1"        %k = linear %x, @"w:2"        %v = linear %x, @"w:3"
    ```
  }];
}

def ChooseSplitsPass : Pass<"cleave-choose-splits", "::mlir::ModuleOp"> {
  let summary = "splits the weights of a graph for which nobody has said how";
  let description = [{
    Precondition: the logical form with a mesh. Postcondition: where no weight carried `split`
    and no argument or op a sharding, some weights do, over the axis `tp` or the only one.

    Ops are taken in order, and known by their sharding rules alone. A matrix product of what
    is whole gets its weight split by output features (`column`), experts between them, a
    table of 64 KiB or more by its rows, unless another is 16 times larger. What follows from
    that is noted: through element-wise ops and attention a value stays cut, until an op sums
    over the cut dimension, as the second product of a block does, whose weight propagation then
    splits `row`, or needs it whole. Where look-ups in several large tables are added, one of
    which is split, so are all tables of the sum. A weight whose split propagation would refuse
    stays whole, and the others are chosen anew.

    ```mlir
    cleave.weight @up : tensor<64x16xf32> from none
    cleave.weight @down : tensor<16x64xf32> from none
    // %a = linear %x, @up    %b = silu %a    %y = linear %b, @down
    // ->
    cleave.weight @up : tensor<64x16xf32> from none split [#cleave.split<column "tp">]
    cleave.weight @down : tensor<16x64xf32> from none
    ```
  }];
}

def PropagateShardingsPass : Pass<"cleave-propagate-shardings", "::mlir::ModuleOp"> {
  let summary = "gives every value a sharding, from the splits of some weights";
  let description = [{
    Precondition: the logical form with a mesh and splits. Postcondition: weights and
    states have a `sharding`; every op's results and every argument carry
    `cleave.sharding`, the one that the value has for its users. An argument or op that carried
    one before keeps its dims as it says. Axes spread through the
    factors of each op's sharding rule, forward and backward to a fixpoint; where a
    dimension is cut follows from grains and shares (see `cut_analysis.h`). What is summed
    over the mesh's `sequence` axis is cut over it along its run-time dimension, and with it
    what is computed from it row by row.

    ```mlir
    %y = cleave.linear %x, %w : ...    // @w split [column "tp"]
    // ->
    %y = cleave.linear %x, %w {cleave.sharding = [#cleave.sharding<[{}, {"tp"} ]>]} : ...
    ```
  }];
}

def InsertReshardsPass : Pass<"cleave-insert-reshards", "::mlir::ModuleOp"> {
  let summary = "makes each change of sharding an op";
  let description = [{
    Precondition: every value has a sharding. Postcondition: the sharded form, in which
    each op finds its operands sharded as it needs them; a `cleave.reshard` stands
    wherever they were not.
  }];
}

def MergeReductionsPass : Pass<"cleave-merge-reductions", "::mlir::ModuleOp"> {
  let summary = "adds partial sums before it reduces them, once";
  let description = [{
    Precondition: the sharded form, cuts still in it. Postcondition: the same, with one
    reduction where the sum of several reduced values was read: attention and feed-forward
    block in parallel on one input cost one `all_reduce`. A stage that begins between the
    two keeps them apart.

    ```mlir
    %a = cleave.reshard %partial_a ...      // reduces
    %x1 = cleave.add %x, %a ...
    %b = cleave.reshard %partial_b ...      // reduces
    %x2 = cleave.add %x1, %b ...
    // ->
    %partial = cleave.add %partial_a, %partial_b ...
    %sum = cleave.reshard %partial ...      // reduces
    %x2 = cleave.add %x, %sum ...
    ```
  }];
}

def AssignStagesPass : Pass<"cleave-assign-stages", "::mlir::ModuleOp"> {
  let summary = "turns cuts into stage numbers and transfers";
  let description = [{
    Precondition: `cleave.cut` ops stand where stages begin. Postcondition: they are gone,
    every op has a `cleave.stage`, and a value that is needed in a later stage passes one
    `cleave.transfer` to each such stage. A `cleave.use` is repeated in every stage that
    needs the weight.
  }];
}

def VerifyShardedPass : Pass<"cleave-verify-sharded", "::mlir::ModuleOp"> {
  let summary = "checks that a module is in the sharded form";
  let description = [{
    Every result has a sharding that fits its type and the mesh, every op's operands are
    sharded as its rule asks, and no value is used in another stage than its own without a
    transfer. Changes nothing.
  }];
}

def SplitRanksPass : Pass<"cleave-split-ranks", "::mlir::ModuleOp"> {
  let summary = "makes one module a rank";
  let description = [{
    Precondition: the sharded form. Postcondition: the rank form: for every stage and
    mesh coordinate a module `@rankK` with local shapes, that rank's ops and slices of
    weights, and communication: reshards have become collectives, transfers sends and
    receives.
  }];
}

def FindSiluPass : Pass<"cleave-find-silu", "::mlir::ModuleOp"> {
  let summary = "finds x * sigmoid(x)";
  let description = [{
    Precondition: the logical form, cuts in it. Postcondition: the same, with `cleave.silu`
    in the place of a product of x and its sigmoid. No cut lies between ops that become one,
    here and in the other passes that find ops; the new one has the last one's name.

    ```mlir
    %s = cleave.sigmoid %x
    %y = cleave.mul %x, %s
    // ->
    %y = cleave.silu %x
    ```
  }];
}

def FindGeluPass : Pass<"cleave-find-gelu", "::mlir::ModuleOp"> {
  let summary = "finds gelu, and its approximation by tanh";
  let description = [{
    Precondition: the logical form. Postcondition: the same, with `cleave.gelu` in the place
    of x / 2 * (1 + erf(x / sqrt(2))), and `cleave.gelu_tanh` in that of x / 2 * (1 +
    tanh(sqrt(2 / pi) * (x + 0.044715 x^3))), in any order of the factors. Numbers may be
    rounded to five digits.

    ```mlir
    %d = cleave.div %x, %sqrt2
    %e = cleave.erf %d
    %f = cleave.add %e, %one
    %g = cleave.mul %x, %f
    %y = cleave.mul %g, %half
    // ->
    %y = cleave.gelu %x
    ```
  }];
}

def FindLayerNormPass : Pass<"cleave-find-layer-norm", "::mlir::ModuleOp"> {
  let summary = "finds layer norm";
  let description = [{
    Precondition: the logical form. Postcondition: the same, with `cleave.layer_norm` in the
    place of a difference from the mean over the root of the mean of its squares, with the
    weight and bias that alone read it.

    ```mlir
    %m = cleave.reduce mean %x dims [1]
    %d = cleave.sub %x, %m
    %p = cleave.mul %d, %d
    %v = cleave.reduce mean %p dims [1]
    %e = cleave.add %v, %epsilon
    %s = cleave.sqrt %e
    %n = cleave.div %d, %s
    %y = cleave.mul %n, %w
    // ->
    %y = cleave.layer_norm %x weight %w
    ```
  }];
}

def FindRmsNormPass : Pass<"cleave-find-rms-norm", "::mlir::ModuleOp"> {
  let summary = "finds root-mean-square norm";
  let description = [{
    Precondition: the logical form. Postcondition: the same, with `cleave.rms_norm` in the
    place of x over the root of the mean of its squares along the last dimension, times a
    weight.

    ```mlir
    %p = cleave.mul %x, %x
    %v = cleave.reduce mean %p dims [1]
    %e = cleave.add %v, %epsilon
    %s = cleave.sqrt %e
    %r = cleave.reciprocal %s
    %n = cleave.mul %x, %r
    %y = cleave.mul %w, %n
    // ->
    %y = cleave.rms_norm %x, %w
    ```
  }];
}

def KeepDimsApartPass : Pass<"cleave-keep-dims-apart", "::mlir::ModuleOp"> {
  let summary = "computes with dimensions apart that a graph merges and takes apart again";
  let description = [{
    Precondition: the logical form. Postcondition: the same, where what lies between a reshape that
    merges dimensions and one that takes them apart again works on them as they were: transposes,
    products of matrices, softmax and what is done element by element. Merged, batch and heads
    could not be cut. Results stay the same.

    ```mlir
    %m = cleave.reshape %k groups [2:1, 1:1, 1:1]    // [b, h, s, d] -> [b*h, s, d]
    %t = cleave.transpose %m [0, 2, 1]
    %y = cleave.reshape %t groups [1:2, 1:1, 1:1]    // -> [b, h, d, s]
    // ->
    %y = cleave.transpose %k [0, 1, 3, 2]
    ```
  }];
}

def FindAttentionPass : Pass<"cleave-find-attention", "::mlir::ModuleOp"> {
  let summary = "finds attention";
  let description = [{
    Precondition: the logical form. Postcondition: the same, with
    `cleave.scaled_dot_product_attention` in the place of softmax(scale * q k^T + mask) v
    over [batch, heads, tokens, features], where nothing else reads what is between. Factors
    of q, k and their product become the scale. A choice between scores and a number that is as
    good as minus infinity becomes a mask, and key heads that are repeated for a group of query
    heads are read as they are before that. The results differ by rounding, and for a
    query that sees no key, which gets zeros.

    ```mlir
    %t = cleave.transpose %k [0, 1, 3, 2]
    %s = cleave.matmul %q, %t
    %d = cleave.scale %s by 1.25e-1
    %m = cleave.add %d, %mask
    %p = cleave.softmax %m dim 3
    %a = cleave.matmul %p, %v
    // ->
    %a = cleave.scaled_dot_product_attention %q, %k, %v mask %mask {scale = 1.25e-1 : f32}
    ```
  }];
}

def RemoveDeadCommunicationPass : Pass<"cleave-remove-dead-communication", "::mlir::ModuleOp"> {
  let summary = "removes communication that no rank needs, with what led to it";
  let description = [{
    Precondition: the rank form, its communication fitting together (else nothing is
    changed). Postcondition: the same, without the ops on which no result and no state of
    any rank depends. A collective goes on all members or on none, a send only with its
    receive.

    ```mlir
    // rank 0                                      // rank 1
    %s = cleave.all_reduce sum %p group [0, 1]     %s = cleave.all_reduce sum %p group [0, 1]
    cleave.send %s to 1 tag 0                      %r = cleave.recv from 0 tag 0
    return %x                                      return %x
    // ->
    return %x                                      return %x
    ```
  }];
}

def JoinLinearsPass : Pass<"cleave-join-linears", "::mlir::ModuleOp"> {
  let summary = "joins the matrix products of one value with several weights";
  let description = [{
    Precondition: the rank form. Postcondition: the same, in which no two `cleave.linear`
    with the same x, as many columns and the same `pad_before` stand between the same two
    ops that communicate: they are one `cleave.joined_linear`, at the place of the first.
    Weights, their slices and their order in the file stay as they are.

    ```mlir
    %q = cleave.linear %x, %wq
    %k = cleave.linear %x, %wk
    // ->
    %q, %k = cleave.joined_linear %x, %wq, %wk
    ```
  }];
}

def MergeAllReducesPass : Pass<"cleave-merge-all-reduces", "::mlir::ModuleOp"> {
  let summary = "puts sums that follow each other into one message";
  let description = [{
    Precondition: the rank form, its communication fitting together (else nothing is
    changed). Postcondition: the same, in which two `cleave.all_reduce sum` over one group,
    with no other communication between them on any member, are one
    `cleave.merged_all_reduce`, unless the second needs the first. It stands at the place
    of the last; what needs the others and stood before it follows it. Members merge alike:
    what one of them cannot merge, none does.

    ```mlir
    %a = cleave.all_reduce sum %p group [0, 1]
    %c = cleave.silu %a
    %b = cleave.all_reduce sum %q group [0, 1]
    // ->
    %a, %b = cleave.merged_all_reduce sum %p, %q group [0, 1]
    %c = cleave.silu %a
    ```
  }];
}

def FuseReductionsPass : Pass<"cleave-fuse-reductions", "::mlir::ModuleOp"> {
  let summary = "adds residuals and norms rows where sums over ranks are made";
  let description = [{
    Precondition: the rank form. Postcondition: the same, in which a `cleave.all_reduce sum`
    whose only reader is a `cleave.add` is one `cleave.all_reduce_add` with it, together
    with a `cleave.rms_norm` of that sum; and an `add` with the norm of its sum is one
    `cleave.add_norm`. No norm passes an op that communicates. The results have the same
    bits.

    ```mlir
    %s = cleave.all_reduce sum %p group [0, 1]
    %x1 = cleave.add %x, %s
    %h = cleave.rms_norm %x1, %w {epsilon = 1.0e-5 : f32}
    // ->
    %x1, %h = cleave.all_reduce_add sum %p, %x norm %w group [0, 1] {epsilon = 1.0e-5 : f32}
    ```
  }];
}

def VerifyRanksPass : Pass<"cleave-verify-ranks", "::mlir::ModuleOp"> {
  let summary = "proves that the ranks' communication fits together";
  let description = [{
    Runs the ranks' entries together, symbolically and under synchronous sends: each send
    meets the receive of its peer with the same tag and type, every member of a group
    issues the same collective next, no ranks wait for each other in a cycle, and nothing
    is left over. A failure names both ends.

    Then it finds, for every value on every rank, which elements of which logical value it
    is, and which summands of it where it is a partial sum: from the slices of weights and
    the factors of the ops' sharding rules. No partial sum may be read as a whole value or
    counted twice, collectives join shares at their places, and what is returned is whole.
    Nothing is assumed of function arguments without `cleave.input`. Changes nothing.
  }];
}

#endif // CLEAVE_PASSES_TD
