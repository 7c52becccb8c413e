#include "base/files/other_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "base/text/describe.h"
#include "base/text/lower.h"

namespace ferry {

namespace {

using std::string_view_literals::operator""sv;

constexpr std::size_t kLooked = 1024;  // bytes inspected at the front
constexpr std::size_t kShown = 60;     // bytes quoted of a text

struct Signature {
  std::size_t offset;
  std::string_view bytes;
  const char* kind;
};

constexpr const char* kBarePickle =
    "a pickle without an archive, as torch.save wrote before PyTorch 1.6: load it in Python and save it "
    "again";

constexpr auto kSignatures = std::to_array<Signature>({
    {0, "GGUF"sv, "a GGUF file, a format that is not read: download the safetensors files of this model"},
    {0, "PK\x05\x06"sv, "an empty zip archive"},
    {0, "\x1f\x8b"sv, "a gzip archive: unpack it"},
    {0, "BZh"sv, "a bzip2 archive: unpack it"},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "an xz archive: unpack it"},
    {0, "\x28\xb5\x2f\xfd"sv, "a zstd archive: unpack it"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive: unpack it"},
    {0, "Rar!\x1a\x07"sv, "a rar archive: unpack it"},
    {257, "ustar"sv, "a tar archive: unpack it"},
    {0, "\x89HDF\r\n\x1a\n"sv, "an HDF5 file, a format that is not read"},
    {0, "\x93NUMPY"sv, "a NumPy array, a format that is not read"},
    {0, "\x89PNG"sv, "a PNG picture"},
    {0, "\xff\xd8\xff"sv, "a JPEG picture"},
    {4, "ftyp"sv, "an MP4 video"},
    {0, "%PDF"sv, "a PDF document"},
    {0,
     "\x7f"
     "ELF"sv,
     "a program (ELF)"},
    {0, "\xff\xfe"sv, "text in UTF-16: save it as UTF-8"},
    {0, "\xfe\xff"sv, "text in UTF-16: save it as UTF-8"},
    // The magic number of torch.save's legacy format; then pickles of protocols 2 to 5.
    {0, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46"sv, kBarePickle},
    {0, "\x80\x02}"sv, kBarePickle},
    {0,
     "\x80\x02"
     "c"sv,
     kBarePickle},
    {0, "\x80\x03"sv, kBarePickle},
    {0, "\x80\x04\x95"sv, kBarePickle},
    {0, "\x80\x05\x95"sv, kBarePickle},
});

constexpr auto kPointers = std::to_array<Signature>({
    {0, "version https://git-lfs"sv,
     "a Git LFS pointer, not the file itself: git lfs install, then git lfs pull in the clone fetches it"},
    {0, "version https://hawser"sv,
     "a Git LFS pointer, not the file itself: git lfs install, then git lfs pull in the clone fetches it"},
    {0, "# xet version"sv, "a Xet pointer, not the file itself: hf download fetches it"},
    {0, "/annex/objects/"sv, "a git-annex pointer, not the file itself: git annex get fetches it"},
    {0, "../.git/annex/"sv, "a git-annex pointer, not the file itself: git annex get fetches it"},
});

constexpr auto kPages = std::to_array<std::string_view>(
    {"<!doctype html", "<html", "<head", "<body", "<script", "<meta", "<title", "<!--"});

// A safetensors file: [u64 bytes of JSON]{...
bool is_safetensors(std::string_view file, std::size_t bytes) {
  std::uint64_t header = 0;
  if (file.size() < 9 || file[8] != '{') return false;
  std::memcpy(&header, file.data(), sizeof header);
  return header >= 2 && header <= bytes - 8;
}

std::string zip_kind(std::string_view head) {
  if (head.find("data.pkl") != std::string_view::npos)
    return "a PyTorch archive (zip): its name should end in .pth";
  return "a zip archive: unpack it";
}

// Strips a byte order mark and leading white space.
std::string_view text_of(std::string_view head) {
  if (head.starts_with("\xef\xbb\xbf")) head.remove_prefix(3);
  head.remove_prefix(std::min(head.find_first_not_of(" \t\r\n"), head.size()));
  return head;
}

bool is_text(std::string_view head) {
  return std::none_of(head.begin(), head.end(), [](unsigned char c) {
    return (c < 32 && c != '\n' && c != '\r' && c != '\t' && c != '\f') || c == 127;
  });
}

std::string text_kind(std::string_view head) {
  const std::string_view text = text_of(head);
  for (const Signature& pointer : kPointers) {
    if (text.starts_with(pointer.bytes)) return pointer.kind;
  }
  const std::string lowered = lower(text);
  const bool page =
      std::any_of(kPages.begin(), kPages.end(), [&](auto mark) { return lowered.starts_with(mark); });
  const bool xml = lowered.starts_with("<?xml") || lowered.starts_with("<error");
  if (page || (xml && lowered.find("<html") != std::string::npos)) {
    return "a web page (HTML), not the file itself: download it again, logged in where the site asks for it";
  }
  if (text.empty() || !is_text(head)) return "";
  const std::string shown = printable(text.substr(0, std::min(text.find_first_of("\r\n"), kShown)));
  if (xml) return fmt::format("XML, such as a server's error message ({})", shown);
  const bool json = text[0] == '{' || text[0] == '[';
  return fmt::format("{}, such as a server's error message ({})", json ? "JSON text" : "text", shown);
}

}  // namespace

std::string other_kind(std::span<const std::byte> file) {
  if (file.empty()) return "empty (0 bytes)";
  const std::string_view head(reinterpret_cast<const char*>(file.data()), std::min(file.size(), kLooked));
  if (is_safetensors(head, file.size())) return "a safetensors file: its name should end in .safetensors";
  if (head.starts_with("PK\x03\x04")) return zip_kind(head);
  for (const Signature& signature : kSignatures) {
    if (head.size() >= signature.offset && head.substr(signature.offset).starts_with(signature.bytes))
      return signature.kind;
  }
  std::string text = text_kind(head);
  if (!text.empty()) return text;
  if (head.size() >= 64 && head.find_first_not_of('\0') == std::string_view::npos)
    return "a file that begins with zeros, as an unfinished download: download it again";
  return "";
}

void refuse_other_kind(std::span<const std::byte> file, const std::string& path, const char* wanted) {
  const std::string kind = other_kind(file);
  if (!kind.empty()) throw UserError(fmt::format("{}: it is {}; {} is expected", path, kind, wanted));
}

}  // namespace ferry
