// The platform's own lines (START, END, REPORT) in a third of their bytes: what a busy function
// mostly writes is these, and the disk's cache, the database and its checksums are paid by the
// byte. They are put together in this form, and become text where somebody reads or follows them.
//
//   0x01 and 16 bytes   an id in the form of a UUID, lower case
//   0x10 … 0x1f         a phrase
//   any other byte      itself
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace mayfly {

// Never changed: logs on the disk hold these numbers. Further ones go to the end.
enum class Phrase : std::uint8_t {
  start,               // "START RequestId: "
  end,                 // "END RequestId: "
  report,              // "REPORT RequestId: "
  version_latest,      // " Version: $LATEST"
  duration,            // "\tDuration: "
  ms_billed_duration,  // " ms\tBilled Duration: "
  ms_memory_size,      // " ms\tMemory Size: "
  mb_max_memory_used,  // " MB\tMax Memory Used: "
  mb_tab_cpu,          // " MB\t\tCPU: "
  ms_bytes_in,         // " ms\tBytes In: "
  bytes_out,           // "\tBytes Out: "
  mb_tab_bytes_in,     // " MB\t\tBytes In: "
  mb_bytes_in,         // " MB\tBytes In: "
};

// Without memory of its own as long as it is short. What cannot be packed (an id of another form, a
// control character) makes the whole line plain text.
class PackedLine {
 public:
  PackedLine& phrase(Phrase phrase);
  PackedLine& id(std::string_view id);
  PackedLine& text(std::string_view text);
  PackedLine& number(std::int64_t number);
  // Milliseconds with two digits behind the point.
  PackedLine& millis(Duration time);

  // False: bytes() are the text itself.
  bool packed() const { return plain_.empty(); }
  std::string_view bytes() const {
    return packed() ? std::string_view(bytes_.data(), size_) : plain_;
  }
  std::string to_text() const;

 private:
  bool has_room(std::size_t size) const { return bytes_.size() - size_ >= size; }
  PackedLine& add_plain(std::string_view text);

  std::array<char, 256> bytes_;
  std::size_t size_ = 0;
  std::string plain_;
};

// Bytes that no line of ours holds are read as far as they go.
std::string unpack_line(std::string_view packed);
// Of the text.
std::size_t unpacked_size(std::string_view packed);

}  // namespace mayfly
