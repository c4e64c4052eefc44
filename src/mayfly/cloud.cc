#include "mayfly/cloud.h"

#include <sys/sysinfo.h>

#include "base/limits.h"
#include "base/log.h"
#include "guest/channel.h"
#include "guest/web.h"
#include "io/fd.h"
#include "services/events/service.h"
#include "services/identity/service.h"
#include "services/lambda/service.h"
#include "services/logs/service.h"
#include "services/pipes/service.h"
#include "services/s3/house.h"
#include "services/scheduler/service.h"
#include "services/sns/house.h"
#include "services/sns/links.h"
#include "services/sqs/feed.h"
#include "services/sqs/service.h"
#include "store/key_file.h"
#include "wire/text.h"

namespace mayfly {

namespace fs = std::filesystem;

Cloud::Cloud(const ServerOptions& options, std::string data_dir, sandbox::LauncherProcess launcher)
    : options_(options),
      data_dir_(std::move(data_dir)),
      launcher_(sandbox::attach_launcher(loop_, std::move(launcher))) {}

Cloud::~Cloud() = default;

io::Task<Result<>> Cloud::open() {
  // An interpreter may have to be run to tell its version: meanwhile the state is opened.
  io::TaskScope beside(loop_);
  beside.spawn(find_runtimes());
  auto state = co_await open_state();
  co_await beside.drain(no_deadline);
  CO_TRY(std::move(state));
  CO_TRY(co_await open_invoker());
  open_front();
  CO_TRY(open_bus());
  CO_TRY(co_await lambda_->start());
  invoker_->start();
  topics_->start();
  objects_->start();
  scheduler_->start();
  bus_->start();
  pipes_->start();
  queues_->carrier().add("sns", topics_->effects());
  queues_->carrier().add("events", bus_->effects());
  queues_->carrier().start();
  co_return listen();
}

io::Task<void> Cloud::find_runtimes() {
  runtimes_ = co_await workers_.run([packs = packs_dir(), data = data_dir_] {
    return sandbox::RuntimeCatalog::discover(packs, data);
  });
}

io::Task<Result<>> Cloud::open_state() {
  CO_TRY_ASSIGN(state_, store::open_embedded(loop_, workers_, data_dir_, "state"));
  if (options_.dev) {
    CO_TRY(clock_service_.emplace(clock_, *state_).load());
  }
  CO_TRY_ASSIGN(log_records_, store::open_embedded(loop_, workers_, data_dir_, "logs"));
  CO_TRY_ASSIGN(logs_, co_await telemetry::LogStore::open(loop_, *log_records_));
  CO_TRY_ASSIGN(queue_records_, store::open_embedded(loop_, workers_, data_dir_, "queues"));
  CO_TRY_ASSIGN(
      queues_,
      services::sqs::Queues::open(
          {.loop = loop_, .random = random_, .store = *queue_records_, .count = count_queues()}));
  staged_sends_.emplace(services::sqs::Staging::Deps{
      .loop = loop_, .store = *queue_records_, .random = random_, .carrier = queues_->carrier()});
  CO_TRY_ASSIGN(schedule_records_, store::open_embedded(loop_, workers_, data_dir_, "schedules"));
  CO_TRY_ASSIGN(scheduler_,
                co_await services::scheduler::Scheduler::open(
                    {.loop = loop_,
                     .random = random_,
                     .store = *schedule_records_,
                     .zones = [this](std::string_view name) { return zones_.find(name); },
                     .switchboard = switchboard_,
                     .calls = own_calls_,
                     .count = count_schedules()}));
  telemetry_ = std::make_unique<telemetry::Telemetry>(*logs_, metrics_);
  CO_TRY_ASSIGN(guard_, co_await guard::open_guard(*state_, clock_, random_, {.dev = options_.dev},
                                                   &first_root_));
  CO_TRY_ASSIGN(packages_, functions::open_package_store(loop_, *state_, workers_, data_dir_));
  file_systems_.emplace(workers_, data_dir_);
  CO_TRY_ASSIGN(images_, functions::open_image_store(loop_, *state_, workers_, data_dir_));
  CO_TRY_ASSIGN(registry_, functions::open_registry(loop_, *state_));
  CO_TRY(mappings_.emplace(*state_).load());
  CO_TRY(open_topics());
  co_return open_objects();
}

Result<> Cloud::open_objects() {
  TRY_ASSIGN(object_records_, store::open_embedded(loop_, workers_, data_dir_, "objects"));
  TRY_ASSIGN(objects_,
             services::s3::House::open({.loop = loop_,
                                        .random = random_,
                                        .workers = workers_,
                                        .store = *object_records_,
                                        .files = std::filesystem::path(data_dir_) / "objects",
                                        .switchboard = switchboard_,
                                        .guard = *guard_}));
  switchboard_.add_target("s3", objects_->target());
  policies_by_service_.add("s3", objects_->policies());
  return {};
}

Result<> Cloud::open_topics() {
  TRY_ASSIGN(topic_records_, store::open_embedded(loop_, workers_, data_dir_, "topics"));
  auto& family = metrics_.counter("mayfly_topic_messages_total",
                                  "Messages of topics: published, and what became of them.",
                                  {"account", "region", "topic", "protocol", "step"});
  TRY_ASSIGN(topics_, services::sns::House::open(
                          {.loop = loop_,
                           .random = random_,
                           .workers = workers_,
                           .store = *topic_records_,
                           .http = http_client_,
                           .switchboard = switchboard_,
                           .guard = *guard_,
                           .count =
                               [&family](const services::sns::TopicRef& topic,
                                         std::string_view protocol, services::sns::Step step) {
                                 family
                                     .with({topic.scope.account.str(), topic.scope.region.str(),
                                            topic.name, protocol, services::sns::name_of(step)})
                                     .add();
                               },
                           .host = [this] { return address_; },
                           .effects = &effects_}));
  return {};
}

// Whatever the reason, it is the function's runtime that is wrong, not the server.
Result<sandbox::RuntimeChoice> Cloud::choose_runtime(std::string_view identifier) const {
  auto choice = runtimes_->choose(identifier, !options_.strict_runtimes);
  if (!choice) return fail(ErrorKind::invalid, std::move(choice.error().message));
  return choice;
}

io::Task<Result<>> Cloud::open_invoker() {
  invoke::Deps deps{
      .loop = loop_,
      .random = random_,
      .observer = *telemetry_,
      .launcher = *launcher_,
      .store = *state_,
      .choose_runtime = [this](std::string_view identifier) { return choose_runtime(identifier); },
      .open_channel =
          [this](invoke::GuestEnds ends) {
            if (!ends.socket) return guest::make_runtime_api_channel(loop_, std::move(ends.port));
            if (!ends.port) return guest::make_lean_channel(loop_, std::move(ends.socket));
            return guest::make_wrapped_channel(loop_, std::move(ends.socket), std::move(ends.port));
          },
      .open_web_channel =
          [this](const guest::WebServer& server, io::Fd listener, std::vector<io::Fd> sockets) {
            return guest::make_web_channel(loop_, server, std::move(listener), std::move(sockets));
          },
      .credentials =
          [this](const invoke::Runnable& runnable) {
            // The last call of an environment ends before they do.
            Duration needed =
                limits::environment_life + std::chrono::seconds(runnable.timeout_seconds + 3600);
            auto issued = guard_->issue_role_credentials(
                runnable.scope.account, runnable.role_arn, runnable.name.str(),
                std::max<Duration>(limits::role_credentials_lifetime, needed));
            return invoke::RoleCredentials{issued.access_key_id, issued.secret_access_key,
                                           issued.session_token};
          },
      .serve_endpoint =
          [this](io::Fd listening, InstanceId instance) {
            return front_->add_listener(std::move(listening), std::move(instance));
          },
      .end_endpoint = [this](std::uint64_t id) { front_->remove_listener(id); },
      .deliver =
          [this](events::Delivery delivery) { return switchboard_.push(std::move(delivery)); },
      .settings = {.account_concurrency = options_.account_concurrency,
                   .requests_per_concurrency =
                       static_cast<double>(options_.requests_per_concurrency),
                   .scaling_environments = options_.scaling_environments,
                   .start_wait = std::chrono::seconds(options_.start_wait_seconds),
                   .spares = options_.spares,
                   .fork_environments = !options_.no_fork,
                   .autopsies = options_.no_autopsy ? 0 : invoke::Settings{}.autopsies},
      .effects = &effects_,
      .ledger = &*staged_sends_,
      .read_machine = invoke::read_machine};
  CO_TRY_ASSIGN(invoker_, co_await invoke::make_invoker(std::move(deps)));
  co_return Result<>{};
}

namespace {

io::Task<front::Response> text_answer(std::string type, std::string body, int status = 200) {
  co_return front::Response{
      .status = status, .headers = {{"Content-Type", std::move(type)}}, .body = std::move(body)};
}

}  // namespace

void Cloud::open_lambda() {
  lambda_ = std::make_unique<lambda::Service>(lambda::Deps{
      .loop = loop_,
      .random = random_,
      .registry = *registry_,
      .packages = *packages_,
      .file_systems = *file_systems_,
      .images = *images_,
      .invoker = *invoker_,
      .guard = *guard_,
      .settings = {.account_concurrency = options_.account_concurrency,
                   .unreserved_concurrency_min = options_.unreserved_concurrency_min,
                   .host_suffixes = options_.host_suffixes,
                   .image_paths = options_.dev,
                   .strict = options_.strict},
      .runtime_warning = [this](std::string_view identifier) -> Result<std::string> {
        TRY_ASSIGN(auto choice, choose_runtime(identifier));
        return std::move(choice.warning);
      },
      .runtime_version_arn = [this](const Region& region,
                                    std::string_view identifier) -> Result<std::string> {
        TRY_ASSIGN(auto choice, choose_runtime(identifier));
        return sandbox::runtime_version_arn(*choice.pack, identifier, region.str());
      },
      .unsigned_deployed = count_unsigned(),
      .deleted = std::bind_front(&telemetry::Telemetry::function_deleted, telemetry_.get()),
      .mappings = &*mappings_,
      .switchboard = &switchboard_,
      .count_mapped = count_mapped(),
      .calls = &own_calls_});
}

void Cloud::open_front() {
  front_ = front::make_front({.loop = loop_,
                              .random = random_,
                              .guard = *guard_,
                              .observer = *telemetry_,
                              .settings = {.host_suffixes = options_.host_suffixes,
                                           .dev = options_.dev,
                                           .default_region = Region(options_.default_region)}});
  switchboard_.add_source(
      "sqs", [this](std::string_view arn) { return services::sqs::source_of(*queues_, arn); });
  open_lambda();
  switchboard_.add_target("lambda", lambda_->target());
  switchboard_.add_target("sqs", queue_target_.emplace(*queues_, *guard_));
  own_calls_.set_guard(*guard_);
  switchboard_.add_target("sns", topics_->target());
  policies_by_service_.add("lambda", *lambda_);
  policies_by_service_.add("sns", topics_->policies());
  policies_by_service_.add("sqs", queue_policies_.emplace(*queues_));
  guard_->set_resource_policies(policies_by_service_);
  invoker_->set_resolver([this](Scope scope, FunctionName name, std::string qualifier) {
    return lambda_->resolve_async(std::move(scope), std::move(name), std::move(qualifier));
  });
  add_service(lambda_->operations());
  add_service(services::logs::make_logs_service({.loop = loop_, .logs = *logs_}));
  add_service(
      services::sqs::make_sqs_service({.loop = loop_, .queues = *queues_, .effects = &effects_}));
  add_service(services::scheduler::make_scheduler_service(*scheduler_));
  add_service(topics_->operations());
  add_service(objects_->operations());
  add_service(services::identity::make_identity_service({}));
  front_->add_path("/_mayfly/code/", lambda::adapt<front::Request, front::Response>(
                                         *lambda_, &lambda::Service::serve_code));
  auto images =
      lambda::adapt<front::Request, front::Response>(*lambda_, &lambda::Service::serve_images);
  front_->add_path("/_mayfly/images", [images](const front::Request& request) {
    // A path is the server's: nothing for what runs in it.
    if (!request.instance.empty()) return text_answer("text/plain", "not for functions\n", 403);
    return images(request);
  });
  front_->add_host_label("lambda-url", lambda::adapt<front::Request, front::Response>(
                                           *lambda_, &lambda::Service::serve_url));
  add_own_paths();
}

Result<> Cloud::open_bus() {
  TRY_ASSIGN(bus_records_, store::open_embedded(loop_, workers_, data_dir_, "bus"));
  TRY_ASSIGN(auto key, store::open_key_file(std::filesystem::path(data_dir_) / "bus.key",
                                            services::bus::Vault::key_bytes, random_));
  TRY_ASSIGN(bus_, services::bus::EventBus::open({.loop = loop_,
                                                  .random = random_,
                                                  .store = *bus_records_,
                                                  .guard = *guard_,
                                                  .switchboard = switchboard_,
                                                  .http = http_client_,
                                                  .key = std::move(key),
                                                  .effects = &effects_,
                                                  .counts = count_bus()}));
  switchboard_.add_target("events", bus_->target());
  policies_by_service_.add("events", bus_->policies());
  add_service(bus_->service());
  TRY_ASSIGN(pipes_, services::pipes::Pipes::open(
                         {.loop = loop_, .store = *bus_records_, .switchboard = switchboard_}));
  add_service(pipes_->service());
  return {};
}

void Cloud::add_service(api::Service service) {
  operations_.add(service);
  own_calls_.add(service);
  front_->add_service(std::move(service));
}

namespace {

io::Task<front::Response> clock_answer(services::clock::Service& clock, std::string method,
                                       std::string body) {
  auto answer = co_await clock.answer(std::move(method), std::move(body));
  co_return front::Response{.status = answer.status,
                            .headers = {{"Content-Type", "application/json"}},
                            .body = std::move(answer.json)};
}

}  // namespace

void Cloud::add_clock_path() {
  front_->add_path("/_mayfly/clock", [this](const front::Request& request) {
    if (!request.instance.empty()) {
      return text_answer("application/json", R"({"message":"not for functions"})", 403);
    }
    // Any page in a browser of this machine can send a plain POST here.
    if (!request.header("origin").empty()) {
      return text_answer("application/json", R"({"message":"not for web pages"})", 403);
    }
    if (!clock_service_) {
      return text_answer("application/json",
                         R"({"message":"only a server that runs with --dev has its clock moved"})",
                         403);
    }
    return clock_answer(*clock_service_, request.method, request.body);
  });
}

void Cloud::add_schedules_path() {
  metrics_.gauge_function("mayfly_schedule_runs_under_way", "Runs on their way to targets",
                          [this] { return static_cast<double>(scheduler_->totals().under_way); });
  metrics_.gauge_function("mayfly_schedule_runs_delivered", "Runs that targets have got",
                          [this] { return static_cast<double>(scheduler_->totals().delivered); });
  metrics_.gauge_function("mayfly_schedule_runs_failed", "Runs that were given up",
                          [this] { return static_cast<double>(scheduler_->totals().failed); });
  metrics_.gauge_function("mayfly_schedule_runs_missed", "Runs left out, as they were too late",
                          [this] { return static_cast<double>(scheduler_->totals().missed); });
  front_->add_path("/_mayfly/schedule-runs", [this](const front::Request& request) {
    // Names and failures of schedules are for whoever runs the server.
    if (!request.instance.empty()) {
      return text_answer("application/json", R"({"message":"not for functions"})", 403);
    }
    auto query = wire::parse_query(request.query);
    const auto* arn = query ? wire::find_pair(*query, "arn") : nullptr;
    auto runs = services::scheduler::runs_json(*scheduler_, arn == nullptr ? "" : *arn);
    if (!runs) {
      return text_answer("application/json", R"({"message":"the history cannot be read"})", 500);
    }
    if (!*runs) return text_answer("application/json", R"({"message":"no such schedule"})", 404);
    return text_answer("application/json", **std::move(runs));
  });
}

namespace {

io::Task<front::Response> topic_answer(services::sns::Web& web, std::string method,
                                       std::string path, std::string query) {
  auto page = co_await web.answer(std::move(method), std::move(path), std::move(query));
  co_return front::Response{.status = page.status,
                            .headers = {{"Content-Type", std::move(page.content_type)}},
                            .body = std::move(page.body)};
}

}  // namespace

void Cloud::add_topic_path() {
  front_->add_path(std::string(services::sns::own_path), [this](const front::Request& request) {
    return topic_answer(topics_->web(), request.method, request.path, request.query);
  });
}

void Cloud::add_own_paths() {
  add_clock_path();
  add_schedules_path();
  add_topic_path();
  metrics_.gauge_function("mayfly_environments", "Execution environments alive",
                          [this] { return invoker_->totals().environments; });
  metrics_.gauge_function("mayfly_templates", "Functions with a template to fork environments from",
                          [this] { return invoker_->totals().templates; });
  metrics_.gauge_function("mayfly_booted_guests", "Guests without a function that wait for one",
                          [this] { return invoker_->totals().booted_guests; });
  metrics_.gauge_function("mayfly_templates_waiting",
                          "Templates and booted guests asked for and not made yet",
                          [this] { return invoker_->totals().templates_waiting; });
  metrics_.gauge_function("mayfly_environments_busy", "Execution environments running a call",
                          [this] { return invoker_->totals().busy; });
  metrics_.gauge_function("mayfly_starts_waiting", "Calls that wait for an environment to start",
                          [this] { return static_cast<double>(invoker_->totals().waiting); });
  metrics_.gauge_function("mayfly_async_events_queued", "Asynchronous events not yet done",
                          [this] { return static_cast<double>(invoker_->totals().queued_events); });
  metrics_.gauge_function("mayfly_circuit_breakers_open", "Functions whose calls are refused",
                          [this] { return static_cast<double>(invoker_->totals().open_breakers); });
  metrics_.gauge_function(
      "mayfly_target_circuit_breakers_open",
      "Targets of rules, schedules, pipes and topics that are not tried", [this] {
        return static_cast<double>(bus_->open_breakers() + topics_->open_breakers() +
                                   pipes_->open_breakers() + scheduler_->totals().open_breakers);
      });
  metrics_.gauge_function("mayfly_topic_deliveries_waiting", "Deliveries of topics not yet done",
                          [this] { return static_cast<double>(topics_->waiting()); });
  metrics_.gauge_function("mayfly_functions", "Deployed functions",
                          [this] { return static_cast<double>(registry_->count()); });
  front_->add_path("/_mayfly/metrics", [this](const front::Request& request) {
    // Its labels name every function: for whoever runs the server, not for what runs in it.
    if (!request.instance.empty()) return text_answer("text/plain", "not for functions\n", 403);
    return text_answer("text/plain; version=0.0.4; charset=utf-8", metrics_.expose());
  });
  front_->add_path("/_mayfly/operations", [this](const front::Request& request) {
    if (!request.instance.empty()) return text_answer("text/plain", "not for functions\n", 403);
    return text_answer("application/json", operations_.json());
  });
  front_->add_path("/_mayfly/health", [this](const front::Request&) {
    auto totals = invoker_->totals();
    return text_answer(
        "application/json",
        fmt::format(R"({{"status":"ok","functions":{},"environments":{},"busy":{}}})",
                    registry_->count(), totals.environments, totals.busy));
  });
}

Result<> Cloud::listen() {
  TRY_ASSIGN(auto fd, io::listen_tcp(options_.host, options_.port));
  address_ = io::address_of(fd);
  front_->add_listener(std::move(fd), InstanceId());
  return {};
}

std::string Cloud::packs_dir() const {
  if (!options_.packs_dir.empty()) return options_.packs_dir;
  std::error_code error;
  fs::path program = fs::read_symlink("/proc/self/exe", error);
  return (program.parent_path() / "runtimes").string();
}

io::Task<void> Cloud::close() {
  Deadline deadline = loop_.now() + limits::shutdown_grace;
  // Callers first: what they started still finds everything below alive.
  if (scheduler_) scheduler_->stop();
  if (lambda_) lambda_->stop_sources();
  if (pipes_) pipes_->stop();
  if (bus_) bus_->stop();
  if (queues_) queues_->release();  // nobody waits for messages any more
  if (front_) co_await front_->close(deadline);
  if (topics_) co_await topics_->close();
  if (objects_) co_await objects_->stop();
  if (bus_) co_await bus_->close();
  if (lambda_) co_await lambda_->close();
  if (invoker_) co_await invoker_->close(deadline);
  if (lambda_) co_await lambda_->close_sources();
  if (staged_sends_) co_await staged_sends_->close();
  if (scheduler_) co_await scheduler_->close();
  if (pipes_) co_await pipes_->close();
  if (queues_) co_await queues_->close();
  if (objects_) co_await objects_->close();
  co_await http_client_.close();
  if (launcher_) co_await launcher_->close();
  if (logs_) co_await logs_->close();
}

}  // namespace mayfly
