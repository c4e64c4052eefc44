// Container images: code of functions with PackageType Image, and /_mayfly/images, by which whoever
// runs the server brings images in and lists and removes them.
//
//   GET    /_mayfly/images                             {"images":[…]}
//   POST   /_mayfly/images        {"path":…,"name":…}  the image; `path` is of the server's machine
//   DELETE /_mayfly/images?name=REPOSITORY:TAG         {}
#include "functions/image_store.h"
#include "services/lambda/config.h"
#include "services/lambda/runnable.h"
#include "services/lambda/service.h"
#include "services/lambda/text.h"
#include "store/sha256.h"
#include "wire/json.h"

namespace mayfly::lambda {

namespace {

constexpr std::string_view file_scheme = "file://";

RawResponse json_answer(int status, const wire::Json& body) {
  return {.status = status,
          .headers = {{"Content-Type", "application/json"}},
          .body = body.dump() + "\n"};
}

RawResponse refused(int status, std::string_view code, std::string_view message) {
  wire::Json body;
  body["__type"] = code;
  body["message"] = message;
  return json_answer(status, body);
}

RawResponse refused(const Error& error) {
  switch (error.kind) {
    case ErrorKind::not_found: return refused(404, "ResourceNotFoundException", error.message);
    case ErrorKind::too_large:
    case ErrorKind::corrupt:
    case ErrorKind::invalid: return refused(400, "InvalidParameterValueException", error.message);
    default: return refused(500, "ServiceException", error.message);
  }
}

wire::Json list_of(const std::vector<std::string>& texts) {
  wire::JsonArray out;
  for (const auto& text : texts) out.emplace_back(text);
  return out;
}

wire::Json shown(const functions::Image& image) {
  wire::Json out;
  out["digest"] = "sha256:" + image.digest;
  out["names"] = list_of(image.names);
  out["bytes"] = static_cast<std::int64_t>(image.bytes);
  out["architecture"] = image.config.architecture;
  out["entryPoint"] = list_of(image.config.entry_point);
  out["command"] = list_of(image.config.command);
  out["workingDirectory"] = image.config.working_dir;
  out["user"] = image.config.user;
  out["imported"] = iso_millis(image.imported, "Z");
  return out;
}

functions::PackageRef package(const functions::Image& image) {
  return {.sha256 = image.digest, .zip_bytes = 0, .unzipped_bytes = 0};
}

std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    auto end = query.find('&');
    std::string_view pair = query.substr(0, end);
    query.remove_prefix(end == query.npos ? query.size() : end + 1);
    if (pair.starts_with(name) && pair.substr(name.size()).starts_with('=')) {
      return percent_decoded(pair.substr(name.size() + 1), true);
    }
  }
  return std::nullopt;
}

// What the version's ImageConfig says against the image's own word.
invoke::ImageRoot image_root(const functions::Image& image, const functions::Version& version) {
  invoke::ImageRoot out;
  const auto& own = image.config;
  const auto& entry =
      version.image_entry_point.empty() ? own.entry_point : version.image_entry_point;
  const auto& command = version.image_command.empty() ? own.command : version.image_command;
  out.argv = entry;
  out.argv.insert(out.argv.end(), command.begin(), command.end());
  out.env = own.env;
  out.working_dir = version.image_working_dir.empty() ? own.working_dir : version.image_working_dir;
  if (!out.working_dir.starts_with('/')) out.working_dir.insert(0, "/");
  return out;
}

}  // namespace

io::Task<ApiResult<functions::PackageRef>> Service::image_of(const Call& call, std::string uri) {
  bool path = uri.starts_with('/') || uri.starts_with(file_scheme);
  if (path && deps_.settings.image_paths && !call.from_function()) {
    std::string place = uri.starts_with('/') ? uri : uri.substr(file_scheme.size());
    auto image = co_await deps_.images.import(place, "");
    if (image) co_return package(*image);
    co_return refuse(
        invalid(fmt::format("Source image {} is not valid. Provide a valid source image. ({})", uri,
                            image.error().message)));
  }
  auto name = functions::parse_image_name(uri);
  if (!name) {
    co_return refuse(
        invalid(fmt::format("Source image {} is not valid. Provide a valid source image.", uri)));
  }
  const functions::Image* image = deps_.images.find(*name);
  if (!image) {
    co_return refuse(
        invalid(fmt::format("Source image {} does not exist. Provide a valid source image.", uri)));
  }
  co_return package(*image);
}

io::Task<Result<>> Service::put_code(functions::Version version, invoke::Runnable& into) {
  if (version.is_image()) {
    CO_TRY_ASSIGN(auto tree, deps_.images.directory(version.package.sha256));
    into.image = image_root(*deps_.images.find_digest(version.package.sha256), version);
    into.image->dir = std::move(tree);
    co_return Result<>{};
  }
  std::erase_if(version.layers, [](const auto& layer) { return is_built_in(layer); });
  CO_TRY_ASSIGN(into.code_dir, co_await deps_.packages.directory(std::move(version.package)));
  CO_TRY_ASSIGN(into.layers_dir,
                co_await deps_.packages.layers_directory(std::move(version.layers)));
  co_return Result<>{};
}

model::FunctionCodeLocation Service::code_location(const Call& call, const Version& version) const {
  model::FunctionCodeLocation code;
  if (!version.is_image()) {
    code.set_repository_type("S3").set_location(code_link(call, version.package));
    return code;
  }
  std::string resolved = version.image_uri;
  if (auto name = functions::parse_image_name(version.image_uri)) {
    name->tag.clear();
    name->digest = version.package.sha256;
    resolved = name->str();
  } else {
    resolved += "@sha256:" + version.package.sha256;
  }
  code.set_repository_type("ECR").set_image_uri(version.image_uri).set_resolved_image_uri(resolved);
  return code;
}

io::Task<RawResponse> Service::serve_images(RawRequest request) {
  guard::SignedRequest view;
  view.method = request.method;
  view.path = request.path;
  view.query = request.query;
  for (const auto& [name, value] : request.headers) view.headers.emplace_back(name, value);
  std::string digest = store::sha256_hex(request.body);
  view.body_sha256 = digest;
  view.source_ip = request.source_ip;
  if (auto who = deps_.guard.authenticate(view); !who) {
    co_return refused(403, who.error().reason, who.error().message);
  }
  co_return co_await answer_images(std::move(request));
}

io::Task<RawResponse> Service::answer_images(RawRequest request) {
  if (request.method == "GET") {
    wire::JsonArray images;
    for (const auto& image : deps_.images.list()) images.push_back(shown(image));
    wire::Json out;
    out["images"] = std::move(images);
    co_return json_answer(200, out);
  }
  if (request.method == "POST") {
    auto body = wire::parse_json(request.body);
    if (!body) co_return refused(body.error());
    std::string path(body->string_or("path"));
    if (!path.starts_with('/')) {
      co_return refused(400, "InvalidParameterValueException", "path must be absolute");
    }
    auto image = co_await deps_.images.import(path, std::string(body->string_or("name")));
    if (!image) co_return refused(image.error());
    co_return json_answer(200, shown(*image));
  }
  auto name = query_value(request.query, "name");
  if (request.method != "DELETE" || !name) {
    co_return refused(400, "InvalidParameterValueException",
                      "GET, POST {\"path\":…,\"name\":…} or DELETE ?name=…");
  }
  auto removed = co_await deps_.images.remove(std::move(*name), code_in_use());
  if (!removed) co_return refused(removed.error());
  tasks_.spawn(collect_later());
  co_return json_answer(200, wire::Json::object({}));
}

}  // namespace mayfly::lambda
