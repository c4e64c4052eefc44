// Any bytes, in two splits: the reader must not crash, and never takes more than it was given.
#include <cstdint>
#include <cstdlib>

#include "io/http1.h"

using namespace mayfly::io::http1;

static void read_all(Reader::Side side, std::string_view bytes) {
  Reader reader(side);
  while (!bytes.empty()) {
    auto head = reader.read_head(bytes.substr(0, bytes.size() / 2));
    if (head && *head == 0) head = reader.read_head(bytes);
    if (!head || *head == 0) return;
    if (*head > bytes.size()) std::abort();
    bytes.remove_prefix(*head);
    while (!reader.body_complete()) {
      auto piece = reader.read_body(bytes.substr(0, (bytes.size() + 1) / 2));
      if (!piece) return;
      if (piece->consumed > bytes.size()) std::abort();
      bytes.remove_prefix(piece->consumed);
      if (piece->consumed == 0 && !piece->end) return;
    }
    reader.reset();
  }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read_all(Reader::Side::requests, bytes);
  read_all(Reader::Side::responses, bytes);
  return 0;
}
