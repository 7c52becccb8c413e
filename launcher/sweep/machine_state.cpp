#include "launcher/sweep/machine_state.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/host/numa.h"
#include "worker/gpu.h"

namespace ferry::launcher {
namespace {

using Json = nlohmann::ordered_json;

// The values of a line's key in /proc/cpuinfo, one for each core.
std::vector<std::string> cpuinfo(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  std::vector<std::string> values;
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with(key) && colon != std::string::npos) values.push_back(line.substr(colon + 2));
  }
  return values;
}

Json mean_mhz() {
  double sum = 0;
  const std::vector<std::string> all = cpuinfo("cpu MHz");
  for (const std::string& each : all) sum += std::atof(each.c_str());
  return all.empty() ? Json() : Json(sum / static_cast<double>(all.size()));
}

std::string output_of(const char* command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command, "r"), ::pclose);
  std::string text;
  std::array<char, 1 << 12> piece;
  while (pipe != nullptr && std::fgets(piece.data(), piece.size(), pipe.get()) != nullptr)
    text += piece.data();
  return text;
}

// "0, 1980, 2619, 1980, 45, 350.12, 0x0000000000000000": numbers where they are numbers, else text.
Json gpu_of(const std::string& line) {
  Json gpu;
  std::istringstream values(line);
  for (const char* name : {"index", "sm_mhz", "memory_mhz", "most_sm_mhz", "celsius", "watts", "throttle"}) {
    std::string value;
    if (!std::getline(values >> std::ws, value, ',')) break;
    const Json number = Json::parse(value, nullptr, false);
    gpu[name] = number.is_number() ? number : Json(value);
  }
  return gpu;
}

Json gpus() {
  Json all = Json::array();
  if (worker::driver_version() == "none") return all;
  std::istringstream lines(
      output_of("nvidia-smi --query-gpu=index,clocks.sm,clocks.mem,clocks.max.sm,temperature.gpu,power.draw,"
                "clocks_throttle_reasons.active --format=csv,noheader,nounits 2>/dev/null"));
  for (std::string line; std::getline(lines, line);) all.push_back(gpu_of(line));
  return all;
}

}  // namespace

Json topology_of(parallel::Session& session, const std::string& device) {
  const Json mine = {session.node_index(), session.host(), device};
  std::map<int, std::pair<std::string, int>> nodes;  // by index: host, ranks
  Json devices = Json::array();
  for (const std::string& text : session.all_gather(mine.dump())) {
    const Json rank = Json::parse(text);
    auto& [host, ranks] = nodes[rank[0].get<int>()];
    host = rank[1].get<std::string>();
    ++ranks;
    devices.push_back(rank[2]);
  }
  Json hosts = Json::array();
  Json ranks_per_node = Json::array();
  for (const auto& [index, node] : nodes) {
    hosts.push_back(node.first);
    ranks_per_node.push_back(node.second);
  }
  const std::vector<std::string> models = cpuinfo("model name");
  const char* threads = std::getenv("OMP_NUM_THREADS");
  return {{"nodes", nodes.size()},
          {"hosts", hosts},
          {"ranks_per_node", ranks_per_node},
          {"devices", devices},
          {"cpu", models.empty() ? Json() : Json(models.front())},
          {"cores", std::thread::hardware_concurrency()},
          {"numa_nodes", numa_nodes().size()},
          {"threads", threads == nullptr ? Json() : Json(std::atoi(threads))}};
}

Json clocks() { return {{"cpu_mhz", mean_mhz()}, {"gpus", gpus()}}; }

}  // namespace ferry::launcher
