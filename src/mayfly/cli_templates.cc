// The projects that `mayfly new` writes, one per language.
#include <fstream>

#include "mayfly/cli_project.h"

namespace mayfly::cli {
namespace {

namespace fs = std::filesystem;

struct File {
  const char* name;
  const char* text;
  bool executable = false;
};

constexpr File nodejs[] = {
    {"mayfly.json", R"--({
  "runtime": "nodejs20.x",
  "handler": "index.handler"
}
)--"},
    {"index.mjs", R"--(export const handler = async (event, context) => {
  console.log('called as', context.invokedFunctionArn);
  return { statusCode: 200, body: JSON.stringify({ hello: event.name ?? 'world' }) };
};
)--"},
};

constexpr File python[] = {
    {"mayfly.json", R"--({
  "runtime": "python3.11",
  "handler": "lambda_function.lambda_handler"
}
)--"},
    {"lambda_function.py", R"--(import json


def lambda_handler(event, context):
    print("called as", context.invoked_function_arn)
    return {"statusCode": 200, "body": json.dumps({"hello": event.get("name", "world")})}
)--"},
};

constexpr File java[] = {
    {"mayfly.json", R"--({
  "runtime": "java17",
  "handler": "Hello::handle",
  "build": "javac -d dist src/Hello.java",
  "package": "dist"
}
)--"},
    {"src/Hello.java", R"--(import java.util.Map;

public class Hello {
  public Map<String, Object> handle(Map<String, Object> event) {
    Object name = event.getOrDefault("name", "world");
    System.out.println("called for " + name);
    return Map.of("statusCode", 200, "body", "{\"hello\":\"" + name + "\"}");
  }
}
)--"},
};

constexpr File ruby[] = {
    {"mayfly.json", R"--({
  "runtime": "ruby3.2",
  "handler": "lambda_function.lambda_handler"
}
)--"},
    {"lambda_function.rb", R"--(require 'json'

def lambda_handler(event:, context:)
  puts "called as #{context.invoked_function_arn}"
  { statusCode: 200, body: JSON.generate(hello: event['name'] || 'world') }
end
)--"},
};

// A custom runtime needs nothing but a program that speaks the Runtime API over HTTP.
constexpr File provided[] = {
    {"mayfly.json", R"--({
  "runtime": "provided.al2023",
  "handler": "bootstrap"
}
)--"},
    {"bootstrap", R"--(#!/bin/bash
# The Lambda Runtime API: fetch an event, post its answer, for ever.
set -eu
api="$AWS_LAMBDA_RUNTIME_API"
while true; do
  exec 3<>"/dev/tcp/${api%:*}/${api#*:}"
  printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: %s\r\n\r\n' "$api" >&3
  id='' length=0
  while IFS=': ' read -r name value <&3; do
    value="${value%$'\r'}"
    case "${name,,}" in
      lambda-runtime-aws-request-id) id="$value" ;;
      content-length) length="$value" ;;
      $'\r' | '') break ;;
    esac
  done
  event=''
  [ "$length" -gt 0 ] && LC_ALL=C IFS= read -r -d '' -N "$length" event <&3
  exec 3>&-
  echo "called with $length bytes"
  answer="{\"hello\":${event:-null}}"
  exec 3<>"/dev/tcp/${api%:*}/${api#*:}"
  printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: %s\r\n' "$id" "$api" >&3
  printf 'Connection: close\r\nContent-Length: %d\r\n\r\n%s' \
    "$(printf %s "$answer" | wc -c)" "$answer" >&3
  read -r _ <&3
  exec 3>&-
done
)--",
     true},
};

constexpr File cpp[] = {
    {"mayfly.json", R"--({
  "runtime": "provided.al2023",
  "handler": "bootstrap",
  "build": "mkdir -p dist && c++ -std=c++17 -O2 -static -o dist/bootstrap bootstrap.cpp",
  "package": "dist"
}
)--"},
    {"bootstrap.cpp",
     R"--(// A function in C++: fetches events from the Lambda Runtime API and posts the answers.
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
)--"},
};

constexpr File go[] = {
    {"mayfly.json", R"--({
  "runtime": "provided.al2023",
  "handler": "bootstrap",
  "build": "CGO_ENABLED=0 go build -o dist/bootstrap .",
  "package": "dist"
}
)--"},
    {"go.mod", "module hello\n\ngo 1.19\n"},
    {"main.go",
     R"--(// A function in Go: fetches events from the Lambda Runtime API and posts the answers.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
)

func handle(event map[string]any) (any, error) {
	fmt.Println("called with", len(event), "members")
	return map[string]any{"hello": event["name"]}, nil
}

func main() {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		next, err := http.Get(base + "next")
		if err != nil {
			os.Exit(1)
		}
		body, _ := io.ReadAll(next.Body)
		next.Body.Close()
		url := base + next.Header.Get("Lambda-Runtime-Aws-Request-Id")
		var event map[string]any
		var answer any
		if err = json.Unmarshal(body, &event); err == nil {
			answer, err = handle(event)
		}
		if err != nil {
			answer = map[string]string{"errorType": "Error", "errorMessage": err.Error()}
			url += "/error"
		} else {
			url += "/response"
		}
		text, _ := json.Marshal(answer)
		if done, err := http.Post(url, "application/json", bytes.NewReader(text)); err == nil {
			done.Body.Close()
		}
	}
}
)--"},
};

struct Template {
  const char* language;
  std::span<const File> files;
};
constexpr Template templates[] = {{"nodejs", nodejs}, {"python", python},     {"java", java},
                                  {"ruby", ruby},     {"provided", provided}, {"cpp", cpp},
                                  {"go", go}};

}  // namespace

std::vector<std::string> template_languages() {
  std::vector<std::string> names;
  for (const auto& each : templates) names.emplace_back(each.language);
  return names;
}

Result<std::vector<std::string>> create_project(const fs::path& folder,
                                                const std::string& language) {
  const auto* chosen = std::ranges::find(templates, language, &Template::language);
  if (chosen == std::end(templates)) {
    return fail(ErrorKind::invalid, fmt::format("no template for '{}': choose one of {}", language,
                                                fmt::join(template_languages(), ", ")));
  }
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || !fs::is_empty(folder, error)) {
    return fail(ErrorKind::already_exists,
                fmt::format("{} is not an empty folder: name a new one", folder.string()));
  }
  std::vector<std::string> written;
  for (const auto& file : chosen->files) {
    const auto path = folder / file.name;
    fs::create_directories(path.parent_path(), error);
    std::ofstream out(path, std::ios::binary);
    out << file.text;
    out.close();
    if (!out) return fail(ErrorKind::unavailable, fmt::format("cannot write {}", path.string()));
    if (file.executable) {
      fs::permissions(path, fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec,
                      fs::perm_options::add, error);
    }
    written.emplace_back(path.string());
  }
  return written;
}

}  // namespace mayfly::cli
