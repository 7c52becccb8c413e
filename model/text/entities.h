// HTML character references in a prompt ("&eacute;", "&#233;", "&#xe9;").
#pragma once

#include <string>

namespace ferry::model {

// Decodes the unambiguous ones, as ftfy does: names of at most 24 letters and digits that end in ';', also in
// capitals if HTML has only the lower-case name, and numbers other than that of ';'.
std::u32string unescape_closed(const std::u32string& text);

// Decodes all by the rules of HTML 5, as Python's html.unescape does: a missing ';' is accepted where HTML
// accepts it, numbers that are not characters become U+FFFD or nothing.
std::u32string unescape_html(const std::u32string& text);

}  // namespace ferry::model
