// Raw: the HTTP of endpoints that are no API operations. front/ has types of its own on a higher
// floor; adapt() turns a member of Service into a handler of front/'s kind in one line:
//
//   front.add_host_label("lambda-url", lambda::adapt<front::Request, front::Response>(
//                                          lambda, &lambda::Service::serve_url));
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "io/flow.h"

namespace mayfly::lambda {

class Service;

struct RawRequest {
  std::string method;
  std::string path;   // raw
  std::string query;  // raw
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string source_ip;
  std::string host;  // lower case
  RequestId id;

  std::string_view header(std::string_view lower_name) const;  // first value or empty
};

struct RawResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::unique_ptr<io::BodySource> stream = {};  // instead of a body
};

using RawMember = io::Task<RawResponse> (Service::*)(RawRequest);

template <class Request, class Response>
io::Task<Response> adapted(Service& service, RawMember member, const Request& request) {
  RawRequest raw{.method = request.method,
                 .path = request.path,
                 .query = request.query,
                 .headers = request.headers,
                 .body = request.body,
                 .source_ip = request.source_ip,
                 .host = request.host,
                 .id = request.id};
  RawResponse answer = co_await (service.*member)(std::move(raw));
  Response response;
  response.status = answer.status;
  response.headers = std::move(answer.headers);
  response.body = std::move(answer.body);
  response.stream = std::move(answer.stream);
  co_return response;
}

template <class Request, class Response>
auto adapt(Service& service, RawMember member) {
  return [&service, member](const Request& request) {
    return adapted<Request, Response>(service, member, request);
  };
}

}  // namespace mayfly::lambda
