// Checks what SentencePiece trusts in a model file: its normaliser walks a double array and reads strings at
// offsets that both come from the file, and looks at neither's bounds.
//
//   ModelProto                 3: NormalizerSpec, 5: denormalizer_spec
//   NormalizerSpec             2: precompiled_charsmap
//   precompiled_charsmap       [u32 bytes of units][units, u32 each][replacements, each ended by a NUL]
//   unit (of Darts-clone)      bit 31: a value; else bits 10-30: offset, bit 9: offset is shifted by 8 bits,
//                              bit 8: has a value below it, bits 0-7: its byte
#pragma once

#include <string>
#include <string_view>

namespace ferry::model {

// `file` is the whole file.  Returns why it is damaged, or an empty text.  What SentencePiece checks itself
// is left to it.
std::string damage_of_spiece(std::string_view file);

}  // namespace ferry::model
