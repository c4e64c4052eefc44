// The rules of lint, each on both sides of it.
#include "mayfly/lint.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/limits.h"
#include "mayfly/lint_yaml.h"
#include "sim/zip_maker.h"

using namespace mayfly;
using namespace mayfly::lint;

namespace {

constexpr std::chrono::sys_days today{std::chrono::year{2026} / 2 / 1};

Function good() {
  Function out{
      .name = "hello", .where = "here", .runtime = "nodejs22.x", .handler = "index.handler"};
  out.timeout_seconds = 3;
  out.memory_mb = 128;
  out.tmp_mb = 512;
  out.files =
      std::map<std::string, File>{{"index.mjs", {.bytes = 10, .head = "export const a = 1"}}};
  return out;
}

// The rules that are broken, in order.
std::string rules(const Function& function) {
  std::string out;
  for (const auto& finding : check(function, today)) {
    if (!out.empty()) out += " ";
    out += finding.rule;
  }
  return out;
}

template <class Change>
std::string with(const Change& change) {
  Function function = good();
  change(function);
  return rules(function);
}

std::string elf(unsigned char machine) {
  std::string out = "\x7f";
  out += "ELF";
  out.resize(64);
  out[18] = static_cast<char>(machine);
  return out;
}

}  // namespace

TEST_CASE("a function within all limits has no findings") { CHECK(rules(good()) == ""); }

TEST_CASE("limits of the cloud, on both sides") {
  CHECK(with([](auto& f) { f.timeout_seconds = 900; }) == "");
  CHECK(with([](auto& f) { f.timeout_seconds = 901; }) == "timeout-limit");
  CHECK(with([](auto& f) { f.timeout_seconds = 0; }) == "timeout-limit");
  CHECK(with([](auto& f) { f.memory_mb = 10'240; }) == "");
  CHECK(with([](auto& f) { f.memory_mb = 10'241; }) == "memory-limit");
  CHECK(with([](auto& f) { f.memory_mb = 127; }) == "memory-limit");
  CHECK(with([](auto& f) { f.tmp_mb = 10'240; }) == "");
  CHECK(with([](auto& f) { f.tmp_mb = 511; }) == "tmp-limit");
  CHECK(with([](auto& f) { f.layers = 5; }) == "");
  CHECK(with([](auto& f) { f.layers = 6; }) == "layers-limit");
  CHECK(with([](auto& f) { f.description = std::string(256, 'x'); }) == "");
  CHECK(with([](auto& f) { f.description = std::string(257, 'x'); }) == "description-length");
  CHECK(with([](auto& f) { f.zip_bytes = 50 * limits::mib; }) == "");
  CHECK(with([](auto& f) { f.zip_bytes = 50 * limits::mib + 1; }) == "package-size");
  CHECK(with([](auto& f) { f.unzipped_bytes = 250 * limits::mib; }) == "");
  CHECK(with([](auto& f) { f.unzipped_bytes = 250 * limits::mib + 1; }) == "package-unzipped-size");
}

TEST_CASE("names") {
  CHECK(with([](auto& f) { f.name = std::string(64, 'n'); }) == "");
  CHECK(with([](auto& f) { f.name = std::string(65, 'n'); }) == "name-form");
  CHECK(with([](auto& f) { f.name = "with.dot"; }) == "name-form");
}

TEST_CASE("runtimes that the cloud has not, no more, or not for long") {
  auto runtime = [](const char* name) {
    return with([name](auto& f) {
      f.runtime = name;
      f.files.reset();
    });
  };
  CHECK(runtime("python3.12") == "");
  CHECK(runtime("python3.15") == "runtime-unknown");
  CHECK(runtime("nodejs18.x") == "runtime-deprecated");
  CHECK(runtime("nodejs20.x") == "runtime-ends");
  Function ends = good();
  ends.runtime = "nodejs20.x";
  CHECK(check(ends, today).at(0).level == Level::differs);
  auto later = check(ends, std::chrono::year{2026} / 4 / 30);
  CHECK(later.at(0).rule == "runtime-deprecated");
  CHECK(later.at(0).level == Level::breaks);
}

TEST_CASE("environment variables") {
  auto variable = [](std::string key, std::string value) {
    return with([&](auto& f) { f.environment[key] = value; });
  };
  CHECK(variable("STAGE", "x") == "");
  CHECK(variable("AWS_REGION", "x") == "reserved-variable");
  CHECK(variable("1st", "x") == "variable-form");
  CHECK(variable("A", "x") == "variable-form");
  CHECK(variable("with-dash", "x") == "variable-form");
  CHECK(variable("MAYFLY_FORK", "off") == "mayfly-variable");
  CHECK(variable("MAYFLY_UNBOUND", "on") == "unbound");
  CHECK(variable("MAYFLY_EXACTLY_ONCE", "on") == "exactly-once");
  CHECK(variable("MAYFLY_EXACTLY_ONCE", "off") == "");
  CHECK(variable("MAYFLY_EXACTLY_ONCE", "ON") == "mayfly-value");
  CHECK(variable("MAYFLY_BREAKER", "5/60s") == "circuit-breaker");
  CHECK(variable("MAYFLY_BREAKER", "often") == "mayfly-value");
  CHECK(variable("QUEUE", "http://127.0.0.1:4566/q") == "local-address");
  CHECK(variable("BIG", std::string(4096 - 10, 'x')) == "");
  CHECK(variable("BIG", std::string(4096 - 9, 'x')) == "environment-size");
}

TEST_CASE("tags that are settings here") {
  auto tags = [](std::map<std::string, std::string> given) {
    return with([&](auto& f) { f.tags = std::move(given); });
  };
  CHECK(tags({{"team", "a"}}) == "");
  CHECK(tags({{"mayfly:key", "a.b"}, {"mayfly:concurrency", "1"}}) == "mayfly-tag mayfly-tag");
  CHECK(tags({{"mayfly:concurrency", "none"}}) == "mayfly-tag mayfly-value");
  CHECK(tags({{"mayfly:breaker", "5/60s"}}) == "mayfly-tag mayfly-value");
  auto found = resources_of_template(R"({"Resources":{
    "Hook":{"Type":"AWS::SNS::Topic","Properties":{"Tags":[
      {"Key":"mayfly:breaker","Value":"5/60s fallback=arn:aws:sqs:r:1:q"}]}},
    "Nightly":{"Type":"AWS::Scheduler::ScheduleGroup","Properties":{"Tags":[
      {"Key":"mayfly:overlap","Value":"skip"},{"Key":"mayfly:breaker","Value":"often"}]}},
    "Move":{"Type":"AWS::Pipes::Pipe","Properties":{"Tags":{
      "mayfly:breaker":"5/60s","mayfly:throttle":"1/1s"}}},
    "Paid":{"Type":"AWS::Events::Rule","Properties":{"Tags":[{"Key":"mayfly:key","Value":"a"}]}},
    "From":{"Type":"AWS::Lambda::EventSourceMapping","Properties":{"BatchSize":1}},
    "Other":{"Type":"AWS::S3::Bucket","Properties":{"Tags":[
      {"Key":"mayfly:key","Value":"a"}]}}}})",
                                     "t.json");
  REQUIRE(found);
  std::string said;
  for (const auto& resource : *found) {
    for (const auto& finding : check(resource)) {
      said += fmt::format("{} {}\n", finding.where, finding.rule);
    }
  }
  CHECK(said ==
        "t.json: Hook mayfly-tag\n"
        "t.json: Nightly mayfly-tag\nt.json: Nightly mayfly-tag\nt.json: Nightly mayfly-value\n"
        "t.json: Move mayfly-tag\nt.json: Move mayfly-tag\n"
        "t.json: Paid mayfly-tag\nt.json: Paid mayfly-value\n");
}

TEST_CASE("architectures, of the function and of what is in its package") {
  CHECK(with([](auto& f) { f.architectures = {"arm64"}; }) == "");
  CHECK(with([](auto& f) { f.architectures = {"riscv64"}; }) == "architecture");
  CHECK(with([](auto& f) { f.architectures = {"arm64", "x86_64"}; }) == "architecture");
  CHECK(with([](auto& f) { (*f.files)["a.so"].head = elf(62); }) == "");
  CHECK(with([](auto& f) { (*f.files)["a.so"].head = elf(183); }) == "package-architecture");
  CHECK(with([](auto& f) {
          f.architectures = {"arm64"};
          (*f.files)["a.so"].head = elf(183);
        }) == "");
}

TEST_CASE("handlers that are not in the package") {
  auto handler = [](const char* runtime, const char* name, const char* file) {
    return with([&](auto& f) {
      f.runtime = runtime;
      f.handler = name;
      f.files = std::map<std::string, File>{{file, {.executable = true, .bytes = 1}}};
    });
  };
  CHECK(handler("nodejs22.x", "src/index.handler", "src/index.js") == "");
  CHECK(handler("nodejs22.x", "src/index.handler", "index.js") == "handler-missing");
  CHECK(handler("python3.13", "pkg.mod.fn", "pkg/mod.py") == "");
  CHECK(handler("python3.13", "pkg.mod.fn", "mod.py") == "handler-missing");
  CHECK(handler("ruby3.4", "fn.handler", "fn.rb") == "");
  CHECK(handler("ruby3.4", "lib.Mod::Cls.process", "lib.rb") == "");
  CHECK(handler("java21", "com.example.Hello::handle", "com/example/Hello.class") == "");
  CHECK(handler("nodejs22.x", "handler", "handler.js") == "handler-form");
  CHECK(handler("nodejs22.x", "", "index.js") == "handler-missing");
  CHECK(handler("provided.al2023", "x", "bootstrap") == "");
  CHECK(handler("provided.al2023", "x", "boot") == "bootstrap-missing");
  CHECK(with([](auto& f) {
          f.runtime = "provided.al2023";
          f.files = std::map<std::string, File>{{"bootstrap", {.executable = false}}};
        }) == "bootstrap-missing");
  // A layer may have it.
  CHECK(with([](auto& f) {
          f.layers = 1;
          f.handler = "elsewhere.handler";
        }) == "");
}

TEST_CASE("web servers for the adapter") {
  auto server = [](const char* variable, const char* value, const char* handler, auto layers) {
    return with([&](auto& f) {
      f.environment[variable] = value;
      f.handler = handler;
      f.layers = layers;
      f.files = std::map<std::string, File>{{"run.sh", {.executable = true, .bytes = 1}}};
    });
  };
  CHECK(server("AWS_LAMBDA_EXEC_WRAPPER", "/opt/bootstrap", "run.sh", 1) == "");
  CHECK(server("AWS_LAMBDA_EXEC_WRAPPER", "/opt/bootstrap", "run.sh", std::nullopt) ==
        "web-adapter");
  CHECK(server("AWS_LWA_PORT", "80", "run.sh", 0) == "web-adapter");
  CHECK(server("AWS_LWA_PORT", "80", "index.handler", 0) == "web-adapter handler-missing");
  CHECK(server("AWS_LAMBDA_EXEC_WRAPPER", "/var/task/wrap", "run.sh", 0) == "handler-missing");
}

TEST_CASE("public URLs with one grant of two") {
  auto open = [](std::vector<std::string> grants) {
    return with([&](auto& f) { f.url_grants = grants; });
  };
  CHECK(open({"lambda:InvokeFunctionUrl"}) == "url-grant");
  CHECK(open({"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}) == "");
  CHECK(open({"lambda:InvokeFunction"}) == "");
}

TEST_CASE("code that speaks to this server by name") {
  CHECK(with([](auto& f) { (*f.files)["a.js"].head = "fetch('http://localhost:4566/')"; }) ==
        "local-address");
  CHECK(with([](auto& f) { (*f.files)["node_modules/x/a.js"].head = "localhost:4566"; }) == "");
}

TEST_CASE("SnapStart") {
  CHECK(with([](auto& f) { f.snap_start = true; }) == "snap-start");
  auto java = [](int tmp_mb) {
    return with([&](auto& f) {
      f.runtime = "java21";
      f.handler = "a.B::c";
      f.snap_start = true;
      f.tmp_mb = tmp_mb;
    });
  };
  CHECK(java(512) == "");
  CHECK(java(513) == "snap-start");
}

TEST_CASE("a zip's files") {
  auto files =
      files_of_zip(sim::ZipMaker().file("index.mjs", "export").file("lib/a.txt", "abc").bytes());
  REQUIRE(files);
  CHECK(files->at("lib/a.txt").bytes == 3);
  CHECK(files->at("index.mjs").head == "export");
  CHECK_FALSE(files_of_zip("this is none"));
}

TEST_CASE("functions of a template, in YAML and in JSON") {
  auto found = functions_of_template(R"(AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31   # SAM
Globals:
  Function:
    Timeout: 1000
    Runtime: python3.12
    Environment: {Variables: {STAGE: "dev # no comment", MAYFLY_FORK: off}}
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      CodeUri: hello/
      Architectures:
      - arm64
      Policies:
        - S3ReadPolicy:
            BucketName: !Ref Bucket
        - Statement:
          - Effect: Allow
            Action: s3:*
      Environment:
        Variables:
          TABLE: !GetAtt Table.Arn
      Description: >
        Says
        hello
  Table:
    Type: AWS::DynamoDB::Table
  Plain:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: !Sub "${AWS::StackName}-x"
      MemorySize: '20000'
      Layers: [!Ref A, "arn:b"]
      Code:
        ZipFile: |
          exports.handler = async () => {
            return "key: value";
          };
)",
                                     "t.yaml");
  REQUIRE(found);
  REQUIRE(found->size() == 2);
  const auto& hello = found->at(0);
  CHECK(hello.name == "Hello");
  CHECK(hello.where == "t.yaml: Hello");
  CHECK(hello.runtime == "python3.12");
  CHECK(hello.timeout_seconds == 1000);
  CHECK(hello.architectures == std::vector<std::string>{"arm64"});
  CHECK(hello.environment.at("STAGE") == "dev # no comment");
  CHECK(rules(hello) == "timeout-limit mayfly-variable");
  const auto& plain = found->at(1);
  CHECK(plain.name == "Plain");
  CHECK(plain.timeout_seconds == std::nullopt);  // Globals are SAM's
  CHECK(plain.layers == 2);
  CHECK(rules(plain) == "memory-limit");
  auto json = functions_of_template(
      R"({"Resources":{"F":{"Type":"AWS::Lambda::Function","Properties":{"Timeout":901}}}})", "t");
  REQUIRE(json);
  CHECK(rules(json->at(0)) == "timeout-limit");
}

TEST_CASE("what YAML is not read is refused by line") {
  auto wrong = [](std::string_view text) {
    auto read = parse_yaml(text);
    return read ? "read" : read.error().message.substr(0, 6);
  };
  CHECK(wrong("a: 1\nb: *other\n") == "line 2");
  CHECK(wrong("a: &x 1\n") == "line 1");
  CHECK(wrong("a:\n  b: 1\n c: 2\n") == "line 3");
  CHECK(wrong("a: [1, 2\n") == "line 1");
  CHECK(wrong("a: 'x\n") == "line 1");
  CHECK(wrong("a: 1\n- b\n") == "line 2");
  CHECK(wrong("# nothing\n") == "read");
  CHECK(parse_yaml("a: 'it''s'\nb: \"x\\ny\"\nc: [{d: e}, f]\n")->dump() ==
        R"({"a":"it's","b":"x\ny","c":[{"d":"e"},"f"]})");
  CHECK_FALSE(functions_of_template("a: b\n", "t"));
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  CHECK(wrong(deep).starts_with("line"));
}
