// The trace of a profile: a file in the Trace Event Format, which Perfetto and
// chrome://tracing open. Each rank is a process there, with a row for the model's steps, one
// for ops and one for the communicator's calls.
#pragma once

#include "runtime/engine/profile_merge.h"

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace cleave::rt {

/// Throws std::runtime_error, naming the file, where writeTrace() could not write it.
void checkTraceFile(const std::filesystem::path &path);

/// Writes the file, under another name until it is complete. The profiles are aligned, `parts`
/// are those of their calls, and `note` says what a reader of the file should know of it.
/// Throws std::runtime_error, naming the file.
void writeTrace(const std::filesystem::path &path, std::span<const RankProfile> ranks,
                std::span<const std::vector<CallParts>> parts, const std::string &note);

} // namespace cleave::rt
