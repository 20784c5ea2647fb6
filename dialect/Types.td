// Types: the block-quantized element types.

#ifndef CLEAVE_TYPES_TD
#define CLEAVE_TYPES_TD

include "dialect/Dialect.td"
include "mlir/IR/AttrTypeBase.td"

def Cleave_BlockType : TypeDef<CleaveDialect, "Block"> {
  let summary = "elements that are stored in blocks which share a scale";
  let description = [{
    The element type of a quantized weight, such as `!cleave.q4_0` or `!cleave.q6_k`: one for
    each row with blocks in the table of element types (`runtime/program/element_type.h`),
    which gives the block's length in elements and its size in bytes.

    ```mlir
    tensor<2048x5632x!cleave.q4_0>
    ```

    **Constraints**: the last dimension of a tensor of blocks is a multiple of the block's
    length.
  }];
  let typeName = "cleave.block";
  let parameters = (ins "::cleave::ElementType":$elementType);
  let extraClassDeclaration = [{
    int64_t getBlockLength() const;
    int64_t getBlockBytes() const;
  }];
}

// Tensors by their use.
def Cleave_F32Tensor : RankedTensorOf<[F32]>;
def Cleave_I32Tensor : RankedTensorOf<[I32]>;
def Cleave_WeightTensor : RankedTensorOf<[F32, F16, BF16, Cleave_BlockType]>;
def Cleave_StateTensor : RankedTensorOf<[F32, F16]>;
def Cleave_ValueTensor : RankedTensorOf<[F32, I32]>;

#endif // CLEAVE_TYPES_TD
