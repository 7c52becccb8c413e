#include <fmt/format.h>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/network/config_members.h"

namespace ferry::checkpoint {

namespace {

constexpr std::int64_t kHeadDim = 128;
constexpr std::int64_t kPatch = 4;  // positions in a 1 x 2 x 2 patch

[[noreturn]] void not_yet(const Checkpoint& checkpoint, const std::string& what) {
  throw UserError(fmt::format("{}: {} is not supported yet; a text-to-video checkpoint is expected",
                              checkpoint.files().front(), what));
}

void refuse_later_models(const Checkpoint& checkpoint, const model::DitConfig& found,
                         const ConfigFile& config) {
  const bool image_branch = checkpoint.find("blocks.0.cross_attn.k_img.weight") != nullptr ||
                            checkpoint.find("img_emb.proj.0.weight") != nullptr;
  if (image_branch) not_yet(checkpoint, "image-to-video (it has an image branch)");
  if (found.in_channels == 36) not_yet(checkpoint, "image-to-video (it has 36 input channels)");
  if (found.in_channels == 48) not_yet(checkpoint, "Wan2.2 TI2V (it has 48 input channels)");
  const std::string type = config.text("model_type").value_or("t2v");
  for (const char* later : {"i2v", "flf2v", "vace", "ti2v", "s2v", "animate", "phantom", "camera"}) {
    if (type == later) not_yet(checkpoint, fmt::format("model_type \"{}\"", type));
  }
  config.expect("model_type", R"(["t2v"])");
}

model::DitConfig from_shapes(const Checkpoint& checkpoint) {
  model::DitConfig found;
  const TensorEntry& patch = needed(checkpoint, "patch_embedding.weight", 5);
  if (patch.shape[2] != 1 || patch.shape[3] != 2 || patch.shape[4] != 2) {
    throw UserError(
        fmt::format("{}: tensor patch_embedding.weight has shape {}, expected patches of [1, 2, 2]",
                    patch.file, shape_text(patch.shape)));
  }
  found.dim = patch.shape[0];
  found.in_channels = patch.shape[1];
  found.layers = count_after(checkpoint, "blocks.");
  found.ffn_dim = needed(checkpoint, "blocks.0.ffn.0.weight", 2).shape[0];
  found.text_dim = needed(checkpoint, "text_embedding.0.weight", 2).shape[1];
  found.freq_dim = needed(checkpoint, "time_embedding.0.weight", 2).shape[1];
  const TensorEntry& head = needed(checkpoint, "head.head.weight", 2);
  if (head.shape[0] % kPatch != 0) {
    throw UserError(fmt::format("{}: tensor head.head.weight has {} rows, expected a multiple of 4",
                                head.file, head.shape[0]));
  }
  found.out_channels = head.shape[0] / kPatch;
  return found;
}

std::int64_t heads_of(const Checkpoint& checkpoint, const ConfigFile& config, std::int64_t dim) {
  auto heads = config.integer("num_heads");
  if (!heads) heads = config.integer("num_attention_heads");
  if (heads) {
    if (dim % *heads != 0 || dim / *heads % 2 != 0) {
      throw UserError(fmt::format("{}: {} heads do not divide the width {} into even head sizes",
                                  checkpoint.config_file(), *heads, dim));
    }
    return *heads;
  }
  if (dim % kHeadDim != 0) {
    throw UserError(
        fmt::format("{}: width {} is no multiple of 128, so a config.json with num_heads is needed",
                    checkpoint.files().front(), dim));
  }
  return dim / kHeadDim;
}

void check_config(const ConfigFile& config, const model::DitConfig& found) {
  config.check("dim", found.dim);
  config.check("ffn_dim", found.ffn_dim);
  config.check("freq_dim", found.freq_dim);
  config.check("text_dim", found.text_dim);
  config.check("in_dim", found.in_channels);
  config.check("in_channels", found.in_channels);
  config.check("out_dim", found.out_channels);
  config.check("out_channels", found.out_channels);
  config.check("num_layers", found.layers);
  config.check("attention_head_dim", found.head_dim());
  check_members(config, Part::Dit);
}

}  // namespace

model::DitConfig dit_config(const Checkpoint& checkpoint) {
  const ConfigFile config(checkpoint.config_file());
  check_class(config, Part::Dit);
  model::DitConfig found = from_shapes(checkpoint);
  refuse_later_models(checkpoint, found, config);
  found.heads = heads_of(checkpoint, config, found.dim);
  found.text_len = text_length(config);
  found.eps = config.positive("eps").value_or(1e-6);
  check_config(config, found);
  return found;
}

}  // namespace ferry::checkpoint
