// The weights of a program's networks for as long as it lives: on the nodes, with their strategies ready.
//
// Stages borrow them (worker/weights/stage_weights.h) and load none.  Between two uses the weights of a role
// are idle:
//
//   host copy     stays where a later video needs it and run.keep says so; else the rank's janitor takes it
//   strategy      stays with the host copy
//   device copy   of `none` on a GPU: stays where a later video needs it and all stages fit the device
//                 together; of every other strategy it ends with the stage
//
// What is idle gives way to a stage that has no room otherwise; a device copy also where weights find the
// device full (offload/device_account.h).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>

#include "offload/stage.h"
#include "worker/job/options.h"
#include "worker/role.h"
#include "worker/weights/stage_load.h"

namespace ferry::worker {

// The weights of one role.
struct LoadedStage {
  StageLoad load;
  bool filled = false;
  std::unique_ptr<offload::StageWeights> weights;  // over load.copy, on the ranks that compute
  std::size_t made_for_bytes = 0;                  // of activations, when the strategy was made
  bool in_use = false;                             // a stage borrows them
  bool on_device = false;                          // the device copy of the last loan stayed
  int loads = 0;                                   // times that files were read
  int strategies = 0;                              // that were made

  bool begun() const { return load.meter != nullptr; }
  offload::NodeArena* arena() const { return load.copy == nullptr ? nullptr : load.copy->arena.get(); }
};

// What a video means for the weights.
struct VideoNeeds {
  ByRole<std::optional<StageSource>> now{};  // of its own stages
  ByRole<bool> later{};                      // for videos after it
};

// All ranks make the same calls; those of several ranks say "collective".
class LoadedModel {
 public:
  // `rank` outlives this.
  LoadedModel(Rank& rank, Keep keep);
  ~LoadedModel();
  LoadedModel(const LoadedModel&) = delete;
  LoadedModel& operator=(const LoadedModel&) = delete;

  // A video begins: what neither it nor a later one needs is given back.
  void begin_video(VideoNeeds needs);

  const LoadedStage& stage(Role role) const { return stages_[role]; }

  // Begins to read the weights of `source` into the nodes' copies, unless they are there or on their way.
  // Where a node has no room, idle copies are given back.  Collective over the world.  Throws UserError on
  // every rank: not enough memory.
  void begin(const StageSource& source);
  // The same, if every node has room for it and for as much again of `beside_bytes` as things stand.
  void begin_if_room(const StageSource& source, std::size_t beside_bytes);
  // On GPUs, where a device has no room for what the stage of `source` takes, drops idle device copies.
  // Collective over the world.
  void make_device_room(const StageSource& source);

  // Ends all strategies, which are made again when they are needed; the host copies stay.  Before the ranks'
  // groups change.
  void drop_strategies();

 private:
  friend class BorrowedStage;
  // Whether the copy on the host, or `none`'s on the device, stays when the stage is over.  Collective over
  // the world.
  bool stays_on_host(Role role);
  bool stays_on_device(const StageSource& source);
  // Calls `drop` for idle roles, the one that is needed last first, until `enough`, which is collective.
  void give_way(Role role, const std::function<bool()>& enough, const std::function<void(Role)>& drop);
  void give_back(Role role);
  void drop_device_copy(Role role);
  std::size_t reclaim(std::size_t bytes);
  std::size_t host_room() const;

  Rank& rank_;
  Keep keep_;
  VideoNeeds needs_;
  ByRole<LoadedStage> stages_{};
  ByRole<bool> said_{};  // that `none` acts as `model`
};

}  // namespace ferry::worker
