// Files of fuzz targets, in a folder that goes away with the process.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace ferry::fuzz {

// The path of `name` (with folders: "a/b.json") below this process's folder.
std::string scratch(const std::string& name);

// Writes a file there, over an older one; returns its path.
std::string put(const std::string& name, std::string_view bytes);

// What `write` writes to the path that it is given.
std::string made_by(const std::function<void(const std::string& path)>& write);

}  // namespace ferry::fuzz
