#include "worker/weights/loaded_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/host/memory_use.h"
#include "base/log.h"
#include "parallel/agree.h"
#include "worker/weights/keep.h"

namespace ferry::worker {
namespace {

constexpr double kGigabyte = 1e9;
// Fraction for weights; the rest is for unaccounted use.
constexpr double kUsable = 0.95;

std::size_t usable(std::size_t bytes) {
  return static_cast<std::size_t>(kUsable * static_cast<double>(bytes));
}

bool computes(const StageSource& source, const Rank& rank) {
  return source.runs == Runs::AllRanks || rank.is_first();
}

// As it was decided for the device, where a strategy for these shapes is there; else `auto` is left.
const offload::StagePlan& plan_of(const StageSource& source, const LoadedStage& stage) {
  const bool decided = stage.weights != nullptr && stage.made_for_bytes == source.activation_bytes;
  return decided ? stage.weights->plan() : source.network->plan;
}

// Whether the weights of the stage are all on the device while it runs, and may stay: `auto` counts, as it
// may become `none`.
bool may_stay(const offload::StagePlan& plan) {
  return plan.kind == offload::StrategyKind::None || plan.kind == offload::StrategyKind::Auto;
}

std::size_t whole_bytes(const StageSource& source) { return source.network->plan.arena.layout.bytes; }

// Of this rank's device.
StageBytes stage_bytes(const StageSource& source, const LoadedStage& stage, const Rank& rank) {
  if (!computes(source, rank)) return {};
  const offload::StagePlan& plan = plan_of(source, stage);
  const bool stays = may_stay(plan);
  return {.stays = stays,
          .weights = stays ? whole_bytes(source) : plan.need.bytes,
          .activations = source.activation_bytes};
}

}  // namespace

LoadedModel::LoadedModel(Rank& rank, Keep keep) : rank_(rank), keep_(keep) {
  rank_.account.add_reclaim(this, [this](std::size_t bytes) { return reclaim(bytes); });
}

LoadedModel::~LoadedModel() {
  rank_.account.remove_reclaim(this);
  release();
  for (const RoleEntry& entry : roles()) give_back(entry.role);
}

void LoadedModel::begin_video(VideoNeeds needs) {
  needs_ = std::move(needs);
  for (const RoleEntry& entry : roles()) {
    if (!needs_.now[entry.role] && !needs_.later[entry.role]) give_back(entry.role);
  }
}

void LoadedModel::begin(const StageSource& source) {
  LoadedStage& stage = stages_[source.network->role];
  if (stage.begun()) return;
  const std::size_t bytes = host_bytes(source, rank_);
  if (!make_room(rank_, bytes, host_memory().available_bytes)) {
    give_way(
        source.network->role,
        [&] { return rank_.session->all_agree(bytes <= host_memory().available_bytes); },
        [&](Role role) {
          if (rank_.is_first()) {
            spdlog::info("{}: its host copy is given back, as {} has no room beside it", name_of(role),
                         name_of(source.network->role));
          }
          give_back(role);
          rank_.janitor.finish();
          rank_.session->barrier();
        });
  }
  stage.load = begin_load(source, rank_);
  stage.merged = merge_of(source);
  ++stage.loads;
}

void LoadedModel::begin_if_room(const StageSource& source, std::size_t beside_bytes) {
  if (stages_[source.network->role].begun()) return;
  if (has_room(source, rank_, beside_bytes)) begin(source);
}

void LoadedModel::make_device_room(const StageSource& source) {
  if (!rank_.on_gpu()) return;
  const LoadedStage& stage = stages_[source.network->role];
  const StageBytes wanted = stage_bytes(source, stage, rank_);
  const std::size_t bytes = wanted.activations + (stage.on_device ? 0 : wanted.weights);
  give_way(
      source.network->role,
      [&] { return rank_.session->all_agree(bytes <= usable(rank_.device->memory().free_bytes)); },
      [&](Role role) { drop_device_copy(role); });
}

void LoadedModel::drop_strategies() {
  for (LoadedStage& stage : stages_) {
    stage.weights.reset();
    stage.on_device = false;
  }
}

// Of all sources together, before any of them takes memory.
void LoadedModel::check_room_for(const std::vector<StageSource>& sources) {
  std::size_t bytes = 0;
  std::vector<std::string_view> names;
  for (const StageSource& source : sources) {
    names.push_back(name_of(source.network->role));
    if (!stages_[source.network->role].begun()) bytes += source.network->plan.arena.layout.bytes;
  }
  if (make_room(rank_, bytes, host_memory().available_bytes)) return;
  for (const RoleEntry& entry : roles()) {
    const auto is_it = [&](const StageSource& source) { return source.network->role == entry.role; };
    if (std::ranges::none_of(sources, is_it)) give_back(entry.role);
  }
  rank_.janitor.finish();
  rank_.session->barrier();
  agree(*rank_.session, [&] {
    const HostMemory memory = host_memory();
    if (bytes <= memory.available_bytes) return;
    throw UserError(fmt::format(
        "the weights of {}, which groups of ranks use at the same time, take {:.2f} GB more of host memory; "
        "{:.2f} of {:.2f} GB are available ({}); --data 1 --run.keep one holds them one after the other",
        fmt::join(names, " and "), static_cast<double>(bytes) / kGigabyte,
        static_cast<double>(memory.available_bytes) / kGigabyte,
        static_cast<double>(memory.total_bytes) / kGigabyte, place_of(memory)));
  });
}

void LoadedModel::hold(const std::vector<StageSource>& sources, Progress& progress) {
  std::vector<StageSource> on_all = sources;
  // On every node a group may have its first rank.
  for (StageSource& source : on_all) source.runs = Runs::AllRanks;
  check_room_for(on_all);
  for (const StageSource& source : on_all) begin(source);
  for (const StageSource& source : on_all) {
    LoadedStage& stage = stages_[source.network->role];
    fill(source, progress);
    if (source.network->plan.pin) stage.arena()->pin(*rank_.device);
  }
  // What a group frees the others would have.
  for (const RoleEntry& entry : roles()) {
    LoadedStage& stage = stages_[entry.role];
    stage.held = stage.begun();
    rank_.held[entry.role] = stage.arena() == nullptr ? 0 : stage.arena()->bytes();
  }
  rank_.session->barrier();
  rank_.idle_host = host_memory();
  rank_.session->barrier();
}

void LoadedModel::release() {
  for (LoadedStage& stage : stages_) stage.held = false;
  rank_.held = {};
  rank_.idle_host.reset();
}

void LoadedModel::fill(const StageSource& source, Progress& progress) {
  LoadedStage& stage = stages_[source.network->role];
  if (!stage.filled) agree(*rank_.session, [&] { finish_load(stage, progress); });
  stage.filled = true;
  if (stage.merged == merge_of(source)) return;
  if (stage.held && rank_.session->size() < rank_.session->everyone().size())
    throw std::logic_error("a group merges LoRAs into weights that other groups use");
  // No rank reads the copy any longer.
  rank_.session->barrier();
  agree(*rank_.session, [&] { merge_anew(source, stage, progress); });
}

// On failure the copy is of no use (BorrowedStage gives it back).
void LoadedModel::merge_anew(const StageSource& source, LoadedStage& stage, Progress& progress) {
  if (stage.weights != nullptr) stage.weights->drop();
  stage.on_device = false;
  const offload::Merge before = std::exchange(stage.merged, merge_of(source));
  offload::NodeArena* arena = stage.arena();
  if (arena == nullptr) return;
  progress.begin("load " + arena->spec().name, 100);
  LoadMeter meter(*rank_.session);
  meter.show(&progress);
  arena->reload({source.network->checkpoint, stage.merged}, before,
                [&](const offload::LoadProgress& done) { meter.note(done); });
  meter.show(nullptr);
  progress.end();
}

void LoadedModel::finish_load(LoadedStage& stage, Progress& progress) {
  offload::NodeArena* arena = stage.arena();
  if (arena == nullptr) return;
  progress.begin("load " + arena->spec().name, 100);
  stage.load.meter->show(&progress);
  arena->finish_load();
  stage.load.meter->show(nullptr);
  progress.end();
}

bool LoadedModel::stays_on_host(Role role) {
  if (stages_[role].held) return true;
  if (!needs_.later[role] || keep_ == Keep::One) return false;
  if (keep_ == Keep::All) return true;
  ByRole<std::size_t> bytes;
  for (const RoleEntry& entry : roles()) {
    const std::optional<StageSource>& source = needs_.now[entry.role];
    const offload::NodeArena* idle = stages_[entry.role].arena();
    bytes[entry.role] = source ? whole_bytes(*source) : idle == nullptr ? 0 : idle->bytes();
  }
  return kept_on_all(*rank_.session, host_room(), bytes, needs_.later)[role];
}

// Of the node's memory, what weights may take, those of this program included.
std::size_t LoadedModel::host_room() const {
  const std::size_t room = usable(host_memory().available_bytes) + rank_.host_account.now();
  // On the CPU activations are host memory, of every rank.
  std::size_t activations = 0;
  for (const std::optional<StageSource>& source : needs_.now) {
    if (source) activations = std::max(activations, source->activation_bytes);
  }
  activations *= static_cast<std::size_t>(rank_.on_gpu() ? 0 : rank_.session->whole_node_size());
  return room - std::min(room, activations);
}

bool LoadedModel::stays_on_device(const StageSource& source) {
  const Role role = source.network->role;
  if (!rank_.on_gpu() || !needs_.later[role] || !may_stay(source.network->plan)) return false;
  // Ranks that do not compute the stage have no strategy.
  if (!rank_.session->all_agree(may_stay(plan_of(source, stages_[role])))) return false;
  ByRole<StageBytes> stages;
  for (const std::optional<StageSource>& each : needs_.now) {
    if (!each) continue;
    const Role other = each->network->role;
    stages[other] = stage_bytes(*each, stages_[other], rank_);
  }
  const std::size_t together = bytes_together(stages);
  const std::size_t room = usable(rank_.device->memory().free_bytes + rank_.account.now());
  const bool fits = rank_.session->all_agree(together <= room);
  if (!fits && !std::exchange(said_[role], true) && rank_.is_first()) {
    spdlog::info(
        "{}: offload type none acts as model: with it the stages take {:.3f} GB of the device together, of "
        "{:.3f} GB; each video copies it again",
        name_of(role), static_cast<double>(together) / kGigabyte, static_cast<double>(room) / kGigabyte);
  }
  return fits;
}

void LoadedModel::give_way(Role role, const std::function<bool()>& enough,
                           const std::function<void(Role)>& drop) {
  for (const Role other : needed_last_first(role)) {
    if (other == role || !stages_[other].begun() || stages_[other].in_use) continue;
    if (enough()) return;
    drop(other);
  }
}

void LoadedModel::drop_device_copy(Role role) {
  LoadedStage& stage = stages_[role];
  if (stage.in_use || !std::exchange(stage.on_device, false)) return;
  if (rank_.is_first()) {
    spdlog::info("{}: its device copy makes room for another stage", name_of(role));
  }
  if (stage.weights != nullptr) stage.weights->drop();
}

// On this rank only: the others may not be out of memory.
std::size_t LoadedModel::reclaim(std::size_t bytes) {
  const std::size_t before = rank_.account.now();
  Role now = roles_in_turn().front().role;
  for (const RoleEntry& entry : roles()) {
    if (stages_[entry.role].in_use) now = entry.role;
  }
  for (const Role role : needed_last_first(now)) {
    if (before - rank_.account.now() < bytes) drop_device_copy(role);
  }
  return before - rank_.account.now();
}

void LoadedModel::give_back(Role role) {
  LoadedStage& stage = stages_[role];
  stage.weights.reset();
  stage.on_device = false;
  if (stage.held) return;
  stage.filled = false;
  stage.load.meter.reset();
  std::unique_ptr<HostCopy> copy = std::move(stage.load.copy);
  // Freeing a window is collective, in the order of the ranks' other operations.
  if (copy == nullptr || copy->arena->kind() == offload::MemoryKind::Window) return;
  if (rank_.on_gpu()) {
    rank_.janitor.keep(std::move(copy));
  } else {
    rank_.janitor.take(std::move(copy));
  }
}

}  // namespace ferry::worker
