#include "checkpoint/names/key_rules.h"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace ferry::checkpoint {

namespace {

constexpr std::int64_t kMostStages = 8;

// Prefixes of the units of the VAE: residual blocks, attentions, resamplers.
std::vector<KeyRule> vae_units(std::int64_t resnets) {
  std::vector<KeyRule> units = {{"encoder.downsamples.#.", "encoder.down_blocks.#."}};
  for (const char* side : {"encoder", "decoder"}) {
    units.push_back({fmt::format("{}.middle.0.", side), fmt::format("{}.mid_block.resnets.0.", side)});
    units.push_back({fmt::format("{}.middle.1.", side), fmt::format("{}.mid_block.attentions.0.", side)});
    units.push_back({fmt::format("{}.middle.2.", side), fmt::format("{}.mid_block.resnets.1.", side)});
  }
  // A decoder stage is `resnets` residual blocks and an up-sampler; official numbering is continuous across
  // stages.
  for (std::int64_t stage = 0; stage < kMostStages; ++stage) {
    const std::int64_t first = stage * (resnets + 1);
    for (std::int64_t i = 0; i < resnets; ++i) {
      units.push_back({fmt::format("decoder.upsamples.{}.", first + i),
                       fmt::format("decoder.up_blocks.{}.resnets.{}.", stage, i)});
    }
    units.push_back({fmt::format("decoder.upsamples.{}.", first + resnets),
                     fmt::format("decoder.up_blocks.{}.upsamplers.0.", stage)});
  }
  return units;
}

}  // namespace

// norm2 and norm3 are swapped: the official norm3 is diffusers' norm2, and the other has no parameters.
std::vector<KeyRule> dit_key_rules() {
  return {
      {"patch_embedding.*", "patch_embedding.*"},
      {"text_embedding.0.*", "condition_embedder.text_embedder.linear_1.*"},
      {"text_embedding.2.*", "condition_embedder.text_embedder.linear_2.*"},
      {"time_embedding.0.*", "condition_embedder.time_embedder.linear_1.*"},
      {"time_embedding.2.*", "condition_embedder.time_embedder.linear_2.*"},
      {"time_projection.1.*", "condition_embedder.time_proj.*"},
      {"head.head.*", "proj_out.*"},
      {"head.modulation", "scale_shift_table"},
      {"blocks.#.modulation", "blocks.#.scale_shift_table"},
      {"blocks.#.self_attn.q.*", "blocks.#.attn1.to_q.*"},
      {"blocks.#.self_attn.k.*", "blocks.#.attn1.to_k.*"},
      {"blocks.#.self_attn.v.*", "blocks.#.attn1.to_v.*"},
      {"blocks.#.self_attn.o.*", "blocks.#.attn1.to_out.0.*"},
      {"blocks.#.self_attn.norm_q.weight", "blocks.#.attn1.norm_q.weight"},
      {"blocks.#.self_attn.norm_k.weight", "blocks.#.attn1.norm_k.weight"},
      {"blocks.#.norm3.*", "blocks.#.norm2.*"},
      {"blocks.#.cross_attn.q.*", "blocks.#.attn2.to_q.*"},
      {"blocks.#.cross_attn.k.*", "blocks.#.attn2.to_k.*"},
      {"blocks.#.cross_attn.v.*", "blocks.#.attn2.to_v.*"},
      {"blocks.#.cross_attn.o.*", "blocks.#.attn2.to_out.0.*"},
      {"blocks.#.cross_attn.norm_q.weight", "blocks.#.attn2.norm_q.weight"},
      {"blocks.#.cross_attn.norm_k.weight", "blocks.#.attn2.norm_k.weight"},
      {"blocks.#.cross_attn.k_img.*", "blocks.#.attn2.add_k_proj.*"},
      {"blocks.#.cross_attn.v_img.*", "blocks.#.attn2.add_v_proj.*"},
      {"blocks.#.cross_attn.norm_k_img.weight", "blocks.#.attn2.norm_added_k.weight"},
      {"blocks.#.ffn.0.*", "blocks.#.ffn.net.0.proj.*"},
      {"blocks.#.ffn.2.*", "blocks.#.ffn.net.2.*"},
      {"img_emb.proj.0.*", "condition_embedder.image_embedder.norm1.*"},
      {"img_emb.proj.1.*", "condition_embedder.image_embedder.ff.net.0.proj.*"},
      {"img_emb.proj.3.*", "condition_embedder.image_embedder.ff.net.2.*"},
      {"img_emb.proj.4.*", "condition_embedder.image_embedder.norm2.*"},
      {"img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"},
  };
}

// transformers writes the embedding under one or both names.
std::vector<KeyRule> umt5_key_rules() {
  return {
      {"token_embedding.weight", "shared.weight"},
      {"token_embedding.weight", "encoder.embed_tokens.weight"},
      {"blocks.#.norm1.weight", "encoder.block.#.layer.0.layer_norm.weight"},
      {"blocks.#.attn.q.weight", "encoder.block.#.layer.0.SelfAttention.q.weight"},
      {"blocks.#.attn.k.weight", "encoder.block.#.layer.0.SelfAttention.k.weight"},
      {"blocks.#.attn.v.weight", "encoder.block.#.layer.0.SelfAttention.v.weight"},
      {"blocks.#.attn.o.weight", "encoder.block.#.layer.0.SelfAttention.o.weight"},
      {"blocks.#.pos_embedding.embedding.weight",
       "encoder.block.#.layer.0.SelfAttention.relative_attention_bias.weight"},
      {"blocks.#.norm2.weight", "encoder.block.#.layer.1.layer_norm.weight"},
      {"blocks.#.ffn.gate.0.weight", "encoder.block.#.layer.1.DenseReluDense.wi_0.weight"},
      {"blocks.#.ffn.fc1.weight", "encoder.block.#.layer.1.DenseReluDense.wi_1.weight"},
      {"blocks.#.ffn.fc2.weight", "encoder.block.#.layer.1.DenseReluDense.wo.weight"},
      {"norm.weight", "encoder.final_layer_norm.weight"},
  };
}

std::vector<KeyRule> vae_key_rules(std::int64_t resnets) {
  std::vector<KeyRule> rules = {
      {"conv1.*", "quant_conv.*"},
      {"conv2.*", "post_quant_conv.*"},
  };
  for (const char* side : {"encoder", "decoder"}) {
    rules.push_back({fmt::format("{}.conv1.*", side), fmt::format("{}.conv_in.*", side)});
    rules.push_back({fmt::format("{}.head.0.gamma", side), fmt::format("{}.norm_out.gamma", side)});
    rules.push_back({fmt::format("{}.head.2.*", side), fmt::format("{}.conv_out.*", side)});
  }
  const std::vector<std::pair<const char*, const char*>> leaves = {{"residual.0.gamma", "norm1.gamma"},
                                                                   {"residual.2.*", "conv1.*"},
                                                                   {"residual.3.gamma", "norm2.gamma"},
                                                                   {"residual.6.*", "conv2.*"},
                                                                   {"shortcut.*", "conv_shortcut.*"},
                                                                   {"norm.gamma", "norm.gamma"},
                                                                   {"to_qkv.*", "to_qkv.*"},
                                                                   {"proj.*", "proj.*"},
                                                                   {"resample.1.*", "resample.1.*"},
                                                                   {"time_conv.*", "time_conv.*"}};
  for (const KeyRule& unit : vae_units(resnets)) {
    for (const auto& [official, diffusers] : leaves) {
      rules.push_back({unit.official + official, unit.diffusers + diffusers});
    }
  }
  return rules;
}

}  // namespace ferry::checkpoint
