#include "checkpoint/formats/output.h"

namespace ferry::checkpoint {

void Output::write(std::span<const std::byte> bytes) {
  file_.write(bytes, position_);
  position_ += bytes.size();
}

void Output::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void Output::skip(std::uint64_t bytes) { position_ += bytes; }

void Output::patch(std::uint64_t offset, std::span<const std::byte> bytes) { file_.write(bytes, offset); }

void Output::finish(IfTaken if_taken) {
  // A trailing hole exists only once the size is set.
  file_.resize(position_);
  file_.commit(if_taken);
}

}  // namespace ferry::checkpoint
