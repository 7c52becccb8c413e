#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/device.h"
#include "base/error.h"
#include "bench/calibrate.h"
#include "launcher/command.h"
#include "launcher/commands/generate.h"
#include "launcher/options/paths.h"
#include "launcher/options/value.h"
#include "launcher/process/age.h"
#include "launcher/process/streams.h"
#include "model/kernels/fa3.h"
#include "worker/distillation.h"
#include "worker/planner/plan_text.h"

namespace ferry::launcher {
namespace {

constexpr int kRows = 16;

struct PlanOptions {
  std::string model;
  std::string machine;
  std::vector<std::string> loras;
  worker::PlanRequest request;
  int nodes = 0;  // 0: as few as hold the GPUs
  bool json = false;
};

using Set = std::function<void(const std::string&, const std::string&)>;

template <typename Target>
Set count(Target& target, std::int64_t most) {
  return [&target, most](const std::string& flag, const std::string& value) {
    target = static_cast<int>(to_integer(flag, value, 1, most));
  };
}

Set gib(std::optional<double>& target) {
  return [&target](const std::string& flag, const std::string& value) {
    target = to_number(flag, value, 0.001, 1e6);
  };
}

Set path(std::string& target) {
  return [&target](const std::string& flag, const std::string& value) {
    if (value.empty()) throw UserError(flag + ": the value is empty");
    target = expand_home(value);
  };
}

// Other tasks need networks that this program does not have.
void set_task(const std::string& flag, const std::string& value) {
  if (to_choice(flag, value, {"t2v", "i2v", "flf2v"}) != 0)
    throw UserError(fmt::format("{} {}: this program makes videos from text; accepted: t2v", flag, value));
}

FlagGroup what_to_make(PlanOptions& options) {
  worker::PlanRequest& r = options.request;
  const auto size = [&r](const std::string& flag, const std::string& value) {
    std::tie(r.width, r.height) = to_size(flag, value);
  };
  const auto frames = [&r](const std::string& flag, const std::string& value) {
    r.frames = to_integer(flag, value, 1, 1'000'000);
  };
  const auto guidance = [&r](const std::string& flag, const std::string& value) {
    r.guidance = to_number(flag, value, 1, 1e6);
  };
  const auto dtype = [&r](const std::string& flag, const std::string& value) {
    r.compute = to_choice(flag, value, {"bf16", "fp32"}) == 0 ? DType::BF16 : DType::F32;
  };
  const auto lora = [&options](const std::string& flag, const std::string& value) {
    path(options.loras.emplace_back())(flag, value);
  };
  const std::string model = "the model's";
  return {"[job]",
          {{"model", "", "MODEL", "a checkpoint folder, or 1.3B, 14B, A14B", "", false, path(options.model)},
           {"task", "", "TASK", "t2v", "t2v", false, set_task},
           {"size", "", "WxH", "pixels, multiples of 16", model, false, size},
           {"frames", "", "N", "4n + 1", model, false, frames},
           {"steps", "", "N", "sampling steps", model, false, count(r.steps, 1'000'000)},
           {"guidance", "", "G", "1: one branch instead of two", model, false, guidance},
           {"lora.path", "", "PATH", "a LoRA; it takes device memory under sequential alone; repeats", "none",
            false, lora, true},
           {"dtype", "", "TYPE", "of DiT and text encoder: bf16, fp32", "bf16", false, dtype}}};
}

FlagGroup what_it_runs_on(PlanOptions& options) {
  worker::PlanRequest& r = options.request;
  const auto json = [&options](const std::string& flag, const std::string& value) {
    options.json = to_bool(flag, value);
  };
  return {"[machine]",
          {{"gpus", "", "N", "in all, a multiple of --nodes", "1", false, count(r.gpus, 4096)},
           {"nodes", "", "N", "computers that they are in", "as few as hold them", false,
            count(options.nodes, 4096)},
           {"vram", "", "GIB", "memory of each GPU", "the machine's", false, gib(r.vram_gib)},
           {"host", "", "GIB", "memory of each node", "the machine's", false, gib(r.host_gib)},
           {"machine", "", "FILE", "rates: a file of `ferry bench calibrate`, or h100, h200, pcie",
            "measured here", false, path(options.machine)},
           {"json", "", "", "one JSON object instead of a table", "", true, json}}};
}

// The rates of this machine, by one rank on all of its cores.
worker::MachineRates measured_here(DType compute) {
  const std::unique_ptr<Device> device = cuda_device_count() > 0 ? make_cuda_device(0) : make_cpu_device();
  bench::Probe probe{.device = *device, .compute = compute};
  probe.samples = 2;
  if (model::kernels::takes_fa3(*device) && !model::kernels::find_fa3().empty())
    probe.attention = model::kernels::load_fa3(model::kernels::find_fa3(), *device);
  worker::MachineRates machine = bench::measure_machine(probe, process_age_s());
  machine.node_ranks = std::max(1, cuda_device_count());
  machine.by_ranks = {bench::measure_rank_rates(probe)};
  return machine;
}

// A CPU's ranks are as many as one likes.
int fewest_nodes(int gpus, const worker::MachineRates& machine) {
  if (!machine.gpu) return 1;
  const int nodes = (gpus + machine.node_ranks - 1) / machine.node_ranks;
  if (gpus % nodes == 0) return nodes;
  throw UserError(fmt::format(
      "gpus {}: a node of {} has {}, and {} nodes cannot have the same number of them; {} "
      "or {} GPUs can be divided, or --nodes says how many there are",
      gpus, machine.name, machine.node_ranks, nodes, gpus / nodes * nodes, (gpus / nodes + 1) * nodes));
}

// More devices than are here, or others, are planned with the rates of a machine that is not here.
bool is_elsewhere(const worker::PlanRequest& request) {
  return request.vram_gib || request.nodes > 1 || request.gpus > std::max(1, cuda_device_count());
}

int plan(const PlanOptions& options) {
  worker::PlanRequest request = options.request;
  request.nodes = std::max(1, options.nodes);
  const worker::ModelShapes model = worker::model_shapes(options.model);
  for (const std::string& lora : options.loras) {
    request.lora_bytes += worker::lora_bytes(lora, model.dit, request.compute);
    request.distilled = checkpoint::first_with_steps(request.distilled, worker::distilled_of_lora(lora));
  }
  worker::check_request(model, request);
  const bool elsewhere = options.machine.empty() && is_elsewhere(request);
  const worker::MachineRates machine = elsewhere                 ? worker::load_machine("h100")
                                       : options.machine.empty() ? measured_here(request.compute)
                                                                 : worker::load_machine(options.machine);
  if (options.nodes == 0) request.nodes = fewest_nodes(request.gpus, machine);
  const worker::Plans plans = worker::make_plans(model, request, machine);
  if (options.json) {
    say(plan_json(plans, model, machine));
    return 0;
  }
  const std::string rates =
      elsewhere ? "the rates of h100: no --machine is given, and this is not here\n" : "";
  say(rates + plan_table(plans, model, machine, kRows));
  return 0;
}

}  // namespace

Command make_plan() {
  const auto options = std::make_shared<PlanOptions>();
  Command command{"plan",
                  "predicts memory and time of a video, for each way to make it",
                  "--model MODEL [options]",
                  {what_to_make(*options), what_it_runs_on(*options)}};
  command.more_help =
      "Nothing is run: docs/planner.md has the formulas and where the rates come from.  Exit code 2 if no "
      "way "
      "fits.\n"
      "example: ferry plan --model 14B --gpus 8 --vram 24 --machine h100\n";
  command.check = [options](const CommandLine& line, int) {
    refuse_positional(line);
    for (const Setting& setting : line.settings) setting.flag->set(setting.written, setting.value);
    if (options->model.empty()) throw UserError("plan: which model? --model DIR, or 1.3B, 14B, A14B");
  };
  command.run = [options](int&, char**&) { return plan(*options); };
  return command;
}

}  // namespace ferry::launcher
