// Attributes: names of run-time sizes, shardings, splits, sources of weights.

#ifndef CLEAVE_ATTRIBUTES_TD
#define CLEAVE_ATTRIBUTES_TD

include "dialect/Dialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/TensorEncoding.td"
include "mlir/IR/EnumAttr.td"

class Cleave_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<CleaveDialect, name, traits> {
  let mnemonic = attrMnemonic;
  let hasCustomAssemblyFormat = 1;
}

def Cleave_DimsAttr : Cleave_Attr<"Dims", "dims",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "the names of a tensor's run-time sizes";
  let description = [{
    The encoding of a tensor with `?` in its shape: one name for each `?`, in order. Equal
    names are equal sizes, in every op, stage and rank. A name is a symbol, whose value comes
    with the inputs, or an expression over symbols: sums, differences, products, floor
    divisions by constants (`//`), `max` and `min`, in the one form that the verifier tells.

    In the rank form a size can be a share of another: `tokens[1 of 4]` is number 1, counted
    from 0, of 4 even shares of `tokens`, of which the first n mod 4 have one element more.

    ```mlir
    #tokens = #cleave.dims<tokens>
    tensor<?x64xf32, #tokens>
    tensor<?x64xf32, #cleave.dims<tokens[1 of 4]>>
    tensor<?x?xf32, #cleave.dims<batch, "past+seq">>
    tensor<?x64xf32, #cleave.dims<"(seq+1)//2"[1 of 4]>>
    ```

    **Constraints**: as many names as the shape has `?`; a name is an expression that is no
    constant, in its one form; of names only shares have brackets; the number of shares is 2
    to 65536, and a share's own number below it.
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::StringAttr">:$names);
  let genVerifyDecl = 1;
}

def Cleave_DimShardingAttr : Cleave_Attr<"DimSharding", "dim"> {
  let summary = "how one dimension lies over mesh axes";
  let description = [{
    The axes, major first, over which a dimension is cut, and the element range
    `begin:end` of each coordinate where the cut is not even. Ranges may overlap: then the
    overlap is replicated.

    ```mlir
    #cleave.dim<{}>
    #cleave.dim<{"tp"}>
    #cleave.dim<{"tp" : [0:24, 24:48, 48:64]}>
    ```

    Without ranges a static size is divisible by the number of coordinates; a run-time
    size n over k coordinates gives the first n mod k of them one more.
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::StringAttr">:$axes,
                        ArrayRefParameter<"int64_t">:$ranges);
  let extraClassDeclaration = [{
    bool isSplit() const { return !getAxes().empty(); }
    bool hasRanges() const { return !getRanges().empty(); }
  }];
}

def Cleave_ReductionKind : I32EnumAttr<"ReductionKind", "how ranks' parts of one result are combined", [
    I32EnumAttrCase<"Sum", 0, "sum">,
    I32EnumAttrCase<"Top", 1, "top">]> {
  let cppNamespace = "::cleave";
}

def Cleave_ShardingAttr : Cleave_Attr<"Sharding", "sharding"> {
  let summary = "how a value lies over the mesh";
  let description = [{
    One entry for each dimension (see `#cleave.dim`), and the axes over which the value is
    partial, with what makes it whole: with `sum` each rank holds a summand, with `top` the
    best candidates of its share (see `cleave.top_k`).

    ```mlir
    #cleave.sharding<[{}, {"tp"} ]>
    #cleave.sharding<[{}, {"tp" : [0:24, 24:48, 48:64]} ]>
    #cleave.sharding<[{}, {} ], partial = {"tp" : sum}>
    #cleave.sharding<[{}, {}, {} ], partial = {"tp" : top}>
    ```

    **Constraints**: no axis appears twice; a value is partial in one way only.
  }];
  let parameters = (ins ArrayRefParameter<"::cleave::DimShardingAttr">:$dims,
                        ArrayRefParameter<"::mlir::StringAttr">:$partial,
                        "::cleave::ReductionKind":$partialKind);
  let builders = [
    AttrBuilder<(ins "llvm::ArrayRef<::cleave::DimShardingAttr>":$dims,
                     "llvm::ArrayRef<::mlir::StringAttr>":$partial), [{
      return $_get($_ctxt, dims, partial, ::cleave::ReductionKind::Sum);
    }]>,
  ];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// A value that every rank holds whole.
    static ShardingAttr getReplicated(mlir::MLIRContext *context, int64_t rank);
    bool isReplicated() const;
    /// Whether this and `other` lack the same parts, combined in the same way.
    bool hasSamePartial(ShardingAttr other) const;
    bool usesAxis(mlir::StringAttr axis) const;
  }];
}

def Cleave_SplitKind : I32EnumAttr<"SplitKind", "how a weight is cut", [
    I32EnumAttrCase<"Column", 0, "column">,
    I32EnumAttrCase<"Row", 1, "row">,
    I32EnumAttrCase<"Head", 2, "head">,
    I32EnumAttrCase<"Expert", 3, "expert">,
    I32EnumAttrCase<"None", 4, "none">]> {
  let cppNamespace = "::cleave";
}

def Cleave_SplitAttr : Cleave_Attr<"Split", "split"> {
  let summary = "the user's wish for a weight: a split type and a mesh axis";
  let description = [{
    ```mlir
    #cleave.split<column "tp">
    #cleave.split<none>
    ```

    | type | cuts | Megatron and PyTorch say | ggml's storage says |
    |---|---|---|---|
    | `column` | the output features | column-parallel | rows of the stored matrix |
    | `row` | the input features; the result is partial | row-parallel | columns of the stored matrix |
    | `head` | `column` or `row`, between attention heads only | | |
    | `expert` | whole experts | expert-parallel | |
    | `none` | nothing: every rank holds a copy | replicated | mirrored |

    The two conventions for "row" and "column" are opposite: papers write y = x W, files
    store W transposed. These are the papers' words.
  }];
  let parameters = (ins EnumParameter<Cleave_SplitKind>:$kind,
                        OptionalParameter<"::mlir::StringAttr">:$axis);
}

def Cleave_SourceKind : I32EnumAttr<"SourceKind", "where a weight's bytes come from", [
    I32EnumAttrCase<"Gguf", 0, "gguf">,
    I32EnumAttrCase<"Npy", 1, "npy">,
    I32EnumAttrCase<"Random", 2, "random">,
    I32EnumAttrCase<"None", 3, "none">,
    I32EnumAttrCase<"Onnx", 4, "onnx">,
    I32EnumAttrCase<"Dense", 5, "dense">]> {
  let cppNamespace = "::cleave";
}

def Cleave_SourceAttr : Cleave_Attr<"Source", "source"> {
  let summary = "where a weight's bytes come from";
  let description = [{
    `gguf<"F">` is the tensor of the weight's own name in a GGUF file, `gguf<"F", "T">`
    that of another name; `npy<"F">` a NumPy file; `random<S>` numbers made from a seed
    and the weight's name; `none` says that only sizes are known, so that a program can
    be partitioned and reported on but not packaged. Paths are relative to the folder
    the tool runs in.

    `onnx<"F", "T">` is an initializer of an ONNX file, or the value of a Constant node under
    the name of its output: `as [...]` gives it another shape with as many elements, and
    `transposed` swaps the last two dimensions after that. ONNX multiplies by matrices
    [inputs, outputs], `cleave.linear` by [outputs, inputs]: so `column` and `row` mean the
    same for both. With `blocks {bits, length, scales[, zeros]}` the tensor is [o, blocks, bytes] as
    MatMulNBits has it: unsigned integers of 4 or 8 bits, the first in the low bits, in blocks of
    `length` along the input features. The weight, an [o, i], is (integer - zero) * scale: each
    block has one number in each of the two tensors that are named, or 8 or 128 for a zero. It
    is of a block type that has these very numbers, or f32.

    `dense<[...], "0x...">` holds a small constant itself: its shape, and its
    elements' bytes (little-endian, row-major), 64 KiB at most.

    ```mlir
    #cleave.source<gguf<"model.gguf", "token_embd.weight">>
    #cleave.source<onnx<"model.onnx", "fc.weight">>
    #cleave.source<onnx<"model.onnx", "fc.weight" as [256, 10] transposed>>
    #cleave.source<onnx<"model.onnx", "fc.B" blocks {bits = 4, length = 32, scales = "fc.scales"}>>
    #cleave.source<dense<[2], "0x0000803f00000040">>
    #cleave.source<npy<"w.npy">>
    #cleave.source<random<7>>
    #cleave.source<none>
    ```
  }];
  let parameters = (ins "::cleave::SourceKind":$kind,
                        OptionalParameter<"::mlir::StringAttr">:$path,
                        OptionalParameter<"::mlir::StringAttr">:$tensor,
                        DefaultValuedParameter<"uint64_t", "0">:$seed,
                        OptionalParameter<"::mlir::DenseI64ArrayAttr">:$shape,
                        DefaultValuedParameter<"bool", "false">:$transposed,
                        OptionalParameter<"::mlir::StringAttr">:$data,
                        OptionalParameter<"::mlir::DictionaryAttr">:$blocks);
  let builders = [
    AttrBuilder<(ins "::cleave::SourceKind":$kind, "::mlir::StringAttr":$path,
                     "::mlir::StringAttr":$tensor, "uint64_t":$seed), [{
      return $_get($_ctxt, kind, path, tensor, seed, ::mlir::DenseI64ArrayAttr(), false,
                   ::mlir::StringAttr(), ::mlir::DictionaryAttr());
    }]>,
  ];
  let extraClassDeclaration = [{
    /// What `blocks` says, with an empty name where there are no zeros.
    struct BlockForm {
      int64_t bits;
      int64_t length;
      llvm::StringRef scales;
      llvm::StringRef zeros;
    };
    /// Nothing where there are no blocks, or they are not in this form.
    std::optional<BlockForm> getBlockForm() const;
    /// The same with such blocks.
    SourceAttr withBlocks(const BlockForm &form) const;
    /// `onnx<...>`, as `shape` where there is one, and then `transposed`.
    static SourceAttr getOnnx(mlir::MLIRContext *context, llvm::StringRef path,
                              llvm::StringRef tensor,
                              std::optional<llvm::ArrayRef<int64_t>> shape, bool transposed);
    /// `dense<...>` of the bytes of a tensor of `shape`.
    static SourceAttr getDense(mlir::MLIRContext *context, llvm::StringRef bytes,
                               llvm::ArrayRef<int64_t> shape);
    /// The same with another path.
    SourceAttr withPath(mlir::StringAttr path) const;
  }];
}

#endif // CLEAVE_ATTRIBUTES_TD
