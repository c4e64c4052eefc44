// A function in C++: fetches events from the Lambda Runtime API and posts the answers.
#include <arpa/inet.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>

static std::string handle(const std::string& event) {
  std::cout << "called with " << event.size() << " bytes" << std::endl;
  return "{\"hello\":" + (event.empty() ? "null" : event) + "}";
}

// One request on a connection of its own; answers head and body.
static std::string exchange(const std::string& api, const std::string& request) {
  const auto colon = api.find(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(std::stoi(api.substr(colon + 1)));
  inet_pton(AF_INET, api.substr(0, colon).c_str(), &address.sin_addr);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::exit(1);
  for (size_t sent = 0; sent < request.size();) {
    const auto n = write(fd, request.data() + sent, request.size() - sent);
    if (n <= 0) std::exit(1);
    sent += n;
  }
  std::string answer;
  char buffer[65536];
  for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) answer.append(buffer, n);
  close(fd);
  return answer;
}

int main() {
  const std::string api = std::getenv("AWS_LAMBDA_RUNTIME_API");
  const std::string base = "/2018-06-01/runtime/invocation/";
  const std::string common = " HTTP/1.1\r\nHost: " + api + "\r\nConnection: close\r\n";
  while (true) {
    const auto next = exchange(api, "GET " + base + "next" + common + "\r\n");
    const auto end_of_head = next.find("\r\n\r\n");
    std::string id;
    for (size_t at = 0; at < end_of_head; at = next.find("\r\n", at) + 2) {
      const std::string name = "lambda-runtime-aws-request-id:";
      if (strncasecmp(next.c_str() + at, name.c_str(), name.size()) != 0) continue;
      const auto begin = next.find_first_not_of(' ', at + name.size());
      id = next.substr(begin, next.find('\r', begin) - begin);
    }
    if (id.empty()) return 1;
    const auto answer = handle(next.substr(end_of_head + 4));
    exchange(api, "POST " + base + id + "/response" + common +
                      "Content-Length: " + std::to_string(answer.size()) + "\r\n\r\n" + answer);
  }
}
