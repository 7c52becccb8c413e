// Device memory of a DiT's forwards, apart from its weights.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "model/dit/config.h"

namespace ferry::model {

// Elements of the buffers of model/dit/workspace.h on each of `ranks` ranks; in the compute type, except `x`.
struct WorkspaceSize {
  std::int64_t x = 0;      // all branches, fp32
  std::int64_t u = 0;      // also the size of an outbox
  std::int64_t inbox = 0;  // one rank has no boxes and no mail
  std::int64_t boxes = 0;  // kOutboxes outboxes and kInboxes inboxes of one branch
  std::int64_t scratch = 0;
  std::int64_t mail = 0;
};
constexpr std::int64_t kOutboxes = 2;
constexpr std::int64_t kInboxes = 3;
WorkspaceSize workspace_size(const DitConfig& config, std::int64_t tokens, int ranks, std::int64_t branches);

struct DitActivations {
  std::array<std::int64_t, 4> latent{};  // [C, F, h, w]
  int ulysses = 1;                       // ranks that share the tokens
  int branches = 2;                      // guidance branches in one forward
  int contexts = 2;                      // guidance branches with cached keys and values on this rank
};

// Bytes on one rank: the workspace, the attention's output, the caches of cross-attention keys and values,
// and the latents.  `branches` go through each block together; each has its own caches.
std::size_t activation_bytes(const DitConfig& config, const DitActivations& how, DType compute);

}  // namespace ferry::model
