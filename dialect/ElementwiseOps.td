// Ops that compute element by element, in families: functions of one element, functions of two
// with broadcasting, where, cast. What all members of a family share stands in its class; the
// tables of functions (runtime/program/elementwise.h) say which element types each takes.

#ifndef CLEAVE_ELEMENTWISEOPS_TD
#define CLEAVE_ELEMENTWISEOPS_TD

include "dialect/OpBase.td"

// ---- Functions of one element ----

// `function` is the case of UnaryKind, `values` what getFunctionParameters returns.
class Cleave_UnaryBase<string mnemonic, string function, TypeConstraint operandType,
                       TypeConstraint resultType, string does, dag parameters, string values,
                       list<Trait> traits>
    : Cleave_ComputeOp<mnemonic, !listconcat([Pure, UnaryOpInterface], traits)> {
  let summary = does;
  let arguments = !con((ins operandType:$x), parameters);
  let results = (outs resultType:$result);
  let hasVerifier = 1;
  let extraClassDeclaration = "::cleave::UnaryKind getKind() { return ::cleave::UnaryKind::" # function # "; }\n"
      # "std::array<float, 2> getFunctionParameters() { return {" # values # "}; }\n";
  let extraClassDefinition = [{
    void $cppClass::getAsmResultNames(::mlir::OpAsmSetValueNameFn setName) {
      ::cleave::setResultName(*this, setName);
    }
    ::cleave::ShardingRule $cppClass::getShardingRule() {
      return ::cleave::getUnaryRule(*this);
    }
    ::llvm::LogicalResult $cppClass::verify() { return ::cleave::verifyUnary(*this); }
  }];
}

// Gives its operand's type.
class Cleave_UnaryOp<string mnemonic, string function, TypeConstraint type, string does,
                     dag parameters = (ins), string values = "", string example = "">
    : Cleave_UnaryBase<mnemonic, function, type, type, does, parameters, values,
                       [SameOperandsAndResultType]> {
  defvar element = !cond(!eq(type, Cleave_BoolTensor) : "i1", !eq(type, Cleave_IntegerTensor) : "i32",
                         true : "f32");
  let description = "Element by element" # !if(!empty(values), ".", ". The parameters are no NaN.")
      # "\n```mlir\nfunc.func @f(%x: tensor<4x" # element # ">) -> tensor<4x" # element # "> {\n"
      # "  %y = cleave." # mnemonic # " %x" # example # " : tensor<4x" # element # ">\n"
      # "  return %y : tensor<4x" # element # ">\n}\n```\n";
  let assemblyFormat = "$x attr-dict `:` type($x)";
}

class Cleave_FloatUnaryOp<string mnemonic, string function, string does, dag parameters = (ins),
                          string values = "", string example = "">
    : Cleave_UnaryOp<mnemonic, function, Cleave_FloatTensor, does, parameters, values, example>;

// Gives i1.
class Cleave_UnaryTestOp<string mnemonic, string function, string does>
    : Cleave_UnaryBase<mnemonic, function, Cleave_FloatTensor, Cleave_BoolTensor, does, (ins), "",
                       [DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let description = "Element by element.\n```mlir\nfunc.func @f(%x: tensor<4xf32>) -> tensor<4xi1> {\n"
      # "  %y = cleave." # mnemonic # " %x : tensor<4xf32>\n  return %y : tensor<4xi1>\n}\n```\n";
  let assemblyFormat = "$x attr-dict `:` type($x)";
  let extraClassDefinition = [{
    void $cppClass::getAsmResultNames(::mlir::OpAsmSetValueNameFn setName) {
      ::cleave::setResultName(*this, setName);
    }
    ::cleave::ShardingRule $cppClass::getShardingRule() {
      return ::cleave::getUnaryRule(*this);
    }
    ::llvm::LogicalResult $cppClass::verify() { return ::cleave::verifyUnary(*this); }
    ::llvm::LogicalResult $cppClass::inferReturnTypes(
        ::mlir::MLIRContext *context, std::optional<::mlir::Location> location,
        ::mlir::ValueRange operands, ::mlir::DictionaryAttr attributes,
        ::mlir::OpaqueProperties properties, ::mlir::RegionRange regions,
        ::llvm::SmallVectorImpl<::mlir::Type> &types) {
      return ::cleave::inferBroadcast(getOperationName(), location, operands,
                                      ::mlir::IntegerType::get(context, 1), types);
    }
  }];
}

defvar alpha = (ins F32Attr:$alpha);
defvar alphaValue = "getAlpha().convertToFloat(), 0.0f";

def Cleave_SiluOp : Cleave_FloatUnaryOp<"silu", "silu", "x / (1 + exp(-x))">;
def Cleave_ExpOp : Cleave_FloatUnaryOp<"exp", "exp", "the exponential">;
def Cleave_LogOp : Cleave_FloatUnaryOp<"log", "log", "the natural logarithm">;
def Cleave_SqrtOp : Cleave_FloatUnaryOp<"sqrt", "sqrt", "the square root">;
def Cleave_ReciprocalOp : Cleave_FloatUnaryOp<"reciprocal", "reciprocal", "1 / x">;
def Cleave_AbsOp : Cleave_UnaryOp<"abs", "abs", Cleave_NumberTensor, "the magnitude">;
def Cleave_NegOp : Cleave_UnaryOp<"neg", "neg", Cleave_SignedTensor, "-x">;
def Cleave_SignOp : Cleave_UnaryOp<"sign", "sign", Cleave_NumberTensor, "-1, 0 or 1; a NaN stays one">;
def Cleave_FloorOp : Cleave_FloatUnaryOp<"floor", "floor", "the largest integer that is not above x">;
def Cleave_CeilOp : Cleave_FloatUnaryOp<"ceil", "ceil", "the smallest integer that is not below x">;
def Cleave_RoundOp : Cleave_FloatUnaryOp<"round", "round", "the nearest integer, of two the even one">;
def Cleave_TanhOp : Cleave_FloatUnaryOp<"tanh", "tanh", "the hyperbolic tangent">;
def Cleave_SigmoidOp : Cleave_FloatUnaryOp<"sigmoid", "sigmoid", "1 / (1 + exp(-x))">;
def Cleave_ReluOp : Cleave_UnaryOp<"relu", "relu", Cleave_SignedTensor, "x where it is positive, else 0">;
def Cleave_LeakyReluOp : Cleave_FloatUnaryOp<"leaky_relu", "leakyRelu",
    "x where it is positive, else alpha x", alpha, alphaValue, " {alpha = 0.01 : f32}">;
def Cleave_ThresholdedReluOp : Cleave_FloatUnaryOp<"thresholded_relu", "thresholdedRelu",
    "x where it is above alpha, else 0", alpha, alphaValue, " {alpha = 1.0 : f32}">;
def Cleave_EluOp : Cleave_FloatUnaryOp<"elu", "elu",
    "x where it is positive, else alpha (exp(x) - 1)", alpha, alphaValue, " {alpha = 1.0 : f32}">;
def Cleave_SeluOp : Cleave_FloatUnaryOp<"selu", "selu",
    "gamma x where x is positive, else gamma alpha (exp(x) - 1)", (ins F32Attr:$alpha, F32Attr:$gamma),
    "getAlpha().convertToFloat(), getGamma().convertToFloat()",
    " {alpha = 1.6732632 : f32, gamma = 1.050701 : f32}">;
def Cleave_CeluOp : Cleave_FloatUnaryOp<"celu", "celu",
    "x where it is positive, else alpha (exp(x / alpha) - 1)", alpha, alphaValue, " {alpha = 1.0 : f32}">;
def Cleave_GeluOp : Cleave_FloatUnaryOp<"gelu", "gelu", "x / 2 (1 + erf(x / sqrt(2)))">;
def Cleave_GeluTanhOp : Cleave_FloatUnaryOp<"gelu_tanh", "geluTanh",
    "x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))">;
def Cleave_QuickGeluOp : Cleave_FloatUnaryOp<"quick_gelu", "quickGelu", "x / (1 + exp(-alpha x))", alpha,
    alphaValue, " {alpha = 1.702 : f32}">;
def Cleave_HardSigmoidOp : Cleave_FloatUnaryOp<"hard_sigmoid", "hardSigmoid",
    "alpha x + beta, at least 0 and at most 1", (ins F32Attr:$alpha, F32Attr:$beta),
    "getAlpha().convertToFloat(), getBeta().convertToFloat()", " {alpha = 0.2 : f32, beta = 0.5 : f32}">;
def Cleave_HardSwishOp : Cleave_FloatUnaryOp<"hard_swish", "hardSwish",
    "x times (x / 6 + 1/2, at least 0 and at most 1)">;
def Cleave_MishOp : Cleave_FloatUnaryOp<"mish", "mish", "x tanh(log(1 + exp(x)))">;
def Cleave_SoftplusOp : Cleave_FloatUnaryOp<"softplus", "softplus", "log(1 + exp(x))">;
def Cleave_SoftsignOp : Cleave_FloatUnaryOp<"softsign", "softsign", "x / (1 + |x|)">;
def Cleave_ErfOp : Cleave_FloatUnaryOp<"erf", "erf", "the error function">;
def Cleave_ClipOp : Cleave_FloatUnaryOp<"clip", "clip", "x, but at least min, and of that at most max",
    (ins F32Attr:$min, F32Attr:$max), "getMin().convertToFloat(), getMax().convertToFloat()",
    " {min = 0.0 : f32, max = 6.0 : f32}">;
def Cleave_SinOp : Cleave_FloatUnaryOp<"sin", "sin", "the sine">;
def Cleave_CosOp : Cleave_FloatUnaryOp<"cos", "cos", "the cosine">;
def Cleave_TanOp : Cleave_FloatUnaryOp<"tan", "tan", "the tangent">;
def Cleave_AsinOp : Cleave_FloatUnaryOp<"asin", "asin", "the inverse of the sine">;
def Cleave_AcosOp : Cleave_FloatUnaryOp<"acos", "acos", "the inverse of the cosine">;
def Cleave_AtanOp : Cleave_FloatUnaryOp<"atan", "atan", "the inverse of the tangent">;
def Cleave_SinhOp : Cleave_FloatUnaryOp<"sinh", "sinh", "the hyperbolic sine">;
def Cleave_CoshOp : Cleave_FloatUnaryOp<"cosh", "cosh", "the hyperbolic cosine">;
def Cleave_AsinhOp : Cleave_FloatUnaryOp<"asinh", "asinh", "the inverse of the hyperbolic sine">;
def Cleave_AcoshOp : Cleave_FloatUnaryOp<"acosh", "acosh", "the inverse of the hyperbolic cosine">;
def Cleave_AtanhOp : Cleave_FloatUnaryOp<"atanh", "atanh", "the inverse of the hyperbolic tangent">;
def Cleave_NotOp : Cleave_UnaryOp<"not", "logicalNot", Cleave_BoolTensor, "false for true, true for false">;
def Cleave_BitwiseNotOp : Cleave_UnaryOp<"bitwise_not", "bitwiseNot", Cleave_IntegerTensor, "all bits inverted">;
def Cleave_IsNanOp : Cleave_UnaryTestOp<"is_nan", "isNan", "whether x is no number">;
def Cleave_IsInfOp : Cleave_UnaryTestOp<"is_inf", "isInf", "whether x is infinite, of either sign">;

def Cleave_ScaleOp : Cleave_FloatUnaryOp<"scale", "scale", "x times a number",
    (ins F32Attr:$factor), "getFactor().convertToFloat(), 0.0f"> {
  let description = [{
    Element by element.

    ```mlir
    func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
      %y = cleave.scale %x by 2.5e-1 : tensor<4xf32>
      return %y : tensor<4xf32>
    }
    ```

    **Constraints**: the factor is finite.
  }];
  let assemblyFormat = "$x `by` $factor attr-dict `:` type($x)";
}

// ---- Functions of several elements, with broadcasting ----

// Its result's type is inferred from its operands', shapes as NumPy has it. `elementType` is an
// expression for the result's element type, `operands` being in scope. `repeats` lists pairs of
// an operand's number and a dimension of the result.
class Cleave_BroadcastOp<string mnemonic, string elementType, list<Trait> traits = []>
    : Cleave_ValueOp<mnemonic, !listconcat([Pure, BroadcastOpInterface,
        DeclareOpInterfaceMethods<ShardingRuleOpInterface, ["localize", "getLocalAttributes"]>,
        DeclareOpInterfaceMethods<InferTypeOpInterface>], traits)> {
  let hasVerifier = 1;
  let extraClassDefinition = [{
    void $cppClass::getAsmResultNames(::mlir::OpAsmSetValueNameFn setName) {
      ::cleave::setResultName(*this, setName);
    }
    ::cleave::ShardingRule $cppClass::getShardingRule() {
      return ::cleave::getBroadcastRule(*this);
    }
    void $cppClass::localize(const ::cleave::LocalRanges &ranges) {
      setRepeats(::cleave::findRepeats(*this, ranges));
    }
    ::llvm::SmallVector<::llvm::StringRef, 2> $cppClass::getLocalAttributes() {
      return {getRepeatsAttrName()};
    }
    ::llvm::LogicalResult $cppClass::verify() { return ::cleave::verifyBroadcast(*this); }
    ::llvm::LogicalResult $cppClass::inferReturnTypes(
        ::mlir::MLIRContext *context, std::optional<::mlir::Location> location,
        ::mlir::ValueRange operands, ::mlir::DictionaryAttr attributes,
        ::mlir::OpaqueProperties properties, ::mlir::RegionRange regions,
        ::llvm::SmallVectorImpl<::mlir::Type> &types) {
      return ::cleave::inferBroadcast(getOperationName(), location, operands,
  }] # elementType # ", types);\n}\n";
}

class Cleave_BinaryBase<string mnemonic, string function, TypeConstraint type,
                        TypeConstraint resultType, string resultElement, string does, string element,
                        string elementOfResult>
    : Cleave_BroadcastOp<mnemonic, resultElement, [BinaryOpInterface]> {
  let summary = does;
  let description = [{
    Element by element. Shapes are those of NumPy: dimensions are matched from the last one
    on, and one of size 1, or one that is not there, is repeated as the other asks.

    **Constraints**: x and y have one element type; a dimension of x has y's size, or one of
    the two is 1; what `repeats` names is of size 1. `repeats` stands on ranks alone, where a
    share of a dimension can have the size 1, too: pairs of the number of an operand that is
    repeated and of the dimension of the result.
  }] # "\n```mlir\nfunc.func @f(%x: tensor<4x8x" # element # ">, %y: tensor<8x" # element
     # ">) -> tensor<4x8x" # elementOfResult # "> {\n"
     # "  %z = cleave." # mnemonic # " %x, %y : tensor<4x8x" # element # ">, tensor<8x" # element # ">\n"
     # "  return %z : tensor<4x8x" # elementOfResult # ">\n}\n```\n";
  let arguments = (ins type:$x, type:$y, DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$repeats);
  let results = (outs resultType:$result);
  let assemblyFormat = "$x `,` $y attr-dict `:` type($x) `,` type($y)";
  let extraClassDeclaration =
      "::cleave::BinaryKind getKind() { return ::cleave::BinaryKind::" # function # "; }\n";
}

class Cleave_BinaryOp<string mnemonic, string function, TypeConstraint type, string does>
    : Cleave_BinaryBase<mnemonic, function, type, type,
        "::mlir::getElementTypeOrSelf(operands[0].getType())", does,
        !cond(!eq(type, Cleave_BoolTensor) : "i1", !eq(type, Cleave_IntegerTensor) : "i32", true : "f32"),
        !cond(!eq(type, Cleave_BoolTensor) : "i1", !eq(type, Cleave_IntegerTensor) : "i32", true : "f32")>;

class Cleave_CompareOp<string mnemonic, string function, TypeConstraint type, string does>
    : Cleave_BinaryBase<mnemonic, function, type, Cleave_BoolTensor,
        "::mlir::IntegerType::get(context, 1)", does, "f32", "i1">;

def Cleave_AddOp : Cleave_BinaryOp<"add", "add", Cleave_NumberTensor, "x + y; integers wrap">;
def Cleave_SubOp : Cleave_BinaryOp<"sub", "sub", Cleave_NumberTensor, "x - y; integers wrap">;
def Cleave_MulOp : Cleave_BinaryOp<"mul", "mul", Cleave_NumberTensor, "x y; integers wrap">;
def Cleave_DivOp : Cleave_BinaryOp<"div", "div", Cleave_NumberTensor,
    "x / y; integers are rounded towards zero, and are 0 for a y of 0">;
def Cleave_PowOp : Cleave_BinaryOp<"pow", "pow", Cleave_NumberTensor,
    "x to the power of y; integers wrap, and are rounded towards zero where y is negative">;
def Cleave_MinOp : Cleave_BinaryOp<"min", "min", Cleave_NumberTensor, "the smaller one, or a NaN">;
def Cleave_MaxOp : Cleave_BinaryOp<"max", "max", Cleave_NumberTensor, "the larger one, or a NaN">;
def Cleave_ModOp : Cleave_BinaryOp<"mod", "mod", Cleave_NumberTensor,
    "the remainder of x / y with the sign of y; 0 for an integer y of 0">;
def Cleave_FmodOp : Cleave_BinaryOp<"fmod", "fmod", Cleave_NumberTensor,
    "the remainder of x / y with the sign of x; 0 for an integer y of 0">;
def Cleave_PreluOp : Cleave_BinaryOp<"prelu", "prelu", Cleave_SignedTensor,
    "x where it is not negative, else x y">;
def Cleave_AndOp : Cleave_BinaryOp<"and", "logicalAnd", Cleave_BoolTensor, "whether both are true">;
def Cleave_OrOp : Cleave_BinaryOp<"or", "logicalOr", Cleave_BoolTensor, "whether one is true">;
def Cleave_XorOp : Cleave_BinaryOp<"xor", "logicalXor", Cleave_BoolTensor, "whether just one is true">;
def Cleave_BitwiseAndOp : Cleave_BinaryOp<"bitwise_and", "bitwiseAnd", Cleave_IntegerTensor,
    "the bits that both have">;
def Cleave_BitwiseOrOp : Cleave_BinaryOp<"bitwise_or", "bitwiseOr", Cleave_IntegerTensor,
    "the bits that one has">;
def Cleave_BitwiseXorOp : Cleave_BinaryOp<"bitwise_xor", "bitwiseXor", Cleave_IntegerTensor,
    "the bits that just one has">;
def Cleave_ShiftLeftOp : Cleave_BinaryOp<"shift_left", "shiftLeft", Cleave_IntegerTensor,
    "x's bits y places higher, with zeros behind; 0 where there are no such places">;
def Cleave_ShiftRightOp : Cleave_BinaryOp<"shift_right", "shiftRight", Cleave_IntegerTensor,
    "x's bits y places lower, with zeros before; 0 where there are no such places">;
def Cleave_EqualOp : Cleave_CompareOp<"equal", "equal", Cleave_ValueTensor, "whether x = y">;
def Cleave_GreaterOp : Cleave_CompareOp<"greater", "greater", Cleave_NumberTensor, "whether x > y">;
def Cleave_LessOp : Cleave_CompareOp<"less", "less", Cleave_NumberTensor, "whether x < y">;
def Cleave_GreaterOrEqualOp : Cleave_CompareOp<"greater_or_equal", "greaterOrEqual", Cleave_NumberTensor,
    "whether x >= y">;
def Cleave_LessOrEqualOp : Cleave_CompareOp<"less_or_equal", "lessOrEqual", Cleave_NumberTensor,
    "whether x <= y">;

def Cleave_WhereOp : Cleave_BroadcastOp<"where", "::mlir::getElementTypeOrSelf(operands[1].getType())"> {
  let summary = "x where a condition is true, else y";
  let description = [{
    Element by element. Shapes are those of NumPy, as `cleave.add` has them.

    **Constraints**: x and y have one element type; sizes of a dimension are equal or 1; what
    `repeats` names is of size 1, see `cleave.add`.

    ```mlir
    func.func @f(%c: tensor<4x1xi1>, %x: tensor<4x8xf32>, %y: tensor<f32>) -> tensor<4x8xf32> {
      %z = cleave.where %c, %x, %y : tensor<4x1xi1>, tensor<4x8xf32>, tensor<f32>
      return %z : tensor<4x8xf32>
    }
    ```
  }];
  let arguments = (ins Cleave_BoolTensor:$condition, Cleave_ValueTensor:$x, Cleave_ValueTensor:$y,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$repeats);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = [{
    $condition `,` $x `,` $y attr-dict `:` type($condition) `,` type($x) `,` type($y)
  }];
}

// ---- Cast ----

def Cleave_CastOp : Cleave_ComputeOp<"cast", [Pure]> {
  let summary = "the same numbers as another element type";
  let description = [{
    A float becomes the nearest float, of two the even one, or the integer towards zero. What
    lies outside of an integer's range becomes its nearest end, a NaN 0. Integers become
    shorter ones by their lowest bits. To i1, whatever is not 0 is true; true is 1.

    **Constraints**: the shape stays.

    ```mlir
    func.func @f(%x: tensor<4xf32>) -> tensor<4xui8> {
      %y = cleave.cast %x : tensor<4xf32> -> tensor<4xui8>
      return %y : tensor<4xui8>
    }
    ```
  }];
  let arguments = (ins Cleave_ValueTensor:$x);
  let results = (outs Cleave_ValueTensor:$result);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($result)";
  let hasVerifier = 1;
}

#endif // CLEAVE_ELEMENTWISEOPS_TD
