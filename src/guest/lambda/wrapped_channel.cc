// A guest that a wrapper script starts: either our bootstrap, which speaks lean frames, or what the
// script has put in its place (a web adapter's server, say), whose events are asked for at the
// Runtime API. Whoever is heard first is the runtime; the other way stays silent from then on.
#include "guest/channel.h"

namespace mayfly::guest {
namespace {

class WrappedChannel final : public GuestChannel {
 public:
  WrappedChannel(io::Loop& loop, io::Fd socket, io::Fd listener)
      : loop_(loop),
        lean_(make_lean_channel(loop, std::move(socket))),
        api_(make_runtime_api_channel(loop, std::move(listener))) {}

  io::Task<Result<InitReply>> wait_init(Deadline deadline) override;
  io::Task<Result<InvokeReply>> invoke(const InvokeRequest& request, Deadline deadline) override {
    return spoken_->invoke(request, deadline);
  }
  void cancel() override {
    lean_->cancel();
    api_->cancel();
  }
  void share(int most) override {
    lean_->share(most);
    api_->share(most);
  }
  void set_bounds(const AnswerBounds& bounds) override {
    lean_->set_bounds(bounds);
    api_->set_bounds(bounds);
  }
  bool serve_extensions(ExtensionApi& api) override { return api_->serve_extensions(api); }

  void prepare_ahead() override { spoken_->prepare_ahead(); }
  bool takes_ahead() const override { return spoken_->takes_ahead(); }
  std::uint32_t send_ahead(const InvokeRequest& request) override {
    return spoken_->send_ahead(request);
  }
  io::Task<Result<InvokeReply>> take_up(std::uint32_t number, Deadline deadline) override {
    return spoken_->take_up(number, deadline);
  }
  void recall() override { spoken_->recall(); }
  bool withdraw(std::uint32_t number) override { return spoken_->withdraw(number); }
  bool answer_was_told() const override { return spoken_->answer_was_told(); }

 private:
  struct Side {
    GuestChannel& channel;
    std::optional<Result<InitReply>> heard;
  };
  static io::Task<void> listen(Side& side, Deadline deadline, io::Event& news) {
    side.heard = co_await side.channel.wait_init(deadline);
    news.set();
  }

  io::Loop& loop_;
  std::unique_ptr<GuestChannel> lean_;
  std::unique_ptr<GuestChannel> api_;
  GuestChannel* spoken_ = lean_.get();
};

io::Task<Result<InitReply>> WrappedChannel::wait_init(Deadline deadline) {
  Side lean{*lean_, {}};
  Side api{*api_, {}};
  io::Event news(loop_);
  io::TaskScope both(loop_);
  both.spawn(listen(lean, deadline, news));
  both.spawn(listen(api, deadline, news));
  // A program that knows nothing of the socket closes it, or leaves it open: neither says anything.
  while (!api.heard && !(lean.heard && lean.heard->has_value())) {
    co_await news.wait();
    news.reset();
  }
  bool is_lean = lean.heard && lean.heard->has_value();
  spoken_ = is_lean ? lean_.get() : api_.get();
  (is_lean ? api_ : lean_)->cancel();
  co_await both.drain(no_deadline);
  co_return std::move(*(is_lean ? lean : api).heard);
}

}  // namespace

std::unique_ptr<GuestChannel> make_wrapped_channel(io::Loop& loop, io::Fd socket, io::Fd listener) {
  return std::make_unique<WrappedChannel>(loop, std::move(socket), std::move(listener));
}

}  // namespace mayfly::guest
