// What oneDNN computes with each sum of a product or convolution before it is written: a sum
// with what stood there, and a function of one element.
#pragma once

#include "runtime/program/elementwise.h"

#include <array>
#include <compare>
#include <optional>

namespace dnnl {
struct primitive_attr;
}

namespace cleave::rt {

/// A function of unaryFunctions and its numbers.
struct Activation {
  UnaryKind kind = UnaryKind::relu;
  std::array<float, 2> parameters{};

  auto operator<=>(const Activation &) const = default;
};

/// y = activation(sum + y), each if it is there.
struct Epilogue {
  bool addsToY = false; ///< y holds what is added, such as a residual
  std::optional<Activation> activation;

  auto operator<=>(const Epilogue &) const = default;
};

/// Whether a function can be an Epilogue's.
bool canBeEpilogue(const Activation &activation);

/// Attributes of a primitive with this epilogue, whose scratchpad its caller provides.
dnnl::primitive_attr attributesOf(const Epilogue &epilogue);

} // namespace cleave::rt
