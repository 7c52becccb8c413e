#include "checkpoint/formats/pth_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "model/shape.h"

namespace ferry::checkpoint {

namespace {

const char* storage_class(DType dtype) {
  switch (dtype) {
    case DType::F64:
      return "DoubleStorage";
    case DType::F32:
      return "FloatStorage";
    case DType::F16:
      return "HalfStorage";
    case DType::BF16:
      return "BFloat16Storage";
    case DType::I64:
      return "LongStorage";
    case DType::I32:
      return "IntStorage";
    case DType::I16:
      return "ShortStorage";
    case DType::I8:
      return "CharStorage";
    case DType::U8:
      return "ByteStorage";
    case DType::Bool:
      return "BoolStorage";
    case DType::F8E4M3:
      break;
  }
  throw std::invalid_argument("pth: torch has no storage class for fp8");
}

// Opcode names in comments are those of Python's pickletools.
class Pickle {
 public:
  Pickle& op(char code) {
    text_ += code;
    return *this;
  }
  Pickle& global(const std::string& module, const std::string& name) {
    text_ += "c" + module + "\n" + name + "\n";
    return *this;
  }
  Pickle& text(const std::string& value) { return number('X', value.size(), 4).raw(value); }  // BINUNICODE
  Pickle& integer(std::int64_t value) {
    if (value < 256) return number('K', static_cast<std::uint64_t>(value), 1);                      // BININT1
    if (value < (std::int64_t{1} << 31)) return number('J', static_cast<std::uint64_t>(value), 4);  // BININT
    return op('\x8a').number('\x08', static_cast<std::uint64_t>(value), 8);  // LONG1 of 8 bytes
  }
  Pickle& tuple(const std::vector<std::int64_t>& values) {
    op('(');
    for (const std::int64_t value : values) integer(value);
    return op('t');
  }
  Pickle& ordered_dict() { return global("collections", "OrderedDict").op(')').op('R'); }
  std::string take() { return std::move(text_); }

 private:
  Pickle& raw(const std::string& bytes) {
    text_ += bytes;
    return *this;
  }
  Pickle& number(char code, std::uint64_t value, int bytes) {
    text_ += code;
    for (int i = 0; i < bytes; ++i) text_ += static_cast<char>((value >> (8 * i)) & 0xffU);
    return *this;
  }
  std::string text_;
};

// _rebuild_tensor_v2(persistent id of the storage, 0, size, stride, False, OrderedDict())
void pickle_tensor(Pickle& pickle, const TensorInfo& tensor, std::size_t storage) {
  const std::int64_t numel = static_cast<std::int64_t>(tensor.bytes() / size_of(tensor.dtype));
  pickle.text(tensor.name).global("torch._utils", "_rebuild_tensor_v2").op('(');
  pickle.op('(').text("storage").global("torch", storage_class(tensor.dtype));
  pickle.text(std::to_string(storage)).text("cpu").integer(numel).op('t').op('Q');
  pickle.integer(0).tuple(tensor.shape).tuple(model::row_major(tensor.shape)).op('\x89').ordered_dict();
  pickle.op('t').op('R');
}

}  // namespace

std::string pickle_state_dict(const std::vector<TensorInfo>& tensors) {
  Pickle pickle;
  pickle.op('\x80').op('\x02').ordered_dict().op('(');  // PROTO 2
  for (std::size_t i = 0; i < tensors.size(); ++i) pickle_tensor(pickle, tensors[i], i);
  return pickle.op('u').op('.').take();  // SETITEMS, STOP
}

PthWriter::PthWriter(const std::string& path, const std::vector<TensorInfo>& tensors)
    : zip_(path), prefix_(std::filesystem::path(path).stem().string()) {
  for (const TensorInfo& tensor : tensors) sizes_.push_back(tensor.bytes());
  zip_.add(prefix_ + "/data.pkl", pickle_state_dict(tensors));
  zip_.add(prefix_ + "/byteorder", "little");
}

std::size_t PthWriter::room(std::size_t bytes) {
  while (left_ == 0) {
    if (next_ > 0) zip_.end();
    if (next_ == sizes_.size()) throw std::invalid_argument("pth: more bytes than the tensors have");
    left_ = sizes_[next_];
    zip_.begin(fmt::format("{}/data/{}", prefix_, next_), left_);
    ++next_;
  }
  const std::size_t fits = std::min<std::uint64_t>(bytes, left_);
  left_ -= fits;
  return fits;
}

void PthWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t fits = room(bytes.size());
    zip_.write(bytes.first(fits));
    bytes = bytes.subspan(fits);
  }
}

void PthWriter::skip(std::size_t bytes) {
  while (bytes > 0) {
    const std::size_t fits = room(bytes);
    zip_.skip(fits);
    bytes -= fits;
  }
}

void PthWriter::finish() {
  if (left_ > 0) throw std::invalid_argument(fmt::format("pth: {} bytes of a tensor are missing", left_));
  if (next_ > 0) zip_.end();
  for (; next_ < sizes_.size(); ++next_) {
    if (sizes_[next_] > 0) throw std::invalid_argument("pth: a tensor is missing");
    zip_.add(fmt::format("{}/data/{}", prefix_, next_), "");
  }
  zip_.add(prefix_ + "/version", "3\n");
  zip_.finish();
}

}  // namespace ferry::checkpoint
