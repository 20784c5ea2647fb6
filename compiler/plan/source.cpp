// Printing a place in a plan with LLVM's SourceMgr.
#include "compiler/plan/source.h"

#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>

using namespace llvm;

namespace cleave::plan {

char PlanError::ID = 0;

Location::Location(std::shared_ptr<const Source> source, size_t offset)
    : source(std::move(source)), offset(std::min(offset, this->source->text.size())) {}

StringRef Location::file() const {
  return source ? StringRef(source->name) : StringRef();
}

unsigned Location::line() const {
  return source ? 1 + StringRef(source->text).take_front(offset).count('\n') : 0;
}

unsigned Location::column() const {
  if (!source)
    return 0;
  StringRef before = StringRef(source->text).take_front(offset);
  size_t newline = before.rfind('\n');
  return 1 + before.size() - (newline == StringRef::npos ? 0 : newline + 1);
}

std::string Location::describe(const Twine &message, SourceMgr::DiagKind kind) const {
  std::string result;
  raw_string_ostream os(result);
  if (!source) {
    os << (kind == SourceMgr::DK_Note      ? "note: "
           : kind == SourceMgr::DK_Warning ? "warning: "
                                           : "error: ")
       << message;
    return result;
  }
  SourceMgr manager;
  manager.AddNewSourceBuffer(MemoryBuffer::getMemBuffer(source->text, source->name), SMLoc());
  SMLoc place = SMLoc::getFromPointer(source->text.data() + offset);
  manager.GetMessage(place, kind, message).print(/*ProgName=*/nullptr, os, /*ShowColors=*/false);
  return StringRef(result).rtrim('\n').str();
}

Error Location::error(const Twine &message) const {
  return make_error<PlanError>(*this, message.str());
}

} // namespace cleave::plan
