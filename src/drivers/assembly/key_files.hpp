// Keys and certificates as files. Private keys are made with mode 0600, never overwritten, and not
// read when others could have read them too.
#pragma once

#include <string>

#include "connection/security/identity.hpp"
#include "gossamer/base/result.hpp"

namespace gossamer::assembly {

Status make_folder(const std::string& path);  // with parents; mode 0755
// A new file; kKeyExists when there is one already. Synced to disk.
Status write_new_file(const std::string& path, ByteView content, unsigned mode);
// Whole old or whole new content, mode 0644.
Status replace_public_file(const std::string& path, ByteView content);

Result<Bytes> read_public_file(const std::string& path);  // at most 64 KiB; kKeyMissing
// Erased when it goes. Also kKeyPermissions.
Result<security::SecretBytes> read_secret_file(const std::string& path);
Result<security::IdentityKey> read_private_key(const std::string& path);

}  // namespace gossamer::assembly
