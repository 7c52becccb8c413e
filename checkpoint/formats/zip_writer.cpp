#include "checkpoint/formats/zip_writer.h"

#include <fmt/format.h>

#include <stdexcept>

#include "checkpoint/formats/crc32.h"
#include "checkpoint/formats/zip_format.h"

namespace ferry::checkpoint {

namespace {

constexpr std::uint64_t kAlignment = 64;
constexpr std::uint16_t kPaddingExtra = 0x4246;  // id of PyTorch's padding field
constexpr std::uint64_t kChecksumAt = 14;        // offset in a local header
constexpr std::uint16_t kFirstOfJanuary1980 = 0x21;

// Builds a little-endian record.
class Record {
 public:
  template <typename T>
  Record& put(std::uint64_t value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) text_ += static_cast<char>((value >> (8 * i)) & 0xffU);
    return *this;
  }
  Record& u16(std::uint64_t value) { return put<std::uint16_t>(value); }
  Record& u32(std::uint64_t value) { return put<std::uint32_t>(value); }
  Record& u64(std::uint64_t value) { return put<std::uint64_t>(value); }
  Record& add(const std::string& text) {
    text_ += text;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::uint64_t cut(std::uint64_t value) { return value < zip::kIn64 ? value : zip::kIn64; }

// Fields shared by local and central headers, from "version needed" to the sizes.
void common(Record& record, std::uint64_t bytes, bool in64, std::uint32_t checksum) {
  record.u16(in64 ? 45 : 20).u16(0).u16(0).u16(0).u16(kFirstOfJanuary1980);
  record.u32(checksum).u32(cut(bytes)).u32(cut(bytes));
}

std::string local_extra(std::uint64_t position, std::uint64_t name_bytes, std::uint64_t bytes) {
  Record extra;
  if (bytes >= zip::kIn64) extra.u16(zip::kExtra64).u16(16).u64(bytes).u64(bytes);
  const std::uint64_t payload = position + zip::kLocalBytes + name_bytes + extra.text().size() + 4;
  const std::uint64_t padding = (kAlignment - payload % kAlignment) % kAlignment;
  extra.u16(kPaddingExtra).u16(padding).add(std::string(padding, 'Z'));
  return extra.text();
}

}  // namespace

void ZipWriter::begin(const std::string& name, std::uint64_t bytes) {
  members_.push_back({.name = name, .bytes = bytes, .offset = output_.position(), .checksum = 0});
  left_ = bytes;
  const std::string extra = local_extra(output_.position(), name.size(), bytes);
  Record header;
  header.u32(zip::kLocal);
  common(header, bytes, bytes >= zip::kIn64, 0);
  header.u16(name.size()).u16(extra.size()).add(name).add(extra);
  output_.write(header.text());
}

void ZipWriter::write(std::span<const std::byte> bytes) {
  if (bytes.size() > left_) throw std::invalid_argument("zip: more bytes than the member has");
  members_.back().checksum = crc32(members_.back().checksum, bytes);
  output_.write(bytes);
  left_ -= bytes.size();
}

void ZipWriter::skip(std::uint64_t bytes) {
  if (bytes > left_) throw std::invalid_argument("zip: more bytes than the member has");
  members_.back().checksum = crc32_zeros(members_.back().checksum, bytes);
  output_.skip(bytes);
  left_ -= bytes;
}

void ZipWriter::end() {
  if (left_ > 0) throw std::invalid_argument(fmt::format("zip: {} bytes of a member are missing", left_));
  const std::uint32_t checksum = members_.back().checksum;
  output_.patch(members_.back().offset + kChecksumAt, std::as_bytes(std::span(&checksum, 1)));
}

void ZipWriter::add(const std::string& name, std::string_view text) {
  begin(name, text.size());
  write(std::as_bytes(std::span(text.data(), text.size())));
  end();
}

std::string ZipWriter::central(const Member& member) const {
  Record extra;
  if (member.bytes >= zip::kIn64) extra.u64(member.bytes).u64(member.bytes);
  if (member.offset >= zip::kIn64) extra.u64(member.offset);
  const bool in64 = !extra.text().empty();
  Record record;
  record.u32(zip::kCentral).u16(in64 ? 45 : 20);
  common(record, member.bytes, in64, member.checksum);
  record.u16(member.name.size()).u16(in64 ? extra.text().size() + 4 : 0);
  record.u16(0).u16(0).u16(0).u32(0).u32(cut(member.offset)).add(member.name);
  if (in64) record.u16(zip::kExtra64).u16(extra.text().size()).add(extra.text());
  return record.text();
}

std::string ZipWriter::end_records(std::uint64_t offset, std::uint64_t bytes) const {
  const std::uint64_t count = members_.size();
  const bool in64 = offset >= zip::kIn64 || bytes >= zip::kIn64 || count >= 0xffff;
  Record record;
  if (in64) {
    record.u32(zip::kEnd64).u64(44).u16(45).u16(45).u32(0).u32(0);
    record.u64(count).u64(count).u64(bytes).u64(offset);
    record.u32(zip::kLocator64).u32(0).u64(offset + bytes).u32(1);
  }
  const std::uint64_t shown = count < 0xffff ? count : 0xffff;
  record.u32(zip::kEnd).u16(0).u16(0).u16(shown).u16(shown).u32(cut(bytes)).u32(cut(offset)).u16(0);
  return record.text();
}

void ZipWriter::finish() {
  const std::uint64_t offset = output_.position();
  for (const Member& member : members_) output_.write(central(member));
  output_.write(end_records(offset, output_.position() - offset));
  output_.finish();
}

}  // namespace ferry::checkpoint
