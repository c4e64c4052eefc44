// LauncherLoop: the body of the launcher process.
//
// Owns: every jail (its process, its control group, its slot's user id) and the template root.
// Single-threaded; runs from fork_launcher() until the server's end of the socket closes, then
// kills what runs, removes the control groups and ends.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sandbox/control_group.h"
#include "sandbox/jail.h"
#include "sandbox/memory_helper.h"
#include "sandbox/protocol.h"
#include "sandbox/slots.h"

namespace mayfly::sandbox {

// Tags of descriptors in the epoll set. A jail has three: its control socket, the pidfd of its
// init, which tells that all of the jail is gone, and its memory alarm.
inline constexpr std::uint64_t socket_tag = 0;
inline constexpr std::uint64_t helper_tag = 3;
constexpr std::uint64_t control_tag(std::uint64_t id) { return id << 2; }
constexpr std::uint64_t pidfd_tag(std::uint64_t id) { return id << 2 | 1; }
constexpr std::uint64_t alarm_tag(std::uint64_t id) { return id << 2 | 2; }
constexpr std::uint64_t jail_of_tag(std::uint64_t tag) { return tag >> 2; }

struct ControlEnds {
  io::Fd ours;  // non-blocking
  io::Fd theirs;
};
Result<ControlEnds> make_control_ends();

// What is listened on in a jail, and how many sockets beside it are made there.
struct Ports {
  bool operator==(const Ports&) const = default;
  std::vector<std::uint16_t> listening;
  std::uint16_t others = 0;
};

class LauncherLoop {
 public:
  LauncherLoop(io::Fd socket, std::string template_dir);
  // Answers the exit status of the process.
  int run();

 private:
  using Id = std::uint64_t;

  enum class Ahead { no, executing, poised };
  // Parked until `ordered`, running from then on. Those below a template's jail (`host`) are cloned
  // by its init, which reaps them; the others by the launcher.
  struct Jail {
    Id id = 0;
    Id host = 0;
    std::uint64_t sequence = 0;
    pid_t pid = -1;
    io::Fd pidfd;    // nested ones: unknown until they are parked
    io::Fd control;  // orders out, reports in
    io::Fd network;  // until ordered
    Ports ports;     // of the listeners it has already
    unsigned slot = 0;
    ControlGroup group;
    std::vector<io::Fd> listeners;        // until they have been sent
    std::vector<std::string> bind_names;  // for messages
    bool ordered = false;
    bool replied = false;
    std::optional<int> status;     // of the program, from its init
    std::optional<Error> failure;  // of a step
    Parking parking = Parking::none;
    std::uint64_t memory_bytes = 0;  // its limit
    io::Fd alarm;                    // of its memory, where there is one
    io::Fd arming;                   // will be `alarm`
    unsigned squeezes = 0;
    bool killed_in = false;  // some process of it was to be killed for memory
    bool starved = false;    // its memory limit was the end of it
    // Of one that may be specialised, until it has been.
    io::Fd mounts;                   // its mount namespace
    std::uint64_t specialising = 0;  // the request under way
    // Of one with a program that was executed ahead.
    Ahead ahead = Ahead::no;
    io::Fd output;                 // read end; it and
    std::vector<io::Fd> accounts;  // its files are the server's from its start on
    // Of a template.
    std::vector<Id> parked;  // nested jails without an order
    std::uint64_t keep_ready = 0;
    Limits limits;  // of its group
  };

  // A program that was started not long ago, and jails in which it has been executed ahead
  // (poised_program.h).
  struct UsualProgram {
    Spec spec;  // its variables are stand-ins
    std::chrono::steady_clock::time_point until;
    bool holds = true;  // false: it cannot be poised
    std::vector<Id> poised;
  };

  Result<> prepare();
  Result<> watch(int fd, std::uint64_t tag, std::uint32_t events = 0);  // 0: input
  bool turn(int timeout_ms);  // one wait; false when there was no event
  bool spare_wanted();
  bool jails_wanted() const;
  bool arm_wanted() const { return !unarmed_.empty() && !memory_helper_.busy(); }
  bool work_ahead() { return arm_wanted() || spare_wanted(); }
  void make_spare();
  Result<Jail*> take_jail(const Request& request);
  Result<Jail*> make_parked();  // clones a jail and leaves it parked
  Result<Jail*> take_parked();
  void make_nested_spare();
  Result<Jail*> make_nested(Jail& host);
  Result<Jail*> take_nested(std::uint64_t host_sequence);
  Result<io::Fd> make_user(unsigned slot) const;
  Result<unsigned> take_slot();
  void give_back_slot(const Jail& jail);
  void release(Jail& jail);  // its group and its slot
  Jail* find(Id id);

  void on_socket();
  void on_report(Jail& jail);
  int take_reports(Jail& jail);
  void on_parked(Jail& jail, io::Fd pidfd);
  void on_started(Jail& jail, std::vector<io::Fd> sent);  // with its report
  void on_failed(Jail& jail, int step, int error, int item);
  void on_program_end(Jail& jail, int status);
  static Exit exit_of(const Jail& jail, int status);
  void on_process_end(Jail& jail, int status, int companion, int error);
  void on_gone(Jail& jail);
  void keep_ready(std::uint64_t sequence, std::uint64_t jails);
  Result<> launch(Message message);
  void note_program(const Spec& spec);
  std::list<UsualProgram>::iterator find_program(const Spec& spec);
  Jail* take_poised(const Spec& spec);
  Result<> start_poised(Jail& jail, Message& message, io::Fd file);
  UsualProgram* program_to_poise();
  void make_poised(UsualProgram& program);
  void on_poised(Jail& jail);
  void forget_poised(const Jail& jail);
  void forget_program(UsualProgram& program);
  int unused_ms() const;
  int next_end_ms() const;
  void end_unused();
  Result<> listen_in(Jail& jail, const Ports& ports) const;
  Result<> order(Jail& jail, const Spec& spec, Message& message, io::Fd file);
  // Answers errors to the server.
  void specialise(const Request& request, Message& message, io::Fd file);
  Result<> order_specialised(Jail& jail, const Spec& spec, Message& message, io::Fd file);
  void on_specialised(Jail& jail, std::optional<Error> error);
  void forget_parked(Jail& jail);  // it is not to be forked or specialised any more
  void start_memory_helper();
  void arm_one();
  void ask_memory_helper(MemoryOrder::What what, Jail& jail);
  void on_memory_helper();
  void on_memory_answer(const MemoryAnswer& answer);
  void on_armed(Jail& jail, const MemoryAnswer& answer);
  void on_alarm(Jail& jail);
  void look_at_memory(Jail& jail);
  void run_out_of_memory(Jail& jail);
  int held_ms() const;
  void end_held();
  void finish(Jail& jail, int wait_status, const rusage& usage);
  void send(const Reply& reply, const std::vector<int>& fds = {});
  void note_want(const Jail& host);
  void forget_template(Jail& host);  // no fork of it any more
  void end(Jail& jail);
  void kill_all();

  io::Fd socket_;
  std::string template_dir_;
  io::Fd epoll_;
  io::Fd null_;
  io::Fd own_network_;
  bool is_root_ = false;
  bool ending_ = false;
  Error broken_;  // why prepare() failed; every launch answers it
  bool usable_ = false;
  bool parking_works_ = true;
  std::vector<sock_filter> seccomp_;
  std::vector<sock_filter> forkable_seccomp_;
  ControlGroup groups_;
  Id next_id_ = 0;
  std::vector<Id> parked_;
  int starting_ = 0;  // ordered and not yet answered: nothing is parked meanwhile
  SlotUsers users_;
  Slots slots_;
  Slots nested_slots_;
  std::map<Id, Jail> jails_;
  std::map<std::uint64_t, Id> templates_;  // by the sequence of their launch
  std::map<std::uint64_t, Id> specialisable_;
  Limits usual_limits_;      // of the last one started: jails made ahead have them
  Ports usual_ports_;        // so too
  std::vector<Id> unarmed_;  // run without a memory alarm so far
  std::deque<std::pair<std::chrono::steady_clock::time_point, Id>> held_;  // until then
  std::set<Id> in_want_;              // templates with fewer jails ready than asked for
  std::list<UsualProgram> programs_;  // the last one started first
  MemoryHelper memory_helper_;
  std::optional<Jail> leaving_;  // has ended, but the helper has its group in hand
};

}  // namespace mayfly::sandbox
