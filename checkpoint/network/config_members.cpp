#include "checkpoint/network/config_members.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "base/error.h"

namespace ferry::checkpoint {

namespace {

struct MemberRule {
  const char* name;
  const char* accepted;  // a JSON list, for ConfigFile::expect
  bool null_fits = true;
};

// Written by the official code, diffusers and trainers of causal and controlled variants.
constexpr auto kDitRules = std::to_array<MemberRule>({
    {"qk_norm", R"([true, "rms_norm_across_heads"])", false},
    {"cross_attn_norm", "[true]", false},
    {"patch_size", "[[1, 2, 2]]"},
    {"window_size", "[[-1, -1]]"},
    {"local_attn_size", "[-1]"},
    {"sink_size", "[]"},
    {"rope_theta", "[10000]"},
    {"rope_scaling", "[]"},
    {"cross_attn_type", R"(["cross_attn", "t2v_cross_attn"])"},
    {"add_img_emb", "[]"},
    {"added_kv_proj_dim", "[]"},
    {"image_dim", "[]"},
    {"pos_embed_seq_len", "[]"},
    {"inject_sample_info", "[]"},
    {"addition_embed", "[]"},
    {"vace_layers", "[]"},
    {"vace_in_dim", "[]"},
    {"add_control_adapter", "[]"},
    {"add_ref_conv", "[]"},
});

constexpr auto kVaeRules = std::to_array<MemberRule>({
    {"attn_scales", "[[]]"},
    {"is_residual", "[false]"},
    {"patch_size", "[1]"},
    {"in_channels", "[3]"},
    {"out_channels", "[3]"},
    {"clip_output", "[true]"},
    {"scaling_factor", "[1]"},
    {"shift_factor", "[0]"},
    {"use_post_quant_conv", "[true]"},
    {"act_fn", R"(["silu"])"},
});

constexpr auto kTextRules = std::to_array<MemberRule>({
    {"feed_forward_proj", R"(["gated-gelu"])"},
    {"is_gated_act", "[true]"},
    {"dense_act_fn", R"(["gelu_new", "gelu_pytorch_tanh"])"},
    {"relative_attention_max_distance", "[128]"},
    {"is_decoder", "[false]"},
});

// Members that are read elsewhere, compared with the tensors, or without effect on the computation.
constexpr auto kDitOthers = std::to_array<std::string_view>({
    "dim",
    "ffn_dim",
    "freq_dim",
    "text_dim",
    "in_dim",
    "in_channels",
    "out_dim",
    "out_channels",
    "num_heads",
    "num_attention_heads",
    "attention_head_dim",
    "num_layers",
    "text_len",
    "eps",
    "model_type",
    "rope_max_seq_len",
    "hidden_size",
    "in_dim_control_adapter",
    "downscale_factor_control_adapter",
    "in_dim_ref_conv",
    "denoising_step_list",
});
constexpr auto kVaeOthers = std::to_array<std::string_view>({
    "base_dim",
    "decoder_base_dim",
    "z_dim",
    "dim_mult",
    "num_res_blocks",
    "temperal_downsample",
    "latents_mean",
    "latents_std",
    "dropout",
    "scale_factor_spatial",
    "scale_factor_temporal",
    "use_quant_conv",
});
// umT5's own members, and those of transformers for generation, heads and housekeeping.
constexpr auto kTextOthers = std::to_array<std::string_view>({
    "vocab_size",
    "d_model",
    "d_ff",
    "d_kv",
    "num_heads",
    "num_layers",
    "num_decoder_layers",
    "text_len",
    "relative_attention_num_buckets",
    "layer_norm_epsilon",
    "model_type",
    "hidden_size",
    "head_dim",
    "num_attention_heads",
    "num_hidden_layers",
    "dropout_rate",
    "classifier_dropout",
    "initializer_factor",
    "is_encoder_decoder",
    "use_cache",
    "scalable_attention",
    "output_past",
    "tokenizer_class",
    "tie_word_embeddings",
    "tie_encoder_decoder",
    "scale_decoder_outputs",
    "pad_token_id",
    "eos_token_id",
    "bos_token_id",
    "sep_token_id",
    "decoder_start_token_id",
    "id2label",
    "label2id",
    "num_labels",
    "problem_type",
    "task_specific_params",
    "finetuning_task",
    "prefix",
    "return_dict",
    "max_length",
    "min_length",
    "num_beams",
    "num_beam_groups",
    "length_penalty",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "repetition_penalty",
    "diversity_penalty",
    "num_return_sequences",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "early_stopping",
    "do_sample",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "chunk_size_feed_forward",
    "n_positions",
});
// Housekeeping members of any library; quantisation is read elsewhere.
constexpr auto kAnywhere = std::to_array<std::string_view>({
    "architectures",
    "torch_dtype",
    "dtype",
    "transformers_version",
    "auto_map",
    "quantization_config",
    "gradient_checkpointing",
    "license",
});

struct OtherClass {
  std::string_view name;
  const char* what;
};
constexpr auto kOtherClasses = std::to_array<OtherClass>({
    {"WanVACETransformer3DModel", "VACE, which is conditioned on videos and masks"},
    {"VaceWanModel", "VACE, which is conditioned on videos and masks"},
    {"WanVACEPipeline", "VACE, which is conditioned on videos and masks"},
    {"CausalWanModel", "a causal Wan, which makes a video block by block"},
    {"CausalWanTransformer3DModel", "a causal Wan, which makes a video block by block"},
    {"WanModelCausal", "a causal Wan, which makes a video block by block"},
    {"SkyReelsV2Transformer3DModel", "SkyReels-V2, whose frames have noise levels of their own"},
    {"SkyReelsV2Pipeline", "SkyReels-V2"},
    {"SkyReelsV2DiffusionForcingPipeline", "SkyReels-V2, whose frames have noise levels of their own"},
    {"WanAnimateTransformer3DModel", "Wan-Animate, which follows a face and a pose"},
    {"WanAnimateModel", "Wan-Animate, which follows a face and a pose"},
    {"WanModel_S2V", "Wan-S2V, which follows speech"},
    {"WanImageToVideoPipeline", "image-to-video"},
    {"WanDMDPipeline", "a network distilled for few steps with a sampler of its own"},
    {"ChronoEditTransformer3DModel", "ChronoEdit, which edits pictures"},
    {"AutoencoderKLQwenImage", "the VAE of Qwen-Image"},
    {"AutoencoderKL", "a VAE of pictures"},
    {"T5EncoderModel", "T5, whose layers share one position table"},
    {"T5ForConditionalGeneration", "T5, whose layers share one position table"},
    {"MT5EncoderModel", "mT5, whose layers share one position table"},
    {"MT5ForConditionalGeneration", "mT5, whose layers share one position table"},
});

std::span<const MemberRule> rules_of(Part part) {
  switch (part) {
    case Part::Dit:
      return kDitRules;
    case Part::Vae:
      return kVaeRules;
    case Part::TextEncoder:
      break;
  }
  return kTextRules;
}

std::span<const std::string_view> others_of(Part part) {
  switch (part) {
    case Part::Dit:
      return kDitOthers;
    case Part::Vae:
      return kVaeOthers;
    case Part::TextEncoder:
      break;
  }
  return kTextOthers;
}

bool has(std::span<const std::string_view> names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void check_names(const ConfigFile& config, const char* member, Part part) {
  const std::vector<std::string>& accepted = class_names(part);
  for (const std::string& name : config.texts(member)) {
    if (std::find(accepted.begin(), accepted.end(), name) != accepted.end()) continue;
    const std::string what = known_class(name);
    config.refuse(member, fmt::format("{}expected {}", what.empty() ? "" : "that is " + what + "; ",
                                      fmt::join(accepted, " or ")));
  }
}

}  // namespace

const std::vector<std::string>& class_names(Part part) {
  static const std::vector<std::string> dit = {"WanModel", "WanTransformer3DModel"};
  static const std::vector<std::string> vae = {"AutoencoderKLWan"};
  static const std::vector<std::string> text = {"UMT5EncoderModel", "UMT5ForConditionalGeneration",
                                                "UMT5Model"};
  switch (part) {
    case Part::Dit:
      return dit;
    case Part::Vae:
      return vae;
    case Part::TextEncoder:
      break;
  }
  return text;
}

std::string known_class(const std::string& name) {
  for (const OtherClass& other : kOtherClasses) {
    if (other.name == name) return other.what;
  }
  return "";
}

void check_class(const ConfigFile& config, Part part) {
  check_names(config, "_class_name", part);
  check_names(config, "architectures", part);
  if (part == Part::TextEncoder) config.expect("model_type", R"(["umt5"])");
}

void check_members(const ConfigFile& config, Part part) {
  for (const MemberRule& rule : rules_of(part)) config.expect(rule.name, rule.accepted, rule.null_fits);
}

std::vector<std::string> unknown_members(const ConfigFile& config, Part part) {
  std::vector<std::string> unknown;
  const std::span<const MemberRule> rules = rules_of(part);
  for (const std::string& name : config.names()) {
    const bool ruled =
        std::any_of(rules.begin(), rules.end(), [&](const MemberRule& rule) { return rule.name == name; });
    if (name.starts_with('_') || ruled || has(others_of(part), name) || has(kAnywhere, name)) continue;
    if (!config.is_off(name)) unknown.push_back(fmt::format("{} = {}", name, config.shown(name)));
  }
  return unknown;
}

}  // namespace ferry::checkpoint
