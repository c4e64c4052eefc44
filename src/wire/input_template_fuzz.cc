// Input: a template, a newline, an event whose members (or paths) are the variables.
#include "wire/input_template.h"
#include "wire/json_path.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mayfly::wire;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto end = std::min(text.find('\n'), text.size());
  auto read = InputTemplate::parse(text.substr(0, end), [](std::string_view) { return true; });
  auto event = parse_json(text.substr(std::min(end + 1, size)), {.depth = 64});
  if (!read || !event) return 0;
  (void)read->fill([&](std::string_view name) -> std::optional<Json> {
    if (auto path = JsonPath::parse(name)) return path->find(*event);
    const auto* value = event->find(name);
    return value == nullptr ? std::nullopt : std::optional(*value);
  });
  return 0;
}
