# The lit suite: cleave-opt and partition-tool on text, checked with FileCheck. Run by
# the target check-lit; one test with lit.py -v build/test --filter=NAME.
import os

import lit.formats

config.name = "Cleave"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
# What tests read and is no test itself.
config.excludes = ["Inputs"]
config.test_source_root = os.path.join(config.source_root, "test")
config.test_exec_root = os.path.join(config.binary_root, "test")

tools = [os.path.join(config.binary_root, "bin")]
tools += [os.path.dirname(tool) for tool in (config.filecheck, config.llvm_not)]
config.environment["PATH"] = os.pathsep.join(tools + [config.environment["PATH"]])

shared = os.path.normpath(os.path.join(config.source_root, "..", "shared", "data"))
if os.path.isdir(os.path.join(shared, "models")):
    config.available_features.add("shared-data")

# Longer names first: a substitution replaces every place where its text stands.
config.substitutions += [
    ("%make_gguf", f"{config.python} {config.test_source_root}/compiler/import/gguf/make_gguf.py"),
    ("%examples", f"{config.python} {config.test_source_root}/dialect/examples.py"),
    ("%shared", shared),
    ("%root", config.source_root),
    ("%python", config.python),
    ("%tblgen", config.tblgen),
]
