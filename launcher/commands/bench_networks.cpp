#include "launcher/commands/bench_networks.h"

#include <fmt/format.h>

#include "base/log.h"
#include "checkpoint/folder/hub_folder.h"
#include "parallel/agree.h"
#include "worker/record/version.h"

namespace ferry::launcher {
worker::Networks open_network(worker::Role role, const worker::Options& options, parallel::Session& session) {
  worker::Networks networks;
  parallel::agree(session, [&] {
    networks.folder = checkpoint::existing_model_folder(options.model.path);
    entry_of(role).open(networks, options);
    networks[role]->plan =
        offload::make_plan(networks[role]->spec, options.offload[role], session.node_size());
  });
  for (const std::string& note : networks.notes) spdlog::warn("{}", note);
  return networks;
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
