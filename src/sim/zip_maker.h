// ZipMaker: builds zips byte by byte for tests, also such as no proper tool writes: names twice,
// "..", links out, false sizes, no Unix modes. Entries are stored, not deflated.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mayfly::sim {

class ZipMaker {
 public:
  struct Entry {
    std::string name;
    std::string content;
    std::uint32_t unix_mode = 0100644;  // with the type bits; 0: made by DOS, without modes
    // What the headers say, where it differs from content.size().
    std::uint32_t declared_size = UINT32_MAX;
    std::uint16_t flags = 0;
  };
  static constexpr std::uint16_t utf8_name = 1 << 11;  // a flag

  ZipMaker& add(Entry entry) {
    auto size = static_cast<std::uint32_t>(entry.content.size());
    std::uint32_t declared = entry.declared_size == UINT32_MAX ? size : entry.declared_size;
    std::string common;
    put16(common, entry.flags);
    put16(common, 0);       // stored
    put16(common, 0x6000);  // 12:00:00
    put16(common, 0x5c21);  // 2026-01-01
    put32(common, crc32(entry.content));
    put32(common, size);
    put32(common, declared);
    put16(common, static_cast<std::uint16_t>(entry.name.size()));
    put16(common, 0);  // extra

    auto offset = static_cast<std::uint32_t>(body_.size());
    put32(body_, 0x04034b50);
    put16(body_, 20);
    body_ += common + entry.name + entry.content;

    put32(directory_, 0x02014b50);
    put16(directory_, static_cast<std::uint16_t>(entry.unix_mode ? 3 << 8 | 20 : 20));
    put16(directory_, 20);
    directory_ += common;
    put16(directory_, 0);  // comment
    put16(directory_, 0);  // disk
    put16(directory_, 0);  // internal attributes
    bool dos_directory = !entry.unix_mode && entry.name.ends_with('/');
    put32(directory_, entry.unix_mode << 16 | (dos_directory ? 0x10u : 0u));
    put32(directory_, offset);
    directory_ += entry.name;
    ++entries_;
    return *this;
  }
  ZipMaker& file(std::string name, std::string content, std::uint32_t mode = 0100644) {
    return add({.name = std::move(name), .content = std::move(content), .unix_mode = mode});
  }
  ZipMaker& link(std::string name, std::string target) {
    return add({.name = std::move(name), .content = std::move(target), .unix_mode = 0120777});
  }

  std::string bytes() const {
    std::string out = body_ + directory_;
    put32(out, 0x06054b50);
    put32(out, 0);
    put16(out, entries_);
    put16(out, entries_);
    put32(out, static_cast<std::uint32_t>(directory_.size()));
    put32(out, static_cast<std::uint32_t>(body_.size()));
    put16(out, 0);
    return out;
  }

 private:
  static void put16(std::string& out, std::uint16_t value) {
    out.push_back(static_cast<char>(value & 0xff));
    out.push_back(static_cast<char>(value >> 8));
  }
  static void put32(std::string& out, std::uint32_t value) {
    put16(out, static_cast<std::uint16_t>(value & 0xffff));
    put16(out, static_cast<std::uint16_t>(value >> 16));
  }
  static std::uint32_t crc32(std::string_view bytes) {
    std::uint32_t crc = 0xffffffff;
    for (unsigned char byte : bytes) {
      crc ^= byte;
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) ? 0xedb88320u : 0u);
    }
    return ~crc;
  }

  std::string body_;
  std::string directory_;
  std::uint16_t entries_ = 0;
};

}  // namespace mayfly::sim
