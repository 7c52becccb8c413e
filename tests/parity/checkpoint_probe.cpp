// checkpoint_probe FOLDER: makes FOLDER/official and FOLDER/diffusers with the same random weights, and reads
// both back: FOLDER/<layout>-<part>.safetensors holds every tensor under its official name.
#include <iostream>

#include "checkpoint/formats/safetensors.h"
#include "checkpoint/make/make_model.h"

namespace {

using namespace ferry;

void read_back(const std::string& folder, checkpoint::Part part, const std::string& out) {
  const checkpoint::Checkpoint checkpoint = checkpoint::Checkpoint::open(folder, part);
  std::vector<checkpoint::TensorInfo> infos;
  for (const checkpoint::TensorEntry& entry : checkpoint.entries())
    infos.push_back({entry.key, entry.dtype, entry.shape});
  checkpoint::SafetensorsWriter writer(out, infos);
  for (const checkpoint::TensorInfo& info : infos) {
    std::vector<std::byte> bytes(info.bytes());
    checkpoint::read_tensor(*checkpoint.find(info.name),
                            {info.name, info.shape, info.dtype, model::Layout::Contiguous}, bytes.data());
    writer.write(bytes);
  }
  writer.finish();
}

void run(const std::string& folder) {
  for (const auto& [layout, name] : {std::pair(checkpoint::KeyLayout::Official, "official"),
                                     std::pair(checkpoint::KeyLayout::Diffusers, "diffusers")}) {
    checkpoint::MakeModelOptions options;
    options.out = folder + "/" + name;
    options.layout = layout;
    options.layers = 12;
    checkpoint::make_model(options, {});
    for (const checkpoint::Part part :
         {checkpoint::Part::Dit, checkpoint::Part::Vae, checkpoint::Part::TextEncoder}) {
      read_back(options.out, part,
                options.out + "-" + std::to_string(static_cast<int>(part)) + ".safetensors");
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: checkpoint_probe FOLDER\n";
    return 2;
  }
  try {
    run(argv[1]);
  } catch (const std::exception& error) {
    std::cerr << "checkpoint_probe: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
