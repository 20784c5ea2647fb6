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
def Cleave_MatrixTensor : RankedTensorOf<[F32, F16, BF16, Cleave_BlockType]>;
def Cleave_StateTensor : RankedTensorOf<[F32, F16]>;

// Tensors of all plain types, and of families of them. Integers without a sign are spelled
// ui8 and so on; an i1 is 0 or 1 and no number.
defvar Cleave_Floats = [F32, F16, BF16, F64];
defvar Cleave_Integers = [I8, UI8, I16, UI16, I32, UI32, I64, UI64];
defvar Cleave_Numbers = !listconcat(Cleave_Floats, Cleave_Integers);
def Cleave_FloatTensor : RankedTensorOf<Cleave_Floats>;
def Cleave_IntegerTensor : RankedTensorOf<Cleave_Integers>;
def Cleave_NumberTensor : RankedTensorOf<Cleave_Numbers>;
def Cleave_SignedTensor : RankedTensorOf<!listconcat(Cleave_Floats, [I8, I16, I32, I64])>;
def Cleave_BoolTensor : RankedTensorOf<[I1]>;
def Cleave_ValueTensor : RankedTensorOf<!listconcat(Cleave_Numbers, [I1])>;
def Cleave_WeightTensor : RankedTensorOf<!listconcat(Cleave_Numbers, [I1, Cleave_BlockType])>;

#endif // CLEAVE_TYPES_TD
