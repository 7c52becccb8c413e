#include <fmt/format.h>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/make/make_model.h"

namespace ferry::checkpoint {

namespace {

// The size of models/demo, so that its tokenizer fits; the head size is not the usual 128.
ModelConfigs tiny() {
  ModelConfigs configs;
  configs.dit = {.dim = 192, .ffn_dim = 768, .heads = 4, .layers = 4, .text_dim = 128, .text_len = 32};
  configs.vae.base_dim = 16;
  configs.text = {
      .vocab = 129, .dim = 128, .attn_dim = 128, .ffn_dim = 256, .heads = 4, .layers = 2, .text_len = 32};
  return configs;
}

ModelConfigs large() {
  ModelConfigs configs;
  configs.dit = {.dim = 5120, .ffn_dim = 13824, .heads = 40, .layers = 40};
  return configs;
}

std::int64_t at_most(const char* option, std::int64_t value, std::int64_t most) {
  if (value >= 1 && value <= most) return value;
  throw UserError(fmt::format("--{} {}: expected 1 to {}", option, value, most));
}

void set_heads(const MakeModelOptions& options, model::DitConfig& dit) {
  if (!options.heads && !options.head_dim) return;
  if (options.preset != "tiny") throw UserError("--heads and --head_dim: only the size tiny takes them");
  const std::int64_t head_dim = at_most("head_dim", options.head_dim.value_or(dit.head_dim()), 512);
  if (head_dim % 2 != 0) throw UserError(fmt::format("--head_dim {}: expected an even number", head_dim));
  dit.heads = at_most("heads", options.heads.value_or(dit.heads), 64);
  dit.dim = dit.heads * head_dim;
  dit.ffn_dim = 4 * dit.dim;
}

}  // namespace

ModelConfigs preset_configs(const MakeModelOptions& options) {
  ModelConfigs configs;
  if (options.preset == "tiny") {
    configs = tiny();
  } else if (options.preset == "14B") {
    configs = large();
  } else if (options.preset != "1.3B") {
    throw UserError(fmt::format("--size {}: expected tiny, 1.3B or 14B", printable(options.preset)));
  }
  configs.vae.latents_mean = model::wan21_latents_mean();
  configs.vae.latents_std = model::wan21_latents_std();
  set_heads(options, configs.dit);
  if (options.layers) configs.dit.layers = at_most("layers", *options.layers, 1000);
  if (options.text_layers) configs.text.layers = at_most("text_layers", *options.text_layers, 1000);
  return configs;
}

}  // namespace ferry::checkpoint
