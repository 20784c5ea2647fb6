// The one interface through which an op tells how it can be split.

#ifndef CLEAVE_INTERFACES_TD
#define CLEAVE_INTERFACES_TD

include "mlir/IR/OpBase.td"

def ShardingRuleOpInterface : OpInterface<"ShardingRuleOpInterface"> {
  let cppNamespace = "::cleave";
  let description = [{
    How an op's dimensions relate. Propagation, resharding and the cutting into ranks know
    an op through this alone; see `dialect/sharding_rule.h`.
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

#endif // CLEAVE_INTERFACES_TD
