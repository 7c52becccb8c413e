#include "worker/state/share_state.h"

#include <ATen/ops/empty.h>

#include <nlohmann/json.hpp>

#include "model/tensor.h"

namespace ferry::worker {
namespace {

// Steps done, and each tensor's name, shape and type.
std::string description_of(const SamplingState& state) {
  nlohmann::json tensors = nlohmann::json::array();
  for (const auto& [name, tensor] : named_tensors(state))
    tensors.push_back({name, tensor.sizes().vec(), static_cast<int>(tensor.scalar_type())});
  return nlohmann::json({state.steps_done(), tensors}).dump();
}

}  // namespace

SamplingState shared_state(Rank& rank, const SamplingState* mine) {
  const std::string description = rank.session->broadcast(rank.is_first() ? description_of(*mine) : "", 0);
  const nlohmann::json described = nlohmann::json::parse(description);
  NamedTensors first;
  if (rank.is_first()) first = named_tensors(*mine);
  SamplingState state;
  state.sampler.next_step = described[0].get<int>();
  for (std::size_t i = 0; i < described[1].size(); ++i) {
    const nlohmann::json& each = described[1][i];
    const auto options = at::TensorOptions(model::torch_device(*rank.device))
                             .dtype(static_cast<at::ScalarType>(each[2].get<int>()));
    at::Tensor tensor = rank.is_first() ? first[i].second.to(options.device())
                                        : at::empty(each[1].get<std::vector<std::int64_t>>(), options);
    rank.groups.data_root->broadcast(tensor.mutable_data_ptr(), tensor.nbytes(), 0, rank.device->compute());
    put_tensor(state, each[0].get<std::string>(), tensor);
  }
  return state;
}

}  // namespace ferry::worker
