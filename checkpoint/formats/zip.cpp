#include "checkpoint/formats/zip.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <unordered_set>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/formats/zip_format.h"

namespace ferry::checkpoint {

namespace {

constexpr std::uint64_t kCentralBytes = 46;
constexpr std::uint64_t kEndBytes = 22;
constexpr std::uint64_t kLocatorBytes = 20;
constexpr std::uint64_t kEnd64Bytes = 56;
constexpr std::uint64_t kLongestComment = 0xffff;

// Reads little-endian numbers of a range; reading past its end throws UserError.
class Bytes {
 public:
  Bytes(std::span<const std::byte> bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  template <typename T>
  T number(std::uint64_t offset) const {
    T value = 0;
    std::memcpy(&value, range(offset, sizeof value).data(), sizeof value);
    return value;
  }
  std::span<const std::byte> range(std::uint64_t offset, std::uint64_t bytes) const {
    if (offset > bytes_.size() || bytes > bytes_.size() - offset)
      refuse("a record lies outside the file: truncated?");
    return bytes_.subspan(offset, bytes);
  }
  std::uint64_t size() const { return bytes_.size(); }
  [[noreturn]] void refuse(const std::string& why) const {
    throw UserError(fmt::format("{}: damaged zip archive: {}", path_, why));
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& path_;
};

struct Directory {
  std::uint64_t members = 0;
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;
};

// Searches backwards for the end record, since a comment of unknown length follows it.
std::uint64_t find_end(const Bytes& file) {
  if (file.size() < kEndBytes) file.refuse("too short");
  const std::uint64_t last = file.size() - kEndBytes;
  const std::uint64_t first = last > kLongestComment ? last - kLongestComment : 0;
  for (std::uint64_t at = last + 1; at-- > first;) {
    if (file.number<std::uint32_t>(at) != zip::kEnd) continue;
    if (at + kEndBytes + file.number<std::uint16_t>(at + 20) == file.size()) return at;
  }
  file.refuse("no end record: truncated, or no .pth archive of PyTorch 1.6 or later");
}

Directory read_directory64(const Bytes& file, std::uint64_t end) {
  if (end < kLocatorBytes || file.number<std::uint32_t>(end - kLocatorBytes) != zip::kLocator64) {
    file.refuse("no zip64 locator");
  }
  const auto at = file.number<std::uint64_t>(end - kLocatorBytes + 8);
  file.range(at, kEnd64Bytes);
  if (file.number<std::uint32_t>(at) != zip::kEnd64) file.refuse("no zip64 end record");
  return {file.number<std::uint64_t>(at + 32), file.number<std::uint64_t>(at + 40),
          file.number<std::uint64_t>(at + 48)};
}

Directory read_directory(const Bytes& file) {
  const std::uint64_t end = find_end(file);
  const auto members = file.number<std::uint16_t>(end + 10);
  const auto bytes = file.number<std::uint32_t>(end + 12);
  const auto offset = file.number<std::uint32_t>(end + 16);
  const bool in64 = members == 0xffff || bytes == zip::kIn64 || offset == zip::kIn64;
  return in64 ? read_directory64(file, end) : Directory{members, bytes, offset};
}

struct Central {
  std::string name;
  std::uint64_t stored = 0;  // bytes in the archive (compressed)
  std::uint64_t bytes = 0;   // bytes uncompressed
  std::uint64_t local = 0;   // offset of the local header
  std::uint64_t length = 0;  // bytes of this record
};

// The zip64 field holds those of the three numbers that overflow 32 bits, in this order.
void read_extra(const Bytes& extra, Central& central) {
  for (std::uint64_t at = 0; at + 4 <= extra.size();) {
    const auto bytes = extra.number<std::uint16_t>(at + 2);
    const Bytes field(extra.range(at + 4, bytes), central.name);
    if (extra.number<std::uint16_t>(at) == zip::kExtra64) {
      std::uint64_t next = 0;
      for (std::uint64_t* number : {&central.bytes, &central.stored, &central.local}) {
        if (*number != zip::kIn64) continue;
        *number = field.number<std::uint64_t>(next);
        next += 8;
      }
      return;
    }
    at += 4 + std::uint64_t{bytes};
  }
}

// Members are never unpacked, so such a name could do no harm; only a hostile archive has one.
bool leads_out(std::string_view name) {
  if (name.starts_with('/')) return true;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    if (name.substr(begin, end - begin) == "..") return true;
    begin = end + 1;
  }
  return false;
}

Central read_central(const Bytes& file, std::uint64_t at, const std::string& path) {
  if (file.number<std::uint32_t>(at) != zip::kCentral) file.refuse("no directory record where one is due");
  const auto name_bytes = file.number<std::uint16_t>(at + 28);
  const auto extra_bytes = file.number<std::uint16_t>(at + 30);
  const auto name = file.range(at + kCentralBytes, name_bytes);
  Central central;
  central.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
  const std::string shown = printable(central.name);
  if (leads_out(central.name)) file.refuse("member " + shown + " has a name that leads out of the archive");
  if ((file.number<std::uint16_t>(at + 8) & 1U) != 0) file.refuse("member " + shown + " is encrypted");
  if (file.number<std::uint16_t>(at + 10) != 0)
    file.refuse("member " + shown + " is compressed; only stored ones are read");
  central.stored = file.number<std::uint32_t>(at + 20);
  central.bytes = file.number<std::uint32_t>(at + 24);
  central.local = file.number<std::uint32_t>(at + 42);
  central.length = kCentralBytes + name_bytes + extra_bytes + file.number<std::uint16_t>(at + 32);
  read_extra(Bytes(file.range(at + kCentralBytes + name_bytes, extra_bytes), path), central);
  if (central.stored != central.bytes) file.refuse("member " + shown + " has two different sizes");
  return central;
}

std::span<const std::byte> payload(const Bytes& file, const Central& central) {
  const std::string shown = printable(central.name);
  file.range(central.local, zip::kLocalBytes);
  if (file.number<std::uint32_t>(central.local) != zip::kLocal)
    file.refuse("member " + shown + " has no local header");
  const std::uint64_t begin = central.local + zip::kLocalBytes +
                              file.number<std::uint16_t>(central.local + 26) +
                              file.number<std::uint16_t>(central.local + 28);
  if (begin > file.size() || central.bytes > file.size() - begin) {
    file.refuse(fmt::format("member {} of {} bytes goes beyond the end of the file: truncated?", shown,
                            central.bytes));
  }
  return file.range(begin, central.bytes);
}

}  // namespace

std::vector<ZipMember> read_zip(std::span<const std::byte> bytes, const std::string& path) {
  const Bytes file(bytes, path);
  const Directory directory = read_directory(file);
  file.range(directory.offset, directory.bytes);
  if (directory.members > directory.bytes / kCentralBytes)
    file.refuse("its directory is shorter than its list of members");
  std::vector<ZipMember> members;
  std::unordered_set<std::string> names;
  std::uint64_t at = directory.offset;
  for (std::uint64_t i = 0; i < directory.members; ++i) {
    const Central central = read_central(file, at, path);
    if (!names.insert(central.name).second)
      file.refuse("two members have the name " + printable(central.name));
    members.push_back({central.name, payload(file, central)});
    at += central.length;
  }
  return members;
}

}  // namespace ferry::checkpoint
