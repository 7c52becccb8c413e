// Targets of single files of weights: safetensors, .pth, the pickle in it.
#include <stdexcept>

#include "checkpoint/formats/pth.h"
#include "checkpoint/formats/pth_writer.h"
#include "checkpoint/formats/safetensors.h"
#include "checkpoint/formats/safetensors_header.h"
#include "checkpoint/formats/zip.h"
#include "checkpoint/pickle/pickle.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/tensors.h"

namespace ferry::fuzz {
namespace {

using checkpoint::PthWriter;
using checkpoint::TensorInfo;

std::span<const std::byte> bytes_of(std::string_view input) {
  return {reinterpret_cast<const std::byte*>(input.data()), input.size()};
}

void read_safetensors(std::string_view input) {
  touch(checkpoint::parse_safetensors_header(bytes_of(input), "file").entries);
}

std::vector<std::string> safetensors_corpus() {
  return {safetensors({{"a.weight", DType::F32, {2, 3}},
                       {"d", DType::F64, {2}},
                       {"n", DType::I64, {}},
                       {"b", DType::BF16, {3}},
                       {"h", DType::F16, {1, 1}},
                       {"q", DType::F8E4M3, {5}},
                       {"i", DType::I8, {2}},
                       {"flag", DType::Bool, {1}},
                       {"none", DType::U8, {0, 2}}},
                      {{"format", "pt"}}),
          safetensors({{"x", DType::F32, {1, 2, 3, 1, 2}}}, {}), safetensors({}, {{"empty", ""}})};
}

void read_pth(std::string_view input) {
  unsigned sum = 0;
  for (const checkpoint::ZipMember& member : checkpoint::read_zip(bytes_of(input), "file")) {
    for (const std::byte byte : member.data) sum += static_cast<unsigned>(byte);
    if (member.name.starts_with('/') || member.name.starts_with("../"))
      throw std::logic_error("a member outside of its archive");
  }
  const checkpoint::PthFile file = checkpoint::open_pth(put("x.pth", input));
  touch(file.entries);
}

std::vector<std::string> pth_corpus() {
  const auto written = [](const std::vector<TensorInfo>& tensors) {
    return made_by([&](const std::string& path) {
      PthWriter writer(path, tensors);
      for (const TensorInfo& tensor : tensors)
        writer.write(std::vector<std::byte>(tensor.bytes(), std::byte{'x'}));
      writer.finish();
    });
  };
  return {written({{"a.weight", DType::F32, {2, 3}}, {"b", DType::BF16, {3}}, {"none", DType::F32, {0}}}),
          written({{"c", DType::I64, {}}})};
}

void read_pickle(std::string_view input) { checkpoint::read_pickle(bytes_of(input), "file"); }

std::vector<std::string> pickle_corpus() {
  return {checkpoint::pickle_state_dict(
              {{"a.weight", DType::F32, {2, 3}}, {"b", DType::BF16, {3}}, {"c", DType::F16, {}}}),
          checkpoint::pickle_state_dict({})};
}

// Opcodes, some with arguments, and the names that state dicts use.
std::vector<std::string_view> pickle_tokens() {
  using std::string_view_literals::operator""sv;
  return {"\x80\x02"sv,
          "\x80\x04\x95"sv,
          "."sv,
          "("sv,
          ")"sv,
          "t"sv,
          "u"sv,
          "s"sv,
          "e"sv,
          "a"sv,
          "}"sv,
          "]"sv,
          "q\x00"sv,
          "q\x01"sv,
          "r\xff\xff\xff\xff"sv,
          "h\x00"sv,
          "h\x01"sv,
          "j\x02\x00\x00\x00"sv,
          "K\x02"sv,
          "M\xff\xff"sv,
          "J\xff\xff\xff\xff"sv,
          "N"sv,
          "Q"sv,
          "R"sv,
          "b"sv,
          "\x81"sv,
          "\x92"sv,
          "\x93"sv,
          "\x94"sv,
          "\x85"sv,
          "\x86"sv,
          "\x87"sv,
          "\x88"sv,
          "\x89"sv,
          "\x8a\x09"sv,
          "\x8c\x01x"sv,
          "\x8f"sv,
          "\x90"sv,
          "\x91"sv,
          "X\xff\xff\xff\x7f"sv,
          "\x8d\xff\xff\xff\xff\xff\xff\xff\xff"sv,
          "\x8e"sv,
          "\x96"sv,
          "B"sv,
          "C\x02zz"sv,
          "G"sv,
          "X\x01\x00\x00\x00k"sv,
          "ctorch._utils\n_rebuild_tensor_v2\n"sv,
          "ctorch._utils\n_rebuild_tensor_v3\n"sv,
          "ctorch._utils\n_rebuild_parameter\n"sv,
          "ccollections\nOrderedDict\n"sv,
          "ccollections\ndefaultdict\n"sv,
          "ctorch\nFloatStorage\n"sv,
          "ctorch\nfloat8_e4m3fn\n"sv,
          "cos\nsystem\n"sv,
          "X\x07\x00\x00\x00storage"sv};
}

}  // namespace

Target safetensors_target() {
  return {"safetensors",
          read_safetensors,
          safetensors_corpus,
          {"\"__metadata__\"",
           "\"dtype\"",
           "\"shape\"",
           "\"data_offsets\"",
           "F8_E5M2",
           "U64",
           "F4",
           "I64",
           "BOOL",
           "{",
           "}",
           "[",
           "]",
           ",",
           ":",
           "null",
           ".alpha",
           "\\u0000",
           "\\ud800",
           "\n",
           "9007199254740993"}};
}

Target pth_target() {
  using std::string_view_literals::operator""sv;
  std::vector<std::string_view> tokens = {"PK\x01\x02"sv,
                                          "PK\x03\x04"sv,
                                          "PK\x05\x06"sv,
                                          "PK\x06\x06"sv,
                                          "PK\x06\x07"sv,
                                          "\x01\x00\x10\x00"sv,
                                          "archive/data.pkl"sv,
                                          "/byteorder"sv,
                                          "little"sv,
                                          "big"sv,
                                          "../"sv,
                                          "/etc/passwd"sv,
                                          "data/0"sv};
  for (const std::string_view token : pickle_tokens()) tokens.push_back(token);
  return {"pth", read_pth, pth_corpus, std::move(tokens)};
}

Target pickle_target() { return {"pickle", read_pickle, pickle_corpus, pickle_tokens()}; }

}  // namespace ferry::fuzz
