// Epilogues as oneDNN's post-ops.
#include "runtime/kernels/epilogue.h"

#include <dnnl.hpp>

#include <cmath>

namespace cleave::rt {

namespace {

struct Eltwise {
  dnnl::algorithm algorithm;
  float alpha = 0, beta = 0;
};

std::optional<Eltwise> eltwiseOf(const Activation &activation) {
  const auto [a, b] = activation.parameters;
  switch (activation.kind) {
  case UnaryKind::relu:
    return Eltwise{dnnl::algorithm::eltwise_relu};
  case UnaryKind::leakyRelu:
    return Eltwise{dnnl::algorithm::eltwise_relu, a};
  case UnaryKind::clip: // x, where it is between the two
    return std::isfinite(a) && std::isfinite(b) && a <= b
               ? std::optional(Eltwise{dnnl::algorithm::eltwise_clip, a, b})
               : std::nullopt;
  case UnaryKind::silu:
    return Eltwise{dnnl::algorithm::eltwise_swish, 1};
  case UnaryKind::sigmoid:
    return Eltwise{dnnl::algorithm::eltwise_logistic};
  case UnaryKind::tanh:
    return Eltwise{dnnl::algorithm::eltwise_tanh};
  case UnaryKind::gelu:
    return Eltwise{dnnl::algorithm::eltwise_gelu_erf};
  case UnaryKind::geluTanh:
    return Eltwise{dnnl::algorithm::eltwise_gelu_tanh};
  default:
    return std::nullopt;
  }
}

} // namespace

bool canBeEpilogue(const Activation &activation) {
  return eltwiseOf(activation).has_value();
}

dnnl::primitive_attr attributesOf(const Epilogue &epilogue) {
  dnnl::post_ops ops;
  if (epilogue.addsToY)
    ops.append_sum();
  if (epilogue.activation)
    if (const auto eltwise = eltwiseOf(*epilogue.activation))
      ops.append_eltwise(1.0f, eltwise->algorithm, eltwise->alpha, eltwise->beta);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(ops);
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

} // namespace cleave::rt
