// The cleave dialect itself. Types, attributes, interfaces and ops have a file each.

#ifndef CLEAVE_DIALECT_TD
#define CLEAVE_DIALECT_TD

include "mlir/IR/OpBase.td"

def CleaveDialect : Dialect {
  let name = "cleave";
  let cppNamespace = "::cleave";
  let summary = "Model graphs, how they are split, and the ranks' programs they become";
  let description = [{
    One dialect in three forms. A pass changes the form, and a verifier pass stands at
    each boundary.

    - **Logical**: global shapes, no communication. What an importer makes.
    - **Sharded**: the same function, still in global shapes, on a mesh of named axes.
      Every result of an op carries a sharding (`cleave.sharding`), every op a pipeline
      stage (`cleave.stage`); a change of sharding is a `cleave.reshard`, a change of
      stage a `cleave.transfer`.
    - **Rank**: one module a rank, local shapes, explicit communication with side effects.

    Weights never stand in the IR: a `cleave.weight` names where their bytes come from.
    A size that is known only at run time is `?` in a tensor's shape, and the tensor's
    encoding (`#cleave.dims`) names it, so that equal names mean equal sizes.

    How a feed-forward block is split over two ranks, and an attention block, whose heads are
    its features:

    ```
            column                        row
       x -+-> W_up, rows 0..85   -> act -> W_down, columns 0..85   -+
          |                rank 0                                   +- all_reduce -> y
          +-> W_up, rows 86..171 -> act -> W_down, columns 86..171 -+
                           rank 1

            head                                                row
       x -+-> W_q heads 0..3 -----------------> attention -> W_o columns of heads 0..3 -+
          |   W_k, W_v heads 0..1 -> cache -------^    rank 0                           +- all_reduce -> y
          +-> W_q heads 4..7 -----------------> attention -> W_o columns of heads 4..7 -+
              W_k, W_v heads 2..3 -> cache -------^    rank 1
    ```

    What a rank makes after the first split is what the second reads, so one sum ends each
    pair. `ShardingRuleOpInterface` explains factors, grains and shares, `#cleave.split` the
    split types.

    Discardable attributes of the dialect, on any op:

    | attribute | on | meaning |
    |---|---|---|
    | `cleave.name` | ops | the op's name in the model ("blk.0.attn_q"); cuts and messages use it |
    | `cleave.sharding` | ops, function arguments | one sharding for each result, or the argument's |
    | `cleave.stage` | ops, rank modules | the pipeline stage |
    | `cleave.rank`, `cleave.coordinate` | rank modules | the rank and where it lies on the mesh |
    | `cleave.input`, `cleave.output` | function arguments, results | the port's name |
    | `cleave.owner` | function results | the rank that answers for this output |
    | `cleave.source`, `cleave.model` | modules | the model file, and facts of a language model |
    | `cleave.plan` | modules | the plan that gave the splits, as YAML |

    In the logical form a `cleave.sharding` is the user's word: the value lies so, whatever its
    neighbours do, and a reshard makes it so where it must. Ops without one, and results for which
    `unit` stands in the list, take what follows from the others.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 0;
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
  let hasRegionResultAttrVerify = 1;
  let extraClassDeclaration = [{
    /// The names of the discardable attributes.
    static constexpr llvm::StringLiteral nameAttrName = "cleave.name";
    static constexpr llvm::StringLiteral shardingAttrName = "cleave.sharding";
    static constexpr llvm::StringLiteral stageAttrName = "cleave.stage";
    static constexpr llvm::StringLiteral rankAttrName = "cleave.rank";
    static constexpr llvm::StringLiteral coordinateAttrName = "cleave.coordinate";
    static constexpr llvm::StringLiteral inputAttrName = "cleave.input";
    static constexpr llvm::StringLiteral outputAttrName = "cleave.output";
    static constexpr llvm::StringLiteral ownerAttrName = "cleave.owner";
    static constexpr llvm::StringLiteral sourceAttrName = "cleave.source";
    static constexpr llvm::StringLiteral modelAttrName = "cleave.model";
    static constexpr llvm::StringLiteral planAttrName = "cleave.plan";
    /// On the collectives that a merged one stands for (see cloneExpanded), never in a file:
    /// the place of each in their one message.
    static constexpr llvm::StringLiteral placeInMessageAttrName = "cleave.place_in_message";

    /// A type of this dialect is a word from the table of element types.
    mlir::Type parseType(mlir::DialectAsmParser &parser) const override;
    void printType(mlir::Type type, mlir::DialectAsmPrinter &printer) const override;

    void registerAttributes();
    void registerTypes();
    void registerOps();
  }];
}

#endif // CLEAVE_DIALECT_TD
