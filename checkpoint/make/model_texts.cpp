#include "checkpoint/make/model_texts.h"

#include <nlohmann/json.hpp>

namespace ferry::checkpoint {

namespace {

using nlohmann::ordered_json;

std::string dumped(const ordered_json& value) { return value.dump(2) + "\n"; }

ordered_json official_dit(const model::DitConfig& dit) {
  return {{"_class_name", "WanModel"},
          {"_diffusers_version", "0.30.0"},
          {"dim", dit.dim},
          {"eps", dit.eps},
          {"ffn_dim", dit.ffn_dim},
          {"freq_dim", dit.freq_dim},
          {"in_dim", dit.in_channels},
          {"model_type", "t2v"},
          {"num_heads", dit.heads},
          {"num_layers", dit.layers},
          {"out_dim", dit.out_channels},
          {"text_len", dit.text_len}};
}

// text_len is Ferry's; diffusers ignores unknown members.
ordered_json diffusers_dit(const model::DitConfig& dit) {
  return {{"_class_name", "WanTransformer3DModel"},
          {"_diffusers_version", "0.33.0"},
          {"added_kv_proj_dim", nullptr},
          {"attention_head_dim", dit.head_dim()},
          {"cross_attn_norm", true},
          {"eps", dit.eps},
          {"ffn_dim", dit.ffn_dim},
          {"freq_dim", dit.freq_dim},
          {"image_dim", nullptr},
          {"in_channels", dit.in_channels},
          {"num_attention_heads", dit.heads},
          {"num_layers", dit.layers},
          {"out_channels", dit.out_channels},
          {"patch_size", {1, 2, 2}},
          {"pos_embed_seq_len", nullptr},
          {"qk_norm", "rms_norm_across_heads"},
          {"rope_max_seq_len", 1024},
          {"text_dim", dit.text_dim},
          {"text_len", dit.text_len}};
}

ordered_json diffusers_vae(const model::VaeConfig& vae) {
  return {{"_class_name", "AutoencoderKLWan"},
          {"_diffusers_version", "0.33.0"},
          {"attn_scales", ordered_json::array()},
          {"base_dim", vae.base_dim},
          {"dim_mult", vae.dim_mult},
          {"dropout", 0.0},
          {"latents_mean", vae.latents_mean},
          {"latents_std", vae.latents_std},
          {"num_res_blocks", vae.res_blocks},
          {"temperal_downsample", vae.temporal_down},
          {"z_dim", vae.z_dim}};
}

ordered_json transformers_umt5(const model::Umt5Config& text) {
  return {{"architectures", {"UMT5EncoderModel"}},
          {"d_ff", text.ffn_dim},
          {"d_kv", text.attn_dim / text.heads},
          {"d_model", text.dim},
          {"dense_act_fn", "gelu_new"},
          {"dropout_rate", 0.0},
          {"eos_token_id", 1},
          {"feed_forward_proj", "gated-gelu"},
          {"is_gated_act", true},
          {"layer_norm_epsilon", text.eps},
          {"model_type", "umt5"},
          {"num_heads", text.heads},
          {"num_layers", text.layers},
          {"pad_token_id", 0},
          {"relative_attention_max_distance", 128},
          {"relative_attention_num_buckets", text.buckets},
          {"tie_word_embeddings", false},
          {"vocab_size", text.vocab}};
}

}  // namespace

std::string config_text(Part part, KeyLayout layout, const ModelConfigs& configs) {
  const bool official = layout == KeyLayout::Official;
  switch (part) {
    case Part::Dit:
      return dumped(official ? official_dit(configs.dit) : diffusers_dit(configs.dit));
    case Part::Vae:
      return official ? "" : dumped(diffusers_vae(configs.vae));
    case Part::TextEncoder:
      return official ? "" : dumped(transformers_umt5(configs.text));
  }
  return "";
}

std::string scheduler_text() {
  return dumped({{"_class_name", "UniPCMultistepScheduler"},
                 {"flow_shift", 3.0},
                 {"num_train_timesteps", 1000},
                 {"prediction_type", "flow_prediction"},
                 {"solver_order", 2},
                 {"solver_type", "bh2"},
                 {"use_flow_sigmas", true}});
}

std::string model_index_text() {
  return dumped({{"_class_name", "WanPipeline"},
                 {"_diffusers_version", "0.33.0"},
                 {"scheduler", {"diffusers", "UniPCMultistepScheduler"}},
                 {"text_encoder", {"transformers", "UMT5EncoderModel"}},
                 {"tokenizer", {"transformers", "T5TokenizerFast"}},
                 {"transformer", {"diffusers", "WanTransformer3DModel"}},
                 {"vae", {"diffusers", "AutoencoderKLWan"}}});
}

std::string index_text(const std::map<std::string, std::string>& weight_map, std::int64_t total_bytes) {
  return dumped({{"metadata", {{"total_size", total_bytes}}}, {"weight_map", weight_map}});
}

}  // namespace ferry::checkpoint
