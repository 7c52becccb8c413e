#include "parallel/groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "parallel/mpi_group.h"
#include "parallel/nccl_group.h"
#include "parallel/patience.h"
#include "parallel/single_group.h"

namespace ferry::parallel {

namespace {

// The group of the ranks that pass the same color.  Collective over the world.
std::unique_ptr<Group> make_group(Session& ranks, int color, Device& device) {
  const MPI_Comm comm = ranks.split(color);
  Control members(ranks.thread(), comm);
  if (members.size() == 1) return make_single_group();
  if (device.type() == DeviceType::Cpu) return std::make_unique<MpiGroup>(ranks.thread(), comm);
  return make_nccl_group(members, ranks.thread().deadline_s());
}

}  // namespace

Groups make_groups(Session& ranks, const Mesh& mesh, Device& device) {
  const int video = mesh.data_index;
  const int branch = video * mesh.cfg + mesh.cfg_index;
  const int shard = video * mesh.ulysses + mesh.ulysses_index;
  Groups groups;
  groups.ulysses = make_group(ranks, branch, device);
  groups.cfg = make_group(ranks, shard, device);
  groups.data_root = make_group(ranks, video, device);
  groups.weights = make_group(ranks, branch * ranks.node_count() + ranks.node_index(), device);
  return groups;
}

void wait_for(const Event& event, const Groups& groups, double deadline_s) {
  Patience patience(deadline_s);
  const Clock::time_point begin = Clock::now();
  while (!event.done()) {
    for (Group* group :
         {groups.ulysses.get(), groups.cfg.get(), groups.data_root.get(), groups.weights.get()}) {
      group->check();
    }
    if (patience.over()) throw Error(fmt::format("the device did not answer within {} s", deadline_s));
    const auto pause = std::clamp<Clock::duration>(
        (Clock::now() - begin) / 100, std::chrono::microseconds(10), std::chrono::milliseconds(1));
    std::this_thread::sleep_for(pause);
  }
  event.synchronize();
}

}  // namespace ferry::parallel
