// Targets of LoRA files and of the adapter_config.json beside one.
#include <cmath>
#include <stdexcept>

#include "checkpoint/lora/lora.h"
#include "model/dit/spec.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/tensors.h"

namespace ferry::fuzz {
namespace {

using checkpoint::LoraFile;
using checkpoint::TensorInfo;

const model::NetworkSpec& network() {
  static const model::NetworkSpec spec =
      model::dit_spec({.dim = 24, .ffn_dim = 40, .heads = 2, .layers = 2}, DType::BF16);
  return spec;
}

void read_whole(const std::string& path) {
  const LoraFile lora = LoraFile::open(path, network(), checkpoint::Part::Dit);
  std::vector<checkpoint::TensorEntry> entries;
  for (const auto& [name, pair] : lora.pairs()) {
    if (!std::isfinite(pair.scale)) throw std::logic_error("a scale that is no number: " + name);
    entries.push_back(pair.down);
    entries.push_back(pair.up);
  }
  for (const auto& [key, difference] : lora.differences()) entries.push_back(difference);
  touch(entries);
}

std::vector<TensorInfo> pair_of(const std::string& linear, std::int64_t out, const char* down,
                                const char* up) {
  return {{linear + down, DType::F32, {2, 24}}, {linear + up, DType::F32, {out, 2}}};
}

std::vector<TensorInfo> peft_pairs() {
  std::vector<TensorInfo> tensors =
      pair_of("diffusion_model.blocks.0.self_attn.q", 24, ".lora_A.weight", ".lora_B.weight");
  for (const TensorInfo& tensor :
       pair_of("diffusion_model.blocks.1.ffn.0", 40, ".lora_A.weight", ".lora_B.weight"))
    tensors.push_back(tensor);
  return tensors;
}

std::vector<std::string> lora_corpus() {
  std::vector<TensorInfo> kohya =
      pair_of("lora_unet_blocks_0_cross_attn_o", 24, ".lora_down.weight", ".lora_up.weight");
  kohya.insert(kohya.begin(), {"lora_unet_blocks_0_cross_attn_o.alpha", DType::F64, {}});
  const std::vector<TensorInfo> diffusers =
      pair_of("transformer.blocks.0.attn1.to_q", 24, ".lora_A.weight", ".lora_B.weight");
  const std::vector<TensorInfo> differences = {
      {"diffusion_model.patch_embedding.diff", DType::F32, {24, 16, 1, 2, 2}},
      {"diffusion_model.blocks.0.diff_m", DType::F32, {1, 6, 24}},
      {"blocks.1.self_attn.norm_q.diff", DType::BF16, {24}},
      {"blocks.1.ffn.0.diff_b", DType::F16, {40}},
      {"patch_embedding.lora_down.weight", DType::F32, {2, 16, 1, 2, 2}},
      {"patch_embedding.lora_up.weight", DType::F32, {24, 2, 1, 1, 1}}};
  return {safetensors(differences, {}), safetensors(peft_pairs(), {}),
          safetensors(peft_pairs(), {{"lora_alpha", "16"}, {"rank", "2"}}),
          // 0x38 in each byte, read as an fp64, is too small a number for an alpha of its own to matter.
          safetensors(kohya, {{"ss_network_dim", "2"}}),
          safetensors(diffusers,
                      {{"lora_adapter_metadata",
                        R"({"transformer.r": 2, "transformer.lora_alpha": 4, "transformer.use_rslora": true,)"
                        R"( "transformer.alpha_pattern": {"^blocks\\.0": 8}})"}})};
}

void read_lora(std::string_view input) { read_whole(put("lora/style.safetensors", input)); }

void read_adapter_config(std::string_view input) {
  static const std::string file = put("adapter/adapter_model.safetensors", safetensors(peft_pairs(), {}));
  put("adapter/adapter_config.json", input);
  read_whole(file);
}

std::vector<std::string> adapter_config_corpus() {
  return {
      R"({"peft_type": "LORA", "r": 2, "lora_alpha": 16, "use_rslora": false, "target_modules": ["q"],)"
      R"( "init_lora_weights": true, "use_dora": false, "modules_to_save": null})",
      R"({"r": 4, "rank_pattern": {"self_attn.q": 2, "^blocks\\.[0-9]+\\.ffn\\.0": 2}, "lora_alpha": "8",)"
      R"x( "alpha_pattern": {"(self|cross)_attn\\.(q|k)": 3, "ffn.0": 1.5}})x"};
}

const std::vector<std::string_view> kWords = {"lora_alpha",
                                              "alpha",
                                              "r",
                                              "rank",
                                              "use_rslora",
                                              "rank_pattern",
                                              "alpha_pattern",
                                              "use_dora",
                                              "peft_type",
                                              "init_lora_weights",
                                              "modules_to_save",
                                              "transformer.",
                                              "ss_network_args",
                                              "ss_network_alpha",
                                              "loraAlpha",
                                              "lora_scale",
                                              "\"true\"",
                                              "null",
                                              "1e308",
                                              "1e-308",
                                              "-0",
                                              "{",
                                              "}",
                                              "[",
                                              "]",
                                              "(",
                                              ")",
                                              "(?:",
                                              "|",
                                              "*",
                                              "+",
                                              "?",
                                              "{2,9}",
                                              "^",
                                              "$",
                                              "\\\\d",
                                              "\\\\.",
                                              "[^a-z]",
                                              ".*",
                                              ".alpha",
                                              ".lora_A.weight",
                                              ".lora_B.default.weight",
                                              ".lora_down.weight",
                                              ".diff",
                                              ".diff_b",
                                              ".diff_m",
                                              ".dora_scale",
                                              "lycoris_",
                                              "lora_unet_",
                                              "diffusion_model.",
                                              "F8_E5M2",
                                              "U64"};

}  // namespace

Target lora_target() { return {"lora", read_lora, lora_corpus, kWords}; }

Target adapter_config_target() {
  return {"adapter_config", read_adapter_config, adapter_config_corpus, kWords};
}

}  // namespace ferry::fuzz
