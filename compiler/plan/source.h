// Where something in a plan was written, a file or a flag, and errors that show
// it as LLVM's tools do: file:line:column: error: text, the line, and a caret.
#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/SourceMgr.h"

#include <cstddef>
#include <memory>
#include <string>

namespace cleave::plan {

/// A text that plan entries come from: a plan file, or a flag as the user typed it.
struct Source {
  std::string name; ///< the file's path, or "command line"
  std::string text;
};

/// A place in a source. Cheap to copy; keeps its source alive.
class Location {
public:
  /// No place in particular.
  Location() = default;
  /// An offset beyond the text means its end.
  Location(std::shared_ptr<const Source> source, size_t offset);

  explicit operator bool() const { return source != nullptr; }
  /// The file's path, or "command line".
  llvm::StringRef file() const;
  /// Counted from 1.
  unsigned line() const;
  unsigned column() const;

  /// `message` with this place: what an error (or a note) prints. Ends without a newline.
  std::string describe(const llvm::Twine &message,
                       llvm::SourceMgr::DiagKind kind = llvm::SourceMgr::DK_Error) const;
  /// An error with this place.
  llvm::Error error(const llvm::Twine &message) const;

private:
  std::shared_ptr<const Source> source;
  size_t offset = 0;
};

/// What was wrong with a plan, and where.
class PlanError : public llvm::ErrorInfo<PlanError> {
public:
  static char ID;

  PlanError(Location location, std::string message)
      : where(std::move(location)), what(std::move(message)) {}

  const Location &location() const { return where; }
  llvm::StringRef text() const { return what; }

  void log(llvm::raw_ostream &os) const override { os << where.describe(what); }
  std::error_code convertToErrorCode() const override { return llvm::inconvertibleErrorCode(); }

private:
  Location where;
  std::string what;
};

} // namespace cleave::plan
