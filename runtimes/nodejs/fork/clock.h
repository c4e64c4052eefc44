// The origin of performance.now() and process.uptime(). For a function that meets a generic
// template's child, the process is as old as the boot took: the time of parking does not count.
// Code that ran in the template may have kept the origin, so that children of its own keep it too.
#pragma once

namespace mayfly::fork {

// Before parking: finds where Node.js keeps the origin. Not to find it is no error: children then
// count from the template's start.
void find_clock();
// In a child of a generic template.
void renew_clock();

}  // namespace mayfly::fork
