// Ops that declare: the mesh, weights, states, cuts.

#ifndef CLEAVE_MODULEOPS_TD
#define CLEAVE_MODULEOPS_TD

include "dialect/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"

def Cleave_MeshOp : Cleave_Op<"mesh", [Symbol]> {
  let summary = "names the axes over which weights are split";
  let description = [{
    The ranks of one pipeline stage, laid out on named axes, of which the last varies
    fastest: neighbours on it have neighbouring rank numbers. Rank numbers count all
    coordinates of stage 0, then those of stage 1, and so on. `shares` weighs the
    coordinates of an axis against each other; an axis without is cut evenly. What is summed
    over the axis that `sequence` names is not made whole on every rank but cut along a
    run-time size (that of the first such sum: the tokens of a step), for as long as ops work
    on such shares.

    **Constraints**: names are distinct, sizes at least 1, and their product at most 65536;
    shares name an axis each and give a positive number to each of its coordinates;
    `sequence` names an axis.

    ```mlir
    cleave.mesh @grid <"tp" = 2>
    cleave.mesh @uneven <"data" = 2, "tp" = 3> shares {tp = array<i64: 2, 1, 1>}
    cleave.mesh @prompts <"tp" = 4> sequence "tp"
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrArrayAttr:$axes, DenseI64ArrayAttr:$sizes,
                       OptionalAttr<DictionaryAttr>:$shares, OptionalAttr<StrAttr>:$sequence);
  let assemblyFormat = [{
    $sym_name custom<Axes>($axes, $sizes) (`shares` $shares^)? (`sequence` $sequence^)? attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The number of coordinates, which is that of the ranks in one stage.
    int64_t getNumCoordinates();
    /// The size of an axis, or nothing where the mesh has no such axis.
    std::optional<int64_t> getAxisSize(llvm::StringRef axis);
  }];
}

def Cleave_WeightOp : Cleave_Op<"weight", [Symbol]> {
  let summary = "declares a weight and where its bytes come from";
  let description = [{
    A tensor of the model file, under the name that the file gives it, or a slice of one:
    `slice` lists a range `begin:end` for each dimension of the tensor in the file, in
    elements. A rank's share is a slice of the whole. A fused matrix is a weight a segment,
    named by the tensor, a colon, and what the segment is: `blk.0.attn_qkv.weight:q` has the
    rows of the queries. Its source names the tensor. Plans mean all segments by the
    tensor's name, and one by its own.

    `split` holds the user's wishes, `sharding` what became of them.

    **Constraints**: the shape is static; with a block type its last dimension is a whole
    number of blocks, and there is one; the slice's sizes are the type's. A source
    with a shape has plain elements, and without a slice that shape is the type's; `dense` has
    as many bytes as its shape asks for, and at most 65536; `transposed` needs two dims; `blocks`
    are of 4 or 8 bits, their length is a power of 2 from 16 to 32768, and the weight is a matrix of
    f32, q8_0, or for 4 bits q4_0 or q5_0.

    ```mlir
    cleave.weight @"blk.0.attn_q.weight" : tensor<64x64x!cleave.q8_0> from gguf<"stories260K.gguf">
    cleave.weight @"blk.0.attn_qkv.weight:k" : tensor<32x64x!cleave.q8_0>
      from gguf<"phi.gguf", "blk.0.attn_qkv.weight"> slice [64:96, 0:64]
    cleave.weight @w : tensor<32x64xf32> from random<7> slice [0:32, 0:64]
    cleave.weight @fc : tensor<10x256xf32> from onnx<"mnist.onnx", "fc" transposed>
    cleave.weight @half : tensor<1xf32> from dense<[1], "0x0000003f">
    cleave.weight @v : tensor<8x8xf32> from none split [#cleave.split<column "tp">]
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Cleave_WeightTensor>:$type,
                       Cleave_SourceAttr:$source, OptionalAttr<DenseI64ArrayAttr>:$slice,
                       OptionalAttr<TypedArrayAttrBase<Cleave_SplitAttr, "splits">>:$splits,
                       OptionalAttr<Cleave_ShardingAttr>:$sharding);
  let assemblyFormat = [{
    $sym_name `:` $type `from` custom<Source>($source) (`slice` custom<Ranges>($slice)^)?
    (`split` $splits^)? (`sharding` $sharding^)? attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    mlir::RankedTensorType getTensorType() { return mlir::cast<mlir::RankedTensorType>(getType()); }
    /// The name of the tensor in its file.
    llvm::StringRef getTensorName();
  }];
}

def Cleave_UseOp : Cleave_ValueOp<"use", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a weight as a value";
  let description = [{
    **Constraints**: the weight is declared in the enclosing module, with this type.

    ```mlir
    cleave.weight @w : tensor<8x16xf32> from none
    func.func @f() -> tensor<8x16xf32> {
      %w = cleave.use @w : tensor<8x16xf32>
      return %w : tensor<8x16xf32>
    }
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs Cleave_WeightTensor:$result);
  let assemblyFormat = "$weight attr-dict `:` type($result)";
}

def Cleave_StateOp : Cleave_Op<"state", [Symbol]> {
  let summary = "declares what outlives a step";
  let description = [{
    A key or value cache, zero when a session begins: [slots, context, width]. A slot
    holds one sequence, a row of it one position.

    **Constraints**: three dimensions, the first two at run time, the last static.

    ```mlir
    cleave.state @"blk.0.k" : tensor<?x?x32xf16, #cleave.dims<slots, context>>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Cleave_StateTensor>:$type,
                       OptionalAttr<Cleave_ShardingAttr>:$sharding);
  let assemblyFormat = "$sym_name `:` $type (`sharding` $sharding^)? attr-dict";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    mlir::RankedTensorType getTensorType() { return mlir::cast<mlir::RankedTensorType>(getType()); }
  }];
}

def Cleave_CutOp : Cleave_Op<"cut", [MemoryEffects<[MemWrite]>]> {
  let summary = "a pipeline stage ends here and the next begins";
  let description = [{
    What stands before it in the function belongs to the earlier stage. `name` says what
    the user called the place.

    ```mlir
    func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
      %a = cleave.silu %x : tensor<4xf32>
      cleave.cut "middle"
      %b = cleave.silu %a : tensor<4xf32>
      return %b : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins StrAttr:$name);
  let assemblyFormat = "$name attr-dict";
}

#endif // CLEAVE_MODULEOPS_TD
