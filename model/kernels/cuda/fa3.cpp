#include "model/kernels/fa3.h"

#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>

#include "base/error.h"

namespace ferry::model::kernels {

namespace {

namespace fs = std::filesystem;

constexpr int kHopper = 9;
constexpr const char* kOperator = "fa3_fwd::fwd";

// Folder of the LibTorch loaded in this process.
fs::path torch_folder() {
  Dl_info info = {};
  if (::dladdr(reinterpret_cast<void*>(&at::globalContext), &info) == 0) return {};
  std::error_code ignored;
  return fs::canonical(info.dli_fname, ignored).parent_path();
}

int compute_capability(const Device& device) {
  int major = 0;
  const bool known =
      device.type() == DeviceType::Cuda &&
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device.index()) == cudaSuccess;
  return known ? major : 0;
}

// Never unloaded: its operator stays registered.
void load(const std::string& file) {
  // It needs libtorch.so by name; this program links the libraries behind it.
  ::dlopen((torch_folder() / "libtorch.so").c_str(), RTLD_LAZY | RTLD_GLOBAL);
  // Lazily, since its references to Python are never called.
  if (::dlopen(file.c_str(), RTLD_LAZY | RTLD_LOCAL) == nullptr) {
    throw UserError(fmt::format("attention.fa3 {}: cannot be loaded: {}", file, ::dlerror()));
  }
}

torch::jit::Stack arguments_of(const c10::FunctionSchema& schema, const at::Tensor& out, const at::Tensor& q,
                               const at::Tensor& k, const at::Tensor& v) {
  torch::jit::Stack stack;
  for (const c10::Argument& argument : schema.arguments()) {
    const std::string& name = argument.name();
    if (name == "q" || name == "k" || name == "v") {
      stack.emplace_back(name == "q" ? q : name == "k" ? k : v);
    } else if (name == "out") {
      stack.emplace_back(out);
    } else if (name == "num_splits") {
      stack.emplace_back(std::int64_t{1});  // a fixed summation order over keys, whatever else runs
    } else {
      stack.emplace_back(argument.default_value().value_or(c10::IValue()));
    }
  }
  return stack;
}

}  // namespace

std::string find_fa3() {
  const fs::path file = torch_folder().parent_path().parent_path() / "fa3_fwd" / "_C.abi3.so";
  std::error_code ignored;
  return fs::is_regular_file(file, ignored) ? file.string() : "";
}

bool takes_fa3(const Device& device) { return compute_capability(device) == kHopper; }

Attention load_fa3(const std::string& file, const Device& device) {
  if (!takes_fa3(device)) {
    throw UserError(
        fmt::format("attention.impl fa3: {} is no GPU of compute capability 9 (Hopper); accepted: "
                    "auto, cudnn, flash, math",
                    device.name()));
  }
  if (file.empty()) {
    throw UserError(
        "attention.impl fa3: fa3_fwd/_C.abi3.so is not beside LibTorch; tools/setup.sh installs it where "
        "there "
        "is a GPU, or say --attention.fa3 FILE");
  }
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) throw UserError("attention.fa3 " + file + ": no such file");
  load(file);
  const auto found = c10::Dispatcher::singleton().findSchema({kOperator, ""});
  if (!found) throw UserError(fmt::format("attention.fa3 {}: it does not have {}", file, kOperator));
  return {AttentionImpl::Fa3, [call = *found](const at::Tensor& out, const at::Tensor& q, const at::Tensor& k,
                                              const at::Tensor& v) {
            torch::jit::Stack stack = arguments_of(call.schema(), out, q, k, v);
            call.callBoxed(stack);
          }};
}

}  // namespace ferry::model::kernels
