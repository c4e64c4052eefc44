// The root of a container image in place of the template's.
//
// Run by the jail's init alone, between its first steps and those that take its rights away.
#pragma once

namespace mayfly::sandbox {

// Makes a detached tree (see root_target in sandbox.h) the root, with the devices, the /proc and
// the names of hosts that the template has. Answers 0 or an errno.
int enter_image_root(int tree);

}  // namespace mayfly::sandbox
