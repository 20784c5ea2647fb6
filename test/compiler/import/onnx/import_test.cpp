// The ONNX importer: what a graph becomes, and that no malformed file gets past it. Models are
// made here with protobuf's own code; what their ops compute is tested end to end.
#include "compiler/import/onnx/import.h"

#include "dialect/dialect.h"

#include "mlir/IR/Verifier.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <filesystem>
#include <fstream>
#include <random>

using namespace cleave;
using namespace cleave::onnx;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

namespace {

using Names = std::vector<std::string>;

/// A float tensor of ascending numbers.
::onnx::TensorProto tensor(const std::string &name, const std::vector<int64_t> &dims) {
  ::onnx::TensorProto result;
  result.set_name(name);
  result.set_data_type(::onnx::TensorProto::FLOAT);
  int64_t count = 1;
  for (int64_t dim : dims) {
    result.add_dims(dim);
    count *= dim;
  }
  for (int64_t i = 0; i < count; ++i)
    result.add_float_data(static_cast<float>(i));
  return result;
}

::onnx::TensorProto integers(const std::string &name, const std::vector<int64_t> &values) {
  ::onnx::TensorProto result;
  result.set_name(name);
  result.set_data_type(::onnx::TensorProto::INT64);
  result.add_dims(static_cast<int64_t>(values.size()));
  for (int64_t value : values)
    result.add_int64_data(value);
  return result;
}

void addValue(::onnx::ValueInfoProto &value, const std::string &name, const Names &dims,
              int32_t type = ::onnx::TensorProto::FLOAT) {
  value.set_name(name);
  auto *described = value.mutable_type()->mutable_tensor_type();
  described->set_elem_type(type);
  described->mutable_shape();
  for (const std::string &dim : dims) {
    auto *added = described->mutable_shape()->add_dim();
    if (!dim.empty() && (isdigit(dim[0]) || dim[0] == '-'))
      added->set_dim_value(std::stoll(dim));
    else if (!dim.empty())
      added->set_dim_param(dim);
  }
}

/// Adds a node to a graph or a function.
template <typename Owner>
::onnx::NodeProto &addNode(Owner &owner, const std::string &op, const Names &inputs,
                           const Names &outputs, const std::string &name = "") {
  ::onnx::NodeProto &node = *owner.add_node();
  node.set_op_type(op);
  node.set_name(name);
  for (const std::string &input : inputs)
    node.add_input(input);
  for (const std::string &output : outputs)
    node.add_output(output);
  return node;
}

/// x [batch, 4] -> y, with what a test puts between.
::onnx::ModelProto makeModel() {
  ::onnx::ModelProto model;
  model.set_ir_version(8);
  auto *opset = model.add_opset_import();
  opset->set_version(17);
  addValue(*model.mutable_graph()->add_input(), "x", {"batch", "4"});
  addValue(*model.mutable_graph()->add_output(), "y", {"batch", "4"});
  return model;
}

class OnnxImport : public testing::Test {
protected:
  OnnxImport() {
    folder = std::filesystem::path(testing::TempDir()) /
             (std::string("onnx_import_") +
              testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder);
  }
  ~OnnxImport() override { std::filesystem::remove_all(folder); }

  std::string path() const { return folder / "m.onnx"; }

  llvm::Expected<ImportedModel> importBytes(const std::string &bytes) {
    std::ofstream(path(), std::ios::binary).write(bytes.data(), bytes.size());
    llvm::Expected<ModelFile> file = ModelFile::open(path());
    if (!file)
      return file.takeError();
    return importModel(*file, options, context);
  }

  /// The module as text.
  std::string textOf(const ::onnx::ModelProto &model) {
    llvm::Expected<ImportedModel> imported = importBytes(model.SerializeAsString());
    if (!imported)
      return "error: " + llvm::toString(imported.takeError());
    std::string text;
    llvm::raw_string_ostream os(text);
    imported->module->print(os);
    return text;
  }

  std::string errorOf(const std::string &bytes) {
    llvm::Expected<ImportedModel> imported = importBytes(bytes);
    if (imported)
      return "(imported)";
    std::string message = llvm::toString(imported.takeError());
    EXPECT_THAT(message, testing::StartsWith(path() + ": "));
    return message;
  }
  std::string errorOf(const ::onnx::ModelProto &model) {
    return errorOf(model.SerializeAsString());
  }

  std::filesystem::path folder;
  ImportOptions options;
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
};

TEST_F(OnnxImport, InputsAndOutputsKeepNamesAndSizes) {
  ::onnx::ModelProto model = makeModel();
  addNode(*model.mutable_graph(), "Identity", {"x"}, {"y"});
  EXPECT_THAT(textOf(model),
              AllOf(HasSubstr("func.func @main"), HasSubstr("cleave.input = \"x\""),
                    HasSubstr("tensor<?x4xf32, #batch>"), HasSubstr("cleave.output = \"y\"")));
  options.dims = {{"batch", "3"}};
  EXPECT_THAT(textOf(model), HasSubstr("tensor<3x4xf32>"));
  options.dims = {{"batch", "rows"}};
  EXPECT_THAT(textOf(model), HasSubstr("tensor<?x4xf32, #rows>"));
  options.dims = {{"bach", "3"}};
  EXPECT_THAT(errorOf(model), AllOf(HasSubstr("--dim bach=3"), HasSubstr("'batch'")));
  options.dims = {{"batch", "-3"}};
  EXPECT_THAT(errorOf(model), HasSubstr("is negative"));
}

TEST_F(OnnxImport, MatricesAreReadTheOtherWayRound) {
  ::onnx::ModelProto model = makeModel();
  *model.mutable_graph()->add_initializer() = tensor("w", {4, 3});
  addNode(*model.mutable_graph(), "MatMul", {"x", "w"}, {"y"}, "product");
  EXPECT_THAT(textOf(model), AllOf(HasSubstr("cleave.weight @w : tensor<3x4xf32> from onnx<"),
                                   HasSubstr("\"w\" transposed>"), HasSubstr("cleave.linear"),
                                   HasSubstr("cleave.name = \"product\"")));
}

TEST_F(OnnxImport, InitializersOfOldFilesAreInputsToo) {
  ::onnx::ModelProto model = makeModel();
  model.set_ir_version(3);
  *model.mutable_graph()->add_initializer() = tensor("w", {4, 4});
  addValue(*model.mutable_graph()->add_input(), "w", {"4", "4"});
  addNode(*model.mutable_graph(), "MatMul", {"x", "w"}, {"y"});
  EXPECT_THAT(textOf(model), AllOf(HasSubstr("@w"), Not(HasSubstr("cleave.input = \"w\""))));
}

TEST_F(OnnxImport, ShapesAreComputedAtImport) {
  ::onnx::ModelProto model = makeModel();
  *model.mutable_graph()->add_initializer() = integers("zero", {0});
  *model.mutable_graph()->add_initializer() = integers("rest", {2, -1});
  addNode(*model.mutable_graph(), "Shape", {"x"}, {"shape"});
  addNode(*model.mutable_graph(), "Gather", {"shape", "zero"}, {"rows"});
  addNode(*model.mutable_graph(), "Concat", {"rows", "rest"}, {"wanted"})
      .add_attribute()
      ->set_name("axis");
  auto &axis = *model.mutable_graph()->mutable_node(2)->mutable_attribute(0);
  axis.set_type(::onnx::AttributeProto::INT);
  axis.set_i(0);
  addNode(*model.mutable_graph(), "Reshape", {"x", "wanted"}, {"y"}, "split");
  EXPECT_THAT(textOf(model),
              AllOf(HasSubstr("cleave.reshape %arg0 groups [1:1, 1:2]"),
                    HasSubstr("tensor<?x2x2xf32, #batch>"), Not(HasSubstr("cleave.weight"))));
}

/// A function of the model with one node in it.
::onnx::FunctionProto &addFunction(::onnx::ModelProto &model, const std::string &name,
                                   const std::string &op, const std::string &domain) {
  ::onnx::FunctionProto &function = *model.add_functions();
  function.set_name(name);
  function.set_domain("own");
  function.add_input("a");
  function.add_output("b");
  function.add_opset_import()->set_version(17);
  auto *own = function.add_opset_import();
  own->set_domain("own");
  own->set_version(1);
  addNode(function, op, {"a"}, {"b"}, "inner").set_domain(domain);
  return function;
}

TEST_F(OnnxImport, FunctionsAreInlined) {
  ::onnx::ModelProto model = makeModel();
  auto *own = model.add_opset_import();
  own->set_domain("own");
  own->set_version(1);
  addFunction(model, "outer", "nested", "own");
  addFunction(model, "nested", "Transpose", "");
  addNode(*model.mutable_graph(), "outer", {"x"}, {"y"}, "call").set_domain("own");
  EXPECT_THAT(textOf(model), HasSubstr("cleave.name = \"call/inner/inner\""));

  addFunction(model, "loop", "loop", "own");
  model.mutable_graph()->mutable_node(0)->set_op_type("loop");
  EXPECT_THAT(errorOf(model), HasSubstr("calls the function 'loop', which calls itself"));
  addFunction(model, "loop", "Transpose", "");
  EXPECT_THAT(errorOf(model), HasSubstr("two functions 'loop'"));
}

TEST_F(OnnxImport, BranchesOfKnownConditions) {
  ::onnx::ModelProto model = makeModel();
  *model.mutable_graph()->add_initializer() = integers("yes", {1});
  ::onnx::NodeProto &node = addNode(*model.mutable_graph(), "If", {"yes"}, {"y"}, "choice");
  for (const char *name : {"then_branch", "else_branch"}) {
    auto *branch = node.add_attribute();
    branch->set_name(name);
    branch->set_type(::onnx::AttributeProto::GRAPH);
    // What is not chosen may be anything.
    bool isThen = std::string(name) == "then_branch";
    addNode(*branch->mutable_g(), isThen ? "Transpose" : "Strange", {"x"}, {"b"}, "swap");
    branch->mutable_g()->add_output()->set_name("b");
  }
  EXPECT_THAT(textOf(model), HasSubstr("cleave.name = \"choice/swap\""));
  node.set_input(0, "x");
  EXPECT_THAT(errorOf(model), AllOf(HasSubstr("node 'choice' (If)"), HasSubstr("--value x=FILE")));
}

TEST_F(OnnxImport, NodesMayComeInAnyOrder) {
  ::onnx::ModelProto model = makeModel();
  addNode(*model.mutable_graph(), "Transpose", {"b"}, {"y"}, "last");
  addNode(*model.mutable_graph(), "Transpose", {"x"}, {"b"}, "first");
  std::string text = textOf(model);
  EXPECT_LT(text.find("\"first\""), text.find("\"last\"")) << text;
}

TEST_F(OnnxImport, UnknownOpsAreListedTogether) {
  ::onnx::ModelProto model = makeModel();
  auto *own = model.add_opset_import();
  own->set_domain("own");
  own->set_version(1);
  addNode(*model.mutable_graph(), "Strange", {"x"}, {"a"}, "first");
  addNode(*model.mutable_graph(), "Odd", {"a"}, {"b"}, "second").set_domain("own");
  addNode(*model.mutable_graph(), "Strange", {"b"}, {"y"});
  EXPECT_THAT(errorOf(model), AllOf(HasSubstr("2 ops are not supported"),
                                    HasSubstr("Strange ('first', 'y'); own.Odd ('second')")));
}

TEST_F(OnnxImport, WhatIsWrongWithAGraphIsSaid) {
  ::onnx::ModelProto model = makeModel();
  EXPECT_THAT(errorOf(model), HasSubstr("output 'y' is made by no node"));
  addNode(*model.mutable_graph(), "Identity", {"a"}, {"y"}, "n");
  EXPECT_THAT(errorOf(model), HasSubstr("node 'n' (Identity): uses 'a', which is no input"));
  addNode(*model.mutable_graph(), "Identity", {"y"}, {"a"});
  EXPECT_THAT(errorOf(model), HasSubstr("uses 'a', which is made from this node's results"));
  model.mutable_graph()->mutable_node(0)->set_input(0, "x");
  model.mutable_graph()->mutable_node(1)->set_output(0, "x");
  EXPECT_THAT(errorOf(model), HasSubstr("the name 'x'"));
  model.mutable_graph()->mutable_node()->RemoveLast();
  EXPECT_THAT(textOf(model), HasSubstr("return %arg0"));

  ::onnx::ModelProto other = model;
  other.set_ir_version(99);
  EXPECT_THAT(errorOf(other), HasSubstr("IR version 99; expected 3 to "));
  other = model;
  other.mutable_opset_import(0)->set_version(6);
  other.mutable_graph()->mutable_node(0)->set_op_type("Dropout");
  EXPECT_THAT(errorOf(other), HasSubstr("version 6 of ONNX's operator set; supported are 7 to "));
  other = model;
  other.clear_opset_import();
  EXPECT_THAT(errorOf(other), HasSubstr("imports no operator set"));
  other = model;
  *other.mutable_graph()->add_initializer() = tensor("w", {1});
  *other.mutable_graph()->add_initializer() = tensor("w", {1});
  EXPECT_THAT(errorOf(other), HasSubstr("the name 'w'"));
  other = model;
  other.mutable_graph()->mutable_output(0)->mutable_type()->mutable_tensor_type()->set_elem_type(7);
  EXPECT_THAT(errorOf(other), HasSubstr("declared to have elements of type int64"));
  other = model;
  other.mutable_graph()->add_initializer()->add_dims(-4);
  other.mutable_graph()->mutable_initializer(0)->set_data_type(1);
  EXPECT_THAT(errorOf(other), HasSubstr("size -4"));
  other = makeModel();
  other.mutable_graph()->clear_input();
  addValue(*other.mutable_graph()->add_input(), "x", {"-1"});
  EXPECT_THAT(errorOf(other), HasSubstr("input 'x' has a dimension of size -1"));
  other.mutable_graph()->mutable_input(0)->mutable_type()->mutable_sequence_type();
  EXPECT_THAT(errorOf(other), HasSubstr("input 'x' is no tensor"));

  EXPECT_THAT(errorOf(model.SerializeAsString().substr(0, 40)), HasSubstr("or is truncated"));
  EXPECT_THAT(errorOf("once upon a time"), HasSubstr("is no ONNX model"));
  EXPECT_THAT(errorOf(""), HasSubstr("it has no graph"));
}

TEST_F(OnnxImport, ExternalDataStaysInTheFolder) {
  std::ofstream(folder / "inside.bin", std::ios::binary) << std::string(64, '\0');
  std::ofstream(folder / "short.bin", std::ios::binary) << std::string(8, '\0');
  std::filesystem::create_directories(folder / "sub");
  std::filesystem::create_symlink("/etc/hostname", folder / "sub" / "link.bin");
  ::onnx::ModelProto model = makeModel();
  *model.mutable_graph()->add_initializer() = tensor("w", {4, 4});
  addNode(*model.mutable_graph(), "MatMul", {"x", "w"}, {"y"});
  ::onnx::TensorProto &w = *model.mutable_graph()->mutable_initializer(0);
  w.clear_float_data();
  w.set_data_location(::onnx::TensorProto::EXTERNAL);
  auto readFrom = [&](const std::string &location, const std::string &offset = "0") {
    w.clear_external_data();
    for (const auto &[key, value] : {std::pair("location", location), {"offset", offset}}) {
      auto *entry = w.add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    }
    std::string bytes = model.SerializeAsString();
    std::ofstream(path(), std::ios::binary).write(bytes.data(), bytes.size());
    ModelFile file = llvm::cantFail(ModelFile::open(path()));
    llvm::Expected<TensorBytes> data = file.data(*file.findTensor("w"));
    return data ? std::to_string(data->bytes.size()) : llvm::toString(data.takeError());
  };
  EXPECT_EQ(readFrom("inside.bin"), "64");
  EXPECT_EQ(readFrom("sub/../inside.bin"),
            path() + ": tensor 'w' has its data in 'sub/../inside.bin', expected a path inside "
                     "the model's folder");
  EXPECT_THAT(readFrom("/etc/hostname"), HasSubstr("expected a path inside the model's folder"));
  EXPECT_THAT(readFrom("sub/link.bin"), HasSubstr("leads out of the model's folder"));
  EXPECT_THAT(readFrom("absent.bin"), HasSubstr("No such file"));
  EXPECT_THAT(readFrom("sub"), HasSubstr("not a regular file"));
  EXPECT_THAT(readFrom("short.bin"), HasSubstr("has 8 bytes; it may be truncated"));
  EXPECT_THAT(readFrom("inside.bin", "1"), HasSubstr("64 bytes at offset 1"));
  EXPECT_THAT(readFrom("inside.bin", "18446744073709551615"), HasSubstr("it may be truncated"));
  EXPECT_THAT(readFrom("inside.bin", "-1"), HasSubstr("expected a number"));
}

TEST_F(OnnxImport, RefusesAttentionWhoseOperandsHaveOtherRanks) {
  // An empty list is an operand of rank 0; "-" is none.
  auto refusal = [&](const std::string &domain, const std::string &op,
                     const std::vector<Names> &shapes,
                     const std::vector<std::pair<std::string, int64_t>> &attributes = {}) {
    ::onnx::ModelProto model = makeModel();
    model.mutable_opset_import(0)->set_version(24);
    auto *contrib = model.add_opset_import();
    contrib->set_domain("com.microsoft");
    contrib->set_version(1);
    Names operands;
    for (const auto &[index, dims] : llvm::enumerate(shapes)) {
      const bool isNone = dims == Names{"-"};
      operands.push_back(isNone ? "" : "operand" + std::to_string(index));
      if (!isNone)
        addValue(*model.mutable_graph()->add_input(), operands.back(), dims);
    }
    ::onnx::NodeProto &node = addNode(*model.mutable_graph(), op, operands, {"y"}, "attention");
    node.set_domain(domain);
    for (const auto &[name, value] : attributes) {
      ::onnx::AttributeProto &attribute = *node.add_attribute();
      attribute.set_name(name);
      attribute.set_type(::onnx::AttributeProto::INT);
      attribute.set_i(value);
    }
    return errorOf(model);
  };
  const Names headed = {"1", "2", "3", "4"}, none = {"-"};
  EXPECT_THAT(refusal("", "Attention", {headed, headed, headed, none, {"5"}, headed}),
              HasSubstr("node 'attention' (Attention): has a cache of shape [5]"));
  EXPECT_THAT(refusal("", "Attention", {headed, headed, headed, none, none, none, {}}),
              HasSubstr("has numbers of keys of shape []"));
  const std::pair<std::string, int64_t> heads = {"num_heads", 2};
  EXPECT_THAT(refusal("com.microsoft", "MultiHeadAttention", {{}, {}, {}}, {heads}),
              HasSubstr("has queries, keys or values of shape []"));
  EXPECT_THAT(refusal("com.microsoft", "GroupQueryAttention",
                      {{"1", "3", "8"}, {"1", "3", "8"}, {"1", "3", "8"}, none, none, none, none},
                      {heads, {"kv_num_heads", 2}}),
              HasSubstr("operand 6, the total sequence length, is missing"));
}

/// Whatever a file holds is refused or makes a valid module.
TEST_F(OnnxImport, SurvivesRandomMutations) {
  ::onnx::ModelProto model = makeModel();
  auto *own = model.add_opset_import();
  own->set_domain("own");
  own->set_version(1);
  addFunction(model, "outer", "nested", "own");
  addFunction(model, "nested", "Transpose", "");
  *model.mutable_graph()->add_initializer() = tensor("w", {4, 3});
  *model.mutable_graph()->add_initializer() = integers("wanted", {-1, 3, 1});
  addNode(*model.mutable_graph(), "MatMul", {"x", "w"}, {"a"}, "product");
  addNode(*model.mutable_graph(), "outer", {"a"}, {"b"}, "call").set_domain("own");
  addNode(*model.mutable_graph(), "Shape", {"b"}, {"s"});
  addNode(*model.mutable_graph(), "Concat", {"s", "wanted"}, {"t"});
  addNode(*model.mutable_graph(), "Reshape", {"b", "wanted"}, {"y"});
  const std::string bytes = model.SerializeAsString();
  std::mt19937 random(11);
  int imported = 0;
  for (int trial = 0; trial < 400; ++trial) {
    std::string mutated = bytes;
    for (unsigned i = 0, n = 1 + random() % 3; i < n; ++i)
      mutated[random() % mutated.size()] = char(random() % 2 ? random() : random() % 9);
    llvm::Expected<ImportedModel> result = importBytes(mutated);
    if (!result) {
      EXPECT_NE(llvm::toString(result.takeError()), "");
      continue;
    }
    ++imported;
    EXPECT_TRUE(succeeded(mlir::verify(*result->module)));
  }
  EXPECT_GT(imported, 0);
}

} // namespace
