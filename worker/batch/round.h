// Videos of a batch that groups of ranks make at the same time, and what all groups do together before.
#pragma once

#include <string>
#include <vector>

#include "worker/engine.h"
#include "worker/job/options.h"
#include "worker/role.h"
#include "worker/stages/context_store.h"

namespace ferry::worker {

// The same on every rank, but for the prompts.
struct Round {
  std::size_t videos = 0;
  bool encodes = false;                   // there are prompts to encode
  bool more_text = false;                 // a later round will have some
  std::vector<std::string> prompts{};     // on the first rank
  ByRole<const JobOptions*> needed_by{};  // for each network a job that needs it, or nullptr
};

// Encodes the prompts by the first rank into every rank's `store`, replacing what is there, and loads the
// weights that the groups need onto every node, where they stay (LoadedModel::hold).  Checks before that both
// have room; a dry run ends there.  The session is divided.
// Collective over all ranks.  Throws UserError on every rank: the model cannot be used, or its weights have
// no room together.
void begin_round(Engine& engine, const Options& options, const Round& round, ContextStore& store);

}  // namespace ferry::worker
