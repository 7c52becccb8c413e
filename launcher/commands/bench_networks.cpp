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
  return {.checkpoint = std::move(checkpoint), .spec = spec, .compute = compute};
}

}  // namespace

DitNetwork open_dit(const worker::Options& options, parallel::Session& session) {
  DitNetwork dit;
  parallel::agree(session, [&] {
    checkpoint::Checkpoint checkpoint =
        checkpoint::Checkpoint::open(options.model.path, Part::Dit, options.model.dit_key);
    const DType compute = dtype_from_name(options.model.dtype);
    dit.config = checkpoint::dit_config(checkpoint);
    dit.network =
        checked(std::move(checkpoint), model::dit_spec(dit.config, compute), compute, options.model);
    dit.network.plan = offload::make_plan(dit.network.spec, options.dit, session.node_size());
  });
  return dit;
}

VaeNetwork open_vae(const worker::Options& options, parallel::Session& session) {
  VaeNetwork vae;
  parallel::agree(session, [&] {
    checkpoint::Checkpoint checkpoint =
        checkpoint::Checkpoint::open(options.model.path, Part::Vae, options.model.vae_key);
    const DType compute = dtype_from_name(options.model.vae_dtype);
    vae.config = checkpoint::vae_config(checkpoint);
    vae.network =
        checked(std::move(checkpoint), model::vae_decoder_spec(vae.config, compute), compute, options.model);
    vae.network.plan = offload::make_plan(vae.network.spec, options.vae, session.node_size());
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
