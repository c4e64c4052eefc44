#include "functions/oci.h"

#include <algorithm>

#include "base/limits.h"
#include "functions/archive.h"
#include "store/sha256.h"
#include "wire/json.h"

namespace mayfly::functions {

namespace {

using wire::Json;
using wire::JsonArray;

constexpr std::string_view sha256_prefix = "sha256:";
constexpr std::string_view name_annotation = "org.opencontainers.image.ref.name";
constexpr std::string_view full_name_annotation = "io.containerd.image.name";
constexpr std::string_view attestation_annotation = "vnd.docker.reference.type";
constexpr wire::JsonLimits shallow{.depth = 32};

std::unexpected<Error> wrong(std::string_view document, std::string_view what) {
  return fail(ErrorKind::invalid, fmt::format("the image's {}: {}", document, what));
}

Result<Json> parse(std::string_view json, std::string_view document) {
  auto value = wire::parse_json(json, shallow);
  if (!value) return wrong(document, value.error().message);
  return value;
}

Result<std::string> digest_of(std::string_view text, std::string_view document) {
  if (!text.starts_with(sha256_prefix) ||
      !store::is_sha256_hex(text.substr(sha256_prefix.size()))) {
    return wrong(document, fmt::format("{:?} is no digest of the form sha256:…", text));
  }
  return std::string(text.substr(sha256_prefix.size()));
}

Result<std::vector<std::string>> texts(const Json* list, std::string_view document) {
  std::vector<std::string> out;
  if (!list || list->is_null()) return out;
  const auto* items = list->as<JsonArray>();
  if (!items) return wrong(document, "a list of texts is something else");
  for (const Json& item : *items) {
    const auto* text = item.as<std::string>();
    if (!text) return wrong(document, "a list of texts has something else in it");
    // The kernel ends arguments and variables at a zero.
    if (text->find('\0') != text->npos) return wrong(document, "a text with a zero byte");
    out.push_back(*text);
  }
  return out;
}

Result<Descriptor> descriptor_of(const Json& value, std::string_view document) {
  Descriptor out;
  out.media_type = value.string_or("mediaType");
  TRY_ASSIGN(out.digest, digest_of(value.string_or("digest"), document));
  std::int64_t size = value.int_or("size", -1);
  if (size < 0) return wrong(document, "a part without its size");
  out.size = static_cast<std::uint64_t>(size);
  if (const Json* platform = value.find("platform")) {
    out.os = platform->string_or("os");
    out.architecture = platform->string_or("architecture");
  }
  if (const Json* notes = value.find("annotations")) {
    out.name = notes->string_or(full_name_annotation, notes->string_or(name_annotation));
    out.attestation = !notes->string_or(attestation_annotation).empty();
  }
  return out;
}

Result<std::vector<Descriptor>> descriptors_of(const Json* list, std::string_view document) {
  const auto* items = list ? list->as<JsonArray>() : nullptr;
  if (!items) return wrong(document, "no list of parts");
  if (items->size() > limits::image_layers) {
    return wrong(document, fmt::format("more than {} parts", limits::image_layers));
  }
  std::vector<Descriptor> out;
  for (const Json& item : *items) {
    TRY_ASSIGN(auto one, descriptor_of(item, document));
    out.push_back(std::move(one));
  }
  return out;
}

Result<std::string> path_in_archive(std::string_view text) {
  auto path = safe_path(text);
  if (!path || path->empty()) return wrong("manifest.json", fmt::format("the path {:?}", text));
  return path;
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
         c == '/';
}

bool is_tag_character(char c) { return is_name_character(c) ? c != '/' : c >= 'A' && c <= 'Z'; }

// The part before the first slash is a registry when it looks like a host (as docker reads names).
bool is_host(std::string_view part) {
  bool known = std::ranges::all_of(part, [](char c) {
    return (is_tag_character(c) && c != '_') || c == ':' || c == '[' || c == ']';
  });
  bool named = !part.empty() && part.front() != '.' && part.front() != ':' && part.front() != '-';
  return known && named && (part == "localhost" || part.find_first_of(".:") != part.npos);
}

}  // namespace

std::string_view go_architecture(std::string_view machine) {
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return machine;
}

Result<> check_oci_layout(std::string_view json) {
  TRY_ASSIGN(auto value, parse(json, "oci-layout"));
  auto version = value.string_or("imageLayoutVersion");
  if (version == "1.0.0") return {};
  return wrong("oci-layout", fmt::format("version {:?} is not known", version));
}

Result<OciDocument> parse_oci_document(std::string_view json) {
  TRY_ASSIGN(auto value, parse(json, "manifest"));
  OciDocument out;
  if (value.int_or("schemaVersion", 0) != 2) return wrong("manifest", "schemaVersion is not 2");
  if (const Json* list = value.find("manifests")) {
    out.is_index = true;
    TRY_ASSIGN(out.manifests, descriptors_of(list, "index"));
    return out;
  }
  const Json* config = value.find("config");
  if (!config) return wrong("manifest", "neither an index nor the manifest of an image");
  TRY_ASSIGN(out.config, descriptor_of(*config, "manifest"));
  TRY_ASSIGN(out.layers, descriptors_of(value.find("layers"), "manifest"));
  return out;
}

Result<std::vector<DockerImage>> parse_docker_manifest(std::string_view json) {
  TRY_ASSIGN(auto value, parse(json, "manifest.json"));
  const auto* items = value.as<JsonArray>();
  if (!items || items->empty()) return wrong("manifest.json", "no list of images");
  std::vector<DockerImage> out;
  for (const Json& item : *items) {
    DockerImage image;
    TRY_ASSIGN(image.config, path_in_archive(item.string_or("Config")));
    TRY_ASSIGN(image.layers, texts(item.find("Layers"), "manifest.json"));
    if (image.layers.size() > limits::image_layers) {
      return wrong("manifest.json", fmt::format("more than {} layers", limits::image_layers));
    }
    for (std::string& layer : image.layers) {
      TRY_ASSIGN(layer, path_in_archive(layer));
    }
    TRY_ASSIGN(image.names, texts(item.find("RepoTags"), "manifest.json"));
    out.push_back(std::move(image));
  }
  return out;
}

Result<ImageConfig> parse_image_config(std::string_view json) {
  TRY_ASSIGN(auto value, parse(json, "config"));
  ImageConfig out;
  out.os = value.string_or("os");
  out.architecture = value.string_or("architecture");
  const Json* roots = value.find("rootfs");
  if (!roots || roots->string_or("type") != "layers") {
    return wrong("config", "a rootfs that is not made of layers");
  }
  TRY_ASSIGN(out.diff_ids, texts(roots->find("diff_ids"), "config"));
  for (std::string& id : out.diff_ids) {
    TRY_ASSIGN(id, digest_of(id, "config"));
  }
  const Json* config = value.find("config");
  if (!config) return out;
  TRY_ASSIGN(out.entry_point, texts(config->find("Entrypoint"), "config"));
  TRY_ASSIGN(out.command, texts(config->find("Cmd"), "config"));
  TRY_ASSIGN(out.env, texts(config->find("Env"), "config"));
  out.working_dir = config->string_or("WorkingDir");
  if (out.working_dir.find('\0') != std::string::npos) return wrong("config", "a zero byte");
  out.user = config->string_or("User");
  return out;
}

std::string write_image_config(const ImageConfig& config) {
  auto list = [](const std::vector<std::string>& from, std::string_view prefix = "") {
    JsonArray out;
    for (const auto& text : from) out.emplace_back(std::string(prefix) + text);
    return Json(std::move(out));
  };
  Json started;
  started["Entrypoint"] = list(config.entry_point);
  started["Cmd"] = list(config.command);
  started["Env"] = list(config.env);
  started["WorkingDir"] = config.working_dir;
  started["User"] = config.user;
  Json out;
  out["os"] = config.os;
  out["architecture"] = config.architecture;
  out["config"] = std::move(started);
  out["rootfs"]["type"] = "layers";
  out["rootfs"]["diff_ids"] = list(config.diff_ids, sha256_prefix);
  return out.dump();
}

std::string ImageName::without_registry() const {
  std::string out = repository;
  if (!tag.empty()) out += ":" + tag;
  if (!digest.empty()) out += fmt::format("@{}{}", sha256_prefix, digest);
  return out;
}

std::string ImageName::str() const {
  return registry.empty() ? without_registry() : registry + "/" + without_registry();
}

Result<ImageName> parse_image_name(std::string_view text) {
  auto refuse = [whole = std::string(text)](std::string_view why) {
    return fail(ErrorKind::invalid, fmt::format("{:?} does not name an image: {}", whole, why));
  };
  ImageName out;
  if (text.size() > limits::image_name_bytes) return refuse("it is too long");
  if (auto at = text.find('@'); at != text.npos) {
    auto digest = digest_of(text.substr(at + 1), "name");
    if (!digest) return refuse("behind @ there is no digest of the form sha256:…");
    out.digest = std::move(*digest);
    text = text.substr(0, at);
  }
  if (auto slash = text.find('/'); slash != text.npos && is_host(text.substr(0, slash))) {
    out.registry = text.substr(0, slash);
    text.remove_prefix(slash + 1);
  }
  if (auto colon = text.find(':'); colon != text.npos) {
    out.tag = text.substr(colon + 1);
    text = text.substr(0, colon);
    if (out.tag.empty() || out.tag.size() > 128 ||
        !std::ranges::all_of(out.tag, is_tag_character) || out.tag[0] == '.' || out.tag[0] == '-') {
      return refuse("its tag");
    }
  }
  out.repository = text;
  if (text.empty() || !std::ranges::all_of(text, is_name_character)) return refuse("its name");
  for (std::string_view rest = text; !rest.empty();) {
    auto slash = rest.find('/');
    std::string_view part = rest.substr(0, slash);
    auto edge = [](char c) { return c == '.' || c == '_' || c == '-'; };
    if (part.empty() || edge(part.front()) || edge(part.back())) return refuse("its name");
    if (slash == rest.npos) break;
    rest.remove_prefix(slash + 1);
    if (rest.empty()) return refuse("its name");
  }
  if (out.tag.empty() && out.digest.empty()) out.tag = "latest";
  return out;
}

Result<Descriptor> choose_platform(const std::vector<Descriptor>& manifests,
                                   std::string_view architecture) {
  std::vector<Descriptor> images;
  std::string seen;
  for (const Descriptor& one : manifests) {
    if (one.attestation || one.os == "unknown") continue;
    images.push_back(one);
    if (one.os.empty()) continue;
    seen += fmt::format("{}{}/{}", seen.empty() ? "" : ", ", one.os, one.architecture);
    if (one.os == "linux" && one.architecture == architecture) return one;
  }
  if (images.size() == 1 && images[0].os.empty()) return images[0];
  if (images.size() > 1 && seen.empty()) {
    return fail(ErrorKind::invalid,
                "the image's index has several images that it does not tell "
                "apart: save the one alone that is to be used");
  }
  return fail(ErrorKind::not_found, fmt::format("the image is not made for linux/{}, only for: {}",
                                                architecture, seen.empty() ? "nothing" : seen));
}

}  // namespace mayfly::functions
