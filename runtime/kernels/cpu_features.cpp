#include "runtime/kernels/cpu_features.h"

#include <dnnl.hpp>
#include <hwy/targets.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string_view>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace cleave::rt {

namespace {

#if defined(__x86_64__)

/// In Highway a better target has a lower bit.
struct Isa {
  std::string_view name;
  int64_t highway;
  dnnl::cpu_isa oneDnn;
};

enum Level : size_t { sse4, avx2, avxVnni, avx512, avx512Vnni, avx512Bf16, amx };

const Isa isas[] = {
    {"sse4", HWY_SSE4, dnnl::cpu_isa::sse41},
    {"avx2", HWY_AVX2, dnnl::cpu_isa::avx2},
    {"avxvnni", HWY_AVX2, dnnl::cpu_isa::avx2_vnni},
    {"avx512", HWY_AVX3, dnnl::cpu_isa::avx512_core},
    {"avx512vnni", HWY_AVX3, dnnl::cpu_isa::avx512_core_vnni},
    {"avx512bf16", HWY_AVX3, dnnl::cpu_isa::avx512_core_bf16},
    {"amx", HWY_AVX3, dnnl::cpu_isa::avx512_core_amx},
};

/// Linux lets a process, and the threads that it begins, use tiles once it has asked for them
/// (arch_prctl's ARCH_REQ_XCOMP_PERM for XTILEDATA; since 5.16).
bool isGrantedTiles() {
#if defined(__linux__)
  constexpr long requestPermission = 0x1023, tileData = 18;
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
#else
  return false;
#endif
}

CpuFeatures featuresUpTo(size_t level) {
  __builtin_cpu_init();
  const bool avx512Core = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  CpuFeatures has;
  has.avx2 = level >= avx2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("f16c");
  has.avxVnni = level >= avxVnni && has.avx2 && __builtin_cpu_supports("avxvnni");
  has.avx512 = level >= avx512 && has.avx2 && avx512Core;
  has.avx512Vnni = level >= avx512Vnni && has.avx512 && __builtin_cpu_supports("avx512vnni");
  has.avx512Bf16 = level >= avx512Bf16 && has.avx512 && __builtin_cpu_supports("avx512bf16");
  has.amxBf16 = level >= amx && has.avx512Bf16 && __builtin_cpu_supports("amx-tile") &&
                __builtin_cpu_supports("amx-bf16") && isGrantedTiles();
  return has;
}

#endif

/// What CLEAVE_ISA says; an empty one says nothing.
std::optional<std::string_view> bound() {
  const char *text = std::getenv("CLEAVE_ISA");
  return text && *text ? std::optional<std::string_view>(text) : std::nullopt;
}

CpuFeatures boundedFeatures() {
  const std::optional<std::string_view> name = bound();
#if defined(__x86_64__)
  if (!name)
    return featuresUpTo(std::size(isas));
  const Isa *isa = std::ranges::find(isas, *name, &Isa::name);
  if (isa != std::end(isas)) {
    hwy::DisableTargets(isa->highway - 1);
    dnnl::set_max_cpu_isa(isa->oneDnn);
    return featuresUpTo(isa - isas);
  }
#endif
  if (name)
    throw std::runtime_error("the environment variable CLEAVE_ISA is '" + std::string(*name) +
                             "', which is none of the instruction sets that can be chosen here (" +
                             isaNames() + ")");
  return {};
}

} // namespace

std::string isaNames() {
#if defined(__x86_64__)
  std::string names;
  for (const Isa &isa : isas)
    names.append(names.empty() ? "" : ", ").append(isa.name);
  return names;
#else
  return "none";
#endif
}

const CpuFeatures &cpuFeatures() {
  static const CpuFeatures features = boundedFeatures();
  return features;
}

} // namespace cleave::rt
