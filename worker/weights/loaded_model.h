// The weights of a program's networks for its lifetime: on the nodes, with their strategies ready.
//
// Stages borrow them (worker/weights/stage_weights.h) and load none.  Between two uses the weights of a role
// are idle:
//
//   host copy     kept if a later video needs it and run.keep allows; else freed by the rank's janitor.
//                 For a video with other LoRAs the tensors that these or those before change are read again
//   strategy      kept with the host copy
//   device copy   of `none` on a GPU: kept if a later video needs it and all stages fit the device together;
//                 of every other strategy it ends with the stage
//
// Idle weights are freed for a stage that has no room otherwise; a device copy also if weights find the
// device full (offload/device_account.h).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "offload/stage.h"
#include "worker/job/options.h"
#include "worker/record/progress.h"
#include "worker/role.h"
#include "worker/weights/stage_load.h"

namespace ferry::worker {

// The weights of one role.
struct LoadedStage {
  StageLoad load;
  offload::Merge merged;  // into the copy
  bool filled = false;
  std::unique_ptr<offload::StageWeights> weights;  // over load.copy, on the ranks that compute
  std::size_t made_for_bytes = 0;                  // activations when the strategy was made
  bool in_use = false;                             // a stage borrows them
  bool on_device = false;                          // device copy of the last loan was kept
  bool held = false;                               // the host copy stays: other groups of ranks use it
  int loads = 0;                                   // number of times files were read
  int strategies = 0;                              // number of strategies made

  bool begun() const { return load.meter != nullptr; }
  offload::NodeArena* arena() const { return load.copy == nullptr ? nullptr : load.copy->arena.get(); }
};

// A video's needs for weights.
struct VideoNeeds {
  ByRole<std::optional<StageSource>> now{};  // for its own stages
  ByRole<bool> later{};                      // for videos after it
};

// All ranks make the same calls; those that communicate say "collective".
class LoadedModel {
 public:
  // `rank` must outlive this object.
  LoadedModel(Rank& rank, Keep keep);
  ~LoadedModel();
  LoadedModel(const LoadedModel&) = delete;
  LoadedModel& operator=(const LoadedModel&) = delete;

  // Begins a video: frees weights that neither it nor a later one needs.
  void begin_video(VideoNeeds needs);

  const LoadedStage& stage(Role role) const { return stages_[role]; }

  // Starts reading the weights of `source` into the nodes' copies, unless loaded or loading.  If a node has
  // no room, idle copies are freed.  Collective over the world.  Throws UserError on every rank: not enough
  // memory.
  void begin(const StageSource& source);
  // As above, but only if every node currently has room for it and for an additional `beside_bytes`.
  void begin_if_room(const StageSource& source, std::size_t beside_bytes);
  // Loads the weights of `sources` on every node, and holds all host copies that are there until release(),
  // for groups of ranks that then work apart (Session::divide).  The session is undivided.  Collective over
  // the world.  Throws UserError on every rank: not enough memory.
  void hold(const std::vector<StageSource>& sources, Progress& progress);
  void release();
  // Throws UserError on every rank, unless hold() has room for the sources; idle copies of others are freed
  // if need be.  Collective over the world.
  void check_room_for(const std::vector<StageSource>& sources);

  // On GPUs: drops idle device copies if a device lacks room for the stage of `source`.
  // Collective over the world.
  void make_device_room(const StageSource& source);

  // Ends all strategies, which are remade when needed; the host copies stay.  Call before the ranks' groups
  // change.
  void drop_strategies();

 private:
  friend class BorrowedStage;
  // True if the copy on the host, or `none`'s on the device, is kept after the stage.  Collective over the
  // world.
  bool stays_on_host(Role role);
  bool stays_on_device(const StageSource& source);
  // Calls `drop` for idle roles, the one needed last first, until `enough`, which is collective.
  void give_way(Role role, const std::function<bool()>& enough, const std::function<void(Role)>& drop);
  void give_back(Role role);
  void finish_load(LoadedStage& stage, Progress& progress);
  // Finishes the load of `source`, if need be, and merges its LoRAs in place of others.  Collective over the
  // world.  Throws UserError on every rank.
  void fill(const StageSource& source, Progress& progress);
  void merge_anew(const StageSource& source, LoadedStage& stage, Progress& progress);
  void drop_device_copy(Role role);
  std::size_t reclaim(std::size_t bytes);
  std::size_t host_room() const;

  Rank& rank_;
  Keep keep_;
  VideoNeeds needs_;
  ByRole<LoadedStage> stages_{};
  ByRole<bool> said_{};  // reported that `none` acts as `model`
};

}  // namespace ferry::worker
