// What plans, cuts and messages call the nodes of a graph, and the ops that are made of them.
#pragma once

#include "runtime/program/onnx.pb.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/Twine.h"

#include <string>

namespace cleave::onnx {

/// A node's own name, or that of its first output, or its op.
inline llvm::StringRef nameOfNode(const ::onnx::NodeProto &node) {
  if (!node.name().empty())
    return node.name();
  return node.output_size() > 0 ? node.output(0) : node.op_type();
}

/// Names that were given so far, each once: a name that is taken gets a number.
class UniqueNames {
public:
  std::string add(llvm::StringRef name) {
    std::string unique = name.str();
    for (unsigned count = 2; !taken.insert(unique).second; ++count)
      unique = (name + "#" + llvm::Twine(count)).str();
    return unique;
  }

private:
  llvm::StringSet<> taken;
};

} // namespace cleave::onnx
