// Members of a zip archive without compression (wan21.md section 7.1).
//
//   [local header | name | extra (padding) | payload | descriptor]* [central directory]
//   [zip64 end record | zip64 locator] [end record | comment]
//
// Sizes and offsets come from the central directory; only the payload's distance from its local header comes
// from that header, whose extra field is longer than the directory's.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace ferry::checkpoint {

struct ZipMember {
  std::string name;
  std::span<const std::byte> data;
};

// `file` is the whole archive; the members point into it.
// Throws UserError naming `path`, the member and the reason: not an archive or a truncated one, a member that
// is compressed or encrypted, lies outside the file, or has a repeated name or one that leads out of it
// ("/x", "a/../../x").
std::vector<ZipMember> read_zip(std::span<const std::byte> file, const std::string& path);

}  // namespace ferry::checkpoint
