// Small decoders in files for tests: a well-formed model, which a test then changes
// where it wants to.
#pragma once

#include "gguf_writer.h"

#include <functional>
#include <map>

namespace cleave::gguf::test {

/// A model of 2 blocks, llama's unless a test asks for another family: 16 wide, 4 heads
/// over 2, feed-forward 24, 8 words.
struct LlamaFile {
  /// Keys by name, each with what writes it; a test erases, replaces or adds.
  std::map<std::string, std::function<void(GgufWriter &, const std::string &)>> keys;
  /// Tensors by name: dims innermost first, and ggml's number for the type.
  struct TensorSpec {
    std::vector<uint64_t> dims;
    uint32_t type = 0;
  };
  std::map<std::string, TensorSpec> tensors;

  explicit LlamaFile(const std::string &architecture = "llama") {
    string("general.architecture", architecture);
    u32(architecture + ".block_count", 2);
    u32(architecture + ".context_length", 128);
    u32(architecture + ".embedding_length", 16);
    u32(architecture + ".feed_forward_length", 24);
    u32(architecture + ".attention.head_count", 4);
    u32(architecture + ".attention.head_count_kv", 2);
    f32(architecture + ".attention.layer_norm_rms_epsilon", 1e-5f);
    tensors["token_embd.weight"] = {{16, 8}};
    tensors["output_norm.weight"] = {{16}};
    tensors["output.weight"] = {{16, 8}};
    for (int i = 0; i < 2; ++i) {
      std::string prefix = "blk." + std::to_string(i) + ".";
      tensors[prefix + "attn_norm.weight"] = {{16}};
      tensors[prefix + "attn_q.weight"] = {{16, 16}};
      tensors[prefix + "attn_k.weight"] = {{16, 8}};
      tensors[prefix + "attn_v.weight"] = {{16, 8}};
      tensors[prefix + "attn_output.weight"] = {{16, 16}};
      tensors[prefix + "ffn_norm.weight"] = {{16}};
      tensors[prefix + "ffn_gate.weight"] = {{16, 24}};
      tensors[prefix + "ffn_up.weight"] = {{16, 24}};
      tensors[prefix + "ffn_down.weight"] = {{24, 16}};
    }
  }

  /// Puts a tensor in the place of others.
  void fuse(const std::string &prefix, const std::vector<std::string> &parts,
            const std::string &fused, const std::vector<uint64_t> &dims) {
    for (const std::string &part : parts)
      tensors.erase(prefix + part);
    tensors[prefix + fused] = {dims};
  }

  void u32(const std::string &key, uint32_t v) {
    keys[key] = [=](GgufWriter &w, const std::string &k) { w.u32(k, v); };
  }
  void f32(const std::string &key, float v) {
    keys[key] = [=](GgufWriter &w, const std::string &k) { w.f32(k, v); };
  }
  void boolean(const std::string &key, bool v) {
    keys[key] = [=](GgufWriter &w, const std::string &k) { w.boolean(k, v); };
  }
  void string(const std::string &key, const std::string &v) {
    keys[key] = [=](GgufWriter &w, const std::string &k) { w.string(k, v); };
  }
  void strings(const std::string &key, const std::vector<std::string> &v) {
    keys[key] = [=](GgufWriter &w, const std::string &k) { w.strings(k, v); };
  }
  void floats(const std::string &key, const std::vector<float> &v) {
    keys[key] = [=](GgufWriter &w, const std::string &k) { w.floats(k, v); };
  }
  void ints(const std::string &key, const std::vector<int32_t> &v) {
    keys[key] = [=](GgufWriter &w, const std::string &k) { w.ints(k, v); };
  }

  /// A phi3 model: fused matrices in both blocks.
  static LlamaFile phi3() {
    LlamaFile file("phi3");
    for (std::string prefix : {"blk.0.", "blk.1."}) {
      file.fuse(prefix, {"attn_q.weight", "attn_k.weight", "attn_v.weight"}, "attn_qkv.weight",
                {16, 32});
      file.fuse(prefix, {"ffn_gate.weight"}, "ffn_up.weight", {16, 48});
    }
    return file;
  }

  /// A model with 5 experts of 12 in each block, 2 for a token.
  static LlamaFile mixture(const std::string &architecture = "llama") {
    LlamaFile file(architecture);
    file.u32(architecture + ".expert_count", 5);
    file.u32(architecture + ".expert_used_count", 2);
    file.u32(architecture + ".expert_feed_forward_length", 12);
    for (std::string prefix : {"blk.0.", "blk.1."}) {
      file.fuse(prefix, {"ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"},
                "ffn_gate_inp.weight", {16, 5});
      file.tensors[prefix + "ffn_gate_exps.weight"] = {{16, 12, 5}};
      file.tensors[prefix + "ffn_up_exps.weight"] = {{16, 12, 5}};
      file.tensors[prefix + "ffn_down_exps.weight"] = {{12, 16, 5}};
    }
    return file;
  }

  /// Adds a SentencePiece-style vocabulary of 8 tokens.
  void addVocabulary() {
    string("tokenizer.ggml.model", "llama");
    strings("tokenizer.ggml.tokens",
            {"<unk>", "<s>", "</s>", "<0x0A>", "\xe2\x96\x81", "a", "b", "ab"});
    floats("tokenizer.ggml.scores", {0, 0, 0, 0, -1, -2, -3, -0.5f});
    ints("tokenizer.ggml.token_type", {2, 3, 3, 6, 1, 1, 1, 1});
  }

  std::string bytes() const {
    GgufWriter writer;
    for (const auto &[name, write] : keys)
      write(writer, name);
    for (const auto &[name, spec] : tensors) {
      uint64_t elements = 1;
      for (uint64_t dim : spec.dims)
        elements *= dim;
      writer.tensor(name, spec.dims, spec.type, std::string(elements * bytesOf(spec.type), '\0'));
    }
    return writer.bytes();
  }

private:
  static uint64_t bytesOf(uint32_t type) { return type == 1 ? 2 : 4; }
};

} // namespace cleave::gguf::test
