// Between Lambda's events and HTTP: the request that an event stands for, and the answer that a
// response makes. Pure.
//
// Events that stand for a request: payload format 2.0 (function URLs, HTTP APIs) and 1.0 (REST
// APIs), and those of an Application Load Balancer. All others are handed over whole: POST to
// WebServer::pass_through_path.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "guest/web.h"

namespace mayfly::guest {

enum class WebForm {
  v2,  // payload format 2.0
  v1,  // payload format 1.0, with lists of headers beside
  load_balancer,
  pass_through,
};

struct WebRequest {
  WebForm form = WebForm::pass_through;
  std::string method;
  std::string target;  // path, percent-encoded, and query
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

// `corrupt`: an event that says it is a request, and is none that can be sent.
Result<WebRequest> web_request(const InvokeRequest& event, const WebServer& server);

struct WebResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
};

// The JSON that the caller of such an event reads; of a pass-through the body itself.
std::string web_answer(WebForm form, WebResponse response);
// What goes before a streamed body: status, headers, cookies as JSON, and the end mark.
std::string web_prelude(const WebResponse& response);
inline constexpr std::string_view web_prelude_type =
    "application/vnd.awslambda.http-integration-response";

}  // namespace mayfly::guest
