#include "worker/weights/keep.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>
#include <string>

#include "worker/roles.h"

namespace ferry::worker {
namespace {

// A set of networks to keep.
struct Choice {
  ByRole<bool> kept{};
  std::size_t kept_bytes = 0;
  std::size_t most_beside = 0;  // maximum of those not kept
};

Choice choice_of(unsigned set, const ByRole<std::size_t>& bytes) {
  Choice choice;
  for (std::size_t i = 0; i < kRoleCount; ++i) {
    choice.kept.values[i] = (set >> i & 1U) != 0;
    if (choice.kept.values[i]) {
      choice.kept_bytes += bytes.values[i];
    } else {
      choice.most_beside = std::max(choice.most_beside, bytes.values[i]);
    }
  }
  return choice;
}

}  // namespace

ByRole<bool> kept_within(std::size_t room, const ByRole<std::size_t>& bytes, const ByRole<bool>& later) {
  unsigned allowed = 0;
  for (std::size_t i = 0; i < kRoleCount; ++i) allowed |= (later.values[i] ? 1U : 0U) << i;
  Choice best;
  for (unsigned set = 1; set < 1U << kRoleCount; ++set) {
    if ((set & ~allowed) != 0) continue;
    const Choice choice = choice_of(set, bytes);
    const bool fits = choice.kept_bytes + choice.most_beside <= room;
    if (fits && choice.kept_bytes > best.kept_bytes) best = choice;
  }
  return best.kept;
}

ByRole<bool> kept_on_all(parallel::Session& session, std::size_t room, const ByRole<std::size_t>& bytes,
                         const ByRole<bool>& later) {
  ByRole<std::size_t> most = bytes;
  const std::string mine = fmt::format("{} {}", room, fmt::join(bytes.values, " "));
  for (const std::string& each : session.all_gather(mine)) {
    std::istringstream numbers(each);
    std::size_t number = 0;
    numbers >> number;
    room = std::min(room, number);
    for (std::size_t& of_role : most) {
      numbers >> number;
      of_role = std::max(of_role, number);
    }
  }
  return kept_within(room, most, later);
}

std::array<Role, kRoleCount> needed_last_first(Role now) {
  std::array<Role, kRoleCount> order{};
  const auto place = static_cast<std::size_t>(entry_of(now).turn);
  for (std::size_t back = 1; back <= kRoleCount; ++back) {
    order.at(back - 1) = roles_in_turn()[(place + kRoleCount - back) % kRoleCount].role;
  }
  return order;
}

std::size_t bytes_together(const ByRole<StageBytes>& stages) {
  std::size_t staying = 0;
  std::size_t most_beside = 0;
  for (const StageBytes& stage : stages) {
    staying += stage.stays ? stage.weights : 0;
    most_beside = std::max(most_beside, stage.activations + (stage.stays ? 0 : stage.weights));
  }
  return staying + most_beside;
}

}  // namespace ferry::worker
