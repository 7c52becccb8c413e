// Whether a job's model or its LoRAs were distilled for few steps (model/sampler/sampler.h, step_distill).
#pragma once

#include <optional>
#include <string>

#include "checkpoint/network/distilled.h"
#include "worker/job/job.h"
#include "worker/job/options.h"
#include "worker/networks.h"

namespace ferry::worker {

// What the DiT's config.json or the header of its first file says.  Throws UserError: one of them is damaged.
std::optional<checkpoint::Distilled> distilled_of(const checkpoint::Checkpoint& checkpoint);

// What the header of the first LoRA with a strength says that says anything; nothing for nullptr.  Throws
// UserError: a file was replaced by a damaged one.
std::optional<checkpoint::Distilled> distilled_of(const checkpoint::LoraStack* loras);

// The options with what `said` chooses where they leave it open: the sampler, and with it the steps.
JobOptions with_distilled(JobOptions options, const std::optional<checkpoint::Distilled>& said);

// A line for the log, or an empty text: what chose the sampler; or that a file of the DiT or a LoRA has a
// name, or says steps, that the job's sampling does not follow.
std::string distilled_note(const Networks& networks, const std::optional<checkpoint::Distilled>& said,
                           const JobOptions& given, const Job& job);

}  // namespace ferry::worker
