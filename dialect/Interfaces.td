// The interfaces through which ops are known: how an op can be split, which function it
// computes by elements, and for which ops a fused one stands. And the trait of ops whose results must not be computed twice.

#ifndef CLEAVE_INTERFACES_TD
#define CLEAVE_INTERFACES_TD

include "mlir/IR/OpBase.td"

def ShardingRuleOpInterface : OpInterface<"ShardingRuleOpInterface"> {
  let cppNamespace = "::cleave";
  let description = [{
    How an op's dimensions relate. Propagation, resharding and the cutting into ranks know
    an op through this alone; see `dialect/sharding_rule.h`.

    **Factors** are the op's independent extents, and each dimension of an operand or a
    result is one of them or a product, major first: `linear` is (t, i) (o, i) -> (t, o);
    grouped queries are key head x place in the group x element. A cut of a `parallel` factor
    gives each rank a share of the results, of a `sum` factor a summand of them, of a `top`
    factor candidates among them; a `whole` factor is not cut.

    **Grains** are of factors: below a head, which has a `whole` factor behind it, a cut would
    be wrong; below a factor's `grain` (a quantization block) it is right but costs memory.
    **Shares** are of mesh axes: the weights of their coordinates. Dims that any op makes of
    the same factors are cut at the same places: in whole grains where there are enough for
    all shares, dealt out by largest remainders.
  }];
  let methods = [
    InterfaceMethod<
      /*desc=*/"The factors of the op and which dimension is made of which.",
      /*retTy=*/"::cleave::ShardingRule", /*name=*/"getShardingRule", /*args=*/(ins)>,
    InterfaceMethod<
      /*desc=*/[{Adjusts the attributes of this op, which has just been given one rank's
        operands and result types, to the ranges which that rank holds.}],
      /*retTy=*/"void", /*name=*/"localize", /*args=*/(ins "const ::cleave::LocalRanges &":$ranges),
      /*methodBody=*/"", /*defaultImpl=*/"(void)ranges;">,
    InterfaceMethod<
      /*desc=*/[{The attributes that `localize` sets. They depend on the rank; all others are
        the same on every rank.}],
      /*retTy=*/"::llvm::SmallVector<::llvm::StringRef, 2>", /*name=*/"getLocalAttributes",
      /*args=*/(ins), /*methodBody=*/"", /*defaultImpl=*/"return {};">,
  ];
}

def FusedOpInterface : OpInterface<"FusedOpInterface"> {
  let cppNamespace = "::cleave";
  let description = [{
    An op of the rank form that stands for several, so that a rank executes them as one
    instruction. What is said or proved of a rank is said of the ops that it stands for:
    see `cloneExpanded`.
  }];
  let methods = [
    InterfaceMethod<
      /*desc=*/[{Makes the ops that this one stands for, each with its name in the model,
        where the builder is. Returns the values of this op's results.}],
      /*retTy=*/"::llvm::SmallVector<::mlir::Value>", /*name=*/"expand",
      /*args=*/(ins "::mlir::OpBuilder &":$builder)>,
    InterfaceMethod<
      /*desc=*/"The names in the model of the ops that this one stands for, or null.",
      /*retTy=*/"::mlir::ArrayAttr", /*name=*/"getNamesAttr", /*args=*/(ins)>,
  ];
}

def UnaryOpInterface : OpInterface<"UnaryOpInterface"> {
  let cppNamespace = "::cleave";
  let description = [{
    A function of one element, `x`; the first operand and the only result.
  }];
  let methods = [
    InterfaceMethod<"Which function.", "::cleave::UnaryKind", "getKind", (ins)>,
    InterfaceMethod<"What the function is told of; as many as its kind asks for.",
                    "std::array<float, 2>", "getFunctionParameters", (ins)>,
  ];
}

def BroadcastOpInterface : OpInterface<"BroadcastOpInterface"> {
  let cppNamespace = "::cleave";
  let description = [{
    An op on elements of operands whose shapes are matched as NumPy does it.
  }];
  let methods = [
    InterfaceMethod<
      /*desc=*/[{Pairs of an operand's number and a dimension of the result, where the operand
        is repeated though a rank's share of the others has the size 1, too.}],
      /*retTy=*/"::llvm::ArrayRef<int64_t>", /*name=*/"getRepeats", /*args=*/(ins)>,
  ];
}

def BinaryOpInterface : OpInterface<"BinaryOpInterface"> {
  let cppNamespace = "::cleave";
  let description = [{
    A function of two elements, `x` and `y`; the operands, with broadcasting.
  }];
  let methods = [
    InterfaceMethod<"Which function.", "::cleave::BinaryKind", "getKind", (ins)>,
  ];
}

// The op chooses: its results hang on the last bits of its operands, which differ between
// ranks of other vector units. Cutting into ranks lets one rank of each group that has the
// results compute them and broadcast them to the others.
def Cleave_IsDecision : NativeOpTrait<"IsDecision"> {
  let cppNamespace = "::cleave";
}

#endif // CLEAVE_INTERFACES_TD
