// Which functions are HTTP servers, and what their environments are made of.
#include "invoke/web_function.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include "invoke/environment_spec.h"
#include "invoke/house_for_tests.h"

namespace mayfly::invoke::testing {
namespace {

namespace fs = std::filesystem;

struct Package {
  Package() {
    char name[] = "/tmp/mayfly-web-XXXXXX";
    dir = ::mkdtemp(name);
    runnable = House::function();
    runnable.runtime = "nodejs20.x";
    runnable.handler = "index.handler";
    runnable.code_dir = dir / "code";
    fs::create_directories(runnable.code_dir);
  }
  ~Package() { fs::remove_all(dir); }
  void file(const fs::path& path) const {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << "#!/bin/sh\n";
    ::chmod(path.c_str(), 0755);
  }
  void layer(const std::string& name) {
    runnable.layers_dir = dir / "layers";
    file(runnable.layers_dir / name);
    runnable.extensions = external_extensions(runnable);
  }
  Package& set(const std::string& name, const std::string& value) {
    runnable.environment[name] = value;
    return *this;
  }
  bool is_web() const { return web_server(runnable).has_value(); }

  fs::path dir;
  Runnable runnable;
};

TEST_CASE("a wrapper that no layer has makes a server of a managed runtime's script") {
  Package package;
  package.set("AWS_LAMBDA_EXEC_WRAPPER", "/opt/bootstrap");
  package.runnable.handler = "run.sh";
  CHECK(package.is_web());
  CHECK(runs_own_program(package.runnable));
  CHECK(web_program(package.runnable) == "/var/task/run.sh");
  package.layer("bootstrap");
  CHECK_FALSE(package.is_web());
  CHECK_FALSE(runs_own_program(package.runnable));
  package.set("AWS_LAMBDA_EXEC_WRAPPER", "/opt/other");
  CHECK_FALSE(package.is_web());
}

TEST_CASE("a setting of the adapter is enough where a program is started anyway") {
  Package package;
  CHECK_FALSE(package.is_web());
  package.set("AWS_LWA_PORT", "1234");
  CHECK_FALSE(package.is_web());  // a handler of a module
  package.file(package.runnable.code_dir / "run.sh");
  package.runnable.handler = "run.sh";
  CHECK(package.is_web());
  package.runnable.runtime = "provided.al2023";
  package.runnable.handler = "any";
  REQUIRE(package.is_web());
  auto server = *web_server(package.runnable);
  REQUIRE(server);
  CHECK(server->port == 1234);
  CHECK(server->function_name == "hello");
  package.runnable.environment = {{"PORT", "1"}};
  CHECK_FALSE(package.is_web());
  package.runnable.web_adapter = true;
  CHECK(package.is_web());
}

TEST_CASE("a function that brings the adapter runs with it") {
  Package package;
  package.set("AWS_LAMBDA_EXEC_WRAPPER", "/opt/bootstrap").set("AWS_LWA_PORT", "1");
  package.layer("extensions/lambda-adapter");
  package.layer("bootstrap");
  CHECK_FALSE(package.is_web());
  CHECK(runs_own_program(package.runnable));
  sandbox::RuntimePack pack;
  pack.language = "nodejs";
  pack.argv = {"/usr/bin/node", "/var/runtime/bootstrap.js"};
  CHECK_FALSE(speaks_lean(package.runnable, pack));
  auto spec = environment_spec(package.runnable, pack, {}, "stream", InstanceId("i"));
  CHECK(spec.argv.front() == "/opt/bootstrap");
  CHECK_FALSE(spec.channel);
  CHECK_FALSE(spec.framed_log);
  CHECK(spec.companions.size() == 1);
}

TEST_CASE("an environment of a web server starts its program and has a socket to reach it by") {
  Package package;
  package.set("AWS_LAMBDA_EXEC_WRAPPER", "/opt/bootstrap");
  package.runnable.handler = "run.sh";
  sandbox::RuntimePack pack;
  pack.language = "nodejs";
  pack.forks = pack.specialises = true;
  pack.argv = {"/usr/bin/node", "/var/runtime/bootstrap.js"};
  auto spec = environment_spec(package.runnable, pack, {}, "stream", InstanceId("i"));
  CHECK(spec.argv == std::vector<std::string>{"/var/task/run.sh"});
  CHECK_FALSE(spec.channel);
  CHECK(spec.sockets == 2);
  package.runnable.max_concurrency = 8;
  CHECK(environment_spec(package.runnable, pack, {}, "stream", InstanceId("i")).sockets == 3);
  CHECK(std::ranges::find(spec.env, "_HANDLER=run.sh") != spec.env.end());
  CHECK(std::ranges::find(spec.env, "_LAMBDA_TELEMETRY_LOG_FD=4") == spec.env.end());
  CHECK_FALSE(forking_refused(package.runnable, pack).empty());
  CHECK_FALSE(specialising_refused(package.runnable, pack).empty());
}

// A web server that answers every event with its payload.
class EchoChannel final : public guest::GuestChannel {
 public:
  io::Task<Result<guest::InitReply>> wait_init(Deadline) override { co_return sim::ready(); }
  io::Task<Result<guest::InvokeReply>> invoke(const guest::InvokeRequest& request,
                                              Deadline) override {
    co_return sim::answer(request.payload);
  }
  void share(int) override {}
  void cancel() override {}
};

TEST_CASE("its channel has the function's settings, and a setting that is wrong fails the call") {
  House house;
  Package package;
  std::vector<guest::WebServer> servers;
  Deps deps = house.deps();
  deps.open_web_channel = [&servers](const guest::WebServer& server, io::Fd api,
                                     std::vector<io::Fd> sockets) {
    CHECK(api);
    CHECK(sockets.size() == 1 + (servers.empty() ? 0u : 1u));
    servers.push_back(server);
    return std::make_unique<EchoChannel>();
  };
  house.invoker = *house.loop.run_until(make_invoker(std::move(deps)));
  auto runnable = package.runnable;
  runnable.environment = {{"AWS_LAMBDA_EXEC_WRAPPER", "/opt/bootstrap"}, {"PORT", "3000"}};
  runnable.handler = "run.sh";
  Request request;
  request.event.id = RequestId("r-1");
  request.event.payload = "{}";
  auto answered = house.loop.run_until(house.invoker->invoke(runnable, request));
  REQUIRE(answered);
  CHECK(answered->kind == events::Outcome::Kind::ok);
  REQUIRE(servers.size() == 1);
  CHECK(servers[0].port == 3000);
  auto shared = runnable;
  shared.pool_key += "/shared";
  shared.max_concurrency = 4;
  answered = house.loop.run_until(house.invoker->invoke(shared, request));
  REQUIRE(answered);
  CHECK(answered->kind == events::Outcome::Kind::ok);
  CHECK(servers.size() == 2);
  runnable.environment["AWS_LWA_PORT"] = "x";
  runnable.pool_key += "/other";
  auto failed = house.loop.run_until(house.invoker->invoke(runnable, request));
  REQUIRE(failed);
  CHECK(failed->error_type == "Web.InvalidSetting");
  CHECK(failed->payload.find("AWS_LWA_PORT") != std::string::npos);
}

struct ImageTree {
  ImageTree() {
    char name[] = "/tmp/mayfly-image-XXXXXX";
    dir = ::mkdtemp(name);
    for (const char* program : {"/usr/bin/tool", "/opt/extensions/watcher"}) {
      fs::create_directories(fs::path(dir + program).parent_path());
      std::ofstream(dir + program) << "x";
      ::chmod((dir + program).c_str(), 0755);
    }
    runnable = House::function();
    runnable.runtime = "provided";
    runnable.image = ImageRoot{.dir = dir,
                               .argv = {"tool", "a"},
                               .env = {"PATH=/bin:/usr/bin", "BOTH=image", "LAMBDA_TASK_ROOT=/app"},
                               .working_dir = "/app"};
    runnable.environment = {{"BOTH", "function"}};
    pack.language = "provided";
    pack.guest = sandbox::GuestKind::runtime_api;
  }
  ~ImageTree() { fs::remove_all(dir); }
  sandbox::Spec spec() const {
    Runnable listed = runnable;
    listed.extensions = external_extensions(listed);
    return environment_spec(listed, pack, {}, "stream", InstanceId("i"));
  }
  std::string dir;
  Runnable runnable;
  sandbox::RuntimePack pack;
};

std::string value(const sandbox::Spec& spec, const std::string& name) {
  for (const auto& entry : spec.env) {
    if (entry.starts_with(name + "=")) return entry.substr(name.size() + 1);
  }
  return "-";
}

TEST_CASE("an environment of a container image") {
  ImageTree image;
  auto spec = image.spec();
  REQUIRE(spec.binds.size() == 1);
  CHECK(spec.binds[0].source == image.dir);
  CHECK(spec.binds[0].target == "/");
  CHECK(spec.cwd == "/app");
  CHECK(spec.argv == std::vector<std::string>{"/usr/bin/tool", "a"});
  CHECK(value(spec, "BOTH") == "function");
  CHECK(value(spec, "LAMBDA_TASK_ROOT") == "/app");
  CHECK(value(spec, "LAMBDA_RUNTIME_DIR") == "/var/runtime");
  CHECK(value(spec, "_HANDLER") == "-");
  CHECK(value(spec, "LANG") == "-");
  REQUIRE(spec.companions.size() == 1);
  CHECK(spec.companions[0].argv[0] == "/opt/extensions/watcher");
}

TEST_CASE("an image that names no program has it where those of AWS do") {
  ImageTree image;
  image.runnable.image->argv.clear();
  CHECK(image.spec().argv == std::vector<std::string>{"/opt/bootstrap"});
  fs::create_directories(image.dir + "/var/runtime");
  std::ofstream(image.dir + "/var/runtime/bootstrap") << "x";
  CHECK(image.spec().argv == std::vector<std::string>{"/var/runtime/bootstrap"});
}

TEST_CASE("an image's own variables make a web server of it") {
  ImageTree image;
  CHECK_FALSE(web_server(image.runnable));
  image.runnable.image->env.push_back("AWS_LWA_PORT=3000");
  auto server = web_server(image.runnable);
  REQUIRE(server);
  CHECK((*server)->port == 3000);
  image.runnable.environment["AWS_LWA_PORT"] = "4000";
  CHECK((*web_server(image.runnable))->port == 4000);
}

}  // namespace
}  // namespace mayfly::invoke::testing
