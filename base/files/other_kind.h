// What a file is when it is not what its name says: downloads that went wrong, and formats under another
// name.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace ferry {

// What the first bytes of a file say it is, with what to do about it: "a Git LFS pointer, not the file
// itself:
// ...".  Known are pointers of Git LFS, git-annex and Xet, web pages, error messages of servers and other
// text, GGUF, zip and PyTorch's two formats, safetensors, other archives, tensors and media, and a download
// that has only zeros yet.  Empty for anything else.
std::string other_kind(std::span<const std::byte> file);

// For a reader whose own check of `file` failed.  Throws UserError "<path>: it is <other_kind>; <wanted> is
// expected"; returns when other_kind() does not know.
void refuse_other_kind(std::span<const std::byte> file, const std::string& path, const char* wanted);

}  // namespace ferry
