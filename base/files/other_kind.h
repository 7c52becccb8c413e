// Identifies files that are not what their name says: failed downloads, and formats under another name.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace ferry {

// Identifies a file by its first bytes and says what to do about it, as in "a Git LFS pointer, not the file
// itself: ...".  Knows pointers of Git LFS, git-annex and Xet, web pages, server error messages and other
// text, GGUF, zip and PyTorch's two formats, safetensors, other archives, tensors and media, and a download
// that is all zeros so far.  Empty for anything else.
std::string other_kind(std::span<const std::byte> file);

// For a reader whose own check of `file` failed.  Throws UserError "<path>: it is <other_kind>; <wanted> is
// expected"; returns if other_kind() does not recognise the file.
void refuse_other_kind(std::span<const std::byte> file, const std::string& path, const char* wanted);

}  // namespace ferry
