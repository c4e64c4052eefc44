#include "sandbox/image_root.h"

#include <errno.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>

#include "io/fd.h"
#include "sandbox/sys.h"

namespace mayfly::sandbox {
namespace {

// Any directory of the template will do: with the template it is left behind.
constexpr const char* place = "/opt";

// What an image has of these is another machine's.
constexpr std::array carried = {"/proc", "/dev", "/etc/hosts", "/etc/resolv.conf"};

}  // namespace

int enter_image_root(int tree) {
  if (int error = sys::attach_tree(tree, place); error != 0) return error;
  // From here on names without a slash before them are those of the image, and links in it lead to
  // nothing outside (attach_tree).
  if (::chdir(place) != 0) return errno;
  for (const char* path : carried) {
    io::Fd copy;
    if (int error = sys::copy_tree_of(path, copy); error != 0) return error;
    if (int error = sys::attach_tree(copy.get(), path); error != 0) return error;
  }
  if (sys::pivot_root(".", ".") != 0) return errno;
  if (::umount2(".", MNT_DETACH) != 0) return errno;
  return ::chdir("/") == 0 ? 0 : errno;
}

}  // namespace mayfly::sandbox
