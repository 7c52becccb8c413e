#include "launcher/commands/bench_networks.h"

#include <fmt/format.h>

#include <optional>

#include "base/log.h"
#include "checkpoint/network/unexpected.h"
#include "model/dit/spec.h"
#include "model/vae/vae.h"
#include "parallel/agree.h"
#include "worker/record/version.h"

namespace ferry::launcher {
namespace {

using checkpoint::Part;

worker::Network checked(checkpoint::Checkpoint checkpoint, const model::NetworkSpec& spec, DType compute,
                        const worker::ModelOptions& options) {
  checkpoint::validate(checkpoint, spec);
  const checkpoint::Unexpected unexpected = find_unexpected(checkpoint, checkpoint::keys_of(spec));
  if (options.unexpected != "skip") refuse_unexpected(checkpoint, unexpected);
  if (!unexpected.empty()) spdlog::warn("left out, as model.unexpected says: {}", to_text(unexpected));
  for (const std::string& note : checkpoint.notes()) spdlog::warn("{}", note);
  return {.checkpoint = std::move(checkpoint), .spec = spec, .compute = compute, .lora = {}};
}

}  // namespace

DitNetwork open_dit(const worker::ModelOptions& options, parallel::Session& session) {
  DitNetwork dit;
  parallel::agree(session, [&] {
    checkpoint::Checkpoint checkpoint =
        checkpoint::Checkpoint::open(options.path, Part::Dit, options.dit_key);
    const DType compute = dtype_from_name(options.dtype);
    dit.config = checkpoint::dit_config(checkpoint);
    dit.network = checked(std::move(checkpoint), model::dit_spec(dit.config, compute), compute, options);
  });
  return dit;
}

VaeNetwork open_vae(const worker::ModelOptions& options, parallel::Session& session) {
  VaeNetwork vae;
  parallel::agree(session, [&] {
    checkpoint::Checkpoint checkpoint =
        checkpoint::Checkpoint::open(options.path, Part::Vae, options.vae_key);
    const DType compute = dtype_from_name(options.vae_dtype);
    vae.config = checkpoint::vae_config(checkpoint);
    vae.network =
        checked(std::move(checkpoint), model::vae_decoder_spec(vae.config, compute), compute, options);
  });
  return vae;
}

std::string with_versions(const std::string& line, const worker::Rank& rank) {
  std::string versions;
  for (const auto& [name, version] : worker::versions()) {
    versions += fmt::format("{}\"{}\": \"{}\"", versions.empty() ? "" : ", ", name, version);
  }
  return fmt::format("{{\"versions\": {{{}}}, \"exchange\": \"{}\", {}\n", versions, rank.backend(),
                     line.substr(1));
}

std::string with_stage(const std::string& line, const worker::Rank& rank, const worker::StageRecord& stage) {
  return with_versions(fmt::format("{}, \"stage\": {}}}", line.substr(0, line.size() - 1), to_json(stage)),
                       rank);
}

}  // namespace ferry::launcher
