// FileSystems: the folders behind a function's FileSystemConfigs. What the cloud calls an access
// point of an elastic file system is a folder here, shared by all functions that name it, made by
// the first and kept when the last is deleted, as a file system outlives its functions.
//
// Whoever may write is one POSIX user on the cloud (the access point's); here environments are
// different users of the host, so the folder has a default access list by which whatever is made in
// it may be read and written by all.
//
// Source: Lambda developer guide, "Configuring file system access". Threads: loop; the disk's work
// is done by io::Workers. Lifetime: outlives the services.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "io/workers.h"

namespace mayfly::functions {

// Of "arn:PARTITION:elasticfilesystem:REGION:ACCOUNT:access-point/fsap-…".
struct AccessPoint {
  Scope scope;
  std::string id;  // "fsap-0123456789abcdef0"
};
// Errors: `invalid` where the text is not of that form.
Result<AccessPoint> parse_access_point(std::string_view arn);

class FileSystems {
 public:
  FileSystems(io::Workers& workers, const std::filesystem::path& data_dir)
      : workers_(workers), directory_(data_dir / "filesystems") {}

  // The access point's folder, made where there is none: data_dir/filesystems/ACCOUNT/REGION/ID.
  // Once answered, it is on the disk. Errors: of the disk.
  io::Task<Result<std::filesystem::path>> folder(AccessPoint point);

 private:
  io::Workers& workers_;
  std::filesystem::path directory_;
};

}  // namespace mayfly::functions
