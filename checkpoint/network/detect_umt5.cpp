#include <fmt/format.h>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/network/config_members.h"

namespace ferry::checkpoint {

namespace {

model::Umt5Config from_shapes(const Checkpoint& checkpoint) {
  model::Umt5Config found;
  const TensorEntry& embedding = needed(checkpoint, "token_embedding.weight", 2);
  found.vocab = embedding.shape[0];
  found.dim = embedding.shape[1];
  found.attn_dim = needed(checkpoint, "blocks.0.attn.q.weight", 2).shape[0];
  found.ffn_dim = needed(checkpoint, "blocks.0.ffn.gate.0.weight", 2).shape[0];
  const TensorEntry& bias = needed(checkpoint, "blocks.0.pos_embedding.embedding.weight", 2);
  found.buckets = bias.shape[0];
  found.heads = bias.shape[1];
  found.layers = count_after(checkpoint, "blocks.");
  if (found.attn_dim % found.heads != 0) {
    throw UserError(fmt::format("{}: {} heads do not divide the attention width {}", bias.file, found.heads,
                                found.attn_dim));
  }
  return found;
}

void check_config(const ConfigFile& config, const model::Umt5Config& found) {
  config.check("vocab_size", found.vocab);
  config.check("d_model", found.dim);
  config.check("d_ff", found.ffn_dim);
  config.check("d_kv", found.attn_dim / found.heads);
  config.check("num_heads", found.heads);
  config.check("num_layers", found.layers);
  config.check("relative_attention_num_buckets", found.buckets);
  check_members(config, Part::TextEncoder);
}

}  // namespace

model::Umt5Config umt5_config(const Checkpoint& checkpoint) {
  const ConfigFile config(checkpoint.config_file());
  check_class(config, Part::TextEncoder);
  model::Umt5Config found = from_shapes(checkpoint);
  check_config(config, found);
  found.eps = config.positive("layer_norm_epsilon").value_or(1e-6);
  // The text encoder truncates to the length to which the DiT pads the context.
  const ConfigFile dit(checkpoint.dit_config_file());
  found.text_len = config.integer("text_len") ? text_length(config) : text_length(dit);
  return found;
}

}  // namespace ferry::checkpoint
