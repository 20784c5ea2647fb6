// Ops that move values: between shardings and stages in the sharded form, between
// ranks in the rank form.

#ifndef CLEAVE_COMMUNICATIONOPS_TD
#define CLEAVE_COMMUNICATIONOPS_TD

include "dialect/OpBase.td"

// ---- Sharded form ----

def Cleave_ReshardOp : Cleave_ValueOp<"reshard", [Pure, SameOperandsAndResultType]> {
  let summary = "a change of sharding";
  let description = [{
    The same value under another sharding: from the operand's to the one that the op
    carries as `cleave.sharding`. Cutting into ranks turns it into a collective or a local
    slice.

    ```mlir
    cleave.mesh @grid <"tp" = 2>
    func.func @f(%x: tensor<4x8xf32> {cleave.sharding = #cleave.sharding<[{}, {"tp"} ]>}) -> tensor<4x8xf32> {
      %y = cleave.reshard %x {cleave.sharding = [#cleave.sharding<[{}, {} ]>]} : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = "$x attr-dict `:` type($x)";
}

def Cleave_TransferOp : Cleave_ValueOp<"transfer", [Pure, SameOperandsAndResultType]> {
  let summary = "a value goes to a later pipeline stage";
  let description = [{
    The op belongs to the stage that sends; its result is known in the stage `to`.

    **Constraints**: `to` is a later stage than the op's own.

    ```mlir
    func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
      %a = cleave.silu %x {cleave.stage = 0 : i64} : tensor<4xf32>
      %b = cleave.transfer %a to 1 {cleave.stage = 0 : i64} : tensor<4xf32>
      return %b : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x, Cleave_Int:$to);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = "$x `to` $to attr-dict `:` type($x)";
  let hasVerifier = 1;
}

// ---- Rank form ----

// Communication writes: one rank's op cannot be erased, moved past another or merged
// without its partners'.
class Cleave_CommunicationOp<string mnemonic, list<Trait> traits = []>
    : Cleave_ValueOp<mnemonic, !listconcat([MemoryEffects<[MemRead, MemWrite]>], traits)>;

def Cleave_SendOp : Cleave_Op<"send", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "sends a value to another rank";
  let description = [{
    Meets the `cleave.recv` of rank `to` with this rank as its source and the same tag.

    ```mlir
    func.func @f(%x: tensor<4xf32>) {
      cleave.send %x to 1 tag 0 : tensor<4xf32>
      return
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x, Cleave_Int:$to, Cleave_Int:$tag);
  let assemblyFormat = "$x `to` $to `tag` $tag attr-dict `:` type($x)";
  let hasVerifier = 1;
}

def Cleave_RecvOp : Cleave_CommunicationOp<"recv"> {
  let summary = "receives a value from another rank";
  let description = [{
    ```mlir
    func.func @f() -> tensor<4xf32> {
      %x = cleave.recv from 0 tag 0 : tensor<4xf32>
      return %x : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_Int:$from, Cleave_Int:$tag);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = "`from` $from `tag` $tag attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Cleave_ShareOp : Cleave_ValueOp<"share", [Pure]> {
  let summary = "this rank's share of a run-time dimension";
  let description = [{
    The elements of dimension `dim` that belong to the share which the result's type names.
    A `cleave.slice` of a size that is known only at run time.

    **Constraints**: the operand's dimension is a run-time size and the result's a share of
    it; the other dimensions stay.

    ```mlir
    func.func @f(%x: tensor<?x8xf32, #cleave.dims<tokens>>)
        -> tensor<?x8xf32, #cleave.dims<tokens[1 of 4]>> {
      %y = cleave.share %x dim 0
        : tensor<?x8xf32, #cleave.dims<tokens>> -> tensor<?x8xf32, #cleave.dims<tokens[1 of 4]>>
      return %y : tensor<?x8xf32, #cleave.dims<tokens[1 of 4]>>
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x, Cleave_Int:$dim);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = "$x `dim` $dim attr-dict `:` type($x) `->` type($result)";
  let hasVerifier = 1;
}

class Cleave_Collective<string mnemonic, list<Trait> traits = []>
    : Cleave_CommunicationOp<mnemonic, traits> {
  let hasVerifier = 1;
}

def Cleave_AllReduceOp : Cleave_Collective<"all_reduce", [SameOperandsAndResultType]> {
  let summary = "a group's parts combined, on every member";
  let description = [{
    Every rank of `group` issues this op, in the same order among its collectives, with
    the same group. All members get the same bits. With `sum` the members' values are added
    up; with `top` they are candidates [r, k, 2], of which the best k of all members
    remain, in the order of `cleave.top_k`.

    **Constraints**: a group lists distinct ranks, this rank among them; what `top` combines
    is candidates.

    ```mlir
    func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
      %y = cleave.all_reduce sum %x group [0, 1] : tensor<4xf32>
      return %y : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_ReductionKind:$kind, Cleave_NumberTensor:$x,
                       DenseI64ArrayAttr:$group);
  let results = (outs Cleave_NumberTensor:$result);
  let assemblyFormat = "$kind $x `group` $group attr-dict `:` type($x)";
}

def Cleave_AllGatherOp : Cleave_Collective<"all_gather"> {
  let summary = "the members' shares of a dimension, joined on every member";
  let description = [{
    Member m of the group holds the elements `ranges[m]` of dimension `dim`; every member
    gets all of it. Ranges may overlap where members hold the same values. A run-time
    dimension has no ranges: member m holds share m of as many as there are members.

    **Constraints**: one range a member, together covering the result's dimension; the
    operand has this rank's range. Along a run-time dimension: no ranges, and the operand
    has a share of the result's size, one of as many as there are members.

    ```mlir
    func.func @f(%x: tensor<4x3xf32>) -> tensor<4x5xf32> {
      %y = cleave.all_gather %x dim 1 ranges [0:3, 3:5] group [0, 1] : tensor<4x3xf32> -> tensor<4x5xf32>
      return %y : tensor<4x5xf32>
    }
    func.func @tokens(%x: tensor<?x8xf32, #cleave.dims<tokens[1 of 2]>>)
        -> tensor<?x8xf32, #cleave.dims<tokens>> {
      %y = cleave.all_gather %x dim 0 group [0, 1]
        : tensor<?x8xf32, #cleave.dims<tokens[1 of 2]>> -> tensor<?x8xf32, #cleave.dims<tokens>>
      return %y : tensor<?x8xf32, #cleave.dims<tokens>>
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x, Cleave_Int:$dim,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$ranges, DenseI64ArrayAttr:$group);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = [{
    $x `dim` $dim (`ranges` custom<Ranges>($ranges)^)? `group` $group attr-dict
    `:` type($x) `->` type($result)
  }];
}

def Cleave_ReduceScatterOp : Cleave_Collective<"reduce_scatter"> {
  let summary = "the sum over a group, of which each member keeps its share";
  let description = [{
    Member m of the group gets the elements `ranges[m]` of dimension `dim` of the sum. A
    run-time dimension has no ranges: member m gets share m of as many as there are members.

    **Constraints**: one range a member, together covering the operand's dimension; the
    result has this rank's range; the kind is `sum`. Along a run-time dimension: no ranges,
    and the result has a share of the operand's size, one of as many as there are members.

    ```mlir
    func.func @f(%x: tensor<4x5xf32>) -> tensor<4x3xf32> {
      %y = cleave.reduce_scatter sum %x dim 1 ranges [0:3, 3:5] group [0, 1] : tensor<4x5xf32> -> tensor<4x3xf32>
      return %y : tensor<4x3xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_ReductionKind:$kind, Cleave_NumberTensor:$x, Cleave_Int:$dim,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$ranges, DenseI64ArrayAttr:$group);
  let results = (outs Cleave_NumberTensor:$result);
  let assemblyFormat = [{
    $kind $x `dim` $dim (`ranges` custom<Ranges>($ranges)^)? `group` $group attr-dict
    `:` type($x) `->` type($result)
  }];
}

def Cleave_AllToAllOp : Cleave_Collective<"all_to_all"> {
  let summary = "shares of one dimension become shares of another";
  let description = [{
    Member m of the group holds the elements `concat ranges[m]` of dimension `concat` and
    gets the elements `split ranges[m]` of dimension `split`, with all of dimension
    `concat`. Where the two are one dimension, what is held by `concat ranges` is afterwards
    held by `split ranges`. Ranges may overlap where members hold the same values.

    **Constraints**: two ranges a member; `concat ranges` cover that dimension together, and
    `split ranges` lie in theirs; the operand and the result have the ranges of one member,
    this rank; no other dimension changes.

    ```mlir
    func.func @f(%x: tensor<2x5xf32>) -> tensor<4x3xf32> {
      %y = cleave.all_to_all %x split dim 1 ranges [0:3, 3:5] concat dim 0 ranges [0:2, 2:4] group [0, 1] : tensor<2x5xf32> -> tensor<4x3xf32>
      return %y : tensor<4x3xf32>
    }
    func.func @moved(%x: tensor<3xf32>) -> tensor<4xf32> {
      %y = cleave.all_to_all %x split dim 0 ranges [0:4, 4:5] concat dim 0 ranges [0:3, 3:5] group [0, 1] : tensor<3xf32> -> tensor<4xf32>
      return %y : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x, Cleave_Int:$split_dim,
                       DenseI64ArrayAttr:$split_ranges, Cleave_Int:$concat_dim,
                       DenseI64ArrayAttr:$concat_ranges, DenseI64ArrayAttr:$group);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = [{
    $x `split` `dim` $split_dim `ranges` custom<Ranges>($split_ranges)
    `concat` `dim` $concat_dim `ranges` custom<Ranges>($concat_ranges) `group` $group attr-dict
    `:` type($x) `->` type($result)
  }];
  let extraClassDeclaration = [{
    /// The size of the joined dimension: where no value has it whole, its ranges' end.
    int64_t getConcatSize();
  }];
}

def Cleave_BroadcastOp : Cleave_Collective<"broadcast", [SameOperandsAndResultType]> {
  let summary = "what the first member of a group has, on every member";
  let description = [{
    ```mlir
    func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
      %y = cleave.broadcast %x group [0, 1] : tensor<4xf32>
      return %y : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x, DenseI64ArrayAttr:$group);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = "$x `group` $group attr-dict `:` type($x)";
}

#endif // CLEAVE_COMMUNICATIONOPS_TD
