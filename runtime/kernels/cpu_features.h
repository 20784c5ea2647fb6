// Which instructions kernels may use: those of this CPU, up to the bound that the environment sets.
// Every variant beside Highway's asks here; Highway and oneDNN are bounded here too.
#pragma once

#include <string>

namespace cleave::rt {

/// What variants of kernels are written for; false on other CPUs than x86-64.
struct CpuFeatures {
  bool avx2 = false; ///< with FMA and F16C
  bool avxVnni = false;
  bool avx512 = false; ///< F, BW, DQ and VL
  bool avx512Vnni = false;
  bool avx512Bf16 = false;
  bool amxBf16 = false; ///< which the kernel lets this process use
};

/// The instruction sets that CLEAVE_ISA may name, each with those before it:
/// "sse4, avx2, avxvnni, avx512, avx512vnni, avx512bf16, amx".
std::string isaNames();

/// Of this CPU, none above what the environment variable CLEAVE_ISA names. The first call bounds
/// Highway's targets and oneDNN alike, so it has to come before any kernel runs; engines make it.
/// Throws std::runtime_error where the variable names something else.
const CpuFeatures &cpuFeatures();

} // namespace cleave::rt
