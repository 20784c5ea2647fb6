// Importing GGUF models: the module that a llama file becomes, the defaults for
// absent keys, and what each misfit is refused with.
#include "compiler/import/gguf/import.h"

#include "dialect/dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "llama_files.h"

#include <cmath>
#include <filesystem>
#include <random>

using namespace cleave;
using namespace cleave::gguf;
using namespace cleave::gguf::test;
using llvm::toString;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

class GgufImport : public testing::Test {
protected:
  llvm::Expected<ImportedModel> import(const std::string &path) {
    llvm::Expected<File> file = File::open(path);
    if (!file)
      return file.takeError();
    return importModel(*file, context);
  }
  ImportedModel importOrFail(const std::string &path) {
    ImportedModel model = llvm::cantFail(import(path));
    EXPECT_TRUE(succeeded(mlir::verify(*model.module)));
    return model;
  }
  ImportedModel importOrFail(const LlamaFile &file) {
    TemporaryFile temporary(file.bytes());
    return importOrFail(temporary.path);
  }
  std::string errorOf(const LlamaFile &file) {
    TemporaryFile temporary(file.bytes());
    llvm::Expected<ImportedModel> model = import(temporary.path);
    if (model)
      return "";
    std::string message = toString(model.takeError());
    EXPECT_THAT(message, testing::StartsWith(temporary.path + ": "));
    return message;
  }

  /// The ops of a kind, in order.
  template <typename OpT> std::vector<OpT> opsOf(const ImportedModel &model) {
    std::vector<OpT> result;
    mlir::ModuleOp(*model.module).walk([&](OpT op) { result.push_back(op); });
    return result;
  }
  template <typename OpT> std::vector<std::string> namesOf(const ImportedModel &model) {
    std::vector<std::string> result;
    for (OpT op : opsOf<OpT>(model))
      result.push_back(getModelName(op).str());
    return result;
  }
  /// The weight that an op's operand is.
  static std::string weightOf(mlir::Value value) {
    return value.getDefiningOp<UseOp>().getWeight().str();
  }
  static std::string text(mlir::Type type) {
    std::string result;
    llvm::raw_string_ostream(result) << type;
    return result;
  }

  mlir::MLIRContext context;
};

TEST_F(GgufImport, BuildsALlamaModule) {
  ImportedModel model = importOrFail(LlamaFile());
  EXPECT_TRUE(model.warnings.empty());
  EXPECT_EQ(opsOf<WeightOp>(model).size(), 21u);
  EXPECT_THAT(namesOf<LinearOp>(model),
              ElementsAre("blk.0.attn_q", "blk.0.attn_k", "blk.0.attn_v", "blk.0.attn_output",
                          "blk.0.ffn_gate", "blk.0.ffn_up", "blk.0.ffn_down", "blk.1.attn_q",
                          "blk.1.attn_k", "blk.1.attn_v", "blk.1.attn_output", "blk.1.ffn_gate",
                          "blk.1.ffn_up", "blk.1.ffn_down", "output"));
  EXPECT_THAT(namesOf<RmsNormOp>(model),
              ElementsAre("blk.0.attn_norm", "blk.0.ffn_norm", "blk.1.attn_norm", "blk.1.ffn_norm",
                          "output_norm"));
  EXPECT_THAT(namesOf<GatherOp>(model),
              ElementsAre("token_embd", "blk.1.attention_rows", "blk.1.rows"));
  for (LinearOp op : opsOf<LinearOp>(model))
    EXPECT_EQ(weightOf(op.getWeight()), getModelName(op).str() + ".weight");

  RopeOp rope = opsOf<RopeOp>(model).front();
  EXPECT_EQ(rope.getHeadDim(), 4);
  EXPECT_EQ(rope.getRotaryDim(), 4);
  EXPECT_EQ(rope.getBase().convertToFloat(), 10000.0f);
  EXPECT_EQ(rope.getScale().convertToFloat(), 1.0f);
  EXPECT_EQ(rope.getStyle(), RopeStyle::Interleaved);
  EXPECT_FALSE(rope.getFactors());
  AttentionOp attention = opsOf<AttentionOp>(model).front();
  EXPECT_EQ(attention.getHeadDim(), 4);
  EXPECT_EQ(attention.getGroup(), 2);
  EXPECT_EQ(attention.getFirstHead(), 0);
  EXPECT_EQ(attention.getScale().convertToFloat(), 0.5f);
  EXPECT_EQ(opsOf<RmsNormOp>(model).front().getEpsilon().convertToFloat(), 1e-5f);

  mlir::ModuleOp module = *model.module;
  auto facts = module->getAttrOfType<mlir::DictionaryAttr>(CleaveDialect::modelAttrName);
  EXPECT_EQ(facts.getAs<mlir::StringAttr>("architecture").getValue(), "llama");
  EXPECT_EQ(facts.getAs<mlir::IntegerAttr>("context_length").getInt(), 128);
  EXPECT_EQ(facts.getAs<mlir::IntegerAttr>("vocabulary").getInt(), 8);
}

/// What an op's value comes from: the model's name of its producer, or the argument's.
std::string sourceOf(mlir::Value value) {
  if (auto argument = llvm::dyn_cast<mlir::BlockArgument>(value))
    return "argument " + std::to_string(argument.getArgNumber());
  return getModelName(value.getDefiningOp()).str();
}

TEST_F(GgufImport, ConnectsTheOpsOfABlock) {
  ImportedModel model = importOrFail(LlamaFile());
  std::map<std::string, std::vector<std::string>> operands;
  model.module->walk([&](mlir::Operation *op) {
    if (!op->hasAttr(CleaveDialect::nameAttrName))
      return;
    for (mlir::Value operand : op->getOperands())
      if (!operand.getDefiningOp<UseOp>())
        operands[getModelName(op).str()].push_back(sourceOf(operand));
  });
  const std::vector<std::pair<std::string, std::vector<std::string>>> expected = {
      {"token_embd", {"argument 0"}},
      {"blk.0.attn_norm", {"token_embd"}},
      {"blk.0.attn_q", {"blk.0.attn_norm"}},
      {"blk.0.attn_k", {"blk.0.attn_norm"}},
      {"blk.0.attn_v", {"blk.0.attn_norm"}},
      {"blk.0.attn_q_rope", {"blk.0.attn_q", "argument 1"}},
      {"blk.0.attn_k_rope", {"blk.0.attn_k", "argument 1"}},
      {"blk.0.k", {"blk.0.attn_k_rope", "argument 2", "argument 1"}},
      {"blk.0.v", {"blk.0.attn_v", "argument 2", "argument 1"}},
      {"blk.0.attention", {"blk.0.attn_q_rope", "blk.0.k", "blk.0.v", "argument 2", "argument 1"}},
      {"blk.0.attn_output", {"blk.0.attention"}},
      {"blk.0.attn_residual", {"token_embd", "blk.0.attn_output"}},
      {"blk.0.ffn_norm", {"blk.0.attn_residual"}},
      {"blk.0.ffn_gate", {"blk.0.ffn_norm"}},
      {"blk.0.ffn_silu", {"blk.0.ffn_gate"}},
      {"blk.0.ffn_up", {"blk.0.ffn_norm"}},
      {"blk.0.ffn_mul", {"blk.0.ffn_silu", "blk.0.ffn_up"}},
      {"blk.0.ffn_down", {"blk.0.ffn_mul"}},
      {"blk.0.ffn_residual", {"blk.0.attn_residual", "blk.0.ffn_down"}},
      {"blk.1.attention_rows", {"blk.1.attention", "argument 3"}},
      {"blk.1.rows", {"blk.0.ffn_residual", "argument 3"}},
      {"blk.1.attn_output", {"blk.1.attention_rows"}},
      {"blk.1.attn_residual", {"blk.1.rows", "blk.1.attn_output"}},
      {"output_norm", {"blk.1.ffn_residual"}},
      {"output", {"output_norm"}},
  };
  for (const auto &[name, sources] : expected)
    EXPECT_EQ(operands[name], sources) << name;
  for (StateUpdateOp op : opsOf<StateUpdateOp>(model))
    EXPECT_EQ(op.getState(), getModelName(op));
}

TEST_F(GgufImport, NamesThePortsAndTheirSizes) {
  ImportedModel model = importOrFail(LlamaFile());
  auto step = model.module->lookupSymbol<mlir::func::FuncOp>("step");
  ASSERT_TRUE(step);
  std::vector<std::string> inputs;
  for (unsigned i = 0; i < step.getNumArguments(); ++i)
    inputs.push_back(
        step.getArgAttrOfType<mlir::StringAttr>(i, CleaveDialect::inputAttrName).str());
  EXPECT_THAT(inputs, ElementsAre("tokens", "positions", "slots", "rows"));
  EXPECT_EQ(text(step.getArgumentTypes()[0]), "tensor<?xi32, #cleave.dims<tokens>>");
  EXPECT_EQ(text(step.getArgumentTypes()[3]), "tensor<?xi32, #cleave.dims<rows>>");
  EXPECT_EQ(text(step.getResultTypes()[0]), "tensor<?x8xf32, #cleave.dims<rows>>");
  EXPECT_EQ(step.getResultAttr(0, CleaveDialect::outputAttrName),
            mlir::StringAttr::get(&context, "logits"));
}

TEST_F(GgufImport, KeepsAnExactCacheForExactWeights) {
  LlamaFile file;
  ImportedModel exact = importOrFail(file);
  ASSERT_EQ(opsOf<StateOp>(exact).size(), 4u);
  EXPECT_EQ(opsOf<StateOp>(exact)[0].getSymName(), "blk.0.k");
  EXPECT_EQ(text(opsOf<StateOp>(exact)[1].getType()),
            "tensor<?x?x8xf32, #cleave.dims<slots, context>>");
  file.tensors["blk.1.ffn_up.weight"].type = 1;
  ImportedModel half = importOrFail(file);
  EXPECT_EQ(text(opsOf<StateOp>(half)[0].getType()),
            "tensor<?x?x8xf16, #cleave.dims<slots, context>>");
}

TEST_F(GgufImport, TiesTheOutputToTheEmbedding) {
  LlamaFile file;
  file.tensors.erase("output.weight");
  ImportedModel model = importOrFail(file);
  EXPECT_EQ(weightOf(opsOf<LinearOp>(model).back().getWeight()), "token_embd.weight");
  EXPECT_EQ(opsOf<WeightOp>(model).size(), 20u);
}

TEST_F(GgufImport, AddsBiases) {
  LlamaFile file;
  file.tensors["blk.0.attn_q.bias"] = {{16}};
  file.tensors["blk.0.attn_v.bias"] = {{8}};
  file.tensors["blk.1.ffn_down.bias"] = {{16}};
  ImportedModel model = importOrFail(file);
  EXPECT_THAT(namesOf<AddOp>(model),
              ElementsAre("blk.0.attn_q_bias", "blk.0.attn_v_bias", "blk.0.attn_residual",
                          "blk.0.ffn_residual", "blk.1.attn_residual", "blk.1.ffn_down_bias",
                          "blk.1.ffn_residual"));
  EXPECT_EQ(weightOf(opsOf<AddOp>(model)[0].getY()), "blk.0.attn_q.bias");
  EXPECT_TRUE(model.warnings.empty());
}

TEST_F(GgufImport, BuildsQwen2) {
  LlamaFile file("qwen2");
  for (std::string prefix : {"blk.0.", "blk.1."}) {
    file.tensors[prefix + "attn_q.bias"] = {{16}};
    file.tensors[prefix + "attn_k.bias"] = {{8}};
    file.tensors[prefix + "attn_v.bias"] = {{8}};
  }
  ImportedModel model = importOrFail(file);
  EXPECT_TRUE(model.warnings.empty());
  EXPECT_THAT(namesOf<AddOp>(model),
              ElementsAre("blk.0.attn_q_bias", "blk.0.attn_k_bias", "blk.0.attn_v_bias",
                          "blk.0.attn_residual", "blk.0.ffn_residual", "blk.1.attn_q_bias",
                          "blk.1.attn_k_bias", "blk.1.attn_v_bias", "blk.1.attn_residual",
                          "blk.1.ffn_residual"));
  for (RopeOp rope : opsOf<RopeOp>(model))
    EXPECT_EQ(rope.getStyle(), RopeStyle::Halves);
  auto facts =
      model.module.get()->getAttrOfType<mlir::DictionaryAttr>(CleaveDialect::modelAttrName);
  EXPECT_EQ(facts.getAs<mlir::StringAttr>("architecture").getValue(), "qwen2");
}

TEST_F(GgufImport, BuildsQwen3) {
  LlamaFile file("qwen3");
  file.u32("qwen3.attention.key_length", 6);
  file.u32("qwen3.attention.value_length", 6);
  for (std::string prefix : {"blk.0.", "blk.1."}) {
    file.tensors[prefix + "attn_q.weight"].dims = {16, 24};
    file.tensors[prefix + "attn_k.weight"].dims = {16, 12};
    file.tensors[prefix + "attn_v.weight"].dims = {16, 12};
    file.tensors[prefix + "attn_output.weight"].dims = {24, 16};
    file.tensors[prefix + "attn_q_norm.weight"] = {{6}};
    file.tensors[prefix + "attn_k_norm.weight"] = {{6}};
  }
  ImportedModel model = importOrFail(file);
  EXPECT_TRUE(model.warnings.empty());
  EXPECT_THAT(namesOf<RmsNormOp>(model),
              ElementsAre("blk.0.attn_norm", "blk.0.attn_q_norm", "blk.0.attn_k_norm",
                          "blk.0.ffn_norm", "blk.1.attn_norm", "blk.1.attn_q_norm",
                          "blk.1.attn_k_norm", "blk.1.ffn_norm", "output_norm"));
  for (RmsNormOp norm : opsOf<RmsNormOp>(model)) {
    EXPECT_EQ(weightOf(norm.getWeight()), getModelName(norm).str() + ".weight");
    EXPECT_EQ(norm.getPerHead(), getModelName(norm).contains("_norm") &&
                                     getModelName(norm).contains(".attn_") &&
                                     !getModelName(norm).ends_with(".attn_norm"));
  }
  // Linear, norm, rotation, in this order.
  for (RopeOp rope : opsOf<RopeOp>(model)) {
    EXPECT_EQ(rope.getStyle(), RopeStyle::Halves);
    EXPECT_EQ(rope.getRotaryDim(), 6);
    auto norm = rope.getX().getDefiningOp<RmsNormOp>();
    ASSERT_TRUE(norm && norm.getPerHead());
    EXPECT_TRUE(norm.getX().getDefiningOp<LinearOp>());
  }
  file.tensors.erase("blk.1.attn_k_norm.weight");
  EXPECT_THAT(errorOf(file), HasSubstr("tensor 'blk.1.attn_k_norm.weight' is missing; expected one "
                                       "of shape 6"));
}

TEST_F(GgufImport, CutsFusedMatricesIntoWeights) {
  LlamaFile file = LlamaFile::phi3();
  file.tensors["blk.0.attn_qkv.bias"] = {{32}};
  ImportedModel model = importOrFail(file);
  EXPECT_TRUE(model.warnings.empty());
  auto expect = [&](const std::string &name, const std::string &tensor, const std::string &type,
                    std::vector<int64_t> slice) {
    auto weight = model.module->lookupSymbol<WeightOp>(name);
    ASSERT_TRUE(weight) << name;
    EXPECT_EQ(weight.getTensorName(), tensor);
    EXPECT_EQ(text(weight.getType()), type);
    EXPECT_EQ(std::vector<int64_t>(*weight.getSlice()), slice) << name;
  };
  std::string qkv = "blk.1.attn_qkv.weight", up = "blk.0.ffn_up.weight";
  expect(qkv + ":q", qkv, "tensor<16x16xf32>", {0, 16, 0, 16});
  expect(qkv + ":k", qkv, "tensor<8x16xf32>", {16, 24, 0, 16});
  expect(qkv + ":v", qkv, "tensor<8x16xf32>", {24, 32, 0, 16});
  expect("blk.0.attn_qkv.bias:v", "blk.0.attn_qkv.bias", "tensor<8xf32>", {24, 32});
  expect(up + ":gate", up, "tensor<24x16xf32>", {0, 24, 0, 16});
  expect(up + ":up", up, "tensor<24x16xf32>", {24, 48, 0, 16});
  // The graph is that of separate matrices.
  std::vector<std::string> names = namesOf<LinearOp>(model);
  EXPECT_EQ(names, namesOf<LinearOp>(importOrFail(LlamaFile())));
  EXPECT_EQ(weightOf(opsOf<LinearOp>(model)[1].getWeight()), "blk.0.attn_qkv.weight:k");
  EXPECT_EQ(weightOf(opsOf<SiluOp>(model)[0].getX().getDefiningOp<LinearOp>().getWeight()),
            "blk.0.ffn_up.weight:gate");

  file.tensors["blk.1.attn_qkv.weight"].dims = {16, 30};
  EXPECT_THAT(errorOf(file), HasSubstr("tensor 'blk.1.attn_qkv.weight': the shape is 30x16; "
                                       "expected 32x16"));
  // Not twice the rows: what is missing is the gate.
  file = LlamaFile::phi3();
  file.tensors["blk.0.ffn_up.weight"].dims = {16, 24};
  EXPECT_THAT(errorOf(file), HasSubstr("tensor 'blk.0.ffn_gate.weight' is missing"));
}

TEST_F(GgufImport, RefusesHeadsBeyondAllSizes) {
  LlamaFile file = LlamaFile::phi3();
  file.u32("phi3.attention.head_count", 0x40000000);
  file.u32("phi3.attention.head_count_kv", 0x40000000);
  file.u32("phi3.attention.key_length", 0x40000000);
  file.u32("phi3.attention.value_length", 0x40000000);
  EXPECT_THAT(errorOf(file), HasSubstr("key 'phi3.attention.head_count': 1073741824 heads of "
                                       "1073741824 are more than 2147483647 elements"));
}

TEST_F(GgufImport, LimitsAttentionToAWindow) {
  LlamaFile file = LlamaFile::phi3();
  auto windowOf = [&] { return opsOf<AttentionOp>(importOrFail(file))[1].getWindow(); };
  EXPECT_EQ(windowOf(), 0);
  file.u32("phi3.attention.sliding_window", 127);
  EXPECT_EQ(windowOf(), 127);
  file.u32("phi3.attention.sliding_window", 128); // the whole context
  EXPECT_EQ(windowOf(), 0);
  file.u32("phi3.attention.sliding_window", 0);
  EXPECT_EQ(windowOf(), 0);
  file.keys["phi3.attention.sliding_window"] = [](GgufWriter &writer, const std::string &key) {
    writer.value(key, 10, Bytes().u64(UINT64_MAX));
  };
  EXPECT_EQ(windowOf(), 0);
  file.string("phi3.attention.sliding_window", "2047");
  EXPECT_THAT(errorOf(file), HasSubstr("key 'phi3.attention.sliding_window'"));
}

TEST_F(GgufImport, TakesHeadsThatAreNotTheEmbedding) {
  LlamaFile file;
  file.u32("llama.attention.key_length", 6);
  file.u32("llama.attention.value_length", 6);
  file.u32("llama.rope.dimension_count", 2);
  for (std::string prefix : {"blk.0.", "blk.1."}) {
    file.tensors[prefix + "attn_q.weight"].dims = {16, 24};
    file.tensors[prefix + "attn_k.weight"].dims = {16, 12};
    file.tensors[prefix + "attn_v.weight"].dims = {16, 12};
    file.tensors[prefix + "attn_output.weight"].dims = {24, 16};
  }
  ImportedModel model = importOrFail(file);
  EXPECT_EQ(opsOf<AttentionOp>(model)[0].getHeadDim(), 6);
  EXPECT_EQ(opsOf<RopeOp>(model)[0].getRotaryDim(), 2);
}

TEST_F(GgufImport, DefaultsKeyValueHeadsToHeads) {
  LlamaFile file;
  file.keys.erase("llama.attention.head_count_kv");
  EXPECT_THAT(errorOf(file), HasSubstr("tensor 'blk.0.attn_k.weight': the shape is 8x16; "
                                       "expected 16x16"));
  // One element a layer, all equal, as newer writers put it.
  file.ints("llama.attention.head_count_kv", {2, 2});
  EXPECT_EQ(opsOf<AttentionOp>(importOrFail(file))[0].getGroup(), 2);
  file.ints("llama.attention.head_count_kv", {2, 1});
  EXPECT_THAT(errorOf(file), HasSubstr("layers of different sizes are not supported"));
  file.ints("llama.attention.head_count_kv", {});
  EXPECT_THAT(errorOf(file), HasSubstr("key 'llama.attention.head_count_kv'"));
  file.ints("llama.attention.head_count_kv", {-2, -2});
  EXPECT_THAT(errorOf(file), HasSubstr("the value is -2; expected 1 to 2147483647"));
  file.keys["llama.attention.head_count_kv"] = [](GgufWriter &writer, const std::string &key) {
    writer.value(key, 10, Bytes().u64(UINT64_MAX));
  };
  EXPECT_THAT(errorOf(file), HasSubstr("the value is 18446744073709551615; expected 1 to"));
}

TEST_F(GgufImport, ScalesRope) {
  auto scaleOf = [&](LlamaFile &file) {
    return opsOf<RopeOp>(importOrFail(file))[0].getScale().convertToFloat();
  };
  LlamaFile file;
  file.f32("llama.rope.freq_base", 500000);
  file.f32("llama.rope.scale_linear", 2);
  EXPECT_EQ(scaleOf(file), 0.5f);
  file.f32("llama.rope.scaling.factor", 4);
  EXPECT_EQ(scaleOf(file), 0.25f);
  file.string("llama.rope.scaling.type", "linear");
  EXPECT_EQ(scaleOf(file), 0.25f);
  file.f32("llama.rope.scaling.factor", 0);
  EXPECT_EQ(scaleOf(file), 1.0f);
  file.f32("llama.rope.scaling.factor", 4);
  file.string("llama.rope.scaling.type", "none");
  EXPECT_EQ(scaleOf(file), 1.0f);
  file.tensors["rope_freqs.weight"] = {{2}};
  ImportedModel model = importOrFail(file);
  EXPECT_EQ(weightOf(opsOf<RopeOp>(model)[3].getFactors()), "rope_freqs.weight");
  EXPECT_EQ(opsOf<RopeOp>(model)[0].getBase().convertToFloat(), 500000.0f);

  file.string("llama.rope.scaling.type", "yarn");
  EXPECT_THAT(errorOf(file), HasSubstr("key 'llama.rope.scaling.type': rope scaling of type 'yarn' "
                                       "is not supported"));
  file.string("llama.rope.scaling.type", "linear");
  file.f32("llama.rope.scaling.factor", -1);
  EXPECT_THAT(errorOf(file), HasSubstr("llama.rope.scaling.factor"));
  file.f32("llama.rope.scaling.factor", NAN);
  EXPECT_THAT(errorOf(file), HasSubstr("expected a finite number"));
  file.f32("llama.rope.scaling.factor", 1e-42f);
  EXPECT_THAT(errorOf(file), HasSubstr("llama.rope.scaling.factor"));
}

TEST_F(GgufImport, ListsTensorsThatItDoesNotUse) {
  LlamaFile file;
  file.tensors["blk.2.attn_q.weight"] = {{3}};
  ImportedModel model = importOrFail(file);
  ASSERT_EQ(model.warnings.size(), 1u);
  EXPECT_THAT(model.warnings[0], HasSubstr(": 1 tensor is not used by the architecture 'llama': "
                                           "'blk.2.attn_q.weight'"));
  for (int i = 0; i < 20; ++i)
    file.tensors["x" + std::to_string(i)] = {{3}};
  model = importOrFail(file);
  EXPECT_THAT(model.warnings[0], HasSubstr(": 21 tensors are not used"));
  EXPECT_THAT(model.warnings[0], HasSubstr(", 13 more"));
}

TEST_F(GgufImport, RefusesOtherArchitectures) {
  LlamaFile file;
  file.string("general.architecture", "gpt2");
  EXPECT_THAT(errorOf(file), HasSubstr("key 'general.architecture': the architecture 'gpt2' is not "
                                       "supported; expected one of llama"));
  file.keys.erase("general.architecture");
  EXPECT_THAT(errorOf(file), HasSubstr("key 'general.architecture' is missing"));
  file.u32("general.architecture", 7);
  EXPECT_THAT(errorOf(file), HasSubstr("is of kind u32; expected a string"));
}

TEST_F(GgufImport, BuildsExperts) {
  for (std::string architecture : {"llama", "qwen3moe"}) {
    LlamaFile file = LlamaFile::mixture(architecture);
    if (architecture == "qwen3moe")
      for (std::string prefix : {"blk.0.", "blk.1."})
        file.tensors[prefix + "attn_q_norm.weight"] =
            file.tensors[prefix + "attn_k_norm.weight"] = {{4}};
    ImportedModel model = importOrFail(file);
    EXPECT_TRUE(model.warnings.empty());
    EXPECT_THAT(namesOf<RouteOp>(model), ElementsAre("blk.0.ffn_route", "blk.1.ffn_route"));
    RouteOp route = opsOf<RouteOp>(model).front();
    EXPECT_EQ(sourceOf(route.getLogits()), "blk.0.ffn_gate_inp");
    EXPECT_EQ(route.getType().getDimSize(1), 2);
    RouteWeightsOp weights = opsOf<RouteWeightsOp>(model).front();
    EXPECT_EQ(sourceOf(weights.getLogits()), "blk.0.ffn_gate_inp");
    EXPECT_EQ(sourceOf(weights.getChosen()), "blk.0.ffn_route");
    EXPECT_TRUE(weights.getNormalized());
    EXPECT_EQ(weights.getScale().convertToFloat(), 1.0f);
    MoeOp moe = opsOf<MoeOp>(model).back();
    EXPECT_EQ(sourceOf(moe.getX()), "blk.1.ffn_norm");
    EXPECT_EQ(sourceOf(moe.getChosen()), "blk.1.ffn_route");
    EXPECT_EQ(sourceOf(moe.getWeights()), "blk.1.ffn_route_weights");
    EXPECT_EQ(weightOf(moe.getGate()), "blk.1.ffn_gate_exps.weight");
    EXPECT_EQ(weightOf(moe.getUp()), "blk.1.ffn_up_exps.weight");
    EXPECT_EQ(weightOf(moe.getDown()), "blk.1.ffn_down_exps.weight");
    EXPECT_EQ(text(moe.getDown().getType()), "tensor<5x16x12xf32>");
    EXPECT_EQ(opsOf<RmsNormOp>(model).size(), architecture == "llama" ? 5u : 9u);
  }
}

TEST_F(GgufImport, ReadsWhatExpertsWeigh) {
  LlamaFile file = LlamaFile::mixture();
  file.keys.erase("llama.expert_feed_forward_length");
  file.u32("llama.feed_forward_length", 12);
  file.boolean("llama.expert_weights_norm", false);
  file.f32("llama.expert_weights_scale", 2.5f);
  file.u32("llama.expert_gating_func", 1);
  ImportedModel model = importOrFail(file);
  RouteWeightsOp weights = opsOf<RouteWeightsOp>(model).front();
  EXPECT_FALSE(weights.getNormalized());
  EXPECT_EQ(weights.getScale().convertToFloat(), 2.5f);
}

TEST_F(GgufImport, RefusesExpertsThatItDoesNotBuild) {
  LlamaFile file = LlamaFile::mixture();
  file.u32("llama.expert_gating_func", 2);
  EXPECT_THAT(errorOf(file),
              HasSubstr("key 'llama.expert_gating_func': the value is 2; expected 1, "
                        "the softmax of all experts"));
  file = LlamaFile::mixture();
  file.u32("llama.expert_used_count", 6);
  EXPECT_THAT(errorOf(file), HasSubstr("key 'llama.expert_used_count': the value is 6; expected at "
                                       "most the 5 experts of llama.expert_count"));
  file.keys.erase("llama.expert_used_count");
  EXPECT_THAT(errorOf(file), HasSubstr("key 'llama.expert_used_count' is missing"));
  file = LlamaFile::mixture();
  file.u32("llama.expert_shared_count", 0);
  EXPECT_EQ(errorOf(file), "");
  file.u32("llama.expert_shared_count", 1);
  EXPECT_THAT(errorOf(file), HasSubstr("experts that all tokens share are not supported"));
  file = LlamaFile::mixture();
  file.tensors["blk.1.ffn_up_exps.weight"] = {{16, 12, 4}};
  EXPECT_THAT(errorOf(file), HasSubstr("tensor 'blk.1.ffn_up_exps.weight': the shape is 4x12x16; "
                                       "expected 5x12x16"));
  file = LlamaFile::mixture();
  file.tensors["blk.0.ffn_gate.0.weight"] = {{16, 12}};
  EXPECT_THAT(errorOf(file), HasSubstr("tensor 'blk.0.ffn_gate.0.weight': experts in tensors of "
                                       "their own are not supported; expected "
                                       "'blk.0.ffn_gate_exps.weight'"));
  file = LlamaFile::mixture();
  file.u32("llama.expert_count", 0);
  EXPECT_THAT(errorOf(file), HasSubstr("tensor 'blk.0.ffn_gate.weight' is missing"));
}

TEST_F(GgufImport, RefusesWhatItDoesNotBuild) {
  LlamaFile file;
  file.boolean("llama.attention.causal", false);
  EXPECT_THAT(errorOf(file), HasSubstr("attention that is not causal"));
  file = LlamaFile();
  file.tensors["rope_factors_long.weight"] = {{2}};
  EXPECT_THAT(errorOf(file), HasSubstr("tensor 'rope_factors_long.weight': rope scaling by two"));
  file = LlamaFile();
  file.u32("split.count", 3);
  EXPECT_THAT(errorOf(file), HasSubstr("the file is one of 3 parts of a model"));
  file = LlamaFile();
  file.u32("llama.attention.value_length", 2);
  EXPECT_THAT(errorOf(file), HasSubstr("keys of length 4 and values of length 2"));
}

TEST_F(GgufImport, NamesAMissingKey) {
  for (const char *key :
       {"block_count", "context_length", "embedding_length", "feed_forward_length",
        "attention.head_count", "attention.layer_norm_rms_epsilon"}) {
    LlamaFile file;
    file.keys.erase(std::string("llama.") + key);
    EXPECT_THAT(errorOf(file), HasSubstr(std::string("key 'llama.") + key + "' is missing"));
  }
}

TEST_F(GgufImport, RefusesKeysThatDoNotFit) {
  auto with = [&](const char *key, uint32_t value) {
    LlamaFile file;
    file.u32(key, value);
    return errorOf(file);
  };
  EXPECT_THAT(with("llama.block_count", 0), HasSubstr("the value is 0; expected 1 to 2147483647"));
  EXPECT_THAT(with("llama.block_count", 2147483647),
              HasSubstr("tensor 'blk.2.attn_norm.weight' is missing; expected one of shape 16"));
  EXPECT_THAT(with("llama.context_length", 4294967295), HasSubstr("the value is 4294967295"));
  EXPECT_THAT(with("llama.attention.head_count", 3),
              HasSubstr("3 heads are no multiple of the number of key and value heads, 2"));
  EXPECT_THAT(with("llama.attention.head_count", 6),
              HasSubstr("the embedding length 16 is no multiple of 6 heads"));
  EXPECT_THAT(with("llama.rope.dimension_count", 3), HasSubstr("the value is 3; expected an even"));
  EXPECT_THAT(with("llama.rope.dimension_count", 6), HasSubstr("at most the head's 4"));
  EXPECT_THAT(with("llama.embedding_length", 32),
              HasSubstr("tensor 'token_embd.weight': the shape is 8x16; expected 8x32"));
  EXPECT_THAT(with("llama.vocab_size", 9), HasSubstr("the shape is 8x16; expected 9x16"));
  EXPECT_THAT(with("llama.feed_forward_length", 2147483647),
              HasSubstr("tensor 'blk.0.ffn_gate.weight': the shape is 24x16"));
  EXPECT_THAT(with("llama.rope.freq_base", 1), HasSubstr("is of kind u32; expected f32 or f64"));
  LlamaFile file;
  file.f32("llama.rope.freq_base", 0);
  EXPECT_THAT(errorOf(file), HasSubstr("key 'llama.rope.freq_base': the value is 0.000000"));
  file = LlamaFile();
  file.f32("llama.attention.layer_norm_rms_epsilon", INFINITY);
  EXPECT_THAT(errorOf(file), HasSubstr("expected a finite number"));
}

TEST_F(GgufImport, NamesTensorsThatDoNotFit) {
  for (const auto &[name, spec] : LlamaFile().tensors) {
    if (name == "output.weight")
      continue;
    LlamaFile file;
    file.tensors.erase(name);
    EXPECT_THAT(errorOf(file), HasSubstr("tensor '" + name + "' is missing"));
  }
  for (const auto &[name, spec] : LlamaFile().tensors) {
    LlamaFile file;
    file.tensors[name].dims.front() += 1;
    EXPECT_THAT(errorOf(file), HasSubstr("'" + name + "': the shape is")) << name;
  }
  LlamaFile file;
  file.tensors["blk.1.attn_q.weight"].type = 15;
  EXPECT_THAT(errorOf(file), HasSubstr("tensor 'blk.1.attn_q.weight': the element type is q8_k; "
                                       "expected f32, f16, bf16 or"));
  file = LlamaFile();
  file.tensors["blk.1.attn_q.weight"].type = 26;
  EXPECT_THAT(errorOf(file), HasSubstr("the element type is i32; expected f32, f16"));
  file = LlamaFile();
  file.tensors["blk.0.ffn_norm.weight"].type = 1;
  EXPECT_THAT(errorOf(file), HasSubstr("'blk.0.ffn_norm.weight': the element type is f16; "
                                       "expected f32"));
  file = LlamaFile();
  file.tensors["blk.0.attn_k.bias"] = {{16}};
  EXPECT_THAT(errorOf(file), HasSubstr("'blk.0.attn_k.bias': the shape is 16; expected 8"));
}

TEST_F(GgufImport, FindsTheVocabularySize) {
  LlamaFile file;
  file.addVocabulary();
  EXPECT_EQ(errorOf(file), "");
  file.strings("tokenizer.ggml.tokens", {"a", "b"});
  EXPECT_THAT(errorOf(file), HasSubstr("tensor 'token_embd.weight': the shape is 8x16; expected "
                                       "2x16"));
  file.u32("llama.vocab_size", 8);
  EXPECT_THAT(importOrFail(file).warnings,
              ElementsAre(HasSubstr(": 6 of the vocabulary's 8 tokens have no text")));
  file.strings("tokenizer.ggml.tokens", std::vector<std::string>(9, "a"));
  EXPECT_THAT(errorOf(file), HasSubstr("9 tokens; expected at most the vocabulary's 8"));
}

TEST_F(GgufImport, SurvivesRandomMutations) {
  LlamaFile llama, phi3 = LlamaFile::phi3();
  llama.addVocabulary();
  llama.f32("llama.rope.freq_base", 10000);
  llama.u32("llama.rope.dimension_count", 4);
  llama.tensors["rope_freqs.weight"] = {{2}};
  phi3.u32("phi3.attention.sliding_window", 100);
  phi3.u32("phi3.attention.key_length", 4);
  phi3.u32("phi3.attention.value_length", 4);
  std::mt19937 random(5);
  for (const LlamaFile *file : {&llama, &phi3}) {
    const std::string bytes = file->bytes();
    // The data is zeros, which mean nothing to the importer: change what comes before it.
    TemporaryFile whole(bytes);
    const size_t length = llvm::cantFail(File::open(whole.path)).tensors().front().dataOffset;
    int imported = 0;
    for (int trial = 0; trial < 2000; ++trial) {
      std::string mutated = bytes;
      for (unsigned i = 0, n = 1 + random() % 3; i < n; ++i)
        mutated[random() % length] = char(random() % 2 ? random() : random() % 3);
      TemporaryFile temporary(mutated);
      llvm::Expected<ImportedModel> model = import(temporary.path);
      if (!model) {
        EXPECT_NE(toString(model.takeError()), "");
        continue;
      }
      ++imported;
      EXPECT_TRUE(succeeded(mlir::verify(*model->module)));
    }
    EXPECT_GT(imported, 0);
  }
}

TEST_F(GgufImport, ImportsRealFiles) {
  std::filesystem::path folder = std::filesystem::path(CLEAVE_SHARED_DATA) / "models";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << folder << " is absent";
  for (const char *name : {"stories260K.gguf", "stories260K-F16.gguf", "stories260K-Q8_0.gguf",
                           "stories260K-Q4_0.gguf"}) {
    SCOPED_TRACE(name);
    ImportedModel model = importOrFail(folder / name);
    EXPECT_TRUE(model.warnings.empty());
    EXPECT_EQ(opsOf<AttentionOp>(model).size(), 5u);
    bool exact = std::string(name) == "stories260K.gguf";
    EXPECT_EQ(opsOf<WeightOp>(model).size(), exact ? 48u : 47u);
    EXPECT_EQ(text(opsOf<StateOp>(model)[0].getType()),
              exact ? "tensor<?x?x32xf32, #cleave.dims<slots, context>>"
                    : "tensor<?x?x32xf16, #cleave.dims<slots, context>>");
    EXPECT_EQ(weightOf(opsOf<LinearOp>(model).back().getWeight()),
              exact ? "output.weight" : "token_embd.weight");
    EXPECT_EQ(opsOf<AttentionOp>(model)[4].getGroup(), 2);
  }
}

} // namespace
