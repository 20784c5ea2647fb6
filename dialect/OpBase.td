// What every op definition includes.

#ifndef CLEAVE_OPBASE_TD
#define CLEAVE_OPBASE_TD

include "dialect/Attributes.td"
include "dialect/Dialect.td"
include "dialect/Interfaces.td"
include "dialect/Types.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

// An index or a size: signed in C++, so that differences of two are.
def Cleave_Int : TypedSignlessIntegerAttrBase<I64, "int64_t", "64-bit integer">;

class Cleave_Op<string mnemonic, list<Trait> traits = []> : Op<CleaveDialect, mnemonic, traits>;

// An op with one result, which is printed under the op's name in the model.
class Cleave_ValueOp<string mnemonic, list<Trait> traits = []>
    : Cleave_Op<mnemonic,
                !listconcat([DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>], traits)> {
  let extraClassDefinition = [{
    void $cppClass::getAsmResultNames(::mlir::OpAsmSetValueNameFn setName) {
      ::cleave::setResultName(*this, setName);
    }
  }];
}

// An op that computes values from values, and says how it can be split.
class Cleave_ComputeOp<string mnemonic, list<Trait> traits = []>
    : Cleave_ValueOp<mnemonic, !listconcat([DeclareOpInterfaceMethods<ShardingRuleOpInterface>], traits)>;

#endif // CLEAVE_OPBASE_TD
