// What lint reads: zips, and templates of SAM and CloudFormation.
#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <functional>

#include "mayfly/lint.h"
#include "mayfly/lint_yaml.h"
#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::lint {
namespace {

using wire::Json;

constexpr std::size_t head_bytes = 64 * 1024;

struct Reader {
  archive* zip = archive_read_new();
  ~Reader() { archive_read_free(zip); }
};

std::string_view text_of(const Json& of, std::string_view key) {
  const Json* found = of.find(key);
  return found == nullptr ? std::string_view() : found->string_value();
}

// Templates of YAML have numbers as text, too.
std::optional<std::int64_t> number_of(const Json* value) {
  if (value == nullptr) return std::nullopt;
  if (const auto* number = value->as<std::int64_t>()) return *number;
  std::string_view text = value->string_value();
  bool digits = !text.empty() && text.size() < 18 &&
                std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return std::nullopt;
  return std::stoll(std::string(text));
}

void take_variables(const Json* environment, Function& into) {
  const Json* variables = environment == nullptr ? nullptr : environment->find("Variables");
  if (variables == nullptr || !variables->is_object()) return;
  for (const auto& [key, value] : *variables->as<wire::JsonObject>()) {
    into.environment[key] = value.is_string() ? std::string(value.string_value()) : value.dump();
  }
}

// A map, or a list of {"Key":…,"Value":…}.
void take_tags(const Json* tags, std::map<std::string, std::string>& into) {
  if (tags == nullptr) return;
  auto take = [&into](std::string key, const Json* value) {
    if (value != nullptr)
      into[std::move(key)] = value->is_string() ? value->string_value() : value->dump();
  };
  if (tags->is_object()) {
    for (const auto& [key, value] : *tags->as<wire::JsonObject>()) take(key, &value);
  } else if (const auto* list = tags->as<wire::JsonArray>()) {
    for (const auto& one : *list) {
      auto key = text_of(one, "Key");
      if (!key.empty()) take(std::string(key), one.find("Value"));
    }
  }
}

// A property of the function, else of Globals.Function.
struct Properties {
  const Json* own;
  const Json* global;
  const Json* find(std::string_view key) const {
    const Json* found = own == nullptr ? nullptr : own->find(key);
    if (found == nullptr && global != nullptr) found = global->find(key);
    return found;
  }
  std::string text(std::string_view key) const {
    const Json* found = find(key);
    return found == nullptr ? std::string() : std::string(found->string_value());
  }
};

Function read_function(const std::string& id, const Properties& from, std::string_view where) {
  Function out{.name = from.text("FunctionName"),
               .where = fmt::format("{}: {}", where, id),
               .runtime = from.text("Runtime"),
               .handler = from.text("Handler")};
  if (out.name.empty()) out.name = id;  // the cloud makes one of it
  out.timeout_seconds = number_of(from.find("Timeout"));
  out.memory_mb = number_of(from.find("MemorySize"));
  if (const Json* storage = from.find("EphemeralStorage")) {
    out.tmp_mb = number_of(storage->find("Size"));
  }
  out.description = from.text("Description");
  out.image = from.text("PackageType") == "Image";
  if (from.global != nullptr) take_variables(from.global->find("Environment"), out);
  if (from.own != nullptr) take_variables(from.own->find("Environment"), out);
  if (from.global != nullptr) take_tags(from.global->find("Tags"), out.tags);
  if (from.own != nullptr) take_tags(from.own->find("Tags"), out.tags);
  if (const Json* given = from.find("Architectures"); given != nullptr && given->is_array()) {
    for (const auto& one : *given->as<wire::JsonArray>()) {
      if (one.is_string()) out.architectures.emplace_back(one.string_value());
    }
  }
  if (const Json* layers = from.find("Layers"); layers != nullptr && layers->is_array()) {
    out.layers = layers->as<wire::JsonArray>()->size();
  }
  if (const Json* snap = from.find("SnapStart")) {
    out.snap_start = text_of(*snap, "ApplyOn") == "PublishedVersions";
  }
  return out;
}

}  // namespace

Result<std::map<std::string, File>> files_of_zip(std::string_view zip) {
  Reader reader;
  archive_read_support_format_zip_seekable(reader.zip);
  if (archive_read_open_memory(reader.zip, zip.data(), zip.size()) != ARCHIVE_OK) {
    return fail(ErrorKind::invalid, "the package is not a zip");
  }
  std::map<std::string, File> out;
  archive_entry* entry = nullptr;
  int status = ARCHIVE_OK;
  while ((status = archive_read_next_header(reader.zip, &entry)) == ARCHIVE_OK) {
    if (archive_entry_filetype(entry) != AE_IFREG) continue;
    const char* name = archive_entry_pathname_utf8(entry);
    if (name == nullptr) name = archive_entry_pathname(entry);
    if (name == nullptr) continue;
    File file;
    file.executable = (archive_entry_perm(entry) & 0100) != 0;
    file.head.resize(head_bytes);
    auto read = archive_read_data(reader.zip, file.head.data(), file.head.size());
    file.head.resize(static_cast<std::size_t>(std::max<la_ssize_t>(0, read)));
    file.bytes = archive_entry_size_is_set(entry)
                     ? static_cast<std::uint64_t>(archive_entry_size(entry))
                     : file.head.size();
    out.emplace(name, std::move(file));
  }
  if (status != ARCHIVE_EOF) return fail(ErrorKind::invalid, "the package is not a whole zip");
  return out;
}

namespace {

Result<Json> read_template(std::string_view text, std::string_view where) {
  auto first = text.find_first_not_of(" \t\r\n");
  bool json = first != std::string_view::npos && text[first] == '{';
  auto read = json ? wire::parse_json(text) : parse_yaml(text);
  if (!read) {
    return fail(ErrorKind::invalid, fmt::format("{}: {}", where, read.error().message));
  }
  const Json* resources = read->find("Resources");
  if (resources == nullptr || !resources->is_object()) {
    return fail(ErrorKind::invalid, fmt::format("{} has no Resources: it is no template", where));
  }
  return *std::move(read);
}

constexpr std::pair<std::string_view, Resource::Kind> tagged[] = {
    {"AWS::Lambda::EventSourceMapping", Resource::Kind::mapping},
    {"AWS::Pipes::Pipe", Resource::Kind::pipe},
    {"AWS::Events::Rule", Resource::Kind::rule},
    {"AWS::Scheduler::ScheduleGroup", Resource::Kind::group},
    {"AWS::SNS::Topic", Resource::Kind::topic}};

}  // namespace

Result<std::vector<Resource>> resources_of_template(std::string_view text, std::string_view where) {
  TRY_ASSIGN(const auto read, read_template(text, where));
  std::vector<Resource> out;
  for (const auto& [id, resource] : *read.find("Resources")->as<wire::JsonObject>()) {
    const auto* known = std::ranges::find(tagged, text_of(resource, "Type"),
                                          [](const auto& row) { return row.first; });
    const Json* properties = resource.find("Properties");
    if (known == std::end(tagged) || properties == nullptr) continue;
    Resource one{known->second, std::string(id), fmt::format("{}: {}", where, id), {}};
    take_tags(properties->find("Tags"), one.tags);
    if (!one.tags.empty()) out.push_back(std::move(one));
  }
  return out;
}

Result<std::vector<Function>> functions_of_template(std::string_view text, std::string_view where) {
  TRY_ASSIGN(const auto read, read_template(text, where));
  const Json* global = read.at({"Globals", "Function"});
  std::vector<Function> out;
  for (const auto& [id, resource] : *read.find("Resources")->as<wire::JsonObject>()) {
    auto type = text_of(resource, "Type");
    bool sam = type == "AWS::Serverless::Function";
    if (!sam && type != "AWS::Lambda::Function") continue;
    out.push_back(read_function(
        id, {.own = resource.find("Properties"), .global = sam ? global : nullptr}, where));
  }
  return out;
}

}  // namespace mayfly::lint
