#include "sandbox/slots.h"

#include <doctest/doctest.h>
#include <fcntl.h>

using namespace mayfly;
using namespace mayfly::sandbox;

TEST_CASE("the least slot that is free is next, up to the limit") {
  Slots slots(3);
  CHECK(slots.take() == 0);
  CHECK(slots.take() == 1);
  CHECK(slots.take() == 2);
  CHECK_FALSE(slots.take());
  slots.give_back(2);
  slots.give_back(0);
  CHECK(slots.take() == 0);
  CHECK(slots.take() == 2);
}

TEST_CASE("users of slots are kept for the next, but not all there have ever been") {
  std::vector<unsigned> made;
  SlotUsers users(
      [&made](unsigned slot) -> Result<io::Fd> {
        made.push_back(slot);
        return io::Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      },
      2);
  std::vector<int> descriptors;
  for (unsigned slot = 0; slot < 5; ++slot) descriptors.push_back(*users.take(slot));
  CHECK(made == std::vector<unsigned>{0, 1, 2, 3, 4});
  for (unsigned slot : {3u, 0u, 4u, 1u}) users.give_back(slot);
  auto is_open = [&](unsigned slot) { return ::fcntl(descriptors[slot], F_GETFD) != -1; };
  CHECK(is_open(0));
  CHECK(is_open(1));
  CHECK(is_open(2));
  CHECK_FALSE(is_open(3));
  CHECK_FALSE(is_open(4));
  made.clear();
  CHECK(*users.take(0) == descriptors[0]);
  CHECK(*users.take(1) == descriptors[1]);
  CHECK(users.of(2) == descriptors[2]);
  CHECK(users.take(3));
  CHECK(made == std::vector<unsigned>{3});
}

TEST_CASE("a slot whose user cannot be made says why, and may be asked for again") {
  bool works = false;
  SlotUsers users(
      [&works](unsigned) -> Result<io::Fd> {
        if (!works) return fail(ErrorKind::unavailable, "no user");
        return io::Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      },
      1);
  CHECK(users.take(0).error().message == "no user");
  works = true;
  CHECK(users.take(0));
}
