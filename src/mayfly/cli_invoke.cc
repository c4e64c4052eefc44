#include <filesystem>
#include <iostream>
#include <iterator>

#include "mayfly/cli_package.h"
#include "mayfly/cli_verbs.h"

namespace mayfly::cli {
namespace {

// What looks like JSON is the payload itself; else a file of that name.
Result<std::string> load_payload(const std::string& text) {
  if (text.empty()) return std::string("{}");
  if (text == "-") {
    return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  }
  if (text.starts_with('@')) return read_file(text.substr(1));
  if (wire::parse_json(text)) return text;
  if (std::filesystem::exists(text)) return read_file(text);
  return fail(ErrorKind::invalid, fmt::format("the payload is neither JSON nor a file: {}", text));
}

}  // namespace

Result<int> invoke(Client& client, const InvokeOptions& options) {
  Request request{.method = "POST"};
  request.path =
      fmt::format("/2015-03-31/functions/{}/invocations", wire::percent_encode(options.name));
  if (!options.qualifier.empty()) request.query.emplace_back("Qualifier", options.qualifier);
  request.headers = {{"Content-Type", "application/octet-stream"},
                     {"X-Amz-Invocation-Type", options.async ? "Event" : "RequestResponse"}};
  if (options.log && !options.async) request.headers.emplace_back("X-Amz-Log-Type", "Tail");
  TRY_ASSIGN(request.body, load_payload(options.payload));
  auto answered = client.call(request);
  if (!answered && answered.error().kind == ErrorKind::not_found) {
    answered.error().message += "; `mayfly ls` shows what is deployed";
  }
  if (!answered) return std::unexpected(answered.error());
  const auto& reply = *answered;
  const auto function_error = reply.header("x-amz-function-error");
  const auto tail = wire::base64_decode(reply.header("x-amz-log-result")).value_or("");
  if (client.settings().json) {
    wire::Json out;
    out["StatusCode"] = reply.status;
    // An event that is only queued has neither.
    if (!options.async) out["ExecutedVersion"] = reply.header("x-amz-executed-version");
    if (!function_error.empty()) out["FunctionError"] = function_error;
    if (!tail.empty()) out["Log"] = tail;
    if (options.async) {
      // nothing to show
    } else if (auto body = wire::parse_json(reply.body)) {
      out["Payload"] = *std::move(body);
    } else {
      out["Payload"] = reply.body;
    }
    print(out.dump_pretty() + "\n");
  } else {
    if (!tail.empty()) print_error(tail + (tail.ends_with('\n') ? "" : "\n"));
    if (options.async) {
      print_error(fmt::format("accepted; see `mayfly logs {}`\n", options.name));
    } else {
      print(reply.body + "\n");
    }
    if (!function_error.empty()) {
      print_error(fmt::format("mayfly: the function failed ({}); see `mayfly logs {}`\n",
                              function_error, options.name));
    }
  }
  return function_error.empty() ? 0 : 1;
}

}  // namespace mayfly::cli
